"""A delimited table with a header, streamed row by row with line numbers."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from showtell.data.readers.encoding import read_lines
from showtell.data.readers.names import (
    CAPTION_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    column_key,
    is_picture_name,
    nfc,
)
from showtell.errors import DataError

_DELIMITERS = (",", "\t", "|", ";")
_KNOWN = frozenset((*IMAGE_COLUMNS, *CAPTION_COLUMNS, *LABEL_COLUMNS))
DELIMITER_NAMES = {",": "comma", "\t": "tab", "|": "pipe", ";": "semicolon"}


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a table.

    Attributes:
        line: The line it starts at, from 1.
        fields: Its fields as written, quotes resolved.
        unclosed_quote: Its quote was never closed, so that the line was split at bare delimiters.
    """

    line: int
    fields: list[str]
    unclosed_quote: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose delimiter and header are known.

    Attributes:
        path: The file.
        delimiter: One of comma, tab, pipe, semicolon.
        header: Column names, NFC, without outer blanks.
    """

    path: Path
    delimiter: str
    header: tuple[str, ...]

    def rows(self) -> Iterator[Row]:
        """Yield every record below the header; blank lines are skipped.

        A quote that is opened and not closed would swallow the records below it. Where a swallowed
        line looks like a record of its own, the record with the open quote is cut back to its line.

        Raises:
            DataError: The file is not UTF-8.
        """
        lines = _Lines(read_lines(self.path))
        reader = csv.reader(lines, delimiter=self.delimiter)
        in_header = True
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
            if not any(field.strip() for field in fields):
                continue
            if in_header:
                in_header = False
                continue
            yield Row(start, fields, unclosed_quote=cut)

    def _swallowed(self, lines: Sequence[str]) -> bool:
        for line in lines:
            fields = line.split(self.delimiter)
            if len(fields) >= len(self.header) and any(is_picture_name(field.strip()) for field in fields):
                return True
        return False

    def index(self, column: str) -> int | None:
        """Return the place of a column, by its exact name or else by its key; None if there is none."""
        wanted = nfc(column.strip())
        if wanted in self.header:
            return self.header.index(wanted)
        keys = [column_key(name) for name in self.header]
        key = column_key(column)
        return keys.index(key) if key in keys else None


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


def open_table(path: Path, wanted: Sequence[str] = ()) -> Table:
    """Read a table's header and find its delimiter.

    Args:
        path: A text file with a header in its first line that is not blank.
        wanted: Column names that must be there; they help to tell the delimiter.

    Returns:
        The table, with the delimiter that yields most of the wanted and known column names.

    Raises:
        DataError: The file is empty, has one column, or is not UTF-8.
    """
    line = next((line for line in read_lines(path) if line.strip()), None)
    if line is None:
        raise DataError(
            f"{path} is empty.", would_do="A table with a header, such as image,caption, would do."
        )
    wanted_keys = {column_key(name) for name in wanted}

    def score(header: tuple[str, ...]) -> tuple[int, int, int]:
        keys = {column_key(name) for name in header}
        return len(keys & wanted_keys), len(keys & _KNOWN), len(header)

    headers = {mark: _split_header(line, mark) for mark in _DELIMITERS}
    delimiter = max(headers, key=lambda mark: score(headers[mark]))
    if len(headers[delimiter]) < 2:
        raise DataError(
            f"{path}:1 has a single column: {line.strip()[:80]!r}.",
            would_do="A header with columns separated by comma, tab, pipe or semicolon would do, "
            "such as image,caption.",
        )
    return Table(path, delimiter, headers[delimiter])


def _split_header(line: str, delimiter: str) -> tuple[str, ...]:
    return tuple(nfc(name.strip()) for name in next(csv.reader([line], delimiter=delimiter)))
