"""JSON values and cells of tables changed at random: values, keys, kinds, depth, encodings."""

import json
import random
from typing import Any

HOSTILE: tuple[Any, ...] = (
    "", " ", "..", "../secret.png", "../../../../etc/passwd", "/etc/passwd", "p0.png/../../secret.png",
    "p0.png\0", "C:\\Windows\\win.ini", "\\\\host\\share\\a.png", "file:///etc/passwd", "link.png",
    "http://127.0.0.1:9/a.png", "s3://bucket/a.png", "~/a.png", "$HOME/a.png", "p*.png", "p0.png " * 400,
    "[" * 200, "{" * 200, '"' * 50, "a" * 100_000, "가" * 5000, "\ud800", "\u202egnp.exe", "\r", "\n",
    "p0.png\nimage", "=1+1", "nan", "inf", "1e999", "9" * 5000, "-1", "0x10", "null", "None", "[1, 2",
    "['a', 'b']", "{}", "a,b;c\td|e", "\ufeff", "\x1b[2J", "%s%n", "CON", ".",
    None, True, False, 0, -1, 1e308, 1 << 70, [], {}, [[]], [None], {"": None}, {"a": {"b": []}},
)  # fmt: skip
"""Cells and values that have done harm somewhere."""


def mutated_json(value: Any, chance: random.Random) -> Any:
    """Return a JSON value with one to four places changed: values, keys, kinds, depth."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        value = _changed(value, chance)
    return value


def _changed(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        match chance.randrange(12):
            case 0:
                return {name: one for name, one in value.items() if name != key}
            case 1:
                return {
                    (str(chance.choice(HOSTILE)) if name == key else name): one for name, one in value.items()
                }
            case 2:
                return value | {str(chance.choice(HOSTILE)): chance.choice(HOSTILE)}
        return value | {key: _changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(min(len(value), 64))
        match chance.randrange(12):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return value[:place] + [value[place]] * chance.choice((2, 50)) + value[place:]
            case 2:
                return [*value[:place], chance.choice(HOSTILE), *value[place:]]
        return [*value[:place], _changed(value[place], chance), *value[place + 1 :]]
    match chance.randrange(5):
        case 0:
            for _ in range(chance.choice((1, 10, 400))):
                value = [value]
            return value
        case 1 if isinstance(value, int | float) and not isinstance(value, bool):
            return value * chance.choice((-1, 0, 2, 1000, 1e30)) + chance.choice((-1, 0, 1))
        case 2 if isinstance(value, str):
            return value + str(chance.choice(HOSTILE))
    return chance.choice(HOSTILE)


def as_json(value: Any, chance: random.Random) -> bytes:
    """Write a JSON value, now and then in another encoding or with what JSON does not have."""
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5)
    encoding = chance.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "cp949"))
    return text.encode(encoding, "replace" if encoding == "cp949" else "surrogatepass")


def mutated_cells(rows: list[list[str]], chance: random.Random) -> list[list[str]]:
    """Return the rows of a table with one to six changes: cells, columns, lengths of rows."""
    rows = [list(row) for row in rows]
    for _ in range(chance.choice((1, 1, 2, 6))):
        row = chance.choice(rows)
        place = chance.randrange(len(row)) if row else 0
        value = str(chance.choice(HOSTILE))
        match chance.randrange(8):
            case 0 if row:
                del row[place]
            case 1:
                row.extend([value] * chance.choice((1, 3, 300)))
            case 2:
                rows.insert(chance.randrange(len(rows)), [value] * chance.choice((0, 1, 3)))
            case 3:
                for one in rows:
                    one.insert(min(place, len(one)), value)
            case _ if row:
                row[place] = value if chance.random() < 0.7 else row[place] + value
    return rows
