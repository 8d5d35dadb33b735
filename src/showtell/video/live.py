"""Watch a camera, a video or a stream: predict on frames, in a window or without one."""

import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice, tee
from pathlib import Path
from typing import Any

from showtell.console import Console, Log
from showtell.errors import ConfigError, ImageError
from showtell.kinds.model import Model
from showtell.kinds.model_folder import load
from showtell.kinds.result import Result
from showtell.video.banner import ROWS, Banner
from showtell.video.recorder import Recorder, check_video_path
from showtell.video.settings import Live
from showtell.video.sources import Frame, Newest, Pixels, Source, load_opencv

_KEYS = {ord("q"), ord("Q"), 27}
_TITLE = "showtell (q ends)"


class Smoothing:
    """A moving average of what a classifier says, which forgets with time and not with frames.

    Args:
        seconds: After so long, what was seen counts 1/e of what is; 0 for no average.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._before: tuple[float, dict[str, float]] | None = None

    def __call__(self, found: Result, at: float) -> Result:
        """Average over what came before.

        Args:
            found: What the model says now.
            at: When, in seconds.
        """
        now = dict(found.scores)
        if self._before is not None and self._seconds > 0:
            then, before = self._before
            weight = 1 - math.exp(-(at - then) / self._seconds)
            now = {name: before[name] + weight * (value - before[name]) for name, value in now.items()}
        self._before = at, now
        return found.with_scores(now)


class Rate:
    """How often something happens a second, over the last second or so."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._apart = 0.0

    def __call__(self) -> float:
        """Count once; return the rate, 0 at first."""
        now = time.monotonic()
        if self._last is not None:
            apart = now - self._last
            weight = 1 - math.exp(-apart) if self._apart else 1.0
            self._apart += weight * (apart - self._apart)
        self._last = now
        return 1 / self._apart if self._apart else 0.0


