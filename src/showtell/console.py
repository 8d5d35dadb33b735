"""What a person sees while a command works: lines on stderr and progress bars; results go to stdout."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tqdm import tqdm


class Bar(Protocol):
    """A progress bar."""

    def update(self, n: int) -> Any:
        """Move on by ``n``."""

    def set_postfix_str(self, s: str) -> Any:
        """Show ``s`` behind the bar."""


class Console:
    """Where a task says what it does; silent for library use and tests.

    Args:
        quiet: Say nothing and show no bar.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str = "") -> None:
        """Print a line to stderr, above any bar."""
        if not self.quiet:
            tqdm.write(text, file=sys.stderr)

    @contextmanager
    def bar(self, total: int, what: str, unit: str, done: int = 0) -> Iterator[Bar]:
        """Show a bar with speed and time left; plain lines, ten seconds apart, where stderr is a file."""
        live = sys.stderr.isatty()
        with tqdm(
            total=total,
            desc=what,
            unit=f" {unit}",
            initial=done,
            disable=self.quiet,
            file=sys.stderr,
            dynamic_ncols=live,
            leave=not live,
            mininterval=0.1 if live else 10,
            maxinterval=10,
            ascii=None if live else True,
        ) as bar:
            yield bar


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
