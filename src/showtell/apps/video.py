"""Moving pictures: frames from a camera, a video or a stream, and frames into a video, by OpenCV."""

import os
import threading
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from showtell.errors import ConfigError, DataError, MissingExtraError, ShowtellError

Pixels = npt.NDArray[np.uint8]
"""A frame: (height, width, 3), RGB."""

CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
"""What videos can be written: H.264, which browsers would play, is in no OpenCV that pip installs."""
_WAIT_MS = 8000
"""How long a stream may take to answer."""
_USUAL_RATE = 25.0
"""Frames a second, where a camera does not tell."""


def load_opencv() -> ModuleType:
    """Return OpenCV, told to keep its decoders' mutterings to itself.

    Raises:
        ShowtellError: It is not installed, or cannot be loaded.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ModuleNotFoundError:
        raise MissingExtraError("opencv-python", "live", "A camera or a video") from None
    except ImportError as error:  # its window needs libraries that machines without a screen lack
        raise ShowtellError(
            f"OpenCV is installed but cannot be loaded: {error}.",
            would_do="Without a screen, opencv-python-headless does instead of opencv-python.",
            run="pip uninstall opencv-python && pip install opencv-python-headless",
        ) from error
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


@dataclass(frozen=True)
class Frame:
    """One picture of a moving one.

    Attributes:
        number: Counted by the source, from 0.
        seconds: Since the first frame: of the video, or by the clock.
        pixels: (height, width, 3), uint8, RGB.
    """

    number: int
    seconds: float
    pixels: Pixels


class Source:
    """A camera, a video or a stream that has been opened; to be used in a ``with`` statement.

    Args:
        name: Number of a camera, a path, or an address.

    Attributes:
        is_file: It is a file, so that every frame can be waited for.
        rate: Frames a second.

    Raises:
        DataError: There is nothing there, or it cannot be opened.
    """

    def __init__(self, name: str) -> None:
        cv2 = load_opencv()
        self.name = name
        self.is_file = not name.isdecimal() and "://" not in name
        self._cv2 = cv2
        if name.isdecimal():
            self._capture = cv2.VideoCapture(int(name))
        elif self.is_file:
            self.name = str(_existing(name))
            self._capture = cv2.VideoCapture(self.name)
        else:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _WAIT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _WAIT_MS]
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            raise self._closed()
        told = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = told if 0 < told <= 1000 else _USUAL_RATE
        self.expected = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))) if self.is_file else 0

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def frames(self) -> Iterator[Frame]:
        """Yield every frame, in order.

        Raises:
            DataError: There is not a single one.
        """
        started, number = time.monotonic(), 0
        while True:
            found, pixels = self._capture.read()
            if not found:
                break
            seconds = number / self.rate if self.is_file else time.monotonic() - started
            yield Frame(number, seconds, self._cv2.cvtColor(pixels, self._cv2.COLOR_BGR2RGB))
            number += 1
        if not number:
            raise DataError(f"{self.name} gives no frame.", would_do=_HINT)

    def _closed(self) -> DataError:
        if self.name.isdecimal():
            return DataError(
                f"There is no camera {self.name}, or another program holds it.",
                would_do="--source takes its number (0 is the first), a video, or the address of a stream.",
            )
        if self.is_file:
            return DataError(f"{self.name} cannot be opened as a video.", would_do=_HINT)
        return DataError(
            f"The stream {_without_password(self.name)} cannot be opened.",
            would_do="Check its address, and that this machine reaches it.",
        )


_HINT = "OpenCV reads what FFmpeg reads: MP4, AVI, MKV, MOV, WebM."


def _existing(name: str) -> Path:
    # What is typed is composed; a name that came from a Mac may be decomposed.
    forms = [name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))]
    for form in forms:
        if Path(form).is_file():
            return Path(form)
    if Path(name).is_dir():
        raise DataError(f"{name} is a folder.", would_do="--source takes one video.")
    raise DataError(f"There is no video at {name}.", would_do=f"{Path.cwd()} is where it was looked for.")


def _without_password(address: str) -> str:
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


class Newest:
    """The newest frame of a source, and no other: a thread grabs them all and keeps the last.

    Frames never queue up, however slow the one who looks at them. A video is shown at its own speed.

    Args:
        source: Read by this object alone.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._last: Frame | None = None
        self._error: Exception | None = None
        self._over = False
        self._thread = threading.Thread(target=self._grab, name="showtell-frames", daemon=True)

    def __enter__(self) -> "Newest":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """End, for all who wait for a frame."""
        self._tell(over=True)

    def after(self, number: int, timeout: float | None = None) -> Frame | None:
        """Wait for a frame later than a number.

        Args:
            number: -1 for any.
            timeout: Seconds to wait; None for as long as it takes.

        Returns:
            The newest frame; None where none came in time, or the source has ended.

        Raises:
            Exception: Whatever ended the source.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._is_later(number), timeout)
            if self._error is not None:
                raise self._error
            return self._last if self._is_later(number) else None

    @property
    def over(self) -> bool:
        """Say whether the source has ended."""
        return self._over

    def frames(self) -> Iterator[Frame]:
        """Yield the newest frame, each at most once, until the source ends."""
        number = -1
        while (frame := self.after(number)) is not None:
            yield frame
            number = frame.number

    def _is_later(self, number: int) -> bool:
        return self._last is not None and self._last.number > number

    def _grab(self) -> None:
        started = time.monotonic()
        try:
            for frame in self._source.frames():
                if self._source.is_file:
                    with self._changed:
                        early = started + frame.seconds - time.monotonic()
                        self._changed.wait_for(lambda: self._over, max(0.0, early))
                if self._over:
                    break
                self._tell(frame=frame)
        except Exception as error:  # raised again where the frames are asked for
            self._tell(error=error)
        self.stop()

    def _tell(
        self, *, frame: Frame | None = None, error: Exception | None = None, over: bool = False
    ) -> None:
        with self._changed:
            self._last = frame or self._last
            self._error = error or self._error
            self._over = self._over or over
            self._changed.notify_all()


class Recorder:
    """A video in the making; to be used in a ``with`` statement.

    Frames are repeated or left out so that the video runs as fast as what it shows.

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
        cv2 = load_opencv()
        height, width = pixels.shape[:2]
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            code = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
            self._writer = cv2.VideoWriter(str(self.path), code, self.rate, (width, height))
            if not self._writer.isOpened():
                raise ConfigError(
                    f"{self.path} cannot be written.", would_do="Name a video in another folder."
                )
        picture = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        while self.written < round(seconds * self.rate) + 1:
            self._writer.write(picture)
            self.written += 1


def check_video_path(path: Path) -> None:
    """Refuse a video that cannot be written, before any work is done.

    Raises:
        ConfigError: Its suffix names no format, or it is a folder.
    """
    if path.suffix.lower() not in CODECS:
        raise ConfigError(f"--record {path} names no video.", would_do=f"End it in {', '.join(CODECS)}.")
    if path.is_dir():
        raise ConfigError(f"--record {path} is a folder.", would_do="Name a video, such as out.mp4.")
