"""Show captions as tokens, ids and padding, in a terminal and as an image: ``showtell preview tokens``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from showtell.report.figures import (
    ACCENT,
    FAINT,
    INK,
    PAPER,
    figure_grid,
    inch_axes,
    save_figure,
    show_image,
    write,
    write_around,
)
from showtell.report.fonts import inches, plain, silent_boxes, text_width
from showtell.report.wrapping import columns_of, shorten, wrap
from showtell.text.tokenizer import BOS, EOS, PAD, UNK, CaptionTokenizer
from showtell.text.words import attaches, unspaced, words

Kind = Literal["known", "unknown", "end", "padding"]

BYTES = "◦"
"""Stands for a piece that is less than a letter."""
_CODES: dict[Kind, str] = {"known": "", "unknown": "1;31", "end": "34", "padding": "2"}
"""Of a terminal's colours."""
_FACES: dict[Kind, tuple[str, str, str]] = {
    "known": ("#f3efe8", "#d9d0c2", INK),
    "unknown": ("#fde6d3", ACCENT, "#8f3d05"),
    "end": ("#e3edf9", "#9dbce2", "#1a4f9c"),
    "padding": ("#faf8f5", "#ddd7ce", "#b3aca1"),
}
"""Of a chip: its face, its edge, its letters."""
_MEANING: dict[Kind, str] = {
    "known": "a token that is in the vocabulary",
    "unknown": f"a word that is not: it becomes {UNK}",
    "end": "begin and end",
    "padding": "padding, to the length of the longest",
}
_WIDTH, _NUMBER, _PHOTO, _GAP = 9.3, 0.26, 0.8, 0.22
"""Inches: of everything, of a caption's number, of a photo, beside and below it."""
_LEFT = _NUMBER + _PHOTO + _GAP
_TEXT = _WIDTH - _LEFT
"""Inches: where captions begin, how wide they may be."""
_LINE, _ROW, _PAD = 0.46, 0.26, 0.065
"""Inches: from line to line of chips, of the batch, beside the letters of a chip."""
_CAPTION, _TOKEN, _ID, _NOTE = 11.0, 9.0, 6.5, 8.0
"""Points."""


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


