"""What each column of a table is, by its name and by what its cells hold, and where its pictures lie."""

from dataclasses import dataclass

from showtell.data.names import GROUP_COLUMNS, IMAGE_COLUMNS, KNOWN_COLUMNS
from showtell.data.readers.brought_splits import SplitColumn, split_column
from showtell.data.readers.delimited import DelimitedTable, without_header
from showtell.data.readers.folders import find_pictures
from showtell.data.readers.picture_folder import EXACT, PictureFolder
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import Sample, Table, UnclearColumnsError
from showtell.data.readers.word_columns import Words, choose_words
from showtell.errors import DataError


@dataclass(frozen=True, slots=True)
class Columns:
    """A table, the places of its columns, and the folder of its pictures."""

    table: Table  # the table, as one without a header where its first row proved to be data
    folder: PictureFolder  # where its pictures lie
    found: bool  # whether any picture is found there
    image: int  # of the picture's name
    words: Words  # of captions and labels
    split: SplitColumn | None  # the column that brings the split; None where none does
    group: int | None  # of what belongs on one side of a split; None where nothing says it
    others: tuple[int, ...]  # all further columns with a name; two rows that differ there are not repeats


def choose_columns(table: Table, reading: Reading, folder: PictureFolder | None = None) -> Columns:
    """Find what the columns of a table are.

    The user's names come first. The image is the column whose cells are files; of several the one with a
    usual name. For captions and labels see `choose_words`.

    Raises DataError where a column is missing, or several may be meant.
    """
    sample = Sample(table)
    folder = reading.folder(table.pictures) if folder is None and table.pictures else folder
    named = reading.source.image_column
    places = [table.place(named)] if named else _by_preference(sample.keys)
    image, folder, found = find_pictures(reading, sample, places, folder)
    if isinstance(table, DelimitedTable) and table.headed and folder.find(table.header[image]).how == EXACT:
        table = without_header(table, reading)
        sample = Sample(table)
    try:
        words, split, group = _beside(image, sample, reading)
    except UnclearColumnsError as error:
        raise error if found else DataError(error.what, would_do=error.would_do) from None
    if not named and sample.keys[image] not in IMAGE_COLUMNS:
        reading.note(f"column {table.header[image]!r} holds the pictures (--image-column says otherwise)")
    used = {image, *words.captions, words.label, *words.one_hot, group, split.place if split else None}
    others = tuple(place for place, name in enumerate(table.header) if name and place not in used)
    return Columns(table, folder, found, image, words, split, group, others)


def _by_preference(keys: list[str]) -> list[int]:
    """Return all columns: those with a usual name of pictures first, those with one of words last."""
    usual = [keys.index(name) for name in IMAGE_COLUMNS if name in keys]
    rest = [place for place in range(len(keys)) if place not in usual]
    said = [place for place in rest if keys[place] in KNOWN_COLUMNS]
    return [*usual, *(place for place in rest if keys[place] and place not in said), *said]


def _beside(image: int, sample: Sample, reading: Reading) -> tuple[Words, SplitColumn | None, int | None]:
    """Find the columns of the words, of the split and of the group."""
    table, source = sample.table, reading.source
    group = None if source.group_column is None else table.place(source.group_column)
    left = [place for place, name in enumerate(table.header) if name and place not in (image, group)]
    said = table.find(source.text_column or "")
    split = split_column(table.header, {place: sample.texts[place] for place in left if place != said})
    left = [place for place in left if split is None or place != split.place]
    words = choose_words(sample, left, reading)
    if split is not None:
        reading.note(split.sentence)
    words.say(table, reading)
    for place in left if group is None else ():
        if sample.keys[place] in GROUP_COLUMNS:
            name = table.header[place]
            reading.note(f"{name!r} may say what belongs on one side of a split (--group-column {name})")
    return words, split, group
