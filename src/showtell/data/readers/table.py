"""Tables, whatever holds them: rows of cells under a header, each row with its place."""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from showtell.data.encoding import read_lines
from showtell.data.names import (
    CAPTION_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    column_key,
    is_picture_name,
    nfc,
)
from showtell.data.readers.reading import Reading
from showtell.errors import DataError

_DELIMITERS = (",", "\t", "|", ";")
_KNOWN = frozenset((*IMAGE_COLUMNS, *CAPTION_COLUMNS, *LABEL_COLUMNS))
_NAME_AND_WORDS = re.compile(r"(.+?\.(?:jpe?g|png|webp|bmp|gif|tiff?))\s+(\S.*)", re.IGNORECASE)
DELIMITER_NAMES = {",": "comma", "\t": "tab", "|": "pipe", ";": "semicolon", " ": "blank"}


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a table.

    Attributes:
        where: Its place, such as ``captions.csv:12``.
        fields: Its cells as written, quotes resolved; text, or whatever JSON and sheets hold.
        unclosed_quote: Its quote was never closed, so that the line was split at bare delimiters.
    """

    where: str
    fields: list[Any]
    unclosed_quote: bool = False


class Table(Protocol):
    """What every table can do; its columns' names are NFC and have no outer blanks."""

    @property
    def path(self) -> Path:
        """Return the file."""

    @property
    def header(self) -> tuple[str, ...]:
        """Return the names of the columns."""

    def rows(self) -> Iterator[Row]:
        """Yield every record; a table may be gone through several times."""

    def shown(self) -> str:
        """Return the columns for a message."""


def column_index(table: Table, column: str) -> int | None:
    """Return the place of a column, by its exact name or else by its key; None if there is none."""
    wanted = nfc(column.strip())
    if wanted in table.header:
        return table.header.index(wanted)
    keys = [column_key(name) for name in table.header]
    key = column_key(column)
    return keys.index(key) if key in keys else None


@dataclass(frozen=True)
class DelimitedTable:
    """Lines whose cells are separated by one sign.

    Attributes:
        path: The file.
        header: Names of the columns; ``column 1`` and so on where the file has no header.
        delimiter: One of comma, tab, pipe, semicolon; or a blank, which parts a line once.
        encoding: Of the file.
        skipped: Lines above the header.
        escaped: Whether quotes inside of quotes stand behind a backslash, instead of being doubled.
        headed: Whether the first line after these is the header.
    """

    path: Path
    header: tuple[str, ...]
    delimiter: str
    encoding: str
    skipped: int
    headed: bool
    escaped: bool = False

    def shown(self) -> str:
        """Return the columns for a message."""
        columns = ", ".join(map(repr, self.header))
        return f"{DELIMITER_NAMES[self.delimiter]}-separated columns are {columns}"

    def rows(self) -> Iterator[Row]:
        """Yield every record below the header; blank lines are skipped.

        A quote that is opened and not closed would swallow the records below it. Where a swallowed
        line looks like a record of its own, the record with the open quote is cut back to its line.

        Raises:
            DataError: A line cannot be decoded.
        """
        lines = _Lines(read_lines(self.path, self.encoding))
        for _ in range(self.skipped + self.headed):
            next(lines, None)
        if self.delimiter == " ":
            for line in lines:
                if line.strip():
                    yield Row(f"{self.path}:{lines.number}", list(_parted_by_blank(line)))
            return
        escape = "\\" if self.escaped else None
        reader = csv.reader(lines, delimiter=self.delimiter, escapechar=escape)
        while True:
            lines.taken.clear()
            start = lines.number + 1
            try:
                fields = next(reader)
                cut = len(lines.taken) > 1 and self._swallowed(lines.taken[1:])
            except StopIteration:
                return
            except csv.Error:  # a field beyond the csv module's limit: an open quote as well
                cut = True
            if cut:
                fields = lines.taken[0].rstrip("\r\n").split(self.delimiter)
                lines.push_back(lines.taken[1:])
            if any(field.strip() for field in fields):
                yield Row(f"{self.path}:{start}", fields, unclosed_quote=cut)

    def _swallowed(self, lines: Sequence[str]) -> bool:
        for line in lines:
            fields = line.split(self.delimiter)
            if len(fields) >= len(self.header) and any(is_picture_name(field.strip()) for field in fields):
                return True
        return False


