"""Tables in text: CSV and its kin, whose delimiter and header are found."""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from pathlib import Path

from showtell.data.encoding import read_lines
from showtell.data.names import KNOWN_COLUMNS, column_key, is_header, is_image_name
from showtell.data.readers.quotes import (
    DELIMITERS,
    are_single_quoted,
    quotes_are_text,
    quotes_behind_blanks,
    split,
    unwrapped,
    with_double_quotes,
)
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import Row, Table
from showtell.errors import DataError

_NAME_AND_WORDS = re.compile(
    r"(.+?\.(?:jpe?g|png|webp|bmp|gif|tiff?))(?:\s*(?::|=>?|[-–—]+>?|→)\s+|\s+)(\S.*)", re.IGNORECASE
)
_MOST_HEADER = 4_000_000
"""Letters: a hundred thousand columns have as many."""
_JUDGED = 100_000
"""Letters of a line by which a delimiter is judged: a cell may be the text of a book."""
_ESCAPED = re.compile(r'\\"[^",;|\t\r\n]')
"""A quote within text; one before a delimiter may stand behind a folder's backslash."""


@dataclass
class DelimitedTable(Table):
    """Lines whose cells are separated by one sign; ``column 1`` and so on where the file has no header."""

    delimiter: str  # one of comma, tab, pipe, semicolon; or a blank, which parts a line once
    encoding: str  # of the file
    skipped: int  # lines above the header
    escaped: bool  # whether quotes inside of quotes stand behind a backslash, instead of being doubled
    wrapped: bool = False  # whether each line is quoted as a whole
    headed: bool = field(default=True, kw_only=True)  # whether the line after those skipped is the header
    spaced: bool = False  # whether quotes stand behind a blank behind the delimiter
    single: bool = False  # whether cells stand in single quotes
    literal: bool = False  # whether quotes are signs of the text

    def shown(self, what: str = "columns") -> str:
        """Return the columns for a message."""
        return super().shown(f"{DELIMITERS.get(self.delimiter, 'blank')}-separated {what}")

    def rows(self) -> Iterator[Row]:
        """Yield every record below the header; blank lines are skipped.

        A quote that is opened and not closed would swallow the records below it. Where a swallowed
        line looks like a record of its own, the record with the open quote is cut back to its line.

        Raises:
            DataError: A line cannot be decoded.
        """
        above = self.skipped + self.headed
        lines = _Lines(islice(read_lines(self.path, self.encoding), above, None), above)
        if self.delimiter == " ":
            for line in lines:
                if line.strip():
                    cells = _parted_by_blank(line, len(self.header))
                    yield Row(f"{self.path}:{lines.number}", list(cells))
            return
        if self.wrapped:
            lines.change = unwrapped
        elif self.single:
            lines.change = with_double_quotes
        elif self.escaped:  # a backslash before anything else is itself
            literal = re.compile(rf'\\([\\"{re.escape(self.delimiter)}])|\\')
            lines.change = lambda line: literal.sub(lambda found: found[0] if found[1] else "\\\\", line)
        reader = csv.reader(
            lines,
            delimiter=self.delimiter,
            escapechar="\\" if self.escaped else None,
            skipinitialspace=self.spaced,
            quoting=csv.QUOTE_NONE if self.literal else csv.QUOTE_MINIMAL,
        )
        while True:
            lines.taken.clear()
            start = lines.number + 1
            try:
                fields = next(reader)
                cut = len(lines.taken) > 1 and any(map(self._looks_like(lines.taken), lines.taken[1:]))
            except StopIteration:
                return
            except csv.Error:  # a field beyond the csv module's limit: an open quote as well
                cut = True
            if cut:
                fields = lines.taken[0].rstrip("\r\n").split(self.delimiter)
                lines.push_back(lines.taken[1:])
            if any(field.strip() for field in fields):
                yield Row(f"{self.path}:{start}", fields, unclosed_quote=cut)

    def _looks_like(self, taken: Sequence[str]) -> Callable[[str], bool]:
        """Return what tells a further record in the lines of one: it names an image, or begins as the first.

        The latter counts for a name with a number, where the quote that closes the record ends no cell.
        """
        first = shape(taken[0].split(self.delimiter)[0])
        _, quote, behind = taken[-1].replace('""', "").partition('"')
        numbered = "0" in first and not (quote and behind[:1] in (self.delimiter, "\r", "\n", ""))

        def looks_like(line: str) -> bool:
            fields = line.split(self.delimiter)
            named = any(is_image_name(one.strip(" '")) for one in fields) or (
                numbered and shape(fields[0]) == first
            )
            return named and len(fields) >= len(self.header)

        return looks_like


