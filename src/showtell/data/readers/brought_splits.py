"""What in the data says which split an image is in: a column, lists beside a table, or folders."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from showtell.data.names import (
    EVAL,
    KNOWN_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    column_key,
    eval_is_test,
    few,
    split_in_name,
    split_named,
    splits_in_names,
    splits_spoken_of,
)
from showtell.data.readers.cells import truth_of
from showtell.data.readers.image_folder import ImageFolder
from showtell.data.readers.reading import Reading
from showtell.data.readers.split_lists import list_places, with_listed_splits
from showtell.data.readers.table import SAMPLE_ROWS
from showtell.data.records import SPLITS, Dataset, Split

_BESIDE_TRUTH = re.compile(
    r"^(?:is|in|for|use)[ _-]?(?:(?:in|for)[ _-])?|[ _-]?(?:flag|sample|example)$", re.I
)
_QUALITY = re.compile(
    r"^(?:is|has|was|in|for|use)[ _-]|[a-z]{3}[^e]ed$"
    r"|^(?:blurry|noisy|dark|bright|good|bad|ok|clean|indoor|outdoor)$",
    re.I,
)
"""Names of truth values that say how an image is, and not what is seen there."""
_FOLD_COLUMN = re.compile(r"(?:k_?|cv_?)?folds?(?:_?(?:id|no|num|number))?")
_FOLD = re.compile(r"(?:(?:fold|f|k|cv)[ _-]?|_)?(-?\d{1,9})(?:\.0)?", re.IGNORECASE)
_MOST_FOLDS = 20
_NUMBERED: dict[str, Split] = {"0": "train", "1": "val", "2": "test"}  # as CelebA's list_eval_partition
Reader = Callable[[str], Split | None]
_CALLED = SPLIT_COLUMNS[:3]
"""Columns that mean nothing but a split."""


@dataclass(frozen=True, slots=True)
class SplitColumn:
    """A column that brings the split, or several of truth values that do."""

    places: tuple[int, ...]  # of the columns
    read: Callable[..., Split | None]  # returns the split that their cells in a row name, None for none
    sentence: str  # how it is read, for people
    by_name: bool = False  # whether the cells are names of splits, so that one that is not is worth a problem

    def of(self, fields: Sequence[Any]) -> Split | None:
        """Return the split of a row, None for none."""
        return self.read(*(str(fields[place]) for place in self.places))


def split_column(header: Sequence[str], cells: Mapping[int, Sequence[str]]) -> SplitColumn | None:
    """Find the column that brings the split, by what its cells hold.

    It is the one whose every cell names a split; or truth values, in columns called ``is_valid`` or the
    like; or a small number of folds, in a column called ``fold``. A column called ``split`` is one where
    most of its cells name a split, or where they are 0, 1 and 2.

    Args:
        header: Names of all columns.
        cells: Cells of the columns that may be it, without empty ones, by place.
    """
    filled = {place: values for place, values in cells.items() if values}
    called = [place for place in filled if column_key(header[place]) in SPLIT_COLUMNS]
    others = [p for p in filled if p not in called and column_key(header[p]) not in KNOWN_COLUMNS]
    for place in called + others:  # a class may be called train
        values = filled[place]
        reader = _told_apart(split_in_name if place in called else split_named, values)
        named = {value for value in values if reader(value)}
        known = sum(value in named for value in values)
        if 2 * known > len(values) and (place in called or (known == len(values) and len(named) > 1)):
            which = (f"{value} is test" if _means_test(value, reader) else value for value in sorted(named))
            sentence = f"the splits are those of the column {header[place]!r} ({', '.join(which)})"
            return SplitColumn((place,), reader, sentence, by_name=True)
        if column_key(header[place]) in _CALLED and set(values) == _NUMBERED.keys():
            sentence = f"in the column {header[place]!r} 0 is train, 1 is val and 2 is test"
            return SplitColumn((place,), lambda value: _NUMBERED.get(value.strip()), sentence)
    for place, values in filled.items():
        if (found := _by_fold(header[place], place, values)) is not None:
            return found
    return _by_truth(header, filled)


def _told_apart(reader: Reader, values: Sequence[str]) -> Reader:
    """Return what reads the names of splits, ``eval`` by those beside it: see `eval_is_test`."""
    if not eval_is_test(reader(value) for value in values if not _is_eval(value)):
        return reader
    return lambda value: "test" if _is_eval(value) else reader(value)


def _is_eval(value: str) -> bool:
    return value.strip().casefold() == EVAL


def _means_test(value: str, reader: Reader) -> bool:
    return _is_eval(value) and reader(value) == "test"


def unread_split(header: Sequence[str], left: Sequence[int]) -> str:
    """Return a sentence on a column that means a split, but whose cells name none; nothing without one."""
    called = (p for p in left if column_key(header[p]) in _CALLED or len(splits_spoken_of(header[p])) > 1)
    unread = next((header[place] for place in called), None)
    expected = "expected train, val and test, or 0, 1 and 2"
    return "" if unread is None else f"the column {unread!r} brings no split: {expected} in its cells"


def _by_truth(header: Sequence[str], filled: Mapping[int, Sequence[str]]) -> SplitColumn | None:
    flags = [place for place, values in filled.items() if None not in map(truth_of, values)]
    splits: dict[int, Split] = {}
    for place in flags:
        split = split_in_name(_BESIDE_TRUTH.sub("", header[place].strip()))  # is_training_image
        if split and split not in splits.values():
            splits[place] = split
    if len(splits) > 1:
        splits = dict(sorted(splits.items(), key=lambda flag: SPLITS.index(flag[1])))
        which = ", ".join(f"{header[place]!r} is {split}" for place, split in splits.items())

        def first(*values: str) -> Split | None:
            return next((split for split, value in zip(splits.values(), values) if truth_of(value)), None)

        sentence = (
            f"columns of truth values bring the splits: {which}; of several in a row, the first of these"
        )
        return SplitColumn(tuple(splits), first, sentence)
    if not splits:
        return None
    ((place, split),) = splits.items()
    others = [flag for flag in flags if flag != place]
    among = len(others) > 1 and set(LABEL_COLUMNS).isdisjoint(map(column_key, header))
    beside = [row.count(True) for row in zip(*(map(truth_of, filled[flag]) for flag in others))]
    total = {count + bool(truth_of(value)) for count, value in zip(beside, filled[place])}
    names = [header[flag] for flag in others]
    bare = among and column_key(header[place]) == "train" and not any(map(_QUALITY.search, names))
    if among and (total == {1} or (bare and total == {0, 1})):  # trains are a class
        return None
    if bare and set(beside) != {1}:  # else the others are the classes
        why = f"a train may be a thing to be seen, as {few(names)} are (is_train would be a split)"
    else:
        why = _doubt(header[place], split, filled[place])
    if why:
        sentence = f"the column {header[place]!r} is not read as a split: {why}"
        return SplitColumn((place,), lambda value: None, sentence)
    other: Split = "val" if split == "train" else "train"
    meant: dict[bool | None, Split] = {True: split, False: other}
    sentence = f"the column {header[place]!r} says what is {split}; the rest is {other}"
    return SplitColumn((place,), lambda value: meant.get(truth_of(value)), sentence)


def _doubt(name: str, split: Split, values: Sequence[str]) -> str:
    """Return why truth values in a column called after a split do not bring it; nothing if they do."""
    true = sum(bool(truth_of(value)) for value in values)
    train = true if split == "train" else len(values) - true
    if column_key(name) == "valid" and 2 * true >= len(values):
        return "it is true for most rows, as marks of what was checked are (is_valid would be one)"
    if 20 * train < len(values) < SAMPLE_ROWS:  # a longer table may begin with its val
        return f"of {len(values):,} rows {train:,} would be train"
    return ""


def _by_fold(name: str, place: int, values: Sequence[str]) -> SplitColumn | None:
    numbers = [_FOLD.fullmatch(value) for value in values]
    found = {int(number[1]) for number in numbers if number}
    folds = {fold for fold in found if fold >= 0}
    if not _FOLD_COLUMN.fullmatch(column_key(name)) or not all(numbers) or not 2 <= len(folds) <= _MOST_FOLDS:
        return None
    first = min(folds)

    def read(value: str) -> Split | None:
        number = _FOLD.fullmatch(value.strip())
        fold = None if number is None else int(number[1])
        return None if fold is None else "test" if fold < 0 else "val" if fold == first else "train"

    sentence = f"the column {name!r} holds {len(folds)} folds: fold {first} is val, the others are train"
    if found != folds:
        sentence += f"; {min(found)} stands for no fold and is test"
    return SplitColumn((place,), read, sentence)


def _splits_of_folders(dataset: Dataset) -> list[Split | None]:
    """Return the split that a folder in each image's name means: none where they mean less than two."""
    folders = [image.name.split("/")[:-1] for image in dataset.images]
    # images/train/7.jpg beside images/test/8.jpg
    levels = enumerate(zip(*folders))
    shared = next((level for level, names in levels if len(set(names)) > 1), min(map(len, folders)))
    tops = [(parts[shared:] or [""])[0] for parts in folders]
    named = splits_in_names(set(tops))
    return [named.get(top) if len(set(named.values())) > 1 else None for top in tops]


