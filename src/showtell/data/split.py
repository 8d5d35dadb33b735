"""Train, val and test by picture: stable when pictures are added, near-duplicates on one side."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from showtell.data.records import SPLITS, Picture, Split
from showtell.errors import ConfigError, DataError

_ROWS = 1024
_COLUMNS = 4096
# A float32 product of two equal unit vectors may fall short of 1 by this much.
_ROUNDING = 1e-6


def assign_splits(
    pictures: Sequence[Picture],
    digests: Mapping[str, bytes],
    *,
    groups: Sequence[Sequence[str]] = (),
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> tuple[Picture, ...]:
    """Give every picture a split, and keep those that the data brings.

    A picture's place u in [0, 1) is a keyed hash of its content: train below the first fraction, then
    val, then test. So nothing but the content, the seed and the fractions decides: order, names and the
    other pictures don't. Pictures of equal content, and those of one group, share the smallest u among
    them. Adding a picture can only lower that, which moves a group from test to val to train and never
    back: what was once trained on never becomes a test picture.

    What the data brings:

    - A picture with a split keeps it. One without, in a group with such pictures, follows them (train
      before val before test), since the copy of a test picture must not be trained on.
    - Where all pictures have a split and none is val, val is taken out of train, by the same hash: the
      top ``val / (train + val)`` of u.

    Data so small that val would be empty gets one group as a stand-in: the one with the largest u in
    train, so that a later picture only moves it back there; if train has a single group, the one
    with the smallest u in test. Only such a stand-in may go against the order above, from train to val or
    from val to test; from train to test it can't. It is left out where val has a fraction of 0, where
    the data is a single group, or where val would have come out of a train folder with a single group.

    Args:
        pictures: The pictures, with unique names.
        digests: Content digest by picture name; needed for each picture that the hash decides.
        groups: Names of pictures that belong on one side, such as near-duplicates; names that are not
            among the pictures are passed over, groups that overlap are merged.
        fractions: Expected shares of train, val and test, in [0, 1], sum 1, train above 0.
        seed: Chooses another assignment; from 0 to 2**64 - 1.

    Returns:
        The same pictures in the same order, each with a split.

    Raises:
        ConfigError: ``fractions`` or ``seed`` are out of range.
        DataError: A digest is missing, or so few pictures are given that none is in train.
    """
    _check_settings(fractions, seed)
    members = _merge_groups(pictures, digests, groups)
    chosen = {picture.name: picture.split for picture in pictures if picture.split is not None}
    carve = _lacks_val(pictures)
    decided_by_hash: Split | None = "train" if carve else None
    undecided = {picture.name for picture in pictures if picture.split == decided_by_hash}
    places = _places(members, digests, seed, undecided)
    if carve:
        _carve_val(chosen, members, places, fractions)
    else:
        _fill_in(chosen, members, places, fractions)
    if pictures and "train" not in chosen.values():
        raise DataError(
            f"None of the {len(pictures):,} pictures is in the training split (seed {seed}).",
            would_do="More pictures or another --seed would do; or training pictures, where the data brings "
            "its own splits.",
        )
    return tuple(replace(picture, split=chosen[picture.name]) for picture in pictures)


def classes_without(pictures: Iterable[Picture], split: Split) -> list[str]:
    """Return the classes, sorted, that have no picture in a split.

    Splits are not stratified: a class's share would hang on the other pictures, and adding one would
    move others. So it is said instead.
    """
    labels = {(picture.label, picture.split) for picture in pictures if picture.label is not None}
    present = {label for label, where in labels if where == split}
    return sorted({label for label, _ in labels if label is not None} - present)


def content_place(digest: bytes, seed: int) -> float:
    """Return a picture's place u in [0, 1): uniform, and the same on every machine.

    Args:
        digest: Content digest, any length.
        seed: From 0 to 2**64 - 1.
    """
    keyed = hashlib.blake2b(digest, digest_size=8, key=seed.to_bytes(8, "little"), person=b"showtell split")
    return (int.from_bytes(keyed.digest(), "little") >> 11) / 2**53


def _check_settings(fractions: tuple[float, float, float], seed: int) -> None:
    in_range = all(0 <= fraction <= 1 for fraction in fractions) and fractions[0] > 0
    if not in_range or abs(sum(fractions) - 1) > 1e-9:
        raise ConfigError(
            f"The split fractions {fractions} are no shares of train, val and test.",
            would_do="Three numbers from 0 to 1 that sum to 1, the first above 0, would do: 0.8 0.1 0.1.",
        )
    if not 0 <= seed < 2**64:
        raise ConfigError(f"The seed {seed} is out of range.", would_do="A whole number from 0 up would do.")


def _lacks_val(pictures: Sequence[Picture]) -> bool:
    """Tell whether the data brings a split for every picture, train among them, and no val."""
    splits = {picture.split for picture in pictures}
    return "train" in splits and "val" not in splits and None not in splits


def _merge_groups(
    pictures: Sequence[Picture], digests: Mapping[str, bytes], groups: Sequence[Sequence[str]]
) -> list[list[str]]:
    """Return every picture's group, merged where groups overlap or contents are equal."""
    parent = {picture.name: picture.name for picture in pictures}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def join(names: Sequence[str]) -> None:
        for name in names[1:]:
            parent[root(name)] = root(names[0])

    by_content: defaultdict[bytes, list[str]] = defaultdict(list)
    for name in parent:
        if name in digests:
            by_content[digests[name]].append(name)
    for same in by_content.values():
        join(same)
    for group in groups:
        join([name for name in group if name in parent])
    merged: defaultdict[str, list[str]] = defaultdict(list)
    for name in parent:
        merged[root(name)].append(name)
    return list(merged.values())


