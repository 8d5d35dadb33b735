"""What a classifier's score is worth: whether it beats the most frequent class and the nearest neighbour."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from showtell.data.neighbours import Nearest
from showtell.evaluation.intervals import difference_interval
from showtell.kinds.classifier.data import Examples, Ints

Right = npt.NDArray[np.bool_]

FREQUENT, NEAREST = "the most frequent class", "the nearest neighbour's class"


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
        interval_95: Of the difference.
    """

    accuracy: float
    by: float
    interval_95: tuple[float, float]

    @property
    def beaten(self) -> bool:
        """Tell whether the model is the better one beyond chance."""
        return self.interval_95[0] > 0


def trivial_answers(learn: Examples, check: Examples) -> Trivial:
    """Return what trivial classifiers of some training images get right of others."""
    frequent = torch.bincount(learn.labels).argmax()
    places, _ = Nearest(learn.pooled.numpy()).search(check.pooled.numpy(), 1)
    nearest = torch.from_numpy(places[:, 0])
    return Trivial((check.labels == frequent).numpy(), (check.labels == learn.labels[nearest]).numpy())


def margin(right: Right, trivial: Right, groups: Ints | None, *, folded: bool = False) -> Margin:
    """Compare a model with a trivial classifier on the same images.

    Args:
        right: Which images the model gets right, (N,).
        trivial: Which ones the trivial classifier does, (N,).
        groups: Each image's group, (N,); None where each stands alone.
        folded: The images were scored by cross-validation.
    """
    by = float(right.mean() - trivial.mean())
    return Margin(float(trivial.mean()), by, difference_interval(right, trivial, groups, folded=folded))


def margins(right: Right, trivial: Trivial, groups: Ints, *, folded: bool = False) -> dict[str, Margin]:
    """Compare a model with what needs no training, on the same images."""
    return {
        FREQUENT: margin(right, trivial.frequent, groups, folded=folded),
        NEAREST: margin(right, trivial.nearest, groups, folded=folded),
    }


def verdict(accuracy: float, interval: tuple[float, float], found: Mapping[str, Margin], scored: str) -> str:
    """Say in one line whether a model is better than what needs no training.

    Args:
        accuracy: The model's.
        interval: Its 95% interval.
        found: Against each trivial classifier, by its name.
        scored: On what, such as ``120 images in 10 groups``.
    """
    parts = []
    for name, one in found.items():
        by = f"{one.accuracy:.2f}; by {one.by:+.2f}, {one.interval_95[0]:+.2f} to {one.interval_95[1]:+.2f}"
        if one.beaten:
            parts.append(f"better than {name} ({by})")
        elif one.interval_95[1] < 0:
            parts.append(f"worse than {name} ({by})")
        else:
            parts.append(f"not shown to be better than {name} ({by})")
    low, high = interval
    return f"Accuracy {accuracy:.2f} ({low:.2f} to {high:.2f}) on {scored}: {', '.join(parts)}"
