"""What the settings of commands share: positional arguments, paths as text, checks of ranges."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import tyro

from showtell.addresses import to_path
from showtell.errors import ConfigError

T = TypeVar("T")
MAX_SEED = 2**64 - 1
"""What torch takes."""
MAX_SIDE = 8192
"""Pixels of a network's input."""
MAX_BEAMS = 100
"""Captions that are searched side by side: more take long, and find nothing better (docs/log.md)."""
Maybe = Annotated[T | None, tyro.conf.arg(help_behavior_hint="")]
"""A setting that may be left out; its help says what happens then, where tyro would say None."""
Rare = Annotated[T, tyro.conf.Fixed]
"""A setting that is no flag: it is set from Python, or in the file that --config names."""
Data = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
Runs = Annotated[
    tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help_behavior_hint="(required)")
]
Names = Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")]
"""Names, none by default; the help says what happens then."""


class Settings:
    """What all commands' settings share: where files are may be given as text, too."""

    def __post_init__(self) -> None:
        """Turn text into paths, and what names an object store into an address."""
        for field in fields(self):  # type: ignore[arg-type]  # each of them is a dataclass
            value = getattr(self, field.name)
            if "Path" not in str(field.type):
                continue
            if isinstance(value, str | Path):
                object.__setattr__(self, field.name, to_path(value))
            elif isinstance(value, tuple | list):
                object.__setattr__(self, field.name, tuple(map(to_path, value)))


def rare_settings(kind: type) -> set[str]:
    """Return the names of settings that are no flags."""
    hints = get_type_hints(kind, include_extras=True)
    return {name for name, hint in hints.items() if tyro.conf.Fixed in getattr(hint, "__metadata__", ())}


def spelled(config: Any, name: str) -> str:
    """Return a setting as it is typed: its flag, or its key in a file where it has none."""
    if name in rare_settings(type(config)):
        return name
    return "--from" if name == "from_run" else f"--{name.replace('_', '-')}"


def at_least(config: Any, **minima: float) -> None:
    """Refuse settings below their minimum.

    Raises:
        ConfigError: One is; the message names it.
    """
    for name, minimum in minima.items():
        value = getattr(config, name)
        if value is not None and not value >= minimum:
            raise ConfigError(
                f"{spelled(config, name)} {value} is out of range.",
                hint=f"Expected a value of at least {minimum}.",
            )


def at_most(config: Any, **maxima: float) -> None:
    """Refuse settings above their maximum.

    Raises:
        ConfigError: One is; the message names it.
    """
    for name, maximum in maxima.items():
        value = getattr(config, name)
        if value is not None and not value <= maximum:
            raise ConfigError(
                f"{spelled(config, name)} {value} is out of range.",
                hint=f"Expected a value of at most {maximum}.",
            )


def is_page(config: Any, name: str, example: str) -> None:
    """Refuse a file that no HTML page can be written to.

    Raises:
        ConfigError: Its suffix is another one, or it is a folder.
    """
    path = getattr(config, name)
    if path.suffix.lower() not in (".html", ".htm") or path.is_dir():
        raise ConfigError(
            f"{spelled(config, name)} {path} is no HTML page.", hint=f"Name a file, such as {example}."
        )


def above_zero(config: Any, *names: str, below: float = float("inf")) -> None:
    """Refuse settings that are not above 0, or not below a bound.

    Raises:
        ConfigError: One is; the message names it.
    """
    for name in names:
        value = getattr(config, name)
        if not 0 < value < below:
            limit = "" if below == float("inf") else f" and below {below:g}"
            raise ConfigError(
                f"{spelled(config, name)} {value} is out of range.",
                hint=f"Expected a value above 0{limit}.",
            )


def below_one(config: Any, *names: str) -> None:
    """Refuse shares that are not in [0, 1).

    Raises:
        ConfigError: One is; the message names it.
    """
    for name in names:
        value = getattr(config, name)
        if not 0 <= value < 1:
            raise ConfigError(
                f"{spelled(config, name)} {value} is out of range.",
                hint="Expected a value of at least 0 and below 1.",
            )
