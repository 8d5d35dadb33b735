"""What a classifier must beat: the most frequent class, and the class of the nearest neighbour."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from showtell.evaluation.intervals import difference_interval
from showtell.kinds.classifier.heads import Examples

Right = npt.NDArray[np.bool_]

_ROWS = 1024


@dataclass(frozen=True)
class Trivial:
    """Which images trivial classifiers get right.

    Attributes:
        frequent: Those of the most frequent class of training, (N,).
        nearest: Those whose nearest training image, by the cosine of features, has their class, (N,).
    """

    frequent: Right
    nearest: Right

    @classmethod
    def empty(cls, count: int) -> "Trivial":
        """Return one for N images of which nothing is known yet."""
        return cls(np.zeros(count, bool), np.zeros(count, bool))

    def fill(self, places: npt.NDArray[np.generic], found: "Trivial") -> None:
        """Take over what is known of the images at some places."""
        self.frequent[places] = found.frequent
        self.nearest[places] = found.nearest

    def of(self, places: npt.NDArray[np.generic]) -> "Trivial":
        """Return the part for the images at some places."""
        return Trivial(self.frequent[places], self.nearest[places])


@dataclass(frozen=True)
class Margin:
    """By how much a model's accuracy differs from that of a trivial classifier.

    Attributes:
        accuracy: Of the trivial one.
        by: The model's less that.
        interval: Of the difference, 95%.
    """

    accuracy: float
    by: float
    interval: tuple[float, float]

    @property
    def beaten(self) -> bool:
        """Tell whether the model is the better one beyond chance."""
        return self.interval[0] > 0


def trivial_answers(learn: Examples, check: Examples) -> Trivial:
    """Return what trivial classifiers of some training images get right of others."""
    frequent = torch.bincount(learn.labels).argmax()
    known = F.normalize(learn.pooled.float(), dim=1)
    asked = F.normalize(check.pooled.float(), dim=1)
    nearest = torch.cat([(rows @ known.T).argmax(1) for rows in asked.split(_ROWS)])
    return Trivial((check.labels == frequent).numpy(), (check.labels == learn.labels[nearest]).numpy())


def margin(right: Right, trivial: Right, groups: npt.NDArray[np.int64] | None) -> Margin:
    """Compare a model with a trivial classifier on the same images.

    Args:
        right: Which images the model gets right, (N,).
        trivial: Which ones the trivial classifier does, (N,).
        groups: Each image's group, (N,); None where each stands alone.
    """
    by = float(right.mean() - trivial.mean())
    return Margin(float(trivial.mean()), by, difference_interval(right, trivial, groups))
