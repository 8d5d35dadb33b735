"""What a person sees while a command works: lines on stderr and progress bars; results go to stdout.

Verbs that are called as functions without a console log the same lines to ``logging.getLogger("showtell")``.
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tqdm import tqdm

from showtell.notebook import in_notebook

_logger = logging.getLogger("showtell")
_logger.addHandler(logging.NullHandler())
_SECONDS = 10
"""Between two lines of progress, where they are written to a file."""


class Bar(Protocol):
    """A progress bar."""

    def update(self, n: int) -> Any:
        """Move on by ``n``."""

    def set_postfix_str(self, s: str) -> Any:
        """Show ``s`` behind the bar."""


class _Lines:
    """A progress bar in a file that is read later: a line every ten seconds, and one at the end."""

    def __init__(self, total: int, what: str, unit: str, done: int) -> None:
        self._fixed: dict[str, Any] = {"prefix": what, "unit": unit, "initial": done, "ascii": True}
        self._total, self._count, self._behind = total, done, ""
        self._started = self._shown = time.monotonic()

    def update(self, n: int) -> None:
        self._count += n
        if time.monotonic() - self._shown >= _SECONDS:
            self.show()

    def set_postfix_str(self, s: str) -> None:
        self._behind = s

    def show(self) -> None:
        self._shown = time.monotonic()
        elapsed = self._shown - self._started
        line = tqdm.format_meter(self._count, self._total, elapsed, postfix=self._behind, **self._fixed)
        sys.stderr.write(line + "\n")


class Console:
    """Where a task says what it does.

    Args:
        quiet: Say nothing and show no bar.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str = "") -> None:
        """Print a line to stderr, above any bar."""
        if self.quiet:
            return
        if sys.stderr.isatty():
            tqdm.write(text, file=sys.stderr)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    @contextmanager
    def bar(self, total: int, what: str, unit: str, done: int = 0) -> Iterator[Bar]:
        """Show a bar with speed and time left; plain lines, ten seconds apart, where stderr is a file.

        In a notebook the bar is one of Jupyter's.
        """
        kind: Any = tqdm
        if in_notebook():
            from tqdm import auto

            kind = auto.tqdm  # text again where ipywidgets are missing
        elif not self.quiet and not sys.stderr.isatty():
            lines = _Lines(total, what, f" {unit}", done)
            yield lines
            lines.show()
            return
        with kind(
            total=total,
            desc=what,
            unit=f" {unit}",
            initial=done,
            disable=self.quiet,
            file=sys.stderr,
            dynamic_ncols=True,
            leave=False,
        ) as bar:
            yield bar


class _Part(Console):
    """The console of a part of a task, and its bar: what it moves is the bar of the whole."""

    def __init__(self, whole: Bar) -> None:
        super().__init__(quiet=True)
        self._whole, self.done = whole, 0

    @contextmanager
    def bar(self, total: int, what: str, unit: str, done: int = 0) -> Iterator[Bar]:
        yield self

    def update(self, n: int) -> None:
        self.done += n
        self._whole.update(n)

    def set_postfix_str(self, s: str) -> None:
        self._whole.set_postfix_str(s)


@contextmanager
def part_of(whole: Bar, size: int) -> Iterator[Console]:
    """Lend a console to one part of a task: its lines go unsaid, its bars move that of the whole.

    Args:
        whole: The bar of the whole task.
        size: By how much the part moves it in all, whatever was done already.
    """
    part = _Part(whole)
    yield part
    whole.update(size - part.done)


class Log(Console):
    """Where a task says what it does in somebody else's program: to its log, at level INFO.

    Bars are shown in a notebook alone, where somebody waits.
    """

    def __init__(self) -> None:
        super().__init__(quiet=not in_notebook())

    def say(self, text: str = "") -> None:
        """Log what a console shows."""
        if text.strip():
            _logger.info("%s", text.strip("\n"))


def human_bytes(count: float) -> str:
    """Return a size as people read it: 878 MB."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:.1f} {unit}"


def human_time(seconds: float) -> str:
    """Return a duration as people read it: 1 min 10 s."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def many(count: int, one: str, more: str) -> str:
    """Return a count with what it counts: ``1 image`` or ``1,200 images``."""
    return f"{count:,} {one if count == 1 else more}"
