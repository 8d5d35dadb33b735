"""Intervals of shares that keep their width: on few images, where all are right, and of images in groups.

Letters: N images, G groups.
"""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from showtell.text.intervals import student_t

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LEVEL = 0.95
_Z = NormalDist().inv_cdf((1 + _LEVEL) / 2)


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


def share_interval(right: npt.NDArray[np.bool_], groups: Ints | None = None) -> tuple[float, float]:
    """Return the 95% interval of the share of images that are right.

    Images of one group (a burst, a patient) tend to be right or wrong together, so they count less than as
    many independent ones: Wilson's interval takes their effective number. Source: Korn & Graubard 1998, with
    Wilson's interval in place of Clopper and Pearson's.

    Args:
        right: (N,), N at least 1.
        groups: Each image's group, (N,); None where each stands alone.
    """
    values = right.astype(np.float64)
    return wilson(float(values.mean()), effective_count(values, groups))


def difference_interval(
    ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_], groups: Ints | None = None
) -> tuple[float, float]:
    """Return the 95% interval of the difference of two shares over the same images.

    Source: Bonett & Price 2012, of the effective number of images. It has width where all images agree.

    Args:
        ours: Which images the one gets right, (N,), N at least 1.
        theirs: Which ones the other does, (N,).
        groups: Each image's group, (N,); None where each stands alone.
    """
    differences = ours.astype(np.float64) - theirs
    count = effective_count(differences, groups)
    won, lost = (((differences == sign).mean() * count + 1) / (count + 2) for sign in (1, -1))
    middle = won - lost
    half = _Z * ((won + lost - middle**2) / (count + 2)) ** 0.5
    return max(-1.0, float(middle - half)), min(1.0, float(middle + half))


def effective_count(values: Floats, groups: Ints | None = None) -> float:
    """Return how many independent images tell as much about the mean of some values as these do.

    It is N over the design effect, which compares the variance between groups with that of independent
    images, and never below what N images of groups that are right or wrong as a whole tell, which is Kish's
    number of groups. The variance between few groups is not well known: what it may be at most, at 80%, is
    taken, and Student's t in place of the normal quantile.

    Args:
        values: One for each image, (N,), N at least 1.
        groups: Each image's group, (N,); None where each stands alone.

    Returns:
        From 1 to N.
    """
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
    return 1 / max(0.01, 1 - step - NormalDist().inv_cdf(0.8) * step**0.5) ** 3
