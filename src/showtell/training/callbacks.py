"""Callbacks of the loop: ``metrics.jsonl``, and TensorBoard with curves and a few images each epoch."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from showtell.data.images import open_image
from showtell.data.records import AnnotatedImage
from showtell.errors import MissingExtraError
from showtell.files import parse_json, write_atomic

_SHOWN = 6
_COLUMNS = 3
_CELL, _GAP = 2.6, 0.2
"""Inches: side of a photo, between photos."""
_LINE, _LETTERS = 0.19, 9.5
"""Inches from line to line, and points."""
_LINES = 3
"""Of what is said of a photo, at most."""


class Callback(Protocol):
    """Called at each step and each validation of a training."""

    def begin(self, step: int, epoch: int) -> None:
        """Hear that training begins after ``step`` steps and ``epoch`` epochs: later ones are made again."""

    def step(self, step: int, epoch: int, loss: float, learning_rate: float) -> None:
        """Hear of a step; steps and epochs count from 1."""

    def validation(self, step: int, record: Mapping[str, float]) -> None:
        """Hear of an epoch's end: ``epoch``, ``train_loss``, ``score`` and what else was measured."""

    def checkpoint(self) -> None:
        """Hear that a checkpoint comes: what was told so far is not told again, so it must outlive a kill."""


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
                    if _is_past(parse_json(line), step, epoch):
                        kept.append(line + "\n")
        write_atomic(self._path, "".join(kept))

    def step(self, step: int, epoch: int, loss: float, learning_rate: float) -> None:
        """Log a step."""
        self._log({"step": step, "epoch": epoch, "loss": loss, "learning_rate": learning_rate})

    def validation(self, step: int, record: Mapping[str, float]) -> None:
        """Log an epoch's end."""
        self._log({"step": step, "validation": record})

    def checkpoint(self) -> None:
        """Do nothing: every line is in the file already."""

    def _log(self, record: Mapping[str, object]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _is_past(record: Any, step: int, epoch: int) -> bool:
    """Say whether a logged step or validation lies before the checkpoint."""
    if "validation" in record:
        return bool(record["validation"]["epoch"] <= epoch)
    return bool(record["step"] <= step)


class TensorBoardLog:
    """Event files for TensorBoard, written while a training goes.

    Args:
        folder: Where they go, one file a start.

    Raises:
        MissingExtraError: The extra is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("tensorboard", "tensorboard", "event files for TensorBoard") from error
        self._open: Callable[..., Any] = SummaryWriter
        self._folder = folder
        self._writer: Any = None
        self._shown: Sequence[AnnotatedImage] = ()
        self._texts: Callable[[], Mapping[str, str]] = dict

    def show(self, images: Sequence[AnnotatedImage], texts: Callable[[], Mapping[str, str]]) -> None:
        """Show a few of these images each epoch, with what the model said of them when last scored."""
        self._shown = images[:: -(-len(images) // _SHOWN) or 1]
        self._texts = texts

    def begin(self, step: int, epoch: int) -> None:
        """Open a file; TensorBoard then forgets what earlier ones say of later steps."""
        self._writer = self._open(str(self._folder), purge_step=step + 1 if step else None)

    def step(self, step: int, epoch: int, loss: float, learning_rate: float) -> None:
        """Write the scalars of a step."""
        self._writer.add_scalar("train/loss", loss, step)
        self._writer.add_scalar("train/learning_rate", learning_rate, step)

    def validation(self, step: int, record: Mapping[str, float]) -> None:
        """Write the scores of an epoch and the images with what is said of them."""
        for name, value in record.items():
            if name not in ("epoch", "score"):
                self._writer.add_scalar(f"validation/{name}", value, step)
        if self._shown:
            pixels = _draw(self._shown, self._texts())
            self._writer.add_image("validation/images", pixels, step, dataformats="HWC")

    def checkpoint(self) -> None:
        """Wait until all of it is in the file; the writer alone keeps two minutes of it in memory."""
        self._writer.flush()


def _draw(images: Sequence[AnnotatedImage], texts: Mapping[str, str]) -> npt.NDArray[np.uint8]:
    """Draw photos, each above what the model and what people say of it; return (height, width, 3)."""
    # matplotlib takes a second to load, and only this needs it.
    from showtell.report.figures import (
        ACCENT,
        FAINT,
        figure_grid,
        figure_pixels,
        inch_axes,
        show_image,
        write,
    )
    from showtell.report.fonts import inches
    from showtell.report.wrapping import wrap

    rows = -(-len(images) // _COLUMNS)
    cell = _CELL + _GAP, _CELL + 2 * _LINES * _LINE + 2 * _GAP
    figure, axes = figure_grid([cell[0]] * _COLUMNS, [cell[1]] * rows)
    for one, shown in zip(axes.flat, images):
        inch_axes(one, *cell)
        image = open_image(shown.path)
        image.thumbnail((400, 400))
        width, height = (_CELL * side / max(image.size) for side in image.size)
        base = _GAP + _CELL
        show_image(one, np.asarray(image), (_GAP / 2, _GAP / 2 + width, base, base - height))
        right = shown.label if shown.label is not None else next(iter(shown.captions), "")
        for text, colour, bold in ((texts[shown.name], ACCENT, True), (right, FAINT, False)):
            for line in wrap(text, _CELL, inches(_LETTERS, bold=bold))[:_LINES]:
                base += _LINE
                write(one, _GAP / 2, base, line, _LETTERS, bold=bold, colour=colour)
    return figure_pixels(figure)
