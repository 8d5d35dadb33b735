"""Callbacks of the loop, and the one that writes ``metrics.jsonl``."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from showtell.files import write_atomic


class Callback(Protocol):
    """Called at each step and each validation of a training."""

    def begin(self, step: int, epoch: int) -> None:
        """Hear that training begins after ``step`` steps and ``epoch`` epochs: later ones are made again."""

    def step(self, step: int, epoch: int, loss: float, learning_rate: float) -> None:
        """Hear of a step; steps and epochs count from 1."""

    def validation(self, step: int, record: Mapping[str, float]) -> None:
        """Hear of an epoch's end: ``epoch``, ``train_loss``, ``score`` and what else was measured."""


class MetricsLog:
    """One JSON object a line, as training goes.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, step: int, epoch: int) -> None:
        """Drop what was logged after the checkpoint: those steps are made again."""
        kept: list[str] = []
        if self._path.exists() and step:
            for line in self._path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):  # a kill can cut the last line
                    if _is_past(json.loads(line), step, epoch):
                        kept.append(line + "\n")
        write_atomic(self._path, "".join(kept))

    def step(self, step: int, epoch: int, loss: float, learning_rate: float) -> None:
        """Log a step."""
        self._log({"step": step, "epoch": epoch, "loss": loss, "learning_rate": learning_rate})

    def validation(self, step: int, record: Mapping[str, float]) -> None:
        """Log an epoch's end."""
        self._log({"step": step, "validation": record})

    def _log(self, record: Mapping[str, object]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _is_past(record: Any, step: int, epoch: int) -> bool:
    """Say whether a logged step or validation lies before the checkpoint."""
    if "validation" in record:
        return bool(record["validation"]["epoch"] <= epoch)
    return bool(record["step"] <= step)
