"""Train on what was taught, in a process of its own; say how far it is."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from dataclasses import fields
from pathlib import Path
from tempfile import NamedTemporaryFile

from showtell.backbones.settings import BackboneSettings
from showtell.errors import ConfigError
from showtell.files import numbered

_SHOWN = 40
"""Lines of what it says that are kept."""


class Training:
    """A training that is started from the page, one at a time.

    Args:
        command: ``train-classifier`` or ``train-captioner``.
        table: The labels.
        network: The network and the store that the page uses.
        runs: Where the run goes; the second one gets a number.
    """

    def __init__(self, command: str, table: Path, network: BackboneSettings, runs: Path) -> None:
        self._command = command
        self._table, self._network, self._runs = table, network, runs
        self._lines: deque[str] = deque(maxlen=_SHOWN)
        self._process: subprocess.Popen[str] | None = None
        self._out: Path | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin.

        Raises:
            ConfigError: One is under way.
        """
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                raise ConfigError("A training is under way.", hint="Wait for its end, or stop it.")
            places = map(self._runs.with_name, numbered(self._runs.name))
            self._out = next(path for path in places if not path.exists())
            self._lines.clear()
            settings = write_settings(self._network)
            command = [sys.executable, "-m", "showtell", self._command, str(self._table)]
            try:
                self._process = subprocess.Popen(
                    [*command, "--out", str(self._out), "--config", str(settings)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    env={**os.environ, "PYTHONIOENCODING": "utf-8"},
                    process_group=0,  # Ctrl-C in the terminal comes once, by `stop`: a second one ends a step
                )
            except BaseException:
                settings.unlink(missing_ok=True)
                raise
            threading.Thread(target=self._read, args=(self._process, settings), daemon=True).start()

    def stop(self) -> None:
        """End it, as Ctrl-C does: nothing is left half written."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)

    def record(self) -> dict[str, object]:
        """Return whether it runs, what it says, and how it ended: 0 well, None not yet."""
        status = None if self._process is None else self._process.poll()
        return {
            "running": self._process is not None and status is None,
            "status": status,
            "out": str(self._out or ""),
            "lines": list(self._lines),
        }

    def _read(self, process: "subprocess.Popen[str]", settings: Path) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if line.strip():
                self._lines.append(line.rstrip())
        settings.unlink(missing_ok=True)


def write_settings(network: BackboneSettings) -> Path:
    """Write the settings of a network into a file that ``--config`` reads, and return its path."""
    named = {one.name: getattr(network, one.name) for one in fields(BackboneSettings)}
    lines = [
        f"{name} = {json.dumps(value if isinstance(value, int) else str(value), ensure_ascii=False)}\n"
        for name, value in named.items()
        if value is not None
    ]
    with NamedTemporaryFile("w", suffix=".toml", delete=False, encoding="utf-8") as file:
        file.writelines(lines)
    return Path(file.name)
