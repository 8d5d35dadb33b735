"""Settings of the lessons."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from showtell.settings import Maybe, Settings


@dataclass(frozen=True)
class Lesson(Settings):
    """List the lessons, or copy one into the folder you are in; each runs in under a minute, offline.

    Example: showtell lesson 6

    Example: showtell lesson
    """

    number: Annotated[Maybe[int], tyro.conf.Positional, tyro.conf.arg(metavar="[NUMBER]")] = None
    """Which lesson to copy; without it, all are listed."""
    json: bool = False
    """Print the result as JSON."""