def with_brought_splits(dataset: Dataset, beside: Path, folder: ImageFolder, reading: Reading) -> Dataset:
    """Give images the splits of lists beside their table, or of the folders in their names; say which.

    The folders count where they name two splits or more.

    Args:
        dataset: As read; splits that images have already are kept, and nothing else brings any.
        beside: The folder of the table.
        folder: Of the images.
        reading: Told what was guessed.
    """
    if not any(image.split for image in dataset.images):
        dataset = with_listed_splits(dataset, list_places(beside, folder), folder, reading)
    if not any(image.split for image in dataset.images):
        if any(by_folder := _splits_of_folders(dataset)):
            reading.note("the splits are those of the folders in the images' names")
            images = tuple(replace(one, split=split) for one, split in zip(dataset.images, by_folder))
            dataset = replace(dataset, images=images)
    else:
        pairs = zip(dataset.images, _splits_of_folders(dataset))
        against = [one for one, split in pairs if split and one.split and one.split != split]
        if against:
            reading.note(
                f"{len(against):,} images are in another split than the folder in their names says: "
                f"{against[0].name} is {against[0].split}"
            )
    without = sum(image.split is None for image in dataset.images)
    if 0 < without < len(dataset.images):
        reading.note(f"{without:,} images have no split in the data; training puts them into one")
    sides: defaultdict[str, set[Split]] = defaultdict(set)
    for image in dataset.images:
        if image.group and image.split:
            sides[image.group].add(image.split)
    if across := sorted(group for group, of in sides.items() if len(of) > 1):
        which = f"{few(across)} of {reading.source.group_column!r}"
        reading.note(f"the splits that the data brings part groups, so scores of them are too good: {which}")
    return replace(dataset, notes=tuple(reading.notes))