def shape(cell: str) -> str:
    """Return a cell with 0 for each number in it: ``img_0`` for ``img_17``."""
    return re.sub(r"\d+", "0", cell)


class _Lines:
    """Lines that remember what the current record took, and can be given back."""

    def __init__(self, source: Iterator[str], number: int) -> None:
        self._source, self.number = source, number
        self._pending: deque[str] = deque()
        self.taken: list[str] = []
        self.change: Callable[[str], str] = str

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else next(self._source)
        self.number += 1
        self.taken.append(line)
        return self.change(line)

    def push_back(self, lines: Sequence[str]) -> None:
        self._pending.extendleft(reversed(lines))
        self.number -= len(lines)


def open_delimited(path: Path, reading: Reading) -> DelimitedTable:
    """Find a table's delimiter, the one that yields most columns that are wanted or known, and its header.

    Raises:
        DataError: The file is empty, or has one column.
    """
    encoding = reading.encoding(path)
    lines = list(islice(read_lines(path, encoding), 20))
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if not filled:
        hint = "Expected a table with a header, such as image,caption."
        raise DataError(f"{path} is empty.", hint=hint)
    if wrapped := all(unwrapped(lines[number]) != lines[number] for number in filled):
        reading.note(f"each line of {path.name} is quoted as a whole, and is read without these quotes")
        lines = list(map(unwrapped, lines))
    if single := not wrapped and are_single_quoted([lines[number] for number in filled]):
        reading.note(f"single quotes around the cells of {path.name} are none of its words")
        lines = list(map(with_double_quotes, lines))
    first, delimiter, header = _header_of(path, lines, filled, reading)
    if _are_numbered(header, [split(row, delimiter) for row in lines[first + 1 :] if row.strip()]):
        header = ("", *header)
    escaped = any('\\"' in line and _ESCAPED.search(line) for line in read_lines(path, encoding))
    spaced = quotes_behind_blanks(lines[first:], delimiter)
    if spaced:
        header = tuple(name.strip('"') for name in header)
        reading.note(f"blanks before the quotes of {path.name} are none of its words")
    literal = not (escaped or spaced or wrapped or single or delimiter == " ") and quotes_are_text(
        read_lines(path, encoding), delimiter
    )
    if literal:
        reading.note(f"quotes that begin cells of {path.name} are kept, for text goes on behind them")
    table = DelimitedTable(
        path,
        header,
        delimiter,
        encoding,
        first,
        escaped,
        wrapped,
        spaced=spaced,
        single=single,
        literal=literal,
    )
    if "" in header:
        table = replace(table, header=_with_all_names(table))
    return without_header(table, reading) if any(map(is_image_name, header)) else table


def _header_of(
    path: Path, lines: Sequence[str], filled: Sequence[int], reading: Reading
) -> tuple[int, str, tuple[str, ...]]:
    """Return which of a table's first lines is its header, its delimiter, and the names of its columns.

    Raises:
        DataError: It has one column, or is too long for a header.
    """
    first, delimiter = filled[0], ""
    beginning = lines[first].strip().strip('"')
    if beginning.lower().startswith("sep="):  # as Excel is told the delimiter
        first, delimiter = filled[1] if len(filled) > 1 else first, beginning[4:5]
    first = next((number for number in filled if number >= first and _is_header(lines[number])), first)
    if above := sum(number < first for number in filled) - bool(delimiter):
        reading.note(f"of {path.name} {above:,} lines above the header are left out")
    line = lines[first]
    if len(line) > _MOST_HEADER:
        raise DataError(
            f"{path}:{first + 1} has {len(line):,} letters; the header of a table is shorter.",
            hint="Expected a header such as image,caption.",
        )
    delimiter = delimiter or _likeliest(lines[first:], {column_key(name) for name in reading.columns})
    header = split(line, delimiter)
    if len(header) < 2 and len(_parted_by_blank(line, 1)) == 2:
        delimiter, header = " ", _parted_by_blank(line, 1)
    elif len(header) < 2 and (aligned := _aligned(lines, first)):
        above, delimiter, (first, header) = first, " ", aligned
        if first > above:
            reading.note(f"of {path.name} {first - above:,} lines above the header are left out")
    if len(header) < 2:
        raise DataError(
            f"{path}:{first + 1} has a single column: {line.strip()[:80]!r}.",
            hint="Expected a header with columns separated by comma, tab, pipe or semicolon, such as "
            "image,caption.",
        )
    return first, delimiter, header


