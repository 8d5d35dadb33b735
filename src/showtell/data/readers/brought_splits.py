"""What in the data says which split an image is in: a column, list files beside a table, or folders."""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from showtell.data.names import KNOWN_COLUMNS, SPLIT_COLUMNS, column_key, nfc, split_in_name, split_named
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


@dataclass(frozen=True, slots=True)
class SplitColumn:
    """A column that brings the split."""

    place: int  # of the column
    read: Callable[[str], Split | None]  # returns the split that a cell names, None for none
    sentence: str  # how it is read, for people
    by_name: bool = False  # whether the cells are names of splits, so that one that is not is worth a problem


def split_column(header: Sequence[str], cells: Mapping[int, Sequence[str]]) -> SplitColumn | None:
    """Find the column that brings the split, by what its cells hold.

    It is the one whose every cell names a split; or truth values, in a column called ``is_valid`` or the
    like; or a small number of folds, in a column called ``fold``. A column called ``split`` is one where
    most of its cells name a split.

    Args:
        header: Names of all columns.
        cells: Cells of the columns that may be it, without empty ones, by place.
    """
    filled = {place: values for place, values in cells.items() if values}
    called = [place for place in filled if column_key(header[place]) in SPLIT_COLUMNS]
    others = [p for p in filled if p not in called and column_key(header[p]) not in KNOWN_COLUMNS]
    for place in called + others:  # a class may be called train
        values = filled[place]
        named = {value for value in values if split_named(value)}
        known = sum(value in named for value in values)
        if 2 * known > len(values) and (place in called or (known == len(values) and len(named) > 1)):
            sentence = f"the splits are those of the column {header[place]!r} ({', '.join(sorted(named))})"
            return SplitColumn(place, split_named, sentence, by_name=True)
    for place, values in filled.items():
        found = _by_truth(header[place], place, values) or _by_fold(header[place], place, values)
        if found is not None:
            return found
    return None


def _by_truth(name: str, place: int, values: Sequence[str]) -> SplitColumn | None:
    match = _TRUTH_COLUMN.fullmatch(column_key(name))
    split = split_named(match[1]) if match else None
    if split is None or None in map(truth_of, values):
        return None
    other: Split = "val" if split == "train" else "train"
    meant: dict[bool | None, Split] = {True: split, False: other}
    sentence = f"the column {name!r} says what is {split}; the rest is {other}"
    return SplitColumn(place, lambda value: meant.get(truth_of(value)), sentence)


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
    return SplitColumn(place, read, sentence)


def read_lists(folder: Path, reading: Reading) -> tuple[dict[str, tuple[Split, str]], list[Problem]]:
    """Read lists of images, a name a line, in text files named after splits: ``Flickr_8k.trainImages.txt``.

    Returns:
        The split of every listed image and its ``file:line``; and names that are in two lists, which stay
        in the earlier of train, val and test.
    """
    listed: dict[str, tuple[Split, str]] = {}
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.txt")):
        split = split_in_name(path.stem.rpartition(".")[2])
        if split is None or not path.is_file() or not is_list(path, reading):
            continue
        for number, line in enumerate(reading.lines(path), start=1):
            name, where = nfc(line.strip()), f"{path}:{number}"
            earlier, _ = listed.setdefault(name, (split, where)) if name else (split, where)
            if earlier != split:
                kept = strictest(earlier, split)
                listed[name] = (kept, where)
                detail = f"{name!r} is listed in {earlier} and in {split}; kept in {kept}"
                problems.append(Problem("two splits", where, detail))
    return listed, problems


def strictest(earlier: Split | None, split: Split) -> Split:
    """Return what an image of two splits is in: what may be trained on must not be tested on."""
    return min(earlier or split, split, key=SPLITS.index)


def is_list(path: Path, reading: Reading) -> bool:
    """Tell whether a text file holds nothing but a name a line."""
    try:
        lines = [line.strip() for line in islice(reading.trial().lines(path), 5)]
    except DataError:
        return False
    return bool(lines) and not any(re.search(r"[,;|\t]|#\d", line) or len(line.split()) > 2 for line in lines)


def with_brought_splits(dataset: Dataset, beside: Path, reading: Reading) -> Dataset:
    """Give images the splits of lists beside their table, or of the folders in their names; say which.

    The folders count where they name two splits or more, and one for every image.
    """
    images = dataset.images
    if any(image.split for image in images):
        without = sum(image.split is None for image in images)
        if without:
            reading.note(f"{without:,} images have no split in the data; training puts them into one")
        return replace(dataset, notes=tuple(reading.notes))
    listed, problems = read_lists(beside, reading)
    found: list[Split | None] = []
    for image in images if listed else ():
        names = (image.name, posixpath.basename(image.name), PurePosixPath(image.name).stem)
        found.append(next((listed[name][0] for name in names if name in listed), None))
    if any(found):
        reading.note("the splits are those of the lists beside the table")
    else:
        found = [split_in_name(p.name.partition("/")[0]) if "/" in p.name else None for p in images]
        if None in found or len(set(found)) < 2:
            return dataset
        reading.note("the splits are those of the folders in the images' names")
    images = tuple(replace(image, split=split) for image, split in zip(images, found))
    problems = [*dataset.problems, *problems]
    return replace(dataset, images=images, problems=tuple(problems), notes=tuple(reading.notes))
