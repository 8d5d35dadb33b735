"""The command that watches a camera or a video."""

from dataclasses import dataclass
from pathlib import Path

from showtell.settings import Maybe, Run, Settings, at_least


@dataclass(frozen=True)
class Live(Settings):
    """Watch a camera, a video or a stream, and say what it shows; q or Esc ends it.

    A window shows the newest frame, with a bar a class on it, or the caption under it. Nothing leaves this
    machine.

    Example: showtell live runs/mine --source 0
    """

    run: Run
    """Folder of a run or a model; or a timm network or its folder of weights, for ImageNet's classes."""
    source: str = "0"
    """Number of a camera, a video, or the address of a stream, such as rtsp://camera.local/door."""
    record: Maybe[Path] = None
    """Write what is shown to a video: .mp4, .avi or .mkv. A video as source is drawn frame by frame."""
    headless: bool = False
    """Open no window; print a line of JSON a frame that was looked at. Of a video, that is every frame."""
    smooth: float = 0.5
    """Seconds over which the probabilities of classes are averaged, 0 for not at all."""
    frames: Maybe[int] = None
    """Stop after so many frames, 1 or more."""
    beam_size: Maybe[int] = None
    """Captions searched side by side, 1 or more; by default the captioner's own. Fewer are faster."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, smooth=0, frames=1, beam_size=1)
