"""Texts that are written in pieces: words of a tokeniser, and the runs of rich text."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from showtell.data.names import nfc
from showtell.data.readers.cells import TEXT_KEYS, listed

_WITHOUT_BLANKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Signs of scripts that put no blanks between words."""


def in_pieces(cells: Sequence[Any]) -> bool:
    """Tell whether the lists in a column are one text each, and not several captions.

    So they are where text stands beside records (``["a ", {"bold": "dog"}]``); where blanks stand between the
    parts of nearly all, and none around, but for captions that were split at a mark; or where nearly all
    parts are single words, three or more a list and not equally many in all, as captions are.
    """
    lists = [parts for cell in cells for parts in _lists(cell) if len(parts) > 1]
    if any(map(_is_mixed, lists)):
        return True
    if any(_text(part) is None for parts in lists for part in parts):
        return False
    texts = [[text for part in parts if (text := _text(part))] for parts in lists]
    parts = [part for several in texts for part in several]
    single = sum(map(_is_word, parts))
    uneven = len(set(map(len, texts))) > 1 and len(parts) >= 3 * len(texts)
    worded = uneven and single >= 0.9 * len(parts)
    blanks = sum(map(_has_blanks_between, texts)) >= 0.9 * len(texts)
    return bool(texts) and (worded or (blanks and 2 * sum(map(_is_parted, lists)) <= len(texts)))


def joined(cell: Any) -> list[str]:
    """Return the texts of a cell whose lists are one text each."""
    if (parts := _parts(cell)) is None:
        return [nfc(" ".join(str(cell).split()))] if cell not in (None, "") and cell == cell else []
    return [_glued(one) for one in _lists(parts)]


def _parts(cell: Any) -> list[Any] | None:
    if isinstance(cell, dict):
        cell = next((cell[key] for key in TEXT_KEYS if key in cell), None)
    return listed(cell.strip() if isinstance(cell, str) else cell) or None


def _lists(cell: Any) -> Iterator[list[Any]]:
    """Yield the lists of a cell that hold no further ones."""
    parts = _parts(cell) or []
    if any(isinstance(part, list | tuple) for part in parts):
        for part in parts:
            yield from _lists(part)
    elif parts:
        yield parts


def _text(part: Any) -> str | None:
    if isinstance(part, dict):
        part = next((part[key] for key in TEXT_KEYS if key in part), None)
    return part if isinstance(part, str) else None


def _glued(parts: Sequence[Any]) -> str:
    texts = [text for part in parts if (text := _text(part))]
    whole = ("" if _is_mixed(parts) or _has_blanks_between(texts) else " ").join(texts)
    return nfc(" ".join(whole.split()))


def _is_mixed(parts: Sequence[Any]) -> bool:
    return 0 < sum(isinstance(part, dict) for part in parts) < len(parts) and None not in parts


def _has_blanks_between(texts: Sequence[str]) -> bool:
    inside = any(one[-1:].isspace() or two[:1].isspace() for one, two in pairwise(texts))
    return inside and not (texts[0][:1].isspace() or texts[-1][-1:].isspace())


def _is_parted(parts: Sequence[Any]) -> bool:
    """Tell several words each, with a blank before all but the first, which a split at a mark leaves."""
    texts = [part for part in parts if isinstance(part, str) and len(part.split()) > 1]
    return len(texts) == len(parts) and all(text[:1].isspace() for text in texts[1:])


def _is_word(text: str) -> bool:
    return len(text.split()) < 2 and (len(text) < 3 or not _WITHOUT_BLANKS.search(text))
