"""Which column of a table names the picture, which holds the words, and whether those are labels."""

from dataclasses import dataclass
from itertools import islice
from typing import Literal

from showtell.data.readers.names import (
    CAPTION_COLUMNS,
    COUNTER_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    column_key,
    is_picture_name,
)
from showtell.data.readers.table import DELIMITER_NAMES, Table
from showtell.errors import DataError

Kind = Literal["caption", "label"]
_SAMPLE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """The columns that the user named; None where it is left to the reader.

    Attributes:
        image: ``--image-column``.
        text: ``--text-column``: captions or labels.
    """

    image: str | None = None
    text: str | None = None

    def given(self) -> list[str]:
        """Return the names that were given."""
        return [name for name in (self.image, self.text) if name is not None]


@dataclass(frozen=True, slots=True)
class Columns:
    """Places of the columns in a table.

    Attributes:
        image: Place of the picture's name.
        text: Place of the caption or label.
        split: Place of the split, where there is one.
        others: Places of all further columns with a name; two rows that differ there are not repeats.
        kind: Whether ``text`` holds captions or labels.
    """

    image: int
    text: int
    split: int | None
    others: tuple[int, ...]
    kind: Kind


def choose_columns(table: Table, names: ColumnNames, prefer: Kind | None = None) -> Columns:
    """Find the columns of a table.

    The user's names come first, then usual names (``image``, ``file_name``, ``caption``, ``text``,
    ``comment``, ``label``, ``breed``, ``설명``, ``라벨`` and so on). Where one of the two is found and
    a single other column is left, that is the other.

    Captions or labels is told by the column's name. Where the name says nothing, values that occur
    twice or more on average and have at most three words each are labels, all else is captions.

    Args:
        table: The table.
        names: What the user named.
        prefer: What to take where the table has both captions and labels; None to refuse.

    Returns:
        The places of the columns.

    Raises:
        DataError: A column is missing, or both a caption and a label column are there.
    """
    image = _named(table, names.image) if names.image else _usual(table, IMAGE_COLUMNS)
    if names.text:
        text: int | None = _named(table, names.text)
    else:
        text = _text_column(table, prefer, image)
    if image is None and text is not None:
        image = _only_other(table, text)
    if text is None and image is not None:
        text = _only_other(table, image)
    if image is None or text is None or image == text:
        raise _missing_columns(table)
    split = _usual(table, SPLIT_COLUMNS)
    split = None if split in (image, text) else split
    others = tuple(
        place for place, name in enumerate(table.header) if name and place not in (image, text, split)
    )
    return Columns(image, text, split, others, _kind(table, text))


def _named(table: Table, name: str) -> int:
    place = table.index(name)
    if place is None:
        raise _missing_columns(table, name)
    return place


def _usual(table: Table, names: tuple[str, ...], skip: int | None = None) -> int | None:
    keys = [column_key(name) for name in table.header]
    return next((keys.index(name) for name in names if name in keys and keys.index(name) != skip), None)


def _text_column(table: Table, prefer: Kind | None, image: int | None) -> int | None:
    caption = _usual(table, CAPTION_COLUMNS, image)
    label = _usual(table, LABEL_COLUMNS, image)
    if caption is not None and label is not None and prefer is None:
        raise DataError(
            f"{table.path} has captions ({table.header[caption]}) and labels ({table.header[label]}).",
            would_do="One of the two would do: --format csv takes the captions, --format labels the labels.",
        )
    if caption is None or (prefer == "label" and label is not None):
        return label
    return caption


def _only_other(table: Table, known: int) -> int | None:
    left = [
        place
        for place, name in enumerate(table.header)
        if place != known and column_key(name) not in COUNTER_COLUMNS
    ]
    return left[0] if len(left) == 1 else None


def _kind(table: Table, text: int) -> Kind:
    key = column_key(table.header[text])
    if key in CAPTION_COLUMNS:
        return "caption"
    if key in LABEL_COLUMNS:
        return "label"
    rows = islice(table.rows(), _SAMPLE_ROWS)
    values = [row.fields[text].strip() for row in rows if len(row.fields) > text]
    few = 2 * len(set(values)) <= len(values)
    return "label" if few and all(len(value.split()) <= 3 for value in values) else "caption"


def _missing_columns(table: Table, name: str | None = None) -> DataError:
    columns = ", ".join(repr(column) for column in table.header)
    lacks = f"no column {name!r}" if name else "no columns that say which is the picture and which its words"
    what = (
        f"{table.path} has {lacks}; its {DELIMITER_NAMES[table.delimiter]}-separated columns are {columns}."
    )
    if any(is_picture_name(column) for column in table.header):
        what += " Its first line looks like data: the header is missing."
    return DataError(
        what,
        would_do="A header such as image,caption or file_name,label would do, "
        "or the names of your columns: --image-column NAME --text-column NAME.",
    )