class Watch:
    """A model that watches a source.

    Args:
        model: A captioner or classifier.
        source: Its frames.
        smooth: Seconds over which classes are averaged.
        max_frames: Frames to predict on; None for all.
        recorder: Where to write what is shown; None for nowhere.
    """

    def __init__(
        self,
        model: Model[Any],
        source: Source,
        *,
        smooth: float,
        max_frames: int | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._model = model
        self._source = source
        self._smoothing = Smoothing(smooth)
        self._max_frames = max_frames
        self._recorder = recorder
        self._banner: Banner | None = None

    def predict(self, frames: Iterator[Frame], batch_size: int) -> Iterator[tuple[Frame, Result]]:
        """Predict on frames; classes are averaged over time."""
        frames, copies = tee(islice(frames, self._max_frames))
        found = self._model.stream((frame.pixels for frame in copies), batch_size=batch_size)
        for frame, result in zip(frames, found):
            assert not isinstance(result, ImageError), "frames are arrays, which are always read"
            yield frame, self._smoothing(result, frame.seconds) if result.scores else result

    def draw(self, frame: Frame, found: Result | None, note: str = "") -> Pixels:
        """Draw on a frame what was found, and add it to the video that is recorded, if any."""
        if self._banner is None:
            height, width = frame.pixels.shape[:2]
            self._banner = Banner(width, height, under=not self._model.has_scores)
        drawn = self._banner.draw(frame.pixels, None if found is None else self._shown(found), note)
        if self._recorder is not None:
            self._recorder.write(drawn, frame.seconds)
        return drawn

    def every_frame(self) -> Iterator[tuple[Frame, Result]]:
        """Predict on a video frame by frame, or on the newest frames of anything else, without a window."""
        with ExitStack() as stack:
            if self._source.is_file:
                frames, together = self._source.frames(), 16
            else:
                frames, together = stack.enter_context(Newest(self._source)).frames(), 1
            for frame, found in self.predict(frames, together):
                if self._recorder is not None:
                    self.draw(frame, found)
                yield frame, found

    def in_window(self, window: "Window") -> Iterator[tuple[Frame, Result]]:
        """Show the newest frame as it comes, with what was last found, until the source or a key ends it."""
        with Newest(self._source) as newest, window, _Predictor(self, newest) as predictor:
            shown, number, yielded = Rate(), -1, -1
            while not window.ended():
                over = newest.over or predictor.over
                if (frame := newest.after(number, timeout=0.1)) is not None:
                    number = frame.number
                    rate = predictor.rate
                    note = f"{shown():.0f} frames/s, {rate:.{0 if rate >= 10 else 1}f} predictions/s"
                    window.show(self.draw(frame, predictor.last and predictor.last[1], note))
                if predictor.last is not None and predictor.last[0].number > yielded:
                    yielded = predictor.last[0].number
                    yield predictor.last
                if over:
                    predictor.check()
                    return

    def _shown(self, found: Result) -> dict[str, float] | str:
        if not found.scores:
            return found.text
        if len(found.scores) > ROWS:
            return dict(islice(found.scores.items(), ROWS))
        # A few classes keep their places: the eye follows a bar, not a row that jumps.
        return dict(sorted(found.scores.items()))


class _Predictor:
    """A thread that predicts on the newest frame, again and again, as fast as it can."""

    def __init__(self, watch: Watch, newest: Newest) -> None:
        self.last: tuple[Frame, Result] | None = None
        self.rate = 0.0
        self.over = False
        self._error: Exception | None = None
        self._left = False
        self._watch, self._newest = watch, newest
        self._thread = threading.Thread(target=self._run, name="showtell-predictions", daemon=True)

    def __enter__(self) -> "_Predictor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left = True
        self._newest.stop()
        self._thread.join()

    def check(self) -> None:
        """Raise what ended the predictions, if anything did."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        rate = Rate()
        try:
            for found in self._watch.predict(self._newest.frames(), 1):
                self.rate = rate()
                self.last = found
                if self._left:
                    break
        except Exception as error:  # raised again in the window's thread
            self._error = error
        self.over = True


class Window:
    """A window of OpenCV, opened by a ``with`` statement.

    Raises:
        ConfigError: There is no screen, or, when it is opened, this OpenCV has no windows.
    """

    def __init__(self) -> None:
        self._cv2 = load_opencv()
        if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
            raise ConfigError("There is no screen to open a window on.", hint=_WITHOUT)
        self._opened = False

    def __enter__(self) -> "Window":
        try:
            self._cv2.namedWindow(_TITLE, self._cv2.WINDOW_NORMAL | self._cv2.WINDOW_KEEPRATIO)
        except self._cv2.error as error:
            raise ConfigError(
                "This OpenCV was built without windows (opencv-python-headless).",
                hint=_WITHOUT,
                run="pip uninstall opencv-python-headless && pip install opencv-python",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._cv2.destroyAllWindows()

    def show(self, pixels: Pixels) -> None:
        """Show a frame, (height, width, 3), uint8, RGB."""
        if not self._opened:
            height, width = pixels.shape[:2]
            scale = min(1.0, 1280 / width, 800 / height)
            self._cv2.resizeWindow(_TITLE, round(width * scale), round(height * scale))
            self._opened = True
        self._cv2.imshow(_TITLE, self._cv2.cvtColor(pixels, self._cv2.COLOR_RGB2BGR))

    def ended(self) -> bool:
        """Let the window draw itself; say whether a key or its cross has ended it."""
        if self._cv2.waitKey(1) & 0xFF in _KEYS:
            return True
        return self._opened and self._cv2.getWindowProperty(_TITLE, self._cv2.WND_PROP_VISIBLE) < 1


_WITHOUT = "--headless prints what it sees as JSON, and --record draws it into a video; both need no screen."

_SHORT = 0.95
"""A video that ends before so much of what it claims to hold is told of; exact counts are rare."""


def live(config: Live, console: Console | None = None) -> Iterator[dict[str, object]]:
    """Watch a source, in a window unless told otherwise.

    Args:
        config: Which run and source.
        console: Where to say what happens; None for the log of ``showtell``.

    Yields:
        One record for each frame that was predicted on: ``frame`` and ``seconds``, with ``class`` and
        ``classes``, or ``caption``, ``log_probability`` and ``words``.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    if config.record is not None:
        check_video_path(config.record)
        if config.record.resolve() == Path(config.source).resolve():
            raise ConfigError(f"--record {config.record} is the source itself.", hint="Name another video.")
    with ExitStack() as stack:
        source = stack.enter_context(Source(config.source, console.say))
        unseen = config.headless or (config.record is not None and source.is_file)
        window = None if unseen else Window()
        model = load(config.run, device=config.device, beam_size=config.beam_size, console=console)
        recorder = None
        if config.record is not None:
            recorder = stack.enter_context(Recorder(config.record, source.rate))
        watch = Watch(model, source, smooth=config.smooth, max_frames=config.frames, recorder=recorder)
        total = min(source.expected, config.frames or source.expected)
        quiet = Console(quiet=console.quiet or config.headless or window is not None)
        bar = stack.enter_context(quiet.bar(total, "Watching", "frames"))
        count, seconds = 0, 0.0
        for frame, found in watch.every_frame() if window is None else watch.in_window(window):
            count, seconds = count + 1, frame.seconds
            bar.update(1)
            yield live_record(frame, found)
    # Some formats tell their length only, from which a count is guessed: too few frames, too early an end.
    if window is None and count < _SHORT * total and seconds < _SHORT * total / source.rate:
        console.say(f"{source.name} ended after {count:,} of {total:,} frames; it may be damaged")
    if recorder is not None:
        console.say(f"{recorder.written:,} frames are in {recorder.path}")


def live_record(frame: Frame, found: Result) -> dict[str, object]:
    """Return what a script reads of a frame."""
    return {"frame": frame.number, "seconds": round(frame.seconds, 3), **found.record(attention=False)}
