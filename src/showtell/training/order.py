"""Which images a step learns from, as a pure function of the seed, the epoch and the step.

Shuffled evenly, or, where features do not fit into memory, within windows: images that lie side by side in
the store stay together in blocks, blocks are shuffled, and so are the images of as many blocks as a window
holds. A window is then read block by block in the order of the file, instead of image by image at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Window:
    """What is shuffled together where features do not fit into memory.

    Attributes:
        steps: Of training, whose images are read together, at least 1.
        block: Images that lie side by side in the store, at least 1.
    """

    steps: int
    block: int


class Order:
    """The order in which N images are learnt from.

    Args:
        count: N.
        batch_size: Images of a step.
        seed: Of the training.
        window: What is shuffled together; None for all.
        lying: The images as they lie in the store, one after another, where there is a window.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        window: Window | None = None,
        lying: Sequence[int] = (),
    ) -> None:
        self.batch_size, self.window = batch_size, window
        self.steps_per_epoch = -(-count // batch_size)
        self._count, self._seed = count, seed
        self._lying = np.array(lying, np.int64)
        self._rank = np.argsort(self._lying)
        # Asked for at every step, by the step and by what reads ahead, it takes time with all the images.
        self._of = lru_cache(2)(self._shuffle)

    def images(self, epoch: int, index: int) -> list[int]:
        """Return the images of a step, in the order in which they are learnt from."""
        size = self.batch_size
        chosen: list[int] = self._of(epoch)[index * size : (index + 1) * size].tolist()
        return chosen

    def record(self) -> dict[str, int]:
        """Return how many images are shuffled together, 0 for all, and how many of them lie side by side."""
        window = self.window
        return {"window": window.steps * self.batch_size, "block": window.block} if window else {"window": 0}

    def as_they_lie(self, images: Sequence[int]) -> list[int]:
        """Return images in the order in which they are read: that of the store, where there is a window."""
        return list(images) if self.window is None else sorted(images, key=self._rank.__getitem__)

    def _shuffle(self, epoch: int) -> npt.NDArray[np.int64]:
        random = np.random.default_rng((self._seed, epoch))
        if self.window is None:
            return random.permutation(self._count)
        block, size = self.window.block, self.window.steps * self.batch_size
        starts = random.permutation(-(-self._count // block)) * block
        order = (starts[:, None] + np.arange(block)).ravel()
        order = order[order < self._count]
        for start in range(0, self._count, size):
            random.shuffle(order[start : start + size])
        lying: npt.NDArray[np.int64] = self._lying[order]
        return lying