def _with_all_names(table: DelimitedTable) -> tuple[str, ...]:
    """Return the header in which each column has a name, but for one of the numbers of rows.

    pandas leaves out that of an index, which may be the images; spreadsheets those below a merged cell.
    """
    cells = list(zip_longest(*(row.fields for row in islice(table.rows(), 20)), fillvalue=""))
    numbers = {
        place
        for place, column in enumerate(cells)
        if all(map(str.isdecimal, column)) and len(set(column)) == len(column)
    }
    named = enumerate(table.header)
    return tuple(name or ("" if place in numbers else f"column {place + 1}") for place, name in named)


def _is_header(line: str) -> bool:
    return len(line) < _JUDGED and any(is_header(split(line, mark)) for mark in DELIMITERS)


def _are_numbered(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether each row has its number before the columns of the header, as R writes tables."""
    if len(rows) < 3 or any(len(row) != len(header) + 1 or not row[0].isdecimal() for row in rows):
        return False
    if not all(any(map(is_image_name, row[1:])) for row in rows):  # else a caption may hold a comma
        return False
    numbers = [int(row[0]) for row in rows]
    return numbers == list(range(numbers[0], numbers[0] + len(rows)))


def without_header(table: DelimitedTable, reading: Reading) -> DelimitedTable:
    """Return a table whose first line proved to be data."""
    reading.note(f"{table.path.name} has no header: its first line names an image")
    header = tuple(f"column {place}" for place in range(1, len(table.header) + 1))
    return replace(table, header=header, headed=False)


def _likeliest(lines: Sequence[str], wanted: set[str]) -> str:
    filled = [line[:_JUDGED] for line in lines[1:] if line.strip()]
    # Captions may all hold a comma or a semicolon, but behind the name; and hardly ever a tab.
    marks = [sign for sign in lines[0] if sign in DELIMITERS]
    first = "\t" if "\t" in marks else "".join(marks[:1])

    def score(mark: str) -> tuple[int, int, int, int, bool, int]:
        names = split(lines[0], mark)
        keys = {column_key(name) for name in names}
        below = [split(line, mark) for line in filled]
        named = sum(any(map(is_image_name, cells)) for cells in below)
        even = sum(len(cells) >= len(names) for cells in below) if len(names) > 1 else 0
        return len(keys & wanted), len(keys & KNOWN_COLUMNS), named, even, mark == first, len(names)

    return max(DELIMITERS, key=score)


def _parted_by_blank(line: str, count: int) -> tuple[str, ...]:
    """Part a line behind an image's name, which may hold blanks itself; or into so many cells at blanks."""
    match = _NAME_AND_WORDS.fullmatch(line.strip()) if count < 3 else None
    return (match[1], match[2]) if match else tuple(line.strip().split(None, count - 1))


def _aligned(lines: Sequence[str], first: int) -> tuple[int, tuple[str, ...]] | None:
    """Return the header of a table whose cells are parted by blanks, and its place; None for other texts.

    Each line holds as many cells, below remarks (``# id class``) and a number of rows, as CelebA and Oxford's
    pets have them; in the header the column of images may be missing.
    """
    places = [number for number in range(first, len(lines)) if lines[number].strip()]
    places = [number for number in places if not re.match(r"#|\d+\s*$", lines[number])]
    words = [lines[number].split() for number in places]
    if len(words) < 3:
        return None
    header, count = tuple(words[0]), len(words[1])
    if count == len(header) + 1:
        header = ("image", *header)
    known = is_header(header) and min(map(len, words)) >= len(header)  # a caption is several words
    even = 1 < count == len(header) and all(len(one) == count for one in words[1:])
    named = len({one[0] for one in words}) == len(words)  # lines of prose begin alike
    return (places[0], header) if known or (even and named) else None