def tokens_of(tokenizer: CaptionTokenizer, caption: str, max_tokens: int) -> tuple[Token, ...]:
    """Return a caption as tokens that a reader can read, with begin and end, as training frames it.

    Args:
        tokenizer: As trained.
        caption: As written.
        max_tokens: Longer captions are cut to so many tokens, without their end.
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
    end = () if len(ids) > max_tokens else (Token(EOS, tokenizer.eos_id, "end"),)
    return (Token(BOS, tokenizer.bos_id, "end"), *middle[:max_tokens], *end)


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


def _piece(tokenizer: CaptionTokenizer, token_id: int) -> str:
    text = tokenizer.decode([token_id])
    return BYTES if "\ufffd" in text else text or "␣"


def _paint(text: str, kind: Kind, colour: bool, cell: int) -> str:
    filled = text + " " * (cell - columns_of(text))
    return f"\033[{_CODES[kind]}m{filled}\033[0m" if colour and _CODES[kind] else filled


def draw_tokens(rows: Sequence[Row], note: str, out: Path) -> Path:
    """Draw captions with their tokens and ids, then all ids as one padded batch.

    Args:
        rows: What to show, equally many tokens each.
        note: What to say of the tokenizer.
        out: The file to write; its suffix chooses the format.

    Returns:
        ``out``.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes.
    """
    longest = len(rows[0].tokens)
    captions = [wrap(plain(row.caption), _TEXT, inches(_CAPTION, bold=True)) for row in rows]
    flows = [_flow(row.tokens) for row in rows]
    tops = [0.46]
    for caption, flow in zip(captions, flows):
        tops.append(tops[-1] + max(_PHOTO, len(caption) * 0.2 + len(flow) * _LINE) + _GAP)
    batch = tops[-1] + 0.2
    height = batch + 0.2 + len(rows) * _ROW
    figure, ((axes,),) = figure_grid([_WIDTH], [height])
    inch_axes(axes, _WIDTH, height)
    _draw_legend(axes, rows)
    for number, (row, caption, flow, top) in enumerate(zip(rows, captions, flows, tops), start=1):
        write(axes, 0, top + 0.14, str(number), _CAPTION, bold=True, colour=FAINT)
        show_image(axes, np.asarray(_square(row.photo)), (_NUMBER, _NUMBER + _PHOTO, top + _PHOTO, top))
        for line, text in enumerate(caption):
            write(axes, _LEFT, top + 0.14 + line * 0.2, text, _CAPTION, bold=True)
        for token, left, line, width in (chip for chips in flow for chip in chips):
            down = top + len(caption) * 0.2 + 0.06 + line * _LINE
            _draw_chip(axes, token, _LEFT + left, down, width)
    title = f"The batch that training sees: {len(rows)} captions × {longest} positions, the longest first"
    write(axes, 0, batch, title, _CAPTION, bold=True)
    cell = min(0.46, (_WIDTH - _NUMBER) / longest)
    size = min(8.0, 0.9 * (cell / text_width("0000", 10.0)) * 10.0)
    for number, row in enumerate(rows):
        top = batch + 0.16 + number * _ROW
        write(axes, 0, top + 0.165, str(number + 1), _NOTE, bold=True, colour=FAINT)
        for column, token in enumerate(row.tokens):
            left = _NUMBER + column * cell
            _draw_box(axes, token.kind, (left, top), (cell, _ROW), edge=PAPER)
            ink = _FACES[token.kind][2]
            write(axes, left + cell / 2, top + 0.165, str(token.id), size, colour=ink, ha="center")
    with silent_boxes():
        ends = [artist.get_window_extent().x1 for artist in (*axes.texts, *axes.patches)]
    width = max(ends) / figure.dpi
    figure.set_size_inches(width, height)
    inch_axes(axes, width, height)
    write_around(figure, "How captions become numbers", note)
    return save_figure(figure, out, crop=True)


def _draw_legend(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw what the colours mean, each that occurs."""
    tokens = [token for row in rows for token in row.tokens]
    left = 0.0
    for kind, text in _MEANING.items():
        if any(token.kind == kind for token in tokens):
            _draw_box(axes, kind, (left, 0.02), (0.2, 0.14))
            write(axes, left + 0.26, 0.13, text, _NOTE)
            left += 0.54 + text_width(text, _NOTE)
    if any(token.text == BYTES for token in tokens):
        write(axes, left, 0.13, f"{BYTES}  less than a letter", _NOTE)


def _flow(tokens: Sequence[Token]) -> list[list[tuple[Token, float, int, float]]]:
    """Place chips in lines: each with its left edge, line and width; padding is left to the batch."""
    lines: list[list[tuple[Token, float, int, float]]] = [[]]
    x = 0.0
    for token in tokens:
        if token.kind == "padding":
            break
        letters = max(text_width(token.text, _TOKEN), text_width(id_of(token), _ID), 0.12)
        width = min(letters + 2 * _PAD, _TEXT)
        x += 0.0 if token.joined or not lines[-1] else 0.055
        if lines[-1] and x + width > _TEXT:
            lines.append([])
            x = 0.0
        lines[-1].append((token, x, len(lines) - 1, width))
        x += width
    return lines


def _draw_chip(axes: Axes, token: Token, left: float, top: float, width: float) -> None:
    _draw_box(axes, token.kind, (left, top), (width, 0.38))
    ink, middle = _FACES[token.kind][2], left + width / 2
    text = shorten(plain(token.text), width - 2 * _PAD + 0.02, inches(_TOKEN))
    write(axes, middle, top + 0.17, text, _TOKEN, colour=ink, ha="center")
    colour = FAINT if token.kind == "known" else ink
    write(axes, middle, top + 0.31, id_of(token), _ID, colour=colour, ha="center")


def _draw_box(
    axes: Axes, kind: Kind, at: tuple[float, float], size: tuple[float, float], edge: str | None = None
) -> None:
    face, own_edge, _ = _FACES[kind]
    style = "square,pad=0" if edge else "round,pad=0,rounding_size=0.03"
    box = FancyBboxPatch(at, *size, boxstyle=style, facecolor=face, edgecolor=edge or own_edge, linewidth=0.7)
    box.set_clip_on(False)
    axes.add_patch(box)


def _square(photo: Image.Image) -> Image.Image:
    """Return the centre of a photo, small: a reminder which one it is."""
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    return photo.resize((220, 220), box=(left, top, left + side, top + side), reducing_gap=2.0)
