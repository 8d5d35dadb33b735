"""When the frames of a moving picture are to be seen: by its own timestamps, where it has them."""

import math
from collections.abc import Callable


class Clock:
    """Seconds since the first frame, always growing.

    A phone records more frames a second in bright light than in the dark, and a stream has gaps: a frame's
    number over an average rate tells neither. What the film itself says of a frame does.

    Args:
        rate: Frames a second, for frames without a usable timestamp.
        say: Told once where the timestamps are missing or go back.
    """

    def __init__(self, rate: float, say: Callable[[str], None]) -> None:
        self._apart = 1 / rate
        self._rate = rate
        self._say = say
        self._number = -1
        self._last = 0.0
        self._origin = 0.0
        self._told = False

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
            if not self._told:
                self._say(
                    f"Frame {self._number} has no timestamp, or one that is not later than that of the frame "
                    f"before; such frames are timed by {self._rate:.4g} frames a second"
                )
                self._told = True
            seconds = self._last + self._apart
        self._last = seconds
        return seconds
