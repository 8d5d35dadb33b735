"""Frames into a video, in the pace of what they show, by OpenCV."""

from pathlib import Path
from types import TracebackType
from typing import Any

from showtell.errors import ConfigError
from showtell.video.sources import Pixels, load_opencv

CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
"""What videos can be written: H.264, which browsers would play, is in no OpenCV that pip installs."""


class Recorder:
    """A video in the making; to be used in a ``with`` statement.

    Frames are repeated or left out so that the video runs as fast as what it shows: a frame stays until the
    next one comes.

    Args:
        path: Its suffix chooses the format.
        rate: Frames a second.

    Raises:
        ConfigError: The suffix names no format.
    """

    def __init__(self, path: Path, rate: float) -> None:
        check_video_path(path)
        self.path = path
        self.rate = rate
        self.written = 0
        self._writer: Any = None
        self._before: Pixels | None = None

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()

    def write(self, pixels: Pixels, seconds: float) -> None:
        """Add a frame.

        Args:
            pixels: (height, width, 3), uint8, RGB; all of one size, both even.
            seconds: When it was seen, after the first.
        """
        place = round(seconds * self.rate)
        if self._writer is None:
            self._open(pixels)
        while self._before is not None and self.written < place:
            self._add(self._before)
        if self.written <= place:  # else it comes too soon after the frame before to be seen
            self._add(pixels)
        self._before = pixels

    def _add(self, pixels: Pixels) -> None:
        cv2 = load_opencv()
        self._writer.write(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        self.written += 1

    def _open(self, pixels: Pixels) -> None:
        cv2 = load_opencv()
        height, width = pixels.shape[:2]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        code = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        self._writer = cv2.VideoWriter(str(self.path), code, self.rate, (width, height))
        if not self._writer.isOpened():
            raise ConfigError(f"{self.path} cannot be written.", hint="Name a video in another folder.")


def check_video_path(path: Path) -> None:
    """Refuse a video that cannot be written, before any work is done.

    Raises:
        ConfigError: Its suffix names no format, or it is a folder.
    """
    if path.suffix.lower() not in CODECS:
        raise ConfigError(f"--record {path} names no video.", hint=f"End it in {', '.join(CODECS)}.")
    if path.is_dir():
        raise ConfigError(f"--record {path} is a folder.", hint="Name a video, such as out.mp4.")
