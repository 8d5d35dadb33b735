"""Near-duplicates: images whose vectors point the same way, in groups and across splits."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from showtell.data.neighbours import Cosines, Ints, Nearest, searches_by_graph, unit_vectors
from showtell.data.records import SPLITS, AnnotatedImage, Split

_ROWS = 1024
_COLUMNS = 4096
_NEAREST = 32
"""Neighbours of an image that are looked at where there are very many images."""
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
        the vectors is a copy of them and some tens of MB, whatever N is. Of more than 100,000 images those
        that a graph of neighbours finds are grouped, where usearch is installed; see :class:`Nearest`.

    Raises:
        ValueError: Shapes do not match, or the threshold is out of range.
    """
    first = np.arange(len(names))  # of each image's group; of those linked so far, an earlier one
    for rows, columns, _ in _similar_pairs(names, vectors, threshold):
        _link(first, rows, columns)
    groups: defaultdict[int, list[str]] = defaultdict(list)
    for name, label in zip(names, _firsts(first, np.arange(len(names))).tolist()):
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
    for rows, columns, cosines in _similar_pairs(images, vectors, threshold):
        apart = (codes[rows] != codes[columns]) & (codes[rows] >= 0) & (codes[columns] >= 0)
        for row, column, cosine in zip(rows[apart], columns[apart], cosines[apart]):
            early, late = sorted((int(row), int(column)), key=lambda place: codes[place])
            splits = (SPLITS[codes[early]], SPLITS[codes[late]])
            leaks.append(Leak(images[early].name, images[late].name, splits, min(1.0, float(cosine))))
    return sorted(leaks, key=lambda leak: (-leak.cosine, leak.first, leak.second))


def _link(first: Ints, rows: Ints, columns: Ints) -> None:
    """Join the groups of pairs, in place: a group's first image stands for it."""
    while len(rows):
        rows, columns = _firsts(first, rows), _firsts(first, columns)
        apart = rows != columns
        rows, columns = rows[apart], columns[apart]
        np.minimum.at(first, np.maximum(rows, columns), np.minimum(rows, columns))


def _firsts(first: Ints, places: Ints) -> Ints:
    """Return the first image of the group of each."""
    while (first[places] != places).any():
        places = first[places]
    return places


def _similar_pairs(
    items: Sequence[object], vectors: npt.NDArray[np.float32], threshold: float
) -> Iterator[tuple[Ints, Ints, Cosines]]:
    """Yield, some at a time, rows, columns (row < column) and cosines at the threshold or above."""
    if vectors.ndim != 2 or len(vectors) != len(items):
        raise ValueError(f"{len(items)} names need vectors (N, D), not {vectors.shape}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} is not in (0, 1]")
    unit = unit_vectors(vectors)
    if searches_by_graph(len(unit), len(unit)):
        yield from _pairs_by_graph(unit, threshold - _ROUNDING)
        return
    for start in range(0, len(unit), _ROWS):
        for left in range(start, len(unit), _COLUMNS):
            cosines = unit[start : start + _ROWS] @ unit[left : left + _COLUMNS].T  # (rows, columns)
            rows, columns = np.nonzero(cosines >= threshold - _ROUNDING)
            above = rows + start < columns + left
            rows, columns = rows[above], columns[above]
            yield rows + start, columns + left, cosines[rows, columns]


def _pairs_by_graph(unit: Cosines, least: float) -> Iterator[tuple[Ints, Ints, Cosines]]:
    """Yield each image with its nearest, and with the first that it is a copy of, however many copies are."""
    digests = np.array([hash(row.tobytes()) for row in unit])
    _, kept, which = np.unique(digests, return_index=True, return_inverse=True)
    original = np.where(unit.any(1), kept[which], np.arange(len(unit)))
    copies = np.flatnonzero(original != np.arange(len(unit)))
    yield original[copies], copies, np.ones(len(copies), np.float32)
    places, cosines = Nearest(unit).search(unit, _NEAREST)
    near = cosines >= least
    rows, columns, similar = np.nonzero(near)[0], places[near], cosines[near]
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    # Two that find each other are one pair.
    pairs, first = np.unique(low * len(unit) + high, return_index=True)
    low, high, similar = pairs // len(unit), pairs % len(unit), similar[first]
    new = (low < high) & (original[high] != low)
    yield low[new], high[new], similar[new]
