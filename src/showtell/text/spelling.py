"""Spellings that are probably slips: they occur once, beside a word alike that occurs a hundred times."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from showtell.text.hangul import keystrokes
from showtell.text.words import words

OFTEN = 100
"""Times that a word occurs from which another that occurs once is held against it."""
_SHORTEST = 4
"""Letters (keys, of Hangul) of a word that is held against others: shorter ones are all alike."""


class Slip(NamedTuple):
    """A word that occurs once, and the frequent one that is probably meant."""

    word: str
    meant: str
    times: int  # that the one that is meant occurs


def find_slips(captions: Iterable[str]) -> list[Slip]:
    """Find words that occur once and are one letter off a frequent one.

    A letter too many, too few, another, or two in the wrong order (Damerau 1964). Where only the end differs,
    as in ``dogs`` and ``dog``, it is another form of the word, not a slip.

    Args:
        captions: What people wrote.
    """
    counts = Counter(word for caption in captions for word in words(caption))
    frequent: defaultdict[str, list[str]] = defaultdict(list)
    for word, count in counts.items():
        if count >= OFTEN and _is_long(word):
            for shorter in _shortened(word):
                frequent[shorter].append(word)
    slips = []
    for word, count in counts.items():
        if count == 1 and frequent and _is_long(word):
            alike = {other for shorter in _shortened(word) for other in frequent.get(shorter, ())}
            meant = [other for other in alike if _is_slip(word, other)]
            if meant:
                best = max(meant, key=lambda other: (counts[other], other))
                slips.append(Slip(word, best, counts[best]))
    return sorted(slips)


def _shortened(word: str) -> Iterator[str]:
    """Yield a word, and it without each of its letters: words one letter off share one of these."""
    yield word
    for place in range(len(word)):
        yield word[:place] + word[place + 1 :]


def _is_long(word: str) -> bool:
    return len(keystrokes(word)) >= _SHORTEST


def _is_slip(word: str, other: str) -> bool:
    """Say whether two different words are one letter apart, not at their ends alone."""
    pairs = enumerate(zip(word, other))
    begins = next((i for i, (one, two) in pairs if one != two), min(len(word), len(other)))
    one, two = word[begins:], other[begins:]
    if len(one) <= 1 and len(two) <= 1:
        return False  # another ending
    swapped = one[:2] == two[:2][::-1] and one[2:] == two[2:]
    return swapped or one[1:] == two[1:] or one[1:] == two or one == two[1:]
