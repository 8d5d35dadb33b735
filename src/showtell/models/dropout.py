"""Dropout that is the same however the images of a batch are shared out to processes.

What is left out is drawn for the whole batch, by every process alike, and each takes its own part: so several
processes compute what one would, and their random generators stay equal.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Part:
    """Which rows of a greater array a part of it are.

    Attributes:
        index: Their places in it, (n,), int64, on the CPU.
        count: How many it has.
    """

    index: Tensor
    count: int

    def of(self, whole: Tensor) -> Tensor:
        """Take the part out of the greater array, (count, ...): (n, ...)."""
        return whole[self.index.to(whole.device)]


def dropout(x: Tensor, share: float, training: bool, part: Part | None = None) -> Tensor:
    """Leave out a share of units at random while training, and scale the others up.

    Args:
        x: (n, ...).
        share: In [0, 1).
        training: Whether anything is left out.
        part: What ``x`` is of a greater array; None where it is all there is.
    """
    if part is None or not training:
        return F.dropout(x, share, training)
    return x * part.of(F.dropout(x.new_ones(part.count, *x.shape[1:]), share))


class Dropout(nn.Dropout):
    """A layer of :func:`dropout`.

    Attributes:
        part: What the next values are of a greater array; None where they are all there is.
    """

    part: Part | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Leave units of x (n, ...) out."""
        return dropout(x, self.p, self.training, self.part)
