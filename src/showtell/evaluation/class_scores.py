"""How well classes are told apart: all figures of a set of images, with their intervals.

Letters: N images, C classes.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from showtell.evaluation.intervals import bootstrap_interval, group_sums, share_interval

SCORE_NAMES = ("accuracy", "top5", "macro_f1")
"""The scores that have intervals, in the order in which they are shown."""
_BINS = 15

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassScores:
    """The scores of a set of images; all but the confusion matrix lie in [0, 1]."""

    count: int  # N
    groups: int  # how many groups the images are; N where each stands alone
    accuracy: float  # share of images whose most likely class is right
    top5: float  # share of images whose class is among the five most likely
    macro_f1: float  # mean F1 over the classes that occur or were predicted
    precision: Floats = field(repr=False)  # of each class, (C,); NaN where it was never predicted
    recall: Floats = field(repr=False)  # of each class, (C,); NaN where it does not occur
    f1: Floats = field(repr=False)  # of each class, (C,); NaN where it neither occurs nor was predicted
    confusion: Ints = field(repr=False)  # true class by predicted class, (C, C)
    calibration_error: float  # expected calibration error over 15 equal bins of confidence
    # 95% intervals, which count groups where there are some; empty where none was asked for
    intervals: dict[str, tuple[float, float]]


def class_scores(
    probabilities: npt.NDArray[np.floating],
    labels: Ints,
    groups: Ints | None = None,
    *,
    folded: bool = False,
    resamples: int = 1000,
    seed: int = 0,
) -> ClassScores:
    """Score predictions.

    Intervals of shares are Wilson's, that of macro-F1 is a bootstrap over groups.

    Args:
        probabilities: (N, C), each row sums to 1; N at least 1.
        labels: Right classes, (N,), each in [0, C).
        groups: Each image's group, (N,); None where each stands alone.
        folded: The predictions are those of cross-validation, which makes intervals wider.
        resamples: Bootstrap resamples for the interval of macro-F1; 0 for no intervals.
        seed: Of the resampling.
    """
    count, classes = probabilities.shape
    predicted = probabilities.argmax(1)
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    statistics = _statistics(probabilities, labels, predicted)
    accuracy, top5, macro_f1 = _scores_of_sums(statistics.sum(0), count).tolist()
    grouped = group_sums(statistics, groups)
    intervals = {}
    if resamples:
        low, high = bootstrap_interval(
            grouped,
            lambda sums: _scores_of_sums(sums, count),
            seed=seed,
            resamples=resamples,
            limits=np.array([(0.0, 1.0)] * len(SCORE_NAMES)),
            folded=folded,
        )[SCORE_NAMES.index("macro_f1")].tolist()
        intervals = {
            "accuracy": share_interval(statistics[:, 0] > 0, groups, folded=folded),
            "top5": share_interval(statistics[:, 1] > 0, groups, folded=folded),
            "macro_f1": (low, high),
        }
    right, present, named = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore"):
        precision, recall, f1 = right / named, right / present, 2 * right / (present + named)
    return ClassScores(
        count,
        len(grouped),
        accuracy,
        top5,
        macro_f1,
        precision,
        recall,
        f1,
        confusion,
        expected_calibration_error(probabilities.max(1), predicted == labels),
        intervals,
    )


@dataclass(frozen=True)
class Bin:
    """Images about as sure as each other."""

    images: int  # how many; 0 leaves the rest at 0
    confidence: float  # mean probability of the predicted class, in [0, 1]
    accuracy: float  # share of the predictions that are right, in [0, 1]


def reliability(
    confidence: npt.NDArray[np.floating], correct: npt.NDArray[np.bool_], bins: int = _BINS
) -> list[Bin]:
    """Sort images by how sure the prediction is, and see how many are right.

    Args:
        confidence: Probability of the predicted class, (N,), in [0, 1].
        correct: Whether it was right, (N,).
        bins: How many, equally wide, over [0, 1].
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights=values, minlength=bins) for values in (confidence, correct))
    means = (total / np.maximum(counts, 1) for total in sums)
    return [Bin(int(count), float(sure), float(right)) for count, sure, right in zip(counts, *means)]


def expected_calibration_error(confidence: npt.NDArray[np.floating], correct: npt.NDArray[np.bool_]) -> float:
    """Return the mean gap between confidence and accuracy, over 15 equal bins weighed by their images.

    Source: Naeini et al. 2015; Guo et al. 2017, eq. 3.

    Args:
        confidence: Probability of the predicted class, (N,), in [0, 1].
        correct: Whether it was right, (N,).
    """
    found = reliability(confidence, correct)
    return sum(one.images * abs(one.confidence - one.accuracy) for one in found) / len(confidence)


def class_counts(labels: Ints, predicted: Ints, classes: int) -> Floats:
    """Return what each image adds to the counts by class: right, present, named, (N, 3C).

    Args:
        labels: Right classes, (N,), each in [0, C).
        predicted: Named classes, (N,), each in [0, C).
        classes: C.
    """
    rows = np.arange(len(labels))
    counts = np.zeros((len(labels), 3 * classes))
    counts[rows, labels] = predicted == labels
    counts[rows, classes + labels] = 1
    counts[rows, 2 * classes + predicted] = 1
    return counts


def macro_f1(counts: Floats) -> Floats:
    """Return the mean F1 over the classes that occur or were named, (...), from sums of counts, (..., 3C)."""
    right, present, named = np.split(counts, 3, axis=-1)
    seen = present + named > 0
    f1: Floats = np.where(seen, 2 * right / np.maximum(present + named, 1), 0).sum(-1) / seen.sum(-1)
    return f1


def _statistics(probabilities: npt.NDArray[np.floating], labels: Ints, predicted: Ints) -> Floats:
    """Return what each image adds: right, among five, and counts by class: (N, 2 + 3C)."""
    count, classes = probabilities.shape
    own = probabilities[np.arange(count), labels]
    among_five = (probabilities > own[:, None]).sum(1) < 5
    return np.column_stack([predicted == labels, among_five, class_counts(labels, predicted, classes)])


def _scores_of_sums(sums: Floats, count: int) -> Floats:
    """Return scores (..., 3) as in ``SCORE_NAMES`` from sums (..., 2 + 3C) over ``count`` images."""
    return np.concatenate([sums[..., :2] / count, macro_f1(sums[..., 2:])[..., None]], axis=-1)
