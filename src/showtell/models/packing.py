"""Captions side by side without padding: a row each, longest first, so that those alive are the first rows.

Letters: B pictures, K captions a picture, R captions with a word, N words in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moment:
    """One word of every caption that is alive.

    Attributes:
        seats: Where each row that is alive, one of the first, lies in the smallest rectangle (pictures,
            captions) that holds them all, flattened: (rows,), int64.
        pictures: Of the rectangle: the first ones of the batch.
        captions: Of the rectangle: the first ones of each picture.
    """

    seats: Tensor
    pictures: int
    captions: int

    @property
    def rows(self) -> int:
        """Return how many rows are alive."""
        return len(self.seats)


@dataclass(frozen=True)
class Packing:
    """The order of captions and of words.

    Attributes:
        moments: One a word of the longest caption.
        place: Picture, caption and time of each word, by time, then by row: (N, 3), int64.
    """

    moments: Sequence[Moment]
    place: Tensor

    @property
    def picture(self) -> Tensor:
        """Return the picture of each row, (R,), int64."""
        return self.place[: self.moments[0].rows, 0]


def pack(lengths: Tensor, device: torch.device) -> Packing:
    """Order captions by length.

    The rectangles are small where pictures come by their longest caption and each one's captions by length,
    both descending.

    Args:
        lengths: Words of each caption, (B, K), int64, on the CPU; 0 for no caption.
        device: Where the words are.
    """
    order = lengths.flatten().argsort(descending=True, stable=True)
    picture, caption = order // lengths.shape[1], order % lengths.shape[1]
    alive = [int((lengths > time).sum()) for time in range(int(lengths.max()))]
    sides = [(int(picture[:rows].max()) + 1, int(caption[:rows].max()) + 1) for rows in alive]
    seats = torch.cat([picture[:rows] * k + caption[:rows] for rows, (_, k) in zip(alive, sides)])
    place = [
        torch.stack([picture[:rows], caption[:rows], torch.full((rows,), time)], 1)
        for time, rows in enumerate(alive)
    ]
    return Packing(
        moments=[Moment(own, *side) for own, side in zip(seats.to(device).split(alive), sides)],
        place=torch.cat(place).to(device),
    )
