"""How grids are read while a captioner trains: each image by itself, or windows in the order of the store."""

from collections.abc import Mapping

from showtell.console import Console, human_bytes
from showtell.data.pixels.memory import available_memory
from showtell.kinds.captioner.data import CaptionData
from showtell.kinds.captioner.settings import BATCH_SIZE, TrainCaptioner
from showtell.training.order import Order, Window

_WINDOW_BYTES = 512_000_000
"""Grids of a window; two stand in memory, the one that is learnt from and the one that is read."""
_BLOCK_BYTES = 16_000_000
"""Grids that are read one after another: twice what a disk reads ahead at most (docs/log.md)."""


def grid_bytes(data: CaptionData) -> int:
    """Return how many bytes of the store training reads in all, views included."""
    sources = [one for one in (data.mirrored, *data.views) if one is not None]
    images = len(data.train) + sum(len(one) for one in sources)
    return images * sum(space.record_bytes for space in data.features.spaces)


def window_for(
    settings: TrainCaptioner, data: CaptionData, recorded: Mapping[str, object], console: Console
) -> Window | None:
    """Return what is shuffled together; None where every image is read by itself.

    Args:
        settings: As given; ``read_window`` decides where it is set.
        data: What is learnt from.
        recorded: What the training was started with, where it is resumed or another process has begun it; it
            stays, whatever memory there is here and now.
        console: Told why and how.
    """
    record = sum(space.record_bytes for space in data.features.spaces)
    batch = settings.batch_size or BATCH_SIZE
    images = settings.read_window
    if images is None and "reading.window" in recorded:
        images = int(str(recorded["reading.window"]))
    if images is None:
        size, memory = grid_bytes(data), available_memory()
        images = max(1, _WINDOW_BYTES // record) if memory is not None and size > memory else 0
        if images and memory is not None:
            console.say(
                f"Features take {human_bytes(size)} and memory has {human_bytes(memory)} free: they are read "
                f"in the order of the store, and {images:,} images are shuffled together (read_window)"
            )
    return Window(max(1, images // batch), max(1, _BLOCK_BYTES // record)) if images else None


def order_of(settings: TrainCaptioner, data: CaptionData, window: Window | None) -> Order:
    """Return the order in which training images are learnt from."""
    features, batch = data.features, settings.batch_size or BATCH_SIZE
    lying = features.space.in_file_order([features.key(image.name) for image in data.train]) if window else ()
    return Order(len(data.train), batch, settings.seed, window, lying)
