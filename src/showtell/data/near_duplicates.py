"""Near-duplicates: images whose vectors point the same way, in groups and across splits."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from showtell.data.neighbours import unit_vectors
from showtell.data.records import SPLITS, AnnotatedImage, Split

_ROWS = 1024
_COLUMNS = 4096
# A float32 product of two equal unit vectors may fall short of 1 by this much.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Similarity:
    """What tells near-duplicates."""

    by: str  # in words, such as `perceptual hash`
    vectors: npt.NDArray[np.float32]  # of the images in order, (N, D), float32
    threshold: float  # least cosine of two near-duplicates, in (0, 1]
    # whether lower cosines mean something, too; False where the network finds all images alike, so that only
    # copies count
    informative: bool = True


@dataclass(frozen=True, slots=True)
class Leak:
    """Two near-duplicates that stand in different splits."""

    first: str  # name of the image that comes first in train, val, test
    second: str  # name of the other
    splits: tuple[Split, Split]  # their splits
    cosine: float  # how alike they are, at most 1


def near_duplicate_groups(
    names: Sequence[str], vectors: npt.NDArray[np.float32], *, threshold: float
) -> list[list[str]]:
    """Group images whose features point the same way, directly or through others.

    Args:
        names: Names of the images, N.
        vectors: Their pooled features, (N, D), float32; they need not be normalised. A vector that is
            zero or not finite is like no other.
        threshold: Least cosine of two near-duplicates, in (0, 1].

    Returns:
        Groups of two or more names, each in the order of ``names``, ordered by their first. Memory beside
        the vectors is a copy of them and some tens of MB, whatever N is.

    Raises:
        ValueError: Shapes do not match, or the threshold is out of range.
    """
    labels = np.arange(len(names))
    for start, stop, rows, columns, _ in _similar_blocks(names, vectors, threshold):
        bounds = np.searchsorted(rows, np.arange(start, stop + 1))
        for row in np.unique(rows):
            low, high = bounds[row - start], bounds[row - start + 1]
            linked = np.unique(labels[np.append(columns[low:high], row)])
            if len(linked) > 1:
                labels[np.isin(labels, linked)] = linked[0]
    groups: defaultdict[int, list[str]] = defaultdict(list)
    for name, label in zip(names, labels.tolist()):
        groups[label].append(name)
    return [group for group in groups.values() if len(group) > 1]


def leaking_pairs(
    images: Sequence[AnnotatedImage], vectors: npt.NDArray[np.float32], *, threshold: float
) -> list[Leak]:
    """Return near-duplicates that stand in different splits, for data that brings its splits.

    Args:
        images: N images; those without a split leak nothing.
        vectors: Their pooled features, (N, D), float32, in the same order.
        threshold: Least cosine of two near-duplicates, in (0, 1].

    Returns:
        One entry a pair, the most alike first.

    Raises:
        ValueError: Shapes do not match, or the threshold is out of range.
    """
    codes = np.array([-1 if p.split is None else SPLITS.index(p.split) for p in images], dtype=np.int8)
    leaks = []
    for _, _, rows, columns, cosines in _similar_blocks(images, vectors, threshold):
        apart = (codes[rows] != codes[columns]) & (codes[rows] >= 0) & (codes[columns] >= 0)
        for row, column, cosine in zip(rows[apart], columns[apart], cosines[apart]):
            early, late = sorted((int(row), int(column)), key=lambda place: codes[place])
            splits = (SPLITS[codes[early]], SPLITS[codes[late]])
            leaks.append(Leak(images[early].name, images[late].name, splits, min(1.0, float(cosine))))
    return sorted(leaks, key=lambda leak: (-leak.cosine, leak.first, leak.second))


def _similar_blocks(
    items: Sequence[object], vectors: npt.NDArray[np.float32], threshold: float
) -> Iterator[tuple[int, int, npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]]:
    """Yield block by block: row range, rows, columns (row < column) and cosines at the threshold or above."""
    if vectors.ndim != 2 or len(vectors) != len(items):
        raise ValueError(f"{len(items)} names need vectors (N, D), not {vectors.shape}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} is not in (0, 1]")
    unit = unit_vectors(vectors)
    for start in range(0, len(unit), _ROWS):
        stop = min(start + _ROWS, len(unit))
        for left in range(start, len(unit), _COLUMNS):
            cosines = unit[start:stop] @ unit[left : left + _COLUMNS].T  # (rows, columns)
            rows, columns = np.nonzero(cosines >= threshold - _ROUNDING)
            above = rows + start < columns + left
            rows, columns = rows[above], columns[above]
            yield start, stop, rows + start, columns + left, cosines[rows, columns]
