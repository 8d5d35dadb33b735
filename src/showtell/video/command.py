"""Watch a camera, a video or a stream."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from showtell.console import Console, Log
from showtell.errors import ConfigError
from showtell.kinds.base import Result
from showtell.kinds.model_folder import load
from showtell.video.recorder import Recorder, check_video_path
from showtell.video.settings import Live
from showtell.video.sources import Frame, Source
from showtell.video.window import Watch, Window

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
        if Path(config.source).exists() and config.record.resolve() == Path(config.source).resolve():
            raise ConfigError(f"--record {config.record} is the source itself.", hint="Name another video.")
    with ExitStack() as stack:
        source = stack.enter_context(Source(config.source, console.say))
        unseen = config.headless or (config.record is not None and source.is_file)
        window = None if unseen else Window()
        model = load(config.run, beam_size=config.beam_size, console=console)
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
