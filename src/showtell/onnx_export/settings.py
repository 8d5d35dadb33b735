"""The command that turns a model into files that run without torch."""

from dataclasses import dataclass
from pathlib import Path

from showtell.settings import MAX_BEAMS, Maybe, Run, Settings, at_least, at_most


@dataclass(frozen=True)
class Export(Settings):
    """Write a model as ONNX files that run without torch, and check them against the original.

    Example: showtell export runs/mine --int8

    Example: showtell export runs/cats --check photos --out cats-onnx
    """

    run: Run
    """Folder of a run or a model."""
    out: Maybe[Path] = None
    """Folder to write; by default RUN/onnx, or NAME-onnx of a timm network."""
    int8: bool = False
    """Also write a smaller variant in 8-bit integers, and say what it loses."""
    check: Maybe[Path] = None
    """Folder of images to check with; by default the run's validation images, or drawn ones."""
    num_images: int = 200
    """Most images to check with, at least 1."""
    beam_size: Maybe[int] = None
    """Width of the beam search, at least 1; by default the captioner's own."""
    json: bool = False
    """Print the result as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, num_images=1, beam_size=1)
        at_most(self, beam_size=MAX_BEAMS)
