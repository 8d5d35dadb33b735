"""Captions as tokens that a reader can read, and as lines of a terminal."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from showtell.report.fonts import plain
from showtell.text.tokenizer import BOS, EOS, PAD, UNK, CaptionTokenizer
from showtell.text.words import attaches, unspaced, words

Kind = Literal["known", "unknown", "end", "padding"]

BYTES = "◦"
"""Stands for a piece that is less than a letter."""
_CODES: dict[Kind, str] = {"known": "", "unknown": "1;31", "end": "34", "padding": "2"}
"""Of a terminal's colours."""


@dataclass(frozen=True)
class Token:
    """A token as a reader sees it.

    Attributes:
        text: The word or piece; of an unknown word, the word that it was.
        id: Its number.
        kind: What it is.
        joined: Whether it goes on with the word before it.
    """

    text: str
    id: int
    kind: Kind
    joined: bool = False


@dataclass(frozen=True)
class Row:
    """A caption and its tokens, padding included.

    Attributes:
        name: Of the photo.
        photo: Upright.
        caption: As written.
        tokens: With begin, end and padding.
    """

    name: str
    photo: Image.Image
    caption: str
    tokens: tuple[Token, ...]


def tokens_of(tokenizer: CaptionTokenizer, caption: str, most: int) -> tuple[Token, ...]:
    """Return a caption as tokens that a reader can read, with begin and end, as training frames it.

    Args:
        tokenizer: As trained.
        caption: As written.
        most: Longer captions are cut to so many tokens, without their end.
    """
    ids = tokenizer.encode(caption)
    if tokenizer.kind == "word":
        texts = words(caption)
        joined = [attaches(text) or (at > 0 and unspaced(text[0])) for at, text in enumerate(texts)]
    else:
        texts = [_piece(tokenizer, token_id) for token_id in ids]
        first = {start for _, start, _ in tokenizer.word_spans(ids)}
        joined = [at not in first for at in range(len(ids))]
    middle = [
        Token(text, token_id, "unknown" if token_id == tokenizer.unk_id else "known", on)
        for text, token_id, on in zip(texts, ids, joined)
    ]
    end = () if len(ids) > most else (Token(EOS, tokenizer.eos_id, "end"),)
    return (Token(BOS, tokenizer.bos_id, "end"), *middle[:most], *end)


def pad(rows: Sequence[tuple[Token, ...]], pad_id: int) -> list[tuple[Token, ...]]:
    """Fill all rows up to the longest."""
    longest = max(map(len, rows))
    return [row + (Token(PAD, pad_id, "padding"),) * (longest - len(row)) for row in rows]


def token_lines(rows: Sequence[Row], width: int, *, colour: bool) -> list[str]:
    """Write captions, tokens and ids below each other, as lines of a terminal.

    Args:
        rows: What to show.
        width: Of the terminal, columns.
        colour: Whether it takes colours.

    Returns:
        Lines, none of them wider than ``width`` unless a token alone is.
    """
    lines = []
    for number, row in enumerate(rows, start=1):
        lines += ["", f"{number}  {plain(row.caption)}  ({row.name})"]
        above, below = "", ""
        used = 0
        padding = sum(token.kind == "padding" for token in row.tokens)
        for token in row.tokens[: len(row.tokens) - padding + min(padding, 1)]:
            text = ("+" if token.joined else "") + plain(token.text)
            text += f" × {padding}" if token.kind == "padding" else ""
            under = id_of(token)
            cell = max(columns_of(text), len(under))
            if used and 3 + used + cell > width:
                lines += [above, below]
                above, below, used = "", "", 0
            above += ("  " if used else "   ") + _paint(text, token.kind, colour, cell)
            below += ("  " if used else "   ") + _paint(under, token.kind, colour, cell)
            used += cell + 2
        lines += [above, below]
    return [line.rstrip() for line in lines]


def id_of(token: Token) -> str:
    """Write a token's id; that of an unknown word says so, without colours too."""
    return f"{UNK} {token.id}" if token.kind == "unknown" else str(token.id)


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: Hangul takes two a syllable, a mark none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    marks = sum(unicodedata.category(letter) in ("Mn", "Me", "Cf") for letter in text)
    return len(text) + wide - marks


def _piece(tokenizer: CaptionTokenizer, token_id: int) -> str:
    text = tokenizer.decode([token_id])
    return BYTES if "\ufffd" in text else text or "␣"


def _paint(text: str, kind: Kind, colour: bool, cell: int) -> str:
    filled = text + " " * (cell - columns_of(text))
    return f"\033[{_CODES[kind]}m{filled}\033[0m" if colour and _CODES[kind] else filled
