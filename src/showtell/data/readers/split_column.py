"""A column that says which split a row is in: by names, truth values or folds."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from showtell.data.names import SPLIT_COLUMNS, column_key, split_named
from showtell.data.records import Split

_TRUTH = {
    "true": True,
    "false": False,
    "1": True,
    "0": False,
    "1.0": True,
    "0.0": False,
    "yes": True,
    "no": False,
}
_TRUTH |= {"t": True, "f": False, "y": True, "n": False}
_TRUTH_COLUMN = re.compile(
    r"(?:is|in|for)?_?(train|training|val|valid|validation|dev|eval|test|testing|holdout)(?:_?set)?"
)
_FOLD_COLUMN = re.compile(r"(?:k_?|cv_?)?folds?(?:_?(?:id|no|num|number))?")
_MOST_FOLDS = 20


@dataclass(frozen=True, slots=True)
class SplitColumn:
    """A column that brings the split.

    Attributes:
        place: Of the column.
        read: Returns the split that a cell names, None for none.
        sentence: How it is read, for people.
        by_name: Whether the cells are names of splits, so that one that is not is worth a problem.
    """

    place: int
    read: Callable[[str], Split | None]
    sentence: str
    by_name: bool


def split_column(header: Sequence[str], cells: Mapping[int, Sequence[str]]) -> SplitColumn | None:
    """Find the column that brings the split, by what its cells hold.

    It is the one whose every cell names a split; or truth values, in a column called ``is_valid`` or the
    like; or a small number of folds, in a column called ``fold``. A column called ``split`` is one where
    most of its cells name a split.

    Args:
        header: Names of all columns.
        cells: Cells of the columns that may be it, without empty ones, by place.
    """
    for named in (True, False):
        for place, values in cells.items():
            if values and (column_key(header[place]) in SPLIT_COLUMNS) == named:
                found = _by_names(header[place], place, values, named)
                if found is not None:
                    return found
    for place, values in cells.items():
        found = _by_truth(header[place], place, values) or _by_fold(header[place], place, values)
        if found is not None:
            return found
    return None


def _by_names(name: str, place: int, values: Sequence[str], named: bool) -> SplitColumn | None:
    known = sum(split_named(value) is not None for value in values)
    if 2 * known <= len(values) or (not named and (known < len(values) or len(set(values)) < 2)):
        return None
    found = ", ".join(sorted({value for value in values if split_named(value)}))
    return SplitColumn(place, split_named, f"the splits are those of the column {name!r} ({found})", True)


def _by_truth(name: str, place: int, values: Sequence[str]) -> SplitColumn | None:
    match = _TRUTH_COLUMN.fullmatch(column_key(name))
    if match is None or not values or not all(value.casefold() in _TRUTH for value in values):
        return None
    split = split_named(match[1])
    assert split is not None
    other: Split = "val" if split == "train" else "train"

    def read(value: str) -> Split | None:
        truth = _TRUTH.get(value.strip().casefold())
        return None if truth is None else split if truth else other

    return SplitColumn(place, read, f"the column {name!r} says what is {split}; the rest is {other}", False)


def _by_fold(name: str, place: int, values: Sequence[str]) -> SplitColumn | None:
    if _FOLD_COLUMN.fullmatch(column_key(name)) is None:
        return None
    numbers = {value.removesuffix(".0") for value in values}
    if not 2 <= len(numbers) <= _MOST_FOLDS or not all(number.isdecimal() for number in numbers):
        return None
    first = min(numbers, key=int)

    def read(value: str) -> Split | None:
        fold = value.strip().removesuffix(".0")
        return None if not fold else "val" if fold == first else "train"

    sentence = f"the column {name!r} holds {len(numbers)} folds: fold {first} is val, the others are train"
    return SplitColumn(place, read, sentence, False)
