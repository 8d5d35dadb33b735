"""What the settings of commands share: positional arguments, paths as text, checks of ranges."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from showtell.errors import ConfigError

T = TypeVar("T")
Maybe = Annotated[T | None, tyro.conf.arg(help_behavior_hint="")]
"""A setting that may be left out; its help says what happens then, where tyro would say None."""
Data = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


class Settings:
    """What all commands' settings share: where files are may be given as text, too."""

    def __post_init__(self) -> None:
        """Turn text into paths."""
        for field in fields(self):  # type: ignore[arg-type]  # each of them is a dataclass
            value = getattr(self, field.name)
            if isinstance(value, str) and "Path" in str(field.type):
                object.__setattr__(self, field.name, Path(value))


def at_least(config: Any, **minima: int) -> None:
    """Refuse settings below their minimum.

    Raises:
        ConfigError: One is; the message names its flag.
    """
    for name, minimum in minima.items():
        value = getattr(config, name)
        if value is not None and value < minimum:
            flag = name.replace("_", "-")
            raise ConfigError(f"--{flag} {value} is out of range.", would_do=f"It takes {minimum} or more.")
