"""The command that turns a model into files that run without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from showtell.settings import Maybe, Run, Settings, at_least


@dataclass(frozen=True)
class Export(Settings):
    """Write a model as ONNX files that run without torch, and check them against the original.

    Example: showtell export runs/mine --int8
    """

    run: Run
    """Folder of a run or a model."""
    format: Literal["onnx"] = "onnx"
    """Kind of file."""
    out: Maybe[Path] = None
    """Folder to write; RUN/onnx by default."""
    int8: bool = False
    """Write a smaller variant in 8-bit integers, too, and say what it loses."""
    check: Maybe[Path] = None
    """Folder of pictures to check with; by default the run's own validation pictures, or drawn ones."""
    pictures: int = 200
    """Most pictures to check with, 1 or more."""
    beam_size: Maybe[int] = None
    """Captions searched side by side, 1 or more; by default the captioner's own."""
    json: bool = False
    """Print the result as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, pictures=1, beam_size=1)
