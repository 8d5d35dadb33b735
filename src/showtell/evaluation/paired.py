"""Two systems on the same images: what both score, the difference with its paired interval, images won."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from showtell.data.names import few
from showtell.errors import DataError
from showtell.evaluation.intervals import Ints, Scores, paired_intervals

_ALIKE = 1e-9
"""Scores of an image that are no farther apart are a tie."""


@dataclass(frozen=True)
class PairedScore:
    """A score of two systems over the same images."""

    first: float
    second: float
    difference: float  # second minus first
    interval_95: tuple[float, float]  # of the difference, paired

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out 0."""
        low, high = self.interval_95
        return low > 0 or high < 0


@dataclass(frozen=True)
class PairedImage:
    """What two systems say of one image."""

    name: str
    truths: tuple[str, ...]  # captions of people, or the right class
    said: tuple[str, str]  # by the first and by the second
    scores: tuple[float, float]  # of what they said, by what decides an image
    certainties: tuple[float, float]  # orders images of the same gain: of what is right, higher is better

    @property
    def gain(self) -> float:
        """Return by how much the second is better; 0 for a tie."""
        gain = self.scores[1] - self.scores[0]
        return gain if abs(gain) > _ALIKE else 0.0


@dataclass(frozen=True)
class Paired:
    """Two systems on the same images.

    Attributes:
        decided_by: What an image is won by: the name of a score.
        scores: By name, in the order in which they are shown.
        images: All images, in the order of their names.
        groups: How many groups were drawn for the intervals; as many as images where each stands alone.
    """

    decided_by: str
    scores: dict[str, PairedScore]
    images: tuple[PairedImage, ...]
    groups: int

    @property
    def won(self) -> int:
        """Return on how many images the second is better."""
        return sum(image.gain > 0 for image in self.images)

    @property
    def lost(self) -> int:
        """Return on how many images the first is better."""
        return sum(image.gain < 0 for image in self.images)

    @property
    def tied(self) -> int:
        """Return on how many images neither is better."""
        return len(self.images) - self.won - self.lost

    def most_different(self, count: int) -> tuple[list[PairedImage], list[PairedImage]]:
        """Return images on which the second is better, the most first, and those on which the first is."""
        ranked = sorted(
            self.images,
            key=lambda image: (-image.gain, image.certainties[0] - image.certainties[1], image.name),
        )
        better = [image for image in ranked if image.gain > 0]
        worse = [image for image in reversed(ranked) if image.gain < 0]
        return better[:count], worse[:count]


def check_same_truths(truths: Sequence[tuple[str, object, object]], what: str) -> None:
    """Refuse images for which two systems were scored against different truths.

    Args:
        truths: Of each image its name, and what the one and the other was scored against.
        what: They are, for the message.

    Raises:
        DataError: Some differ.
    """
    if changed := [name for name, one, other in truths if one != other]:
        raise DataError(
            f"The {what} of {len(changed):,} of {len(truths):,} images changed between the two evaluations: "
            f"{few(changed, 3)}.",
            hint="Evaluate both runs again, on the same data.",
        )


def paired_scores(
    names: Sequence[str],
    first: Scores,
    second: Scores,
    score: Callable[[Scores], Scores],
    *,
    limits: Scores,
    groups: Ints | None = None,
) -> dict[str, PairedScore]:
    """Score two systems over the same images, with paired intervals of the differences.

    Args:
        names: Of the scores.
        first: What each image adds to the sums that the scores of the one are made of, (N, statistics).
        second: The same of the other, image by image.
        score: From sums (..., statistics) to scores, (..., scores).
        limits: Least and greatest possible value of each score, (scores, 2).
        groups: Each image's group, (N,); None where each stands alone.
    """
    ours, theirs = (score(statistics.sum(0, keepdims=True))[0].tolist() for statistics in (first, second))
    bounds: npt.NDArray[np.float64] = paired_intervals(first, second, score, limits=limits, groups=groups)
    return {
        name: PairedScore(one, other, other - one, (float(low), float(high)))
        for name, one, other, (low, high) in zip(names, ours, theirs, bounds)
    }
