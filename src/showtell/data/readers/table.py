"""Tables, whatever holds them: rows of cells under a header, each row with its place."""

import ast
import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from showtell.data.names import column_key, few, nfc, words
from showtell.errors import DataError

_NOTHING = frozenset(("nan", "null", "n/a", "#n/a", "<na>", "nil", "undefined", "#ref!", "#value!"))
_NO_CAPTION = _NOTHING | {"none", "na", "-", "--", "---"}
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_MARKUP = re.compile(
    r"</?(?:br|p|b|i|u|em|strong|span|div|a|ul|li|h[1-6]|font|img|sup|sub|small|center|html|body)\b[^<>]*>",
    re.IGNORECASE,
)
_MARKS = re.compile(r"^\s*<(?:start|sos|bos|s)>\s*|\s*<(?:end|eos|/s)>\s*$", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u2060\ufeff]")
_TEXT_KEYS = ("raw", "caption", "text", "sentence", "value")
_NAME_KEYS = ("path", "file_name", "filename", "name", "url", "src")
_TRUTHS = dict.fromkeys(words("true 1 1.0 yes t y"), True) | dict.fromkeys(words("false 0 0.0 no f n"), False)


def truth_of(cell: Any) -> bool | None:
    """Return the truth value that a cell holds, however it is written; None for another value."""
    return _TRUTHS.get(str(cell).strip().casefold())


def texts_of(cell: Any, *, listed: bool = False) -> list[str]:
    """Return the texts of a cell, each in NFC.

    Args:
        cell: Text, a number, None, a list of texts, or a list of records that hold one each.
        listed: Whether text is to be read as a list, as :func:`holds_lists` tells of a column.
    """
    if type(cell) is str and not listed:
        return [nfc(cell.strip())]
    if listed and isinstance(cell, str):
        parts = _as_list(cell)
        cell = parts if parts is not None else "" if cell.lstrip()[:1] in ("[", "{") else cell
    if isinstance(cell, dict):
        cell = next((cell[key] for key in _TEXT_KEYS if key in cell), None)
    if isinstance(cell, list | tuple):
        return [text for part in cell for text in texts_of(part)]
    if cell is None or (isinstance(cell, float) and cell != cell):
        return []
    return [nfc(str(cell).strip())]


def listed(cell: Any) -> list[Any]:
    """Return the parts of a cell that is a list, as text too; nothing of another."""
    if isinstance(cell, str):
        return (_as_list(cell) or []) if cell[:1] + cell[-1:] == "[]" else []
    return list(cell) if isinstance(cell, list | tuple) else []


def image_of(cell: Any) -> str:
    """Return the image that a cell names, be it the only one of a list or Hugging Face's own cell."""
    parts = listed(cell)
    cell = parts[0] if len(parts) == 1 else cell
    if isinstance(cell, dict):  # that holds the content or more beside the name
        cell = next((cell[key] for key in _NAME_KEYS if cell.get(key)), None)
    return "" if cell is None else str(cell).strip()


def holds_lists(cells: Sequence[Any]) -> bool:
    """Tell whether text cells of a column are lists, as JSON, Python or NumPy write them; some are enough."""
    written = [cell.strip() for cell in cells if isinstance(cell, str) and cell.strip()]
    begun = [cell for cell in written if cell[0] in "[({"]
    if 2 * len(begun) <= len(written):
        begun = [cell for cell in begun if cell[0] + cell[-1] in ("[]", "{}")]
    return bool(begun) and all(_as_list(cell) is not None for cell in begun[:50])


def _as_list(text: str) -> list[Any] | None:
    text = text.strip()
    if text[:1] + text[-1:] not in ("[]", "()", "{}"):
        return [text] if text else None
    try:
        found = json.loads(text)
    except RecursionError:
        return None
    except ValueError:
        # NumPy leaves the commas out, and Python would join what stands side by side.
        if re.search(r"""['"]\s+['"]""", text) and not re.search(r"""['"]\s*,\s*['"]""", text):
            return [first or second for first, second in _QUOTED.findall(text)]
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    if isinstance(found, str):
        found = [found]
    if isinstance(found, dict) and len(found) == 1:  # {"choices": [...]} of Label Studio
        (found,) = found.values()
    good = isinstance(found, list | tuple) and all(isinstance(part, str | dict) for part in found)
    return list(found) if good else None


def is_missing(text: str, *, caption: bool) -> bool:
    """Tell whether a text stands for nothing, as ``nan`` and ``NULL`` do; a class may well be called None."""
    folded = text.casefold()
    return folded in _NO_CAPTION if caption else folded in _NOTHING


def cleaned(caption: str) -> tuple[str, str]:
    """Return a caption without markup, and what was taken out of it, if anything, in words.

    Marks of a beginning and an end (``<start>``), HTML tags and entities, and signs that take no room.
    Emoji stay: the vocabulary decides whether they are words.
    """
    if caption.isascii() and "<" not in caption and "&" not in caption:
        return caption, ""
    without = _MARKS.sub("", caption)
    if without != caption:
        return without.strip(), "marks of beginning and end"
    if "<" in caption or "&" in caption:
        without = html.unescape(_MARKUP.sub(" ", caption))
        if without != caption:
            return " ".join(nfc(without).split()), "HTML"
    without = without_invisible(caption)
    return without, "invisible signs" if without != caption else ""


def without_invisible(text: str) -> str:
    """Return a text without signs that take no room: two labels that look alike are one."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


def several_labels(values: Sequence[str]) -> str | None:
    """Return an example where cells hold several labels each, such as ``red|round``; None where they do not.

    So they do where many are parted by one sign and the parts mix: most of them stand alone elsewhere, or
    there are fewer parts than wholes. A name with a comma ("Leo, the cat") is parted everywhere alike.
    """
    for mark in "|;,#+ ":
        parted = {value for value in values if mark in value.strip()}
        parts = {part.strip() for value in parted for part in value.split(mark)}
        alone = len(parts & set(values))
        several = len(parted) >= 3 and len(parts) >= 2
        if several and (2 * alone > len(parts) or (mark in "|;," and len(parts) < len(parted))):
            return min(parted)
    return None


_SAMPLE_ROWS = 1000


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
        first = self.records[:_SAMPLE_ROWS]
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
        self.rows = [row.fields for row in islice(table.rows(), _SAMPLE_ROWS)]
        self.cells = [
            [row[place] for row in self.rows if len(row) > place and row[place] not in ("", None)]
            for place in range(len(table.header))
        ]
        self.texts = [[str(cell).strip() for cell in cells] for cells in self.cells]

    def is_numeric(self, place: int) -> bool:
        """Tell whether a column holds numbers alone."""
        texts = self.texts[place]
        return bool(texts) and all(text.replace(".", "", 1).lstrip("-").isdecimal() for text in texts)

    def is_prose(self, place: int) -> bool:
        """Tell whether most cells of a column hold several words."""
        texts = self.texts[place]
        return 2 * sum(len(text.split()) > 2 for text in texts) > len(texts)

    def says_something(self, place: int) -> bool:
        """Tell words from names of files, dates and the like, which are all different and hold no blank."""
        texts = self.texts[place]
        dated = all(re.match(r"\d{4}-\d\d", text) for text in texts)
        return not dated and (self.is_prose(place) or 2 * len(set(texts)) <= len(texts))
