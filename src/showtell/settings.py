"""What the settings of commands share: positional arguments, paths as text, engines, checks of ranges."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from showtell.errors import ConfigError

T = TypeVar("T")
Maybe = Annotated[T | None, tyro.conf.arg(help_behavior_hint="")]
"""A setting that may be left out; its help says what happens then, where tyro would say None."""
Data = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
Engine = Literal["torch", "onnxruntime"]
Precision = Literal["float32", "bfloat16", "int8"]
PRECISIONS: dict[Engine, tuple[Precision, ...]] = {
    "torch": ("float32", "bfloat16"),
    "onnxruntime": ("float32", "int8"),
}


def check_engine(engine: Engine, precision: Precision) -> None:
    """Refuse a precision that an engine does not have.

    Raises:
        ConfigError: So it is.
    """
    if precision not in PRECISIONS[engine]:
        able = next(name for name, found in PRECISIONS.items() if precision in found)
        raise ConfigError(
            f"--engine {engine} does not compute in {precision}.",
            would_do=f"--engine {able} does; {engine} computes in {' and '.join(PRECISIONS[engine])}.",
        )


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
