"""Intervals of scores over which images happened to be in the set, of honest width where these are few.

The plain percentile bootstrap is too narrow then: of five images its 95% interval holds the truth four
times in five, and where all score alike it is a point. Here the resamples say how a score varies and how
skewed that is; how far the interval reaches follows Student's t.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LEVEL = 0.95
_Z = NormalDist().inv_cdf((1 + _LEVEL) / 2)
# Resamples weighed at once: bounds the memory at 8 bytes times this times the number of images.
_BLOCK = 100
_FOLDED = 0.7
"""How many independent images an image counts for that cross-validation scored.

Heads of different folds share most of their images, and each knows how often a class occurs in this very set.
Simulated, the mean squared error of the score is 1.2 to 1.6 times that of independent images.
"""
_SKEW = 3.06
"""How much more skewed an interval of a mean is than its resamples, at 95%: (2 z^2 + 1) / (z^2 - 1)."""


def bootstrap_interval(
    statistics: Scores,
    score: Callable[[Scores], Scores],
    *,
    seed: int,
    resamples: int = 1000,
    limits: Scores | None = None,
    rare: float = 1.0,
    folded: bool = False,
) -> Scores:
    """Return 95% intervals of a score over which images happened to be in the set.

    Each side is at least that of the percentile interval, times Student's t over the normal's quantile. The
    longer one is as long as the skewness of the resamples asks for (an Edgeworth expansion: Hall 1992,
    chapter 3). And no side is shorter than what images could add of a kind of which the set of n has none:
    they may be up to 1 - 0.05^(1/n) of all (the rule of three).

    Args:
        statistics: What each image adds to the sums that the score is made of, (count, statistics), of at
            least 1 image.
        score: From sums (resamples, statistics) to scores, (resamples, scores).
        seed: The seed of the resampling; the same seed gives the same intervals.
        resamples: How many sets of ``count`` images to draw with replacement, at least 1.
        limits: Least and greatest possible value of each score, (scores, 2); None where there are none, and
            nothing rare is reckoned with.
        rare: How far rare images may score from the others, above 0; 1 is the whole range of a share, and
            more than most people reach by CIDEr-D.
        folded: The images were scored by cross-validation.

    Returns:
        (scores, 2): for each score, its lower and upper bound, with the score of the set between them. They
        are apart, but where all images score alike and there are no limits.

    Source: Efron 1979 for the resamples.
    """
    count = len(statistics)
    sums = _resampled_sums(statistics, resamples, seed)
    found = score(statistics.sum(0, keepdims=True))[0]  # (scores,)
    low, high = (
        np.quantile(score(sums), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0) - found
    )  # (scores,) each
    half, lean = (high - low) / 2, _SKEW * (high + low) / 2
    reach = _reach(count) * (_FOLDED**-0.5 if folded else 1)
    bounds = np.stack(
        [found - reach * np.maximum(-low, half - lean), found + reach * np.maximum(high, half + lean)]
    )
    if limits is not None:
        unseen = 1 - (1 - _LEVEL) ** (1 / count)
        room = unseen * np.minimum(np.abs(limits.T - found), rare)  # (2, scores)
        bounds[0] = np.maximum(np.minimum(bounds[0], found - room[0]), limits[:, 0])
        bounds[1] = np.minimum(np.maximum(bounds[1], found + room[1]), limits[:, 1])
    intervals: Scores = bounds.T
    return intervals


def paired_intervals(
    first: Scores,
    second: Scores,
    score: Callable[[Scores], Scores],
    *,
    limits: Scores,
    groups: Ints | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Scores:
    """Return intervals of how much higher the second of two systems scores over the same images.

    Both are scored on each resample, so that what makes an image easy or hard for both cancels out.

    Args:
        first: What each image adds to the sums that the score of the one is made of, (count, statistics).
        second: The same of the other, image by image.
        score: From sums (resamples, statistics) to scores, (resamples, scores).
        limits: Least and greatest possible value of each score, (scores, 2).
        groups: Each image's group, (count,); whole groups are drawn. None where each image stands alone.
        seed: The seed of the resampling.
        resamples: How many sets of images or groups to draw.

    Returns:
        (scores, 2): for each score, lower and upper bound of the second's minus the first's.

    Source: Koehn 2004, section 4, for paired resampling.
    """
    width = first.shape[1]
    widest = limits[:, 1] - limits[:, 0]
    return bootstrap_interval(
        group_sums(np.column_stack([first, second]), groups),
        lambda sums: score(sums[:, width:]) - score(sums[:, :width]),
        seed=seed,
        resamples=resamples,
        limits=np.column_stack([-widest, widest]),
    )


def group_sums(statistics: Scores, groups: Ints | None) -> Scores:
    """Return what each group adds, (groups, statistics), from what each image adds, (count, statistics).

    Args:
        statistics: One row for each image.
        groups: Each image's group, (count,); None where each image stands alone.
    """
    if groups is None:
        return statistics
    _, places = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(places.max()) + 1, statistics.shape[1]))
    np.add.at(sums, places, statistics)
    return sums


def _resampled_sums(statistics: Scores, resamples: int, seed: int) -> Scores:
    generator = np.random.default_rng(seed)
    count = len(statistics)
    sums = np.empty((resamples, statistics.shape[1]))
    for start in range(0, resamples, _BLOCK):
        size = min(_BLOCK, resamples - start)
        times_drawn = generator.multinomial(count, np.full(count, 1 / count), size=size)  # (size, count)
        sums[start : start + size] = times_drawn @ statistics
    return sums


def _reach(count: int) -> float:
    """Return how much farther than a percentile interval one of so few images reaches."""
    if count < 2:
        return 1.0  # there is nothing to widen
    return student_t((1 + _LEVEL) / 2, count - 1) / _Z * math.sqrt(count / (count - 1))


def student_t(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t, to 0.002 from 3 degrees of freedom on.

    Args:
        probability: In [0.5, 1).
        freedom: Degrees of freedom, at least 1.

    Source: Abramowitz and Stegun 1964, 26.7.5; for 1 and 2 degrees in closed form.
    """
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        return (2 * probability - 1) * math.sqrt(2 / (4 * probability * (1 - probability)))
    z = NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(sum(term / freedom**power for power, term in enumerate(terms)))


