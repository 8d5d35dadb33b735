"""What each column of a table is, by its name and by what its cells hold, and where its images lie."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from showtell.data.answers import ACCEPTED, MACHINE, PERSON, WHO
from showtell.data.names import (
    COUNTER_COLUMNS,
    GROUP_COLUMNS,
    IMAGE_COLUMNS,
    KNOWN_COLUMNS,
    LABEL_COLUMNS,
    few,
    words,
)
from showtell.data.readers.brought_splits import SplitColumn, split_column, unread_split
from showtell.data.readers.cells import truth_of
from showtell.data.readers.delimited import DelimitedTable, shape, without_header
from showtell.data.readers.folders import column_of_folders, find_images
from showtell.data.readers.image_folder import EXACT, ImageFolder
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import Sample, Table, UnclearColumnsError
from showtell.data.readers.words import Words, choose_words
from showtell.errors import DataError
from showtell.settings import spelled

_REJECTS = dict.fromkeys(words("reject rejected ignore ignored discard discarded"), True) | dict.fromkeys(
    words("accept accepted approve approved submitted pending"), False
)
_SURELY_IMAGES = frozenset(IMAGE_COLUMNS) - {"id", "name", "이름"}
_VERDICTS: dict[str, Callable[[Any], bool | None]] = {
    **dict.fromkeys(
        words("answer verdict decision assignmentstatus review_status"),
        lambda cell: _REJECTS.get(str(cell).strip().casefold()),
    ),
    **dict.fromkeys(words("is_rejected rejected"), truth_of),
}
"""Columns of what was decided of a row, as Prodigy and Mechanical Turk name them: does a cell reject it?"""


@dataclass(frozen=True, slots=True)
class Columns:
    """A table, the places of its columns, and the folder of its images."""

    table: Table  # the table, as one without a header where its first row proved to be data
    folder: ImageFolder  # where its images lie
    found: bool  # whether any image is found there
    image: int  # of the image's name
    folders: int | None  # of the folder of each image; None where its name is enough
    words: Words  # of captions and labels
    split: SplitColumn | None  # the column that brings the split; None where none does
    group: int | None  # of what belongs on one side of a split; None where nothing says it
    who: int | None  # of who gave the answer, a person or a machine; None where nothing says it
    # of whether the row was rejected, and what tells it of a cell; None where nobody decided
    verdict: tuple[int, Callable[[Any], bool | None]] | None
    continued: bool  # whether rows without an image's name belong to the image above
    others: tuple[int, ...]  # all further columns with a name; two rows that differ there are not repeats

    def rejects(self, fields: Sequence[Any]) -> bool:
        """Tell whether a row is marked as one that is not to be used."""
        return self.verdict is not None and bool(self.verdict[1](fields[self.verdict[0]]))


def choose_columns(table: Table, reading: Reading, folder: ImageFolder | None = None) -> Columns:
    """Find what the columns of a table are.

    The user's names come first. The image is the column whose cells are files; of several the one with a
    usual name. For captions and labels see `choose_words`.

    Raises DataError where a column is missing, or several may be meant.
    """
    sample = Sample(table)
    folder = reading.folder(table.images) if folder is None and table.images else folder
    named = reading.source.image_column
    places = [table.place(named)] if named else _by_preference(sample.keys)
    image, folder, found = find_images(reading, sample, places, folder)
    if isinstance(table, DelimitedTable) and table.headed and _is_row(sample, image, folder):
        table = without_header(table, reading)
        sample = Sample(table)
    try:
        words, split, group = _beside(image, sample, reading)
    except UnclearColumnsError as error:
        raise error if found else DataError(error.what, hint=error.hint) from None
    if not named and sample.keys[image] not in IMAGE_COLUMNS:
        reading.note(f"column {table.header[image]!r} holds the images (--image-column says otherwise)")
        _say_passed_over(sample, image, reading)
    who = next((place for place in range(len(sample.keys)) if _says_who(sample, place)), None)
    worded = {*words.captions, words.label, *words.one_hot}
    judged = next((p for p in range(len(sample.keys)) if p not in worded and _judges(sample, p)), None)
    verdict = None if judged is None else (judged, _VERDICTS[sample.keys[judged]])
    splits = split.places if split else ()
    used = {image, who, judged, *worded, group, *splits}
    others = tuple(place for place, name in enumerate(table.header) if name and place not in used)
    folders = column_of_folders(sample, image, folder)
    if folders is not None:
        reading.note(f"column {table.header[folders]!r} names the folder of each image")
    _say_unread(
        sample, [p for p in others if words.label is None or sample.keys[p] not in LABEL_COLUMNS], reading
    )
    continued = 2 * len(sample.cells[image]) <= len(sample.rows) and bool(words.captions)  # merged cells
    if continued:
        reading.note("rows that name no image are captions of the image above them")
    found = found or folders is not None
    return Columns(table, folder, found, image, folders, words, split, group, who, verdict, continued, others)


def _say_passed_over(sample: Sample, image: int, reading: Reading) -> None:
    """Say why columns that are called as images are do not name them: another one names files."""
    stated = "\n".join(reading.notes)
    for place, key in enumerate(sample.keys):
        name = sample.table.header[place]
        if key not in _SURELY_IMAGES or place == image or f"{name!r} are hardly" in stated:
            continue
        empty = "it has no values (formulas have some once a spreadsheet has saved them)"
        why = "it names no files that are here" if sample.cells[place] else empty
        reading.note(f"column {name!r} does not hold the images: {why}")


def _say_unread(sample: Sample, others: Sequence[int], reading: Reading) -> None:
    """Say which columns are not read, but for those of which something is said, and numbers of rows."""
    stated = "\n".join(reading.notes)
    quiet = {*IMAGE_COLUMNS, *COUNTER_COLUMNS, *GROUP_COLUMNS}
    places = [p for p in others if sample.cells[p] and sample.keys[p] not in quiet]
    names = [sample.table.header[place] for place in places]
    if names := [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", stated)]:
        reading.note(f"not read: {few(names)} (--text-column takes one as the words)")


def _is_row(sample: Sample, image: int, folder: ImageFolder) -> bool:
    """Tell whether a header is a row: it names an image, or as the images are named, but for the number."""
    name = sample.table.header[image]
    if sample.keys[image] in IMAGE_COLUMNS:  # hardly ever a file's name: no index of a million names for that
        return any(name in (file, file.rpartition(".")[0]) for file in folder.images)
    numbered = re.search(r"\d", name) and {shape(name)} == set(map(shape, sample.texts[image]))
    return (bool(numbered) and KNOWN_COLUMNS.isdisjoint(sample.keys)) or folder.find(name).how == EXACT


def _says_who(sample: Sample, place: int) -> bool:
    return sample.keys[place] == WHO and set(sample.texts[place]) <= {PERSON, MACHINE, ACCEPTED}


def _judges(sample: Sample, place: int) -> bool:
    """Tell whether a column holds nothing but what was decided of each row."""
    rejects = _VERDICTS.get(sample.keys[place])
    return rejects is not None and bool(cells := sample.cells[place]) and None not in map(rejects, cells)


def _by_preference(keys: list[str]) -> list[int]:
    """Return all columns: those with a usual name of images first, those with one of words last."""
    usual = [keys.index(name) for name in IMAGE_COLUMNS if name in keys]
    rest = [place for place in range(len(keys)) if place not in usual]
    named = [place for place in rest if keys[place] in KNOWN_COLUMNS]
    return [*usual, *(place for place in rest if keys[place] and place not in named), *named]


def _beside(image: int, sample: Sample, reading: Reading) -> tuple[Words, SplitColumn | None, int | None]:
    """Find the columns of the words, of the split and of the group."""
    table, source = sample.table, reading.source
    group = None if source.group_column is None else table.place(source.group_column)
    left = [place for place, name in enumerate(table.header) if name and place not in (image, group)]
    text = table.find(source.text_column or "")
    split = split_column(table.header, {place: sample.texts[place] for place in left if place != text})
    left = [place for place in left if split is None or place not in split.places]
    words = choose_words(sample, left, reading)
    worded = {text, words.label, *words.captions, *words.one_hot}
    unread = unread_split(table.header, [place for place in left if place not in worded])
    if sentence := split.sentence if split else unread:
        reading.note(sentence)
    words.say(table, reading)
    for place in left if group is None else ():
        if sample.keys[place] in GROUP_COLUMNS:
            name = table.header[place]
            how = f"--group-column {name}"
            if spelled(reading.source, "group_column") == "group_column":
                how = f'group_column = "{name}" in the file of --config'
            reading.note(f"{name!r} may say what belongs on one side of a split ({how})")
    return words, split, group