def _places(
    members: list[list[str]], digests: Mapping[str, bytes], seed: int, undecided: set[str]
) -> list[float]:
    """Return u of every group: the smallest of its undecided members, 0 where there are none."""
    missing = sorted(undecided - digests.keys())
    if missing:
        raise DataError(
            f"{len(missing):,} pictures have no content digest to split by: {', '.join(missing[:10])}.",
            would_do="Pictures that can be read would do; leave out the others before splitting.",
        )
    return [
        min((content_place(digests[name], seed) for name in names if name in undecided), default=0.0)
        for names in members
    ]


def _fill_in(
    chosen: dict[str, Split],
    members: list[list[str]],
    places: list[float],
    fractions: tuple[float, float, float],
) -> None:
    """Place the groups that have members without a split."""
    free: dict[int, Split] = {}
    for number, names in enumerate(members):
        unplaced = [name for name in names if name not in chosen]
        followed = [chosen[name] for name in names if name in chosen]
        if followed:
            chosen.update(dict.fromkeys(unplaced, min(followed, key=SPLITS.index)))
        elif unplaced:
            free[number] = _split_at(places[number], fractions)
    if fractions[1] > 0 and "val" not in (*chosen.values(), *free.values()):
        _stand_in(free, places)
    for number, split in free.items():
        chosen.update(dict.fromkeys(members[number], split))


def _split_at(place: float, fractions: tuple[float, float, float]) -> Split:
    if place < fractions[0]:
        return "train"
    # Without a test share, rounding in the sum must not make one.
    return "val" if place < fractions[0] + fractions[1] or fractions[2] == 0 else "test"


def _stand_in(free: dict[int, Split], places: list[float]) -> None:
    train = [number for number, split in free.items() if split == "train"]
    test = [number for number, split in free.items() if split == "test"]
    if len(train) >= 2:
        free[max(train, key=lambda number: places[number])] = "val"
    elif test:
        free[min(test, key=lambda number: places[number])] = "val"


def _carve_val(
    chosen: dict[str, Split],
    members: list[list[str]],
    places: list[float],
    fractions: tuple[float, float, float],
) -> None:
    """Take val out of train where the data brings none; groups that touch test stay as they are."""
    if fractions[1] == 0:
        return
    share = fractions[1] / (fractions[0] + fractions[1])
    train = {
        number: places[number]
        for number, names in enumerate(members)
        if all(chosen[name] == "train" for name in names)
    }
    picked = [number for number, place in train.items() if place >= 1 - share]
    if len(train) >= 2 and not picked:
        picked = [max(train, key=lambda number: train[number])]
    for number in picked:
        chosen.update(dict.fromkeys(members[number], "val"))


@dataclass(frozen=True, slots=True)
class Leak:
    """Two near-duplicates that stand in different splits.

    Attributes:
        first: Name of the picture that comes first in train, val, test.
        second: Name of the other.
        splits: Their splits.
        cosine: How alike they are, at most 1.
    """

    first: str
    second: str
    splits: tuple[Split, Split]
    cosine: float


def near_duplicate_groups(
    names: Sequence[str], vectors: npt.NDArray[np.float32], *, threshold: float
) -> list[list[str]]:
    """Group pictures whose features point the same way, directly or through others.

    Args:
        names: Names of the pictures, N.
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
    pictures: Sequence[Picture], vectors: npt.NDArray[np.float32], *, threshold: float
) -> list[Leak]:
    """Return near-duplicates that stand in different splits, for data that brings its splits.

    Args:
        pictures: N pictures; those without a split leak nothing.
        vectors: Their pooled features, (N, D), float32, in the same order.
        threshold: Least cosine of two near-duplicates, in (0, 1].

    Returns:
        One entry a pair, the most alike first.

    Raises:
        ValueError: Shapes do not match, or the threshold is out of range.
    """
    codes = np.array([-1 if p.split is None else SPLITS.index(p.split) for p in pictures], dtype=np.int8)
    leaks = []
    for _, _, rows, columns, cosines in _similar_blocks(pictures, vectors, threshold):
        apart = (codes[rows] != codes[columns]) & (codes[rows] >= 0) & (codes[columns] >= 0)
        for row, column, cosine in zip(rows[apart], columns[apart], cosines[apart]):
            early, late = sorted((int(row), int(column)), key=lambda place: codes[place])
            splits = (SPLITS[codes[early]], SPLITS[codes[late]])
            leaks.append(Leak(pictures[early].name, pictures[late].name, splits, min(1.0, float(cosine))))
    return sorted(leaks, key=lambda leak: (-leak.cosine, leak.first, leak.second))


def _similar_blocks(
    items: Sequence[object], vectors: npt.NDArray[np.float32], threshold: float
) -> Iterator[tuple[int, int, npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]]:
    """Yield block by block: row range, rows, columns (row < column) and cosines at the threshold or above."""
    if vectors.ndim != 2 or len(vectors) != len(items):
        raise ValueError(f"{len(items)} names need vectors (N, D), not {vectors.shape}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} is not in (0, 1]")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    usable = np.isfinite(norms) & (norms > 0)
    unit = np.where(usable, vectors / np.where(usable, norms, 1), 0).astype(np.float32)
    for start in range(0, len(unit), _ROWS):
        stop = min(start + _ROWS, len(unit))
        for left in range(start, len(unit), _COLUMNS):
            cosines = unit[start:stop] @ unit[left : left + _COLUMNS].T  # (rows, columns)
            rows, columns = np.nonzero(cosines >= threshold - _ROUNDING)
            above = rows + start < columns + left
            rows, columns = rows[above], columns[above]
            yield start, stop, rows + start, columns + left, cosines[rows, columns]
