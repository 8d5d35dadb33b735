"""Moving images: frames from a camera, a video or a stream, by OpenCV."""

import math
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from showtell.errors import DataError, MissingExtraError, ShowtellError

Pixels = npt.NDArray[np.uint8]
"""A frame: (height, width, 3), RGB."""

_WAIT_MS = 8000
"""How long a stream may take to answer."""
_TRIES = 10
"""Frames in a row that cannot be decoded, until a file counts as ended."""
_NO_FILM = 1e9
"""More frames than any film has: what some streams without an end claim."""
_USUAL_RATE = 25.0
"""Frames a second, where a camera does not tell."""


def load_opencv() -> ModuleType:
    """Return OpenCV.

    Raises:
        ShowtellError: It is not installed, or cannot be loaded.
    """
    try:
        import cv2
    except ModuleNotFoundError:
        raise MissingExtraError("opencv-python", "live", "A camera or a video") from None
    except ImportError as error:  # its window needs libraries that machines without a screen lack
        raise ShowtellError(
            f"OpenCV is installed but cannot be loaded: {error}.",
            hint="Without a screen, opencv-python-headless does instead of opencv-python.",
            run="pip uninstall opencv-python && pip install opencv-python-headless",
        ) from error
    return cv2


def _unsaid(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Frame:
    """One image of a moving one.

    Attributes:
        number: Counted by the source, from 0.
        seconds: Since the first frame: by the timestamps of a video; as they come from a camera or a stream.
        pixels: (height, width, 3), uint8, RGB.
    """

    number: int
    seconds: float
    pixels: Pixels


class Clock:
    """Seconds since the first frame, always growing.

    A phone records more frames a second in bright light than in the dark, and a stream has gaps: a frame's
    number over an average rate tells neither. What the film itself says of a frame does.

    Args:
        rate: Frames a second, for frames without a usable timestamp.
        say: Called once where the timestamps are missing or go back.
    """

    def __init__(self, rate: float, say: Callable[[str], None]) -> None:
        self._apart = 1 / rate
        self._rate = rate
        self._say = say
        self._number = -1
        self._last = 0.0
        self._origin = 0.0
        self._warned = False

    def __call__(self, timestamp: float) -> float:
        """Return when the next frame is to be seen.

        Args:
            timestamp: What the film says of it, in seconds on any scale; NaN where it says nothing.

        Returns:
            Seconds since the first frame: the timestamp where it is later than that of the frame before, else
            one frame's time after it.
        """
        self._number += 1
        if self._number == 0:
            self._origin = timestamp if math.isfinite(timestamp) else 0.0
            return 0.0
        seconds = timestamp - self._origin
        if not (math.isfinite(seconds) and seconds > self._last):
            if not self._warned:
                self._say(
                    f"Frame {self._number} has no timestamp, or one that is not later than that of the frame "
                    f"before; such frames are timed by {self._rate:.4g} frames a second"
                )
                self._warned = True
            seconds = self._last + self._apart
        self._last = seconds
        return seconds


class Source:
    """A camera, a video or a stream that has been opened; to be used in a ``with`` statement.

    Phone films that are stored on their side come upright.

    Args:
        name: Number of a camera, a path, or an address.
        say: Called where the timestamps of a video are of no use.

    Attributes:
        is_file: It is a file here or at an address, so that every frame can be waited for.
        rate: Frames a second, on average.
        expected: Frames that a file claims to hold; 0 where it does not say.

    Raises:
        DataError: There is nothing there, or it cannot be opened.
    """

    def __init__(self, name: str, say: Callable[[str], None] = _unsaid) -> None:
        cv2 = load_opencv()
        self._say = say
        self.name = name
        self.is_file = not name.isdecimal() and "://" not in name
        self._cv2 = cv2
        if name.isdecimal():
            try:
                self._capture = cv2.VideoCapture(int(name))
            except cv2.error as error:  # a number beyond all that a camera may have
                raise self._closed() from error
        elif self.is_file:
            self.name = str(_existing(name))
            self._capture = cv2.VideoCapture(self.name)
        else:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _WAIT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _WAIT_MS]
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            raise self._closed()
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= 1000 else _USUAL_RATE
        claimed = 0 if name.isdecimal() else self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.expected = int(claimed) if 0 < claimed < _NO_FILM else 0
        self.is_file = self.is_file or self.expected > 0

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def frames(self) -> Iterator[Frame]:
        """Yield every frame, in order; those of a file that cannot be decoded are counted and passed over.

        Raises:
            DataError: There is not a single one.
        """
        clock, number, seen, failed = Clock(self.rate, self._say), 0, 0, 0
        while failed < (_TRIES if self.is_file else 1):
            found, pixels = self._capture.read()
            if not found:
                failed += 1
                continue
            number, failed = number + failed, 0
            seconds = clock(self._timestamp())
            yield Frame(number, seconds, self._cv2.cvtColor(pixels, self._cv2.COLOR_BGR2RGB))
            number, seen = number + 1, seen + 1
        if not seen:
            raise DataError(f"{self.name} gives no frame.", hint=_HINT)
        if number > seen:
            self._say(f"{number - seen:,} frames of {self.name} cannot be decoded; they were passed over")

    def _timestamp(self) -> float:
        """Return when the frame that was just read is to be seen, in seconds on the source's own scale."""
        if not self.is_file:  # many streams have none, or made-up ones
            return time.monotonic()
        return float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC)) / 1000

    def _closed(self) -> DataError:
        if self.name.isdecimal():
            return DataError(
                f"There is no camera {self.name}, or another program holds it.",
                hint="--source takes its number (0 is the first), a video, or the address of a stream.",
            )
        if self.is_file:
            return DataError(f"{self.name} cannot be opened as a video.", hint=_HINT)
        return DataError(
            f"The stream {_without_password(self.name)} cannot be opened.",
            hint="Check its address, and that this machine reaches it.",
        )


_HINT = "OpenCV reads what FFmpeg reads: MP4, AVI, MKV, MOV, WebM."


def _existing(name: str) -> Path:
    # What is typed is composed; a name that came from a Mac may be decomposed.
    forms = [name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))]
    for form in forms:
        if Path(form).is_file():
            return Path(form)
    if Path(name).is_dir():
        raise DataError(f"{name} is a folder.", hint="--source takes one video.")
    raise DataError(f"There is no video at {name}.", hint=f"{Path.cwd()} is where it was looked for.")


def _without_password(address: str) -> str:
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


class Newest:
    """The newest frame of a source, and no other: a thread grabs them all and keeps the last.

    Frames never queue up, however slow their reader. A video is shown at its own speed.

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
