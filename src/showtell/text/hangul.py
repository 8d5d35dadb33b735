"""Hangul as it is typed: a syllable under way is the beginning of the word that it will be a part of.

An input method shows ``갑`` while ``가방`` is typed, and ``고`` on the way to ``과자``: which text begins
which is seen only in the order of the keys.
"""

import unicodedata
from bisect import bisect_left
from functools import cache

from showtell.data.names import words

_FIRST, _LAST = 0xAC00, 0xD7A3
_FINAL_KEYS = (
    "ᄀ ᄁ ᄀᄉ ᄂ ᄂᄌ ᄂᄒ ᄃ ᄅ ᄅᄀ ᄅᄆ ᄅᄇ ᄅᄉ ᄅᄐ ᄅᄑ ᄅᄒ ᄆ ᄇ ᄇᄉ ᄉ ᄊ ᄋ ᄌ ᄎ ᄏ ᄐ ᄑ ᄒ"
)
_FINALS = dict(zip(map(chr, range(0x11A8, 0x11C3)), words(_FINAL_KEYS)))
_VOWELS = dict(zip("ᅪᅫᅬᅯᅰᅱᅴ", words("ᅩᅡ ᅩᅢ ᅩᅵ ᅮᅥ ᅮᅦ ᅮᅵ ᅳᅵ")))
_KEYS = str.maketrans(_FINALS | _VOWELS)


def keystrokes(text: str) -> str:
    """Return a text in the order of its keys, so that what is typed of a word begins the word.

    Letters of other scripts are folded in case and stand without their marks' order changed (NFKD).
    """
    return unicodedata.normalize("NFKD", text.casefold()).translate(_KEYS)


def becomes(character: str) -> list[str]:
    """Return what the last character of a text may be once more of it is typed, itself included.

    Args:
        character: A syllable or a letter of Hangul under way; any other is what it is.

    Returns:
        Texts of one syllable, or of two where the last consonant moves on to the next one.
    """
    typed = keystrokes(character)
    syllables, keys = _syllables()
    first = bisect_left(keys, typed)
    found = []
    while first < len(keys) and keys[first].startswith(typed):
        found.append(syllables[first])
        first += 1
    code = ord(character)
    if _FIRST <= code <= _LAST and (final := (code - _FIRST) % 28):
        last = _FINALS[chr(0x11A7 + final)]
        kept = 0 if len(last) == 1 else 1 + list(_FINALS.values()).index(last[0])
        found += [chr(code - final + kept) + other for other in becomes(_consonant(last[-1]))]
    return found or [character]


def _consonant(initial: str) -> str:
    """Return the letter that stands alone of an initial consonant."""
    letters = map(chr, range(0x3131, 0x314F))
    return next(letter for letter in letters if unicodedata.normalize("NFKD", letter) == initial)


@cache
def _syllables() -> tuple[list[str], list[str]]:
    """Return all syllables and their keystrokes, both in the order of the keystrokes."""
    pairs = sorted((keystrokes(chr(code)), chr(code)) for code in range(_FIRST, _LAST + 1))
    return [syllable for _, syllable in pairs], [keys for keys, _ in pairs]
