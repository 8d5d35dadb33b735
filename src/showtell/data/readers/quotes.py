"""How the lines of tables in text are parted into cells, and how these are quoted."""

import csv
import re
from collections.abc import Iterable, Sequence

from showtell.data.names import nfc

DELIMITERS = {",": "comma", "\t": "tab", "|": "pipe", ";": "semicolon"}
_SINGLE = re.compile(r"(^|[,\t|;])\s*'((?:[^'\\]|''|\\.)*)'\s*(?=[,\t|;]|$)")
_WORDLESS = re.compile(r"null|none|true|false|nan", re.IGNORECASE)


def are_single_quoted(lines: Sequence[str]) -> bool:
    """Tell whether nearly all cells of text stand in single quotes, as SQL and Python write them."""
    bare = [_WORDLESS.sub("", _SINGLE.sub("", line)) for line in lines[1:]]
    wrapped = sum(not any(map(str.isalpha, rest)) for rest in bare)
    return len(bare) > 1 and all("'" in line for line in lines[1:]) and wrapped >= 0.9 * len(bare)


def with_double_quotes(line: str) -> str:
    """Return a line in whose cells double quotes stand around, in place of single ones."""
    end = line[len(line.rstrip("\r\n")) :]
    return _SINGLE.sub(_doubled, line.rstrip("\r\n")) + end


def _doubled(cell: re.Match[str]) -> str:
    text = cell[2].replace("''", "'").replace(r"\'", "'").replace('"', '""')
    return f'{cell[1]}"{text}"'


def quotes_are_text(lines: Iterable[str], delimiter: str) -> bool:
    """Tell whether quotes that begin cells are theirs: text goes on behind all that end (``"Stop" sign``)."""
    mark = re.escape(delimiter)
    begun = re.compile(rf'(?:^|{mark})"')
    behind = rf'[^"{mark}\r\n]*[^"{mark}\s][^"{mark}\r\n]*'
    inside = re.compile(rf'(?:^|{mark})"(?:[^"{mark}]|"")+"{behind}(?={mark}|[\r\n]|$)')
    found = False
    for line in lines:
        if '"' in line and (count := len(begun.findall(line))):
            if len(inside.findall(line)) != count:
                return False
            found = True
    return found


def quotes_behind_blanks(lines: Sequence[str], delimiter: str) -> bool:
    """Tell whether cells are quoted behind a blank (``7.jpg, "a dog, asleep"``), and none right away."""
    mark = re.escape(delimiter)
    quoted = re.compile(rf'{mark} +"[^"]*"\s*(?:{mark}|$)')
    return (
        delimiter != " "
        and 2 * sum(map(bool, map(quoted.search, lines[1:]))) > len(lines[1:])
        and not any(f'{delimiter}"' in line for line in lines)
    )


def unwrapped(line: str) -> str:
    """Return a line without the quotes in which Excel puts one that it has read as a single cell."""
    inner = line.strip()
    if inner[:1] != '"' or any(len(split(inner, mark)) > 1 for mark in DELIMITERS):
        return line
    (inner,) = split(inner, ",")
    return inner + "\n" if any(len(split(inner, mark)) > 1 for mark in DELIMITERS) else line


def split(line: str, delimiter: str) -> tuple[str, ...]:
    """Return the cells of one line, in NFC."""
    try:
        cells = next(csv.reader([line], delimiter=delimiter))
    except csv.Error:  # a cell beyond the csv module's limit
        cells = line.split(delimiter)
    return tuple(nfc(name.strip()) for name in cells)
