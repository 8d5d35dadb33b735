"""What in the data says which split an image is in: a column, list files beside a table, or folders."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from showtell.data.names import (
    KNOWN_COLUMNS,
    SPLIT_COLUMNS,
    column_key,
    few,
    is_image_name,
    nfc,
    split_in_name,
    split_named,
    splits_in_names,
    splits_spoken_of,
)
from showtell.data.readers.image_folder import ImageFolder, Match
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import truth_of
from showtell.data.records import SPLITS, Dataset, Problem, Split
from showtell.errors import DataError

_TRUTH_COLUMN = re.compile(
    r"(?:is|in|for)?_?(train|training|val|valid|validation|dev|eval|test|testing|holdout)(?:_?set)?"
)
_FOLD_COLUMN = re.compile(r"(?:k_?|cv_?)?folds?(?:_?(?:id|no|num|number))?")
_FOLD = re.compile(r"(?:(?:fold|f|k|cv)[ _-]?|_)?(-?\d{1,9})(?:\.0)?", re.IGNORECASE)
_MOST_FOLDS = 20
_NUMBERED: dict[str, Split] = {"0": "train", "1": "val", "2": "test"}  # as CelebA's list_eval_partition
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
        reader = split_in_name if place in called else split_named
        named = {value for value in values if reader(value)}
        known = sum(value in named for value in values)
        if 2 * known > len(values) and (place in called or (known == len(values) and len(named) > 1)):
            sentence = f"the splits are those of the column {header[place]!r} ({', '.join(sorted(named))})"
            return SplitColumn((place,), reader, sentence, by_name=True)
        if column_key(header[place]) in _CALLED and set(values) == _NUMBERED.keys():
            sentence = f"in the column {header[place]!r} 0 is train, 1 is val and 2 is test"
            return SplitColumn((place,), lambda value: _NUMBERED.get(value.strip()), sentence)
    for place, values in filled.items():
        if (found := _by_fold(header[place], place, values)) is not None:
            return found
    return _by_truth(header, filled)


def unread_split(header: Sequence[str], left: Sequence[int]) -> str:
    """Return a sentence on a column that means a split, but whose cells name none; nothing without one."""
    unread = next((header[place] for place in left if column_key(header[place]) in _CALLED), None)
    expected = "expected train, val and test, or 0, 1 and 2"
    return "" if unread is None else f"the column {unread!r} brings no split: {expected} in its cells"


def _by_truth(header: Sequence[str], filled: Mapping[int, Sequence[str]]) -> SplitColumn | None:
    flags = [place for place, values in filled.items() if None not in map(truth_of, values)]
    splits: dict[int, Split] = {}
    for place in flags:
        match = _TRUTH_COLUMN.fullmatch(column_key(header[place]))
        if match and (split := split_named(match[1])) and split not in splits.values():
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
    rows = zip(*(map(truth_of, filled[place]) for place in flags))
    if not splits or (len(flags) > 2 and all(row.count(True) == 1 for row in rows)):  # trains are a class
        return None
    ((place, split),) = splits.items()
    other: Split = "val" if split == "train" else "train"
    meant: dict[bool | None, Split] = {True: split, False: other}
    sentence = f"the column {header[place]!r} says what is {split}; the rest is {other}"
    return SplitColumn((place,), lambda value: meant.get(truth_of(value)), sentence)


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


def read_lists(folder: Path, reading: Reading) -> tuple[dict[str, tuple[Split, str]], list[Problem]]:
    """Read lists of images, in files named after splits (``Flickr_8k.trainImages.txt``), or in one JSON.

    Returns:
        The split of every listed image and its ``file:line``; and names that are in two lists, which stay
        in the earlier of train, val and test.
    """
    listed: dict[str, tuple[Split, str]] = {}
    problems: list[Problem] = []
    for split, entry, where in _listed(folder, reading):
        name = nfc(entry.strip())
        earlier, _ = listed.setdefault(name, (split, where)) if name else (split, where)
        if earlier != split:
            kept = strictest(earlier, split)
            listed[name] = (kept, where)
            detail = f"{name!r} is listed in {earlier} and in {split}; kept in {kept}"
            problems.append(Problem("two splits", where, detail))
    return listed, problems


def _listed(folder: Path, reading: Reading) -> Iterator[tuple[Split, str, str]]:
    """Yield split, name and place of all that lists name."""
    files = sorted([*folder.glob("*.txt"), *folder.glob("*.json")])
    paths = {path: path.stem.rpartition(".")[2] for path in files if path.is_file()}
    splits = splits_in_names(paths.values())
    for path, named in paths.items():
        split = splits.get(named)
        if path.suffix == ".json" and (split or "split" in named.lower()):
            for one, names in _listed_in_json(path, split, reading).items():
                yield from ((one, str(name), f"{path}:{place}") for place, name in enumerate(names))
        elif split and path.suffix == ".txt" and is_list(path, reading):
            for number, line in enumerate(reading.lines(path), start=1):
                yield split, line, f"{path}:{number}"


def _listed_in_json(path: Path, split: Split | None, reading: Reading) -> Mapping[Split, Sequence[str | int]]:
    """Return what a list of names lists, or lists by split: ``{"train": ["1.jpg"], "test": []}``."""
    try:
        content = reading.trial().utf8(path)
        if split:
            return {split: msgspec.json.decode(content, type=list[str | int])}
        lists = msgspec.json.decode(content, type=dict[str, list[str | int | list[Any]]])
    except (msgspec.DecodeError, DataError, RecursionError):
        return {}
    return {
        of: [str(name[0] if isinstance(name, list) and name else name) for name in names]  # [path, label]
        for of, names in ((split_in_name(key), names) for key, names in lists.items())
        if of
    }


def said_elsewhere(names: Iterable[str]) -> list[str]:
    """Return files beside images whose names speak of splits, such as ``train_test_split.txt``."""
    beside = [name for name in names if name.count("/") < 2 and name.endswith((".txt", ".csv", ".json"))]
    stems = {name: PurePosixPath(name).stem.lower() for name in beside}
    return sorted(name for name, stem in stems.items() if "split" in stem or splits_spoken_of(stem))


def strictest(earlier: Split | None, split: Split) -> Split:
    """Return what an image of two splits is in: what may be trained on must not be tested on."""
    return min(earlier or split, split, key=SPLITS.index)


def is_list(path: Path, reading: Reading) -> bool:
    """Tell whether a text file holds nothing but a name a line."""
    try:
        lines = [line.strip() for line in islice(reading.trial().lines(path), 5)]
    except DataError:
        return False
    # A name may hold blanks; what holds several words and ends as no image does is a caption.
    several = any(len(line.split()) > 2 and not is_image_name(line) for line in lines)
    return bool(lines) and not several and not any(re.search(r"[,;|\t]|#\d", line) for line in lines)


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
        dataset = with_listed_splits(dataset, (beside,), folder, reading)
    if not any(image.split for image in dataset.images):
        folders = [image.name.split("/")[:-1] for image in dataset.images]
        # images/train/7.jpg beside images/test/8.jpg
        levels = enumerate(zip(*folders))
        shared = next((level for level, names in levels if len(set(names)) > 1), min(map(len, folders)))
        tops = [(parts[shared:] or [""])[0] for parts in folders]
        named = splits_in_names(set(tops))
        if len(set(named.values())) > 1:
            reading.note("the splits are those of the folders in the images' names")
            images = tuple(replace(one, split=named.get(top)) for one, top in zip(dataset.images, tops))
            dataset = replace(dataset, images=images)
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


def with_listed_splits(
    dataset: Dataset, places: Sequence[Path], folder: ImageFolder, reading: Reading
) -> Dataset:
    """Give images the splits of the lists in some folders; say so, also where the lists name none of them.

    A list names an image as a table may; a number behind the name is a class, and left aside.
    """
    found: dict[str, Split] = {}
    problems = list(dataset.problems)
    names = {image.name for image in dataset.images}
    listed = 0
    for place in places:
        lists, doubled = read_lists(place, reading)
        if 2 * len(doubled) > len(lists):  # of another partition each
            reading.note(f"the lists of splits in {place} are left aside: most images are in several of them")
            continue
        problems += doubled
        listed += len(lists)
        for name, (split, _) in lists.items():
            matches = (folder.find(one) for one in (name, name.rpartition(" ")[0]))
            match = next((one.name for one in matches if isinstance(one, Match)), None)
            if match in names:
                found[match] = strictest(found.get(match), split)
    if not found:
        if listed:
            reading.note(f"{listed:,} names in lists of splits are left aside: no image here has one of them")
        return replace(dataset, notes=tuple(reading.notes))
    if len(found) == len(names) and len(set(found.values())) == 1:  # of a table that is such a list itself
        return dataset
    rest: Split | None = None if "train" in found.values() else "train"  # as beside a column is_valid
    also = f"; the other {len(names) - len(found):,} images are train" if rest else ""
    reading.note(f"the splits are those of the lists beside the images or their table{also}")
    images = tuple(replace(image, split=found.get(image.name, rest)) for image in dataset.images)
    return replace(dataset, images=images, problems=tuple(problems), notes=tuple(reading.notes))
