"""A caption under way: what of it is finished, and which tokens may go on with its last word."""

import re
import string
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from tokenizers.pre_tokenizers import ByteLevel

from showtell.text.hangul import becomes, keystrokes
from showtell.text.tokenizer import SPECIAL_TOKENS, CaptionTokenizer
from showtell.text.words import attaches, normalise, unspaced, words

FREE = -1
"""The place of a caption whose typed part is written: everything may follow."""
_BLANK = "Ġ"
"""How byte-level BPE writes the blank with which a word begins."""


@dataclass(frozen=True)
class Typed:
    """What was typed of a caption.

    Attributes:
        tokenizer: Of the model that is to go on.
        head: Its finished words, as typed, with what stands between them.
        unfinished: The word under way, as typed; empty after a blank, and in a script without blanks.
    """

    tokenizer: CaptionTokenizer
    head: str
    unfinished: str

    @classmethod
    def of(cls, tokenizer: CaptionTokenizer, text: str) -> "Typed":
        """Part a text before its last word, where that may go on."""
        text = unicodedata.normalize("NFC", text)
        last = re.search(r"\S*\Z", text)[0]  # type: ignore[index]  # it always matches
        if tokenizer.kind == "word" and last:
            # An apostrophe alone is no word yet, but the beginning of one.
            said = "'" if normalise(last[-1]) == "'" else (words(last) or [""])[-1]
            last = last[-len(said) :] if said and normalise(last).endswith(said) else ""
        last = "" if last and unspaced(last[-1]) else last
        return cls(tokenizer, text[: len(text) - len(last)], last)

    @property
    def text(self) -> str:
        """Return all that was typed."""
        return self.head + self.unfinished

    def finished(self) -> "Typed":
        """Return it with its last word taken for finished."""
        return Typed(self.tokenizer, self.text, "")

    def followed_by(self, ids: Iterable[int]) -> str:
        """Return the text that goes on from the finished words with tokens; see :meth:`joined`."""
        return self.joined(self.tokenizer.decode(ids))

    def joined(self, more: str) -> str:
        """Return the finished words with more behind them, of which what was typed keeps its capitals."""
        if self.head and more and not self.head[-1].isspace() and not self._is_bare(more):
            more = f" {more}"
        begun = more[: len(self.unfinished)]
        if begun.casefold() == self.unfinished.casefold():
            more = self.unfinished + more[len(begun) :]
        return self.head + more

    def _is_bare(self, more: str) -> bool:
        """Say whether no blank stands between the finished words and what follows."""
        if unspaced(self.head[-1]) or unspaced(more[0]):
            return True
        if self.tokenizer.kind == "word":
            return attaches(re.split(r"\s", more)[0])
        return more[0] in string.punctuation


class Speller:
    """Which tokens may follow so that the word under way becomes one that is spelled as it was typed.

    A place is where a caption stands in the spelling; each token leads from one to another, and at last to
    `FREE`.

    Args:
        typed: The caption under way.
    """

    def __init__(self, typed: Typed) -> None:
        self.tokenizer = typed.tokenizer
        self.start = 0 if typed.unfinished else FREE
        self._typed = keystrokes(typed.unfinished)
        self._places: list[dict[str, int]] = [{}]
        self._known: dict[int, dict[int, int]] = {}
        if typed.unfinished and self.tokenizer.kind == "bpe":
            blank = " " if not typed.head or typed.head[-1].isspace() else ""
            for last in becomes(typed.unfinished[-1]):
                self._add(_letters(blank + typed.unfinished[:-1] + last))

    def follow(self, place: int) -> dict[int, int]:
        """Return the tokens that may follow at a place other than `FREE`, each with where it leads."""
        if place not in self._known:
            self._known[place] = dict(self._follow(place))
        return self._known[place]

    def _follow(self, place: int) -> Iterable[tuple[int, int]]:
        if self.tokenizer.kind == "word":
            spelled = enumerate(_spelled(self.tokenizer))
            return ((token_id, FREE) for token_id, keys in spelled if keys.startswith(self._typed))
        begun = self._places[place]
        walked = (
            (token_id, self._walk(place, token))
            for token_id, token in enumerate(self.tokenizer.tokens)
            if token[0] in begun and token not in SPECIAL_TOKENS
        )
        return ((token_id, reached) for token_id, reached in walked if reached is not None)

    def _walk(self, place: int, token: str) -> int | None:
        """Return where a token leads; None where it is spelled otherwise."""
        for letter in token:
            following = self._places[place].get(letter)
            if following is None or following == FREE:
                return following
            place = following
        return place

    def _add(self, letters: str) -> None:
        """Add a spelling: one place after each letter but the last."""
        place = 0
        for letter in letters[:-1]:
            if letter not in self._places[place]:
                self._places.append({})
                self._places[place][letter] = len(self._places) - 1
            place = self._places[place][letter]
        self._places[place][letters[-1]] = FREE


@lru_cache(maxsize=4)
def word_beginnings(tokenizer: CaptionTokenizer) -> tuple[list[int], list[int]]:
    """Return the tokens that begin a word or are a sign, and those that go on with the word before them.

    None of both is special.
    """
    begins: list[int] = []
    inside: list[int] = []
    for token_id, token in enumerate(tokenizer.tokens):
        if token not in SPECIAL_TOKENS:
            first = tokenizer.kind == "word" or token[0] == _BLANK or token[0] in string.punctuation
            (begins if first else inside).append(token_id)
    return begins, inside


def _letters(text: str) -> str:
    """Return a text as byte-level BPE writes its bytes."""
    pieces: list[tuple[str, tuple[int, int]]] = _BYTES.pre_tokenize_str(text)
    return "".join(piece for piece, _ in pieces)


_BYTES = ByteLevel(add_prefix_space=False, use_regex=False)


@lru_cache(maxsize=4)
def _spelled(tokenizer: CaptionTokenizer) -> list[str]:
    """Return the keystrokes of each word of a vocabulary; none of a special token."""
    return ["" if token in SPECIAL_TOKENS else keystrokes(token) for token in tokenizer.tokens]
