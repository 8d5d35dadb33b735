"""The one way in which a caption becomes words, for the word-level tokenizer and for every metric.

English is split as the Penn Treebank does, and as the COCO caption toolkit's Java tokenizer therefore does
(``doesn't`` is ``does n't``, ``dog's`` is ``dog 's``), lower case, without punctuation. Every other alphabet
with spaces between words works the same way: Hangul, Greek and accented letters are letters, and combining
marks stay with their letter.

Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without spaces. There, each character together
with its marks is one word, so that scores compare characters; when such words are joined again, no space
comes between them.

Both steps are components of the ``tokenizers`` library rather than Python expressions: a saved
``tokenizer.json`` then carries exactly this rule, and no second regular-expression engine has to agree.
"""

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from sys import intern

from tokenizers import Regex
from tokenizers.normalizers import NFC, Lowercase, Normalizer, Replace, Strip
from tokenizers.normalizers import Sequence as NormalizerSequence
from tokenizers.pre_tokenizers import PreTokenizer, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizerSequence

MAX_NGRAM = 4
"""The longest run of words that a metric counts."""

_UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # signs of repetition
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width kana
    (0x20000, 0x3FFFF),  # Han
)
# Escaped, so that normalising the saved file cannot move the ends of a range.
_UNSPACED = "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in _UNSPACED_RANGES)
_LETTER = rf"[\p{{L}}\p{{M}}\p{{N}}&&[^{_UNSPACED}]]"
_SUFFIXES = "n't|'(?:s|re|ve|ll|d|m)"
# Where the Treebank parts what is written together: do|n't, dog|'s, can|not.
_PARTINGS = rf"(?<={_LETTER})(?:{_SUFFIXES})(?!{_LETTER})|(?<!{_LETTER})can(?=not(?!{_LETTER}))"
_INSIDE = rf"[-'/\u00b7\u200c\u200d]|\.(?=(?:com|org|net)(?!{_LETTER}))|(?<=\p{{N}})[.,:](?=\p{{N}})"
_WORD = "|".join(
    [
        rf"[{_UNSPACED}&&[\p{{L}}\p{{N}}]]\p{{M}}*",
        rf"(?<!{_LETTER})(?:mr|mrs|ms|dr|jr|sr|st|vs|etc|[b-hj-z])\.(?!{_LETTER})",
        rf"(?<!{_LETTER})(?:\p{{L}}\.){{2,}}(?!{_LETTER})",  # u.s.
        rf"(?<!{_LETTER})(?:c\+\+|[cf]#|\.net)(?!{_LETTER})",  # as the Treebank's tokenizer keeps them
        rf"'n'|(?:{_SUFFIXES})(?!{_LETTER})",
        # Hyphens and the like inside a word belong to it, as do points and commas inside a number.
        rf"(?!\p{{M}}){_LETTER}+(?:(?:{_INSIDE}){_LETTER}+)*",
        r"[\p{Sm}\p{Sc}\p{So}#&%@]",  # signs that are read aloud; emoji
    ]
)
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_ATTACHED = re.compile(rf"(?:{_SUFFIXES})\Z")


@cache
def spacing_normalizer() -> Normalizer:
    """Build the normaliser of text whose case and punctuation matter: NFC, single blanks, none outside."""
    return NormalizerSequence([NFC(), Replace(Regex(r"\s+"), " "), Strip()])


@cache
def word_normalizer() -> Normalizer:
    """Build the normaliser of text that becomes words: also lower case, and one kind of apostrophe."""
    return NormalizerSequence(
        [
            Lowercase(),
            spacing_normalizer(),
            # Letters are lowered one by one; a Greek word ends in its final sigma all the same.
            Replace(Regex(f"(?<={_LETTER})σ(?!{_LETTER})"), "ς"),
            Replace(Regex("[\u2018\u2019\u02bc\uff07]"), "'"),
        ]
    )


@cache
def word_splitter(*, brackets: bool = False) -> PreTokenizer:
    """Build the splitter of normalised text into words; all else is dropped.

    Args:
        brackets: Whether a bracket counts as a word.
    """
    pattern = rf"{_WORD}|[()\[\]{{}}]" if brackets else _WORD
    return PreTokenizerSequence(
        [
            Split(Regex(_PARTINGS), behavior="isolated"),
            Split(Regex(pattern), behavior="removed", invert=True),
        ]
    )


def normalise(text: str) -> str:
    """Return text in the form in which it is split into words: NFC, lower case, single blanks."""
    return word_normalizer().normalize_str(text)


def words(text: str) -> list[str]:
    """Split a caption into its words.

    Returns:
        Its words, lower case, without punctuation; empty for a caption that has none.
    """
    return [word for word, _ in word_splitter().pre_tokenize_str(normalise(text))]


def metric_tokens(text: str) -> list[str]:
    """Split a caption into the words that metrics compare: ``words``, and brackets as well.

    The COCO toolkit means to drop brackets but looks for them in upper case after lower-casing; its published
    scores count each as a word, ``-lrb-`` and so on. Scores that are to equal its scores must do the same.

    Returns:
        Its words, lower case; empty for a caption that has none.
    """
    pieces = word_splitter(brackets=True).pre_tokenize_str(normalise(text))
    return [intern(_BRACKETS.get(word, word)) for word, _ in pieces]  # one for all n-grams that hold it


def attaches(word: str) -> bool:
    """Say whether a word is written onto the one before it, as ``'s`` and ``n't`` are."""
    return _ATTACHED.match(word) is not None


@cache
def unspaced(character: str) -> bool:
    """Say whether a character belongs to a script that puts no spaces between words."""
    return any(first <= ord(character) <= last for first, last in _UNSPACED_RANGES)


def join_words(parts: Sequence[str]) -> str:
    """Write words as a person would: ``["a", "dog", "'s", "ball"]`` becomes ``a dog's ball``.

    Returns:
        The text; ``words`` of it are the same words again.
    """
    text = "".join(parts[:1])
    for before, after in pairwise(parts):
        together = attaches(after) or unspaced(before[-1]) or unspaced(after[0])
        text += after if together else " " + after
    return text


def ngrams(parts: Sequence[str]) -> list[tuple[str, ...]]:
    """Return every run of 1 to ``MAX_NGRAM`` neighbouring words, shorter runs first."""
    return [run for n in range(MAX_NGRAM) for run in zip(*(parts[skip:] for skip in range(n + 1)))]
