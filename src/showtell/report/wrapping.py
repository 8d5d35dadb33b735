"""Wrap and shorten text to a width: in columns of a terminal, or by any other measure of a text."""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable

Measure = Callable[[str], float]
"""From a text to its width, in any unit; it grows with the text."""
_NO_COLUMN = ("Mn", "Me", "Cf")
"""Unicode categories of marks and format characters, which take no column of their own."""
_JAMO = range(0x1160, 0x1200)
"""Vowels and finals of decomposed Hangul, drawn within the two columns of the initial before them."""


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: Hangul takes two per syllable, a mark none."""
    return sum(
        0
        if unicodedata.category(letter) in _NO_COLUMN or ord(letter) in _JAMO
        else 2
        if unicodedata.east_asian_width(letter) in "WF"
        else 1
        for letter in text
    )


def shorten(text: str, width: float, measure: Measure = columns_of, *, middle: bool = False) -> str:
    """Cut a line to a width, with an ellipsis where something is missing.

    Args:
        text: The line.
        width: In the unit of ``measure``.
        measure: Width of a text.
        middle: Cut in the middle, as suits file names, rather than at the end.
    """
    if measure(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        tail = kept // 2 if middle else 0
        cut = f"{text[: kept - tail].rstrip()}…{text[len(text) - tail :] if tail else ''}"
        if measure(cut) <= width:
            return cut
    return "…"


def wrap(text: str, width: float, measure: Measure = columns_of) -> list[str]:
    """Break a text into lines that fit: at its blanks, or inside a word that alone is too long.

    Args:
        text: Any text; some languages write without blanks.
        width: In the unit of ``measure``.
        measure: Width of a text.
    """
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if measure(longer) <= width:
            lines[-1] = longer
            continue
        lines.append(word)
        while (fit := _letters_that_fit(lines[-1], width, measure)) < len(lines[-1]):
            lines[-1:] = [lines[-1][:fit], lines[-1][fit:]]
    return [line for line in lines if line]


def _letters_that_fit(text: str, width: float, measure: Measure) -> int:
    """Return how many letters of a line fit into a width, at least 1."""
    return max(1, bisect_right(range(1, len(text) + 1), width, key=lambda end: measure(text[:end])))
