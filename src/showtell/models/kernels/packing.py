"""Captions side by side without padding: a row each, longest first, so that the active are the first rows.

Letters: B images, K captions an image, R captions with a word, N words in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TimeStep:
    """One word of every active caption: of those that have as many words.

    Attributes:
        flat_index: Where each active row, one of the first, lies in the smallest rectangle (images,
            captions) that holds them all, flattened: (rows,), int64.
        images: Of the rectangle: the first ones of the batch.
        captions: Of the rectangle: the first ones of each image.
    """

    flat_index: Tensor
    images: int
    captions: int

    @property
    def rows(self) -> int:
        """Return how many rows are active."""
        return len(self.flat_index)


@dataclass(frozen=True)
class Packing:
    """The order of captions and of words.

    Attributes:
        time_steps: One for each word of the longest caption.
        position: Image, caption and time of each word, by time, then by row: (N, 3), int64.
    """

    time_steps: Sequence[TimeStep]
    position: Tensor

    @property
    def image(self) -> Tensor:
        """Return the image of each row, (R,), int64."""
        return self.position[: self.time_steps[0].rows, 0]


def pack(lengths: Tensor, device: torch.device) -> Packing:
    """Order captions by length.

    The rectangles are small where images come by their longest caption and each one's captions by length,
    both descending.

    Args:
        lengths: Words of each caption, (B, K), int64, on the CPU; 0 for no caption.
        device: Where the words are.
    """
    order = lengths.flatten().argsort(descending=True, stable=True)
    image, caption = order // lengths.shape[1], order % lengths.shape[1]
    active = [int((lengths > time).sum()) for time in range(int(lengths.max()))]
    sides = [(int(image[:rows].max()) + 1, int(caption[:rows].max()) + 1) for rows in active]
    flat_index = torch.cat([image[:rows] * k + caption[:rows] for rows, (_, k) in zip(active, sides)])
    position = [
        torch.stack([image[:rows], caption[:rows], torch.full((rows,), time)], 1)
        for time, rows in enumerate(active)
    ]
    return Packing(
        time_steps=[TimeStep(own, *side) for own, side in zip(flat_index.to(device).split(active), sides)],
        position=torch.cat(position).to(device),
    )