@dataclass(frozen=True)
class RecordTable:
    """Records whose cells have names: of JSON, JSON lines, a workbook or a Parquet file.

    Attributes:
        path: The file.
        records: Place and cells by name of each.
        broken: Places of what is no record.
        header: All names of the first records, in order.
    """

    path: Path
    records: Sequence[tuple[str, dict[str, Any]]]
    broken: Sequence[str] = ()
    header: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Collect the names."""
        if not self.header:
            names = dict.fromkeys(name for _, record in self.records[:1000] for name in record)
            object.__setattr__(self, "header", tuple(nfc(str(name).strip()) for name in names))

    def shown(self) -> str:
        """Return the columns for a message."""
        return f"fields are {', '.join(map(repr, self.header))}"

    def rows(self) -> Iterator[Row]:
        """Yield every record; names that it lacks are empty."""
        for where, record in self.records:
            cells = {nfc(str(name).strip()): value for name, value in record.items()}
            yield Row(where, [cells.get(name, "") for name in self.header])


class _Lines:
    """Lines that remember what the current record took, and can be given back."""

    def __init__(self, source: Iterator[str]) -> None:
        self._source = source
        self._pending: deque[str] = deque()
        self.taken: list[str] = []
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else next(self._source)
        self.number += 1
        self.taken.append(line)
        return line

    def push_back(self, lines: Sequence[str]) -> None:
        self._pending.extendleft(reversed(lines))
        self.number -= len(lines)


class UnclearColumnsError(DataError):
    """A table whose pictures are known, but not what is said of them: nothing else is meant then."""


def missing_columns(table: Table, lacks: str) -> UnclearColumnsError:
    """Explain what a table lacks, with the columns that it has."""
    return UnclearColumnsError(
        f"{table.path} has {lacks}; its {table.shown()}.",
        would_do="Expected a header such as image,caption or file_name,label, "
        "or the names of your columns: --image-column NAME --text-column NAME.",
    )


def open_delimited(path: Path, reading: Reading) -> DelimitedTable:
    """Find a table's delimiter and its header, if it has one.

    Args:
        path: A text file.
        reading: Its wanted columns help to tell the delimiter; told what was guessed.

    Returns:
        The table, with the delimiter that yields most of the wanted and known column names; without a header
        where the first line names a picture.

    Raises:
        DataError: The file is empty, or has one column.
    """
    encoding = reading.encoding(path)
    lines = list(islice(read_lines(path, encoding), 20))
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise DataError(
            f"{path} is empty.", would_do="Expected a table with a header, such as image,caption."
        )
    delimiter = None
    if lines[first].strip().strip('"').lower().startswith("sep="):  # as Excel is told the delimiter
        delimiter = lines[first].strip().strip('"')[4:5]
        first = next((number for number, line in enumerate(lines) if number > first and line.strip()), first)
    line = lines[first]
    wanted = {column_key(name) for name in reading.columns()}

    def score(mark: str) -> tuple[int, int, int, int]:
        names = _split(line, mark)
        keys = {column_key(name) for name in names}
        below = [len(_split(other, mark)) for other in lines[first + 1 :] if other.strip()]
        even = sum(count >= len(names) for count in below) if len(names) > 1 else 0
        return len(keys & wanted), len(keys & _KNOWN), even, len(names)

    delimiter = delimiter or max(_DELIMITERS, key=score)
    header = _split(line, delimiter)
    if len(header) < 2 and len(_parted_by_blank(line)) == 2:
        delimiter, header = " ", _parted_by_blank(line)
    if len(header) < 2:
        raise DataError(
            f"{path}:{first + 1} has a single column: {line.strip()[:80]!r}.",
            would_do="Expected a header with columns separated by comma, tab, pipe or semicolon, such as "
            "image,caption.",
        )
    headed = not any(is_picture_name(name) for name in header)
    if not headed:
        reading.note(f"{path.name} has no header: its first line names a picture")
        header = tuple(f"column {place}" for place in range(1, len(header) + 1))
    escaped = any(re.search(r'\\"(?!")', line) for line in lines)
    return DelimitedTable(path, header, delimiter, encoding, first, headed, escaped)


def _parted_by_blank(line: str) -> tuple[str, ...]:
    """Part a line behind the name of a picture, which may hold blanks itself."""
    match = _NAME_AND_WORDS.fullmatch(line.strip())
    return (match[1], match[2]) if match else (line.strip(),)


def _split(line: str, delimiter: str) -> tuple[str, ...]:
    return tuple(nfc(name.strip()) for name in next(csv.reader([line], delimiter=delimiter)))
