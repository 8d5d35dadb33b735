"""Tables, whatever holds them: rows of cells under a header, each row with its place."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from showtell.data.names import column_key, few, nfc
from showtell.errors import DataError

SAMPLE_ROWS = 1000
_DATE = re.compile(r"\d{4}[-/.]\d\d|\d\d?[/.]\d\d?[/.]\d{2,4}")
_LETTERED = re.compile(r"[^\W\d_]{2}|[^\x00-\x7f]|^[a-z]$", re.IGNORECASE)
_CODED = re.compile(r"\d|:/")


class Row(NamedTuple):
    """One record of a table."""

    where: str  # its place, such as ``captions.csv:12``
    fields: list[Any]  # its cells as written, quotes resolved; text, or whatever JSON and sheets hold
    unclosed_quote: bool = False  # its quote was never closed, so that the line was split at bare delimiters


class UnclearColumnsError(DataError):
    """A table whose images are known, but not what is said of them: nothing else is meant then."""


@dataclass
class Table:
    """What every table is."""

    path: Path  # the file
    header: tuple[str, ...]  # names of the columns, NFC without outer blanks
    broken: Sequence[str] = field(default=(), kw_only=True)  # places of what is not a row
    # folder of the images, where the file holds them itself
    images: Path | None = field(default=None, kw_only=True)

    def rows(self) -> Iterator[Row]:
        """Yield every row; a table may be gone through several times."""
        raise NotImplementedError

    def shown(self, what: str = "fields") -> str:
        """Return the columns for a message."""
        return f"{what} are {few([repr(name) for name in self.header], 30)}"

    def names(self, places: Sequence[int]) -> str:
        """Return the names of some columns for a message."""
        return few([self.header[place] for place in places])

    def find(self, column: str) -> int | None:
        """Return the place of a column, by its exact name or else by its key; None if there is none."""
        wanted, key = nfc(column.strip()), column_key(column)
        if wanted in self.header:
            return self.header.index(wanted)
        return next((place for place, name in enumerate(self.header) if column_key(name) == key), None)

    def place(self, column: str) -> int:
        """Return the place of a column that the user named; raise DataError if there is none."""
        place = self.find(column)
        if place is None:
            raise self.lacking(f"no column {column!r}")
        return place

    def lacking(self, what: str) -> UnclearColumnsError:
        """Explain what the table lacks, with the columns that it has."""
        return UnclearColumnsError(
            f"{self.path} has {what}; its {self.shown()}.",
            hint="Expected a header such as image,caption or file_name,label, "
            "or the names of your columns: --image-column NAME --text-column NAME.",
        )


@dataclass
class RecordTable(Table):
    """Records whose cells have names: of JSON, JSON lines, a workbook, a tar or a Parquet file."""

    header: tuple[str, ...] = field(init=False)
    # place and cells by name of each; the names of the first thousand are the header
    records: Sequence[tuple[str, dict[str, object]]]

    def __post_init__(self) -> None:
        """Collect the names."""
        first = self.records[:SAMPLE_ROWS]
        self.header = tuple(dict.fromkeys(_plain(name) for _, record in first for name in record))

    def rows(self) -> Iterator[Row]:
        """Yield every record; names that it lacks are empty."""
        for where, record in self.records:
            cells = {_plain(name): value for name, value in record.items()}
            yield Row(where, [cells.get(name, "") for name in self.header])


@lru_cache
def _plain(name: Any) -> str:
    return nfc(str(name).strip())


class Sample:
    """The first rows of a table; the keys of its columns, their cells and texts, without empty ones."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.keys = [column_key(name) for name in table.header]
        self.rows = [row.fields for row in islice(table.rows(), SAMPLE_ROWS)]
        self.cells = [
            [row[place] for row in self.rows if len(row) > place and row[place] not in ("", None)]
            for place in range(len(table.header))
        ]
        self.texts = [[str(cell).strip() for cell in cells] for cells in self.cells]

    def is_numeric(self, place: int) -> bool:
        """Tell whether a column holds numbers alone."""
        texts = self.texts[place]
        return bool(texts) and all(text.removeprefix("-").replace(".", "", 1).isdecimal() for text in texts)

    def is_prose(self, place: int) -> bool:
        """Tell whether most cells of a column hold several words."""
        texts = self.texts[place]
        return 2 * sum(len(text.split()) > 2 for text in texts) > len(texts)

    def is_code(self, place: int) -> bool:
        """Tell dates, boxes, and addresses, hashes and numbers of things, which hardly repeat, from words."""
        texts = self.texts[place]
        dated = all(_DATE.match(text) for text in texts)
        coded = [text for text in texts if _is_coded(text)]
        if self.is_numeric(place):
            return False
        boxed = len(coded) == len(texts) and all(" " in text for text in texts)
        if dated or boxed or not any(sign.isalpha() for text in texts for sign in text):
            return True
        hardly = 2 * len(coded) > len(texts) or not any(map(_LETTERED.search, texts))
        return hardly and 2 * len(set(texts)) > len(texts)

    def varies(self, place: int) -> bool:
        """Tell whether the cells of a column differ; of one or two that is nothing."""
        return len(set(self.texts[place])) > 1 or len(self.texts[place]) < 3

    def says_something(self, place: int) -> bool:
        """Tell words from names and the like, which are all different and hold no blank."""
        texts = self.texts[place]
        return self.is_prose(place) or 2 * len(set(texts)) <= len(texts)


def _is_coded(text: str) -> bool:
    """Tell codes, and numbers behind one (``n01443537 1 2 3 4``)."""
    parts = text.split()
    numbers = sum(part.removeprefix("-").replace(".", "", 1).isdecimal() for part in parts)
    return text.isascii() and bool(_CODED.search(text)) and (len(parts) == 1 or 2 * numbers > len(parts))
