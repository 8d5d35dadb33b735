"""Reading what the next step needs while this one trains."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor

from showtell.training.order import Order

Read = Callable[[int, Sequence[int]], Tensor]
"""Reads what images are learnt from in an epoch: (epoch, N images) to N rows; in another thread."""


class ReadAhead:
    """Reads one step ahead, or one window of steps ahead; the values are those of reading at once.

    At most two steps, or two windows, stand in memory.

    Args:
        read: Reads the rows of some images; a pure function.
        order: Of the images.
        share: Takes this process's share of a step's images, where several train; by default all.
    """

    def __init__(self, read: Read, order: Order, share: Callable[[list[int]], Sequence[int]] = list) -> None:
        self._read, self._order, self._share = read, order, share
        self._steps = order.window.steps if order.window else 1
        self._reader = ThreadPoolExecutor(1, "read-ahead")
        self._windows: dict[tuple[int, int], Future[tuple[dict[int, int], Tensor]]] = {}

    def rows(self, epoch: int, index: int) -> Tensor:
        """Return what a step reads: a row of each of its images, in order; ask for what comes after it."""
        here = epoch, index // self._steps
        ends = (here[1] + 1) * self._steps >= self._order.steps_per_epoch
        after = (epoch + 1, 0) if ends else (epoch, here[1] + 1)
        self._windows = {
            window: self._windows.get(window) or self._reader.submit(self._window, *window)
            for window in (here, after)
        }
        places, rows = self._windows[here].result()
        chosen = [places[image] for image in self._share(self._order.images(epoch, index))]
        return rows if chosen == list(range(len(rows))) else rows[chosen]

    def _window(self, epoch: int, number: int) -> tuple[dict[int, int], Tensor]:
        """Read a window in the order of the file; return where in it each image is, and the rows."""
        first, steps = number * self._steps, self._order.steps_per_epoch
        shares = [
            self._share(self._order.images(epoch, index))
            for index in range(first, min(first + self._steps, steps))
        ]
        images = self._order.as_they_lie([image for share in shares for image in share])
        return {image: place for place, image in enumerate(images)}, self._read(epoch, images)
