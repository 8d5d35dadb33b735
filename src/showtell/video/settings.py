"""The command that watches a camera or a video."""

from dataclasses import dataclass
from pathlib import Path

from showtell.settings import MAX_BEAMS, Maybe, Run, Settings, at_least, at_most


@dataclass(frozen=True)
class Live(Settings):
    """Caption or classify a camera, a video or a stream; q or Esc ends it.

    A window shows the newest frame with a bar per class, or with the caption. Nothing leaves this machine.

    Example: showtell live runs/mine --source 0

    Example: showtell live runs/cats --source party.mp4 --record said.mp4
    """

    run: Run
    """Folder of a run or a model; or a timm network or its folder of weights, for ImageNet's classes."""
    source: str = "0"
    """Number of a camera, a video, or the address of a stream, such as rtsp://camera.local/door."""
    record: Maybe[Path] = None
    """Write what is shown to a video: .mp4, .avi or .mkv."""
    headless: bool = False
    """Open no window; print a line of JSON per processed frame, which is every frame of a video."""
    smooth: float = 0.5
    """Seconds over which the probabilities of classes are averaged; 0 for no averaging."""
    frames: Maybe[int] = None
    """Stop after this many frames, at least 1."""
    beam_size: Maybe[int] = None
    """Width of the beam search, at least 1; by default the captioner's own. Smaller is faster."""
    device: str = "auto"
    """Where to compute: cpu, cuda or mps; auto takes the best there is."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, smooth=0, frames=1, beam_size=1)
        at_most(self, beam_size=MAX_BEAMS)