def wilson(share: float, count: float) -> tuple[float, float]:
    """Return the 95% score interval of a share. Source: Wilson 1927.

    Args:
        share: In [0, 1].
        count: Of how many independent images, above 0; it need not be whole.
    """
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    spread = share * (1 - share) / count + _Z**2 / (4 * count**2)
    half = _Z * spread**0.5 / (1 + _Z**2 / count)
    low = 0.0 if share == 0 else max(0.0, middle - half)
    high = 1.0 if share == 1 else min(1.0, middle + half)
    return low, high


def share_interval(
    right: npt.NDArray[np.bool_], groups: Ints | None = None, *, folded: bool = False
) -> tuple[float, float]:
    """Return the 95% interval of the share of images that are right.

    Images of one group (a burst, a patient) tend to be right or wrong together, so they count less than as
    many independent ones: Wilson's interval takes their effective number. Source: Korn & Graubard 1998, with
    Wilson's interval in place of Clopper and Pearson's.

    Args:
        right: (N,), N at least 1.
        groups: Each image's group, (N,); None where each stands alone.
        folded: The images were scored by cross-validation.
    """
    values = right.astype(np.float64)
    return wilson(float(values.mean()), effective_count(values, groups, folded=folded))


def difference_interval(
    ours: npt.NDArray[np.bool_],
    theirs: npt.NDArray[np.bool_],
    groups: Ints | None = None,
    *,
    folded: bool = False,
) -> tuple[float, float]:
    """Return the 95% interval of the difference of two shares over the same images.

    Source: Bonett & Price 2012, of the effective number of images. It has width where all images agree.

    Args:
        ours: Which images the one gets right, (N,), N at least 1.
        theirs: Which ones the other does, (N,).
        groups: Each image's group, (N,); None where each stands alone.
        folded: The images were scored by cross-validation.
    """
    differences = ours.astype(np.float64) - theirs
    count = effective_count(differences, groups, folded=folded)
    won, lost = (((differences == sign).mean() * count + 1) / (count + 2) for sign in (1, -1))
    middle = won - lost
    half = _Z * ((won + lost - middle**2) / (count + 2)) ** 0.5
    return max(-1.0, float(middle - half)), min(1.0, float(middle + half))


def effective_count(values: Scores, groups: Ints | None = None, *, folded: bool = False) -> float:
    """Return how many independent images tell as much about the mean of some values as these do.

    It is N over the design effect, which compares the variance between groups with that of independent
    images, and never below what N images of groups that are right or wrong as a whole tell, which is Kish's
    number of groups. The variance between few groups is not well known: what it may be at most, at 80%, is
    taken, and Student's t in place of the normal quantile. Images that cross-validation scored count less.

    Args:
        values: One for each image, (N,), N at least 1.
        groups: Each image's group, (N,); None where each stands alone.
        folded: The images were scored by cross-validation.

    Returns:
        Above 0, to N.
    """
    return _grouped_count(values, groups) * (_FOLDED if folded else 1)


def _grouped_count(values: Scores, groups: Ints | None) -> float:
    count = len(values)
    if groups is None:
        return float(count)
    _, places = np.unique(groups, return_inverse=True)
    sizes = np.bincount(places)
    number = len(sizes)
    if number == count:
        return float(count)
    floor = count**2 / float((sizes**2).sum())
    alone = float(values.var()) / count
    if number == 1 or alone == 0:
        return floor
    deviations = np.bincount(places, weights=values - values.mean())
    between = number / (number - 1) * float((deviations**2).sum()) / count**2
    between *= _at_most(number - 1)
    estimated = count * alone / between if between > 0 else float(count)
    return min(float(count), max(floor, estimated * (_Z / student_t((1 + _LEVEL) / 2, number - 1)) ** 2))


def _at_most(freedom: int) -> float:
    """Return how many times the estimate a variance is at most, at 80%. Source: Wilson & Hilferty 1931."""
    step = 2 / (9 * freedom)
    return float(1 / max(0.01, 1 - step - NormalDist().inv_cdf(0.8) * step**0.5) ** 3)
