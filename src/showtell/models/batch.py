"""A batch of captions: an image with all its captions at once, sorted so that padding costs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Images with their captions, sorted as ``teacher_forced`` of a decoder is fastest.

    Attributes:
        grid: (B, L, D), as stored.
        token_ids: ``bos``, words, ``eos``, padding: (B, K, T + 1), int64.
        lengths: Words to predict of each caption, ``eos`` included, (B, K); 0 for no caption.
        order: Which of the given captions each one is, (B, K), int64: row and column of what was given.
    """

    grid: Tensor
    token_ids: Tensor
    lengths: Tensor
    order: tuple[Tensor, Tensor]

    def targets(self, position: Tensor) -> Tensor:
        """Return the token that follows each position (image, caption, time), (N, 3): (N,), int64."""
        image, caption, time = position.unbind(1)
        return self.token_ids[image, caption, time + 1]


def assemble(grid: Tensor, captions: Sequence[Sequence[Sequence[int]]], pad_id: int) -> Batch:
    """Sort and pad captions.

    Args:
        grid: Of the images, (B, L, D).
        captions: For each image its captions as token ids with ``bos`` and ``eos``, any number of them.
        pad_id: Fills the rest.

    Returns:
        Images by their longest caption, each one's captions by length, both descending.
    """
    ranked = [_by_length(rows) for rows in captions]
    images = _by_length([rows[order[0]] for rows, order in zip(captions, ranked)])
    most, longest = max(map(len, captions)), max(len(ids) for rows in captions for ids in rows)
    token_ids = np.full((len(captions), most, longest), pad_id)
    lengths = np.zeros((len(captions), most), np.int64)
    columns = np.zeros((len(captions), most), np.int64)
    for row, i in enumerate(images):
        for column, k in enumerate(ranked[i]):
            ids = captions[i][k]
            token_ids[row, column, : len(ids)] = ids
            lengths[row, column] = len(ids) - 1
            columns[row, column] = k
    rows = torch.tensor(images)
    return Batch(
        grid=grid[rows.to(grid.device)],
        token_ids=torch.from_numpy(token_ids).to(grid.device),
        lengths=torch.from_numpy(lengths),
        order=(rows.unsqueeze(1).expand(-1, most), torch.from_numpy(columns)),
    )


def _by_length(rows: Sequence[Sequence[int]]) -> list[int]:
    """Return positions from the longest to the shortest, equals in their order."""
    return sorted(range(len(rows)), key=lambda k: -len(rows[k]))
