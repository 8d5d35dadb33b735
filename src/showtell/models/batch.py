"""A batch of captions: an image with all its captions at once, sorted so that padding costs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from showtell.models.dropout import Part


@dataclass(frozen=True)
class Whole:
    """A batch of which a process has some images: what dropout is drawn for.

    Attributes:
        token_ids: Of the whole batch, (B, K, T + 1).
        lengths: Words to predict of each of its captions, (B, K), on the CPU.
        images: Which of its images the process has, in the order of the batch.
    """

    token_ids: Tensor
    lengths: Tensor
    images: Part

    def words(self, image: Tensor) -> Part:
        """Return which words the process has, given the image of each word of the whole batch, (N,)."""
        own = torch.isin(image.cpu(), self.images.index)
        return Part(own.nonzero().flatten(), len(own))


@dataclass(frozen=True)
class Batch:
    """Images with their captions, sorted as ``teacher_forced`` of a decoder is fastest.

    Attributes:
        grid: (B, L, D), as stored.
        token_ids: ``bos``, words, ``eos``, padding: (B, K, T + 1), int64.
        lengths: Words to predict of each caption, ``eos`` included, (B, K); 0 for no caption.
        order: Which of the given captions each one is, (B, K), int64: row and column of what was given.
        whole: The batch that these images are a part of; None where they are all of it.
    """

    grid: Tensor
    token_ids: Tensor
    lengths: Tensor
    order: tuple[Tensor, Tensor]
    whole: Whole | None = None

    @property
    def captions(self) -> int:
        """Return how many captions the whole batch has."""
        return int((self._all_lengths > 0).sum())

    @property
    def caption_share(self) -> float:
        """Return the share of these captions in the whole batch's."""
        return int((self.lengths > 0).sum()) / self.captions

    @property
    def word_share(self) -> float:
        """Return the share of these words in the whole batch's."""
        return int(self.lengths.sum()) / int(self._all_lengths.sum())

    @property
    def _all_lengths(self) -> Tensor:
        return self.lengths if self.whole is None else self.whole.lengths

    def targets(self, position: Tensor) -> Tensor:
        """Return the token that follows each position (image, caption, time), (N, 3): (N,), int64."""
        image, caption, time = position.unbind(1)
        return self.token_ids[image, caption, time + 1]


def assemble(
    grid: Tensor,
    captions: Sequence[Sequence[Sequence[int]]],
    pad_id: int,
    own: Sequence[int] | None = None,
) -> Batch:
    """Sort and pad captions.

    Args:
        grid: Of the images, or of those of ``own`` in this order, (B, L, D).
        captions: For each image its captions as token ids with ``bos`` and ``eos``, any number of them.
        pad_id: Fills the rest.
        own: Which of the images shall be in the batch, as a part of the whole one; None for all.

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
    place = {image: i for i, image in enumerate(range(len(captions)) if own is None else own)}
    here = torch.tensor([row for row, i in enumerate(images) if i in place])  # of the whole batch
    rows = torch.tensor([place[i] for i in images if i in place])  # of what was given
    all_ids, all_lengths = torch.from_numpy(token_ids).to(grid.device), torch.from_numpy(lengths)
    return Batch(
        grid=grid[rows.to(grid.device)],
        token_ids=all_ids[here.to(grid.device)],
        lengths=all_lengths[here],
        order=(rows.unsqueeze(1).expand(-1, most), torch.from_numpy(columns)[here]),
        whole=None if own is None else Whole(all_ids, all_lengths, Part(here, len(images))),
    )


def _by_length(rows: Sequence[Sequence[int]]) -> list[int]:
    """Return positions from the longest to the shortest, equals in their order."""
    return sorted(range(len(rows)), key=lambda k: -len(rows[k]))
