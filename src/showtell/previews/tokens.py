"""Draw captions as tokens, ids and padding: ``showtell preview tokens``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from showtell.previews.token_layout import BYTES, Kind, Row, Token, id_of
from showtell.report.figures import ACCENT, FAINT, INK, PAPER
from showtell.report.sheet import Sheet, shorten, text_width, wrap
from showtell.text.tokenizer import UNK

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
_WIDEST, _MARGIN, _GAP, _NUMBER, _PHOTO, _CELL = 9.3, 0.35, 0.22, 0.26, 0.8, 0.46
"""Inches."""
_CHIP, _CHIP_LINE, _BETWEEN, _PAD = 0.38, 0.46, 0.055, 0.065
"""Inches: height of a chip, from line to line, between words, beside the letters of a chip."""
_CAPTION, _TOKEN, _ID, _NOTE = 11.0, 9.0, 6.5, 8.0
"""Points."""
_NOTE_LINE, _CAPTION_LINE, _ROW = 0.155, 0.2, 0.26
"""Inches."""


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
    inner = _WIDEST
    beside = inner - _NUMBER - _PHOTO - _GAP
    captions = [wrap(row.caption, beside, _CAPTION, bold=True) for row in rows]
    flows = [_flow(row.tokens, beside) for row in rows]
    cell = min(_CELL, (inner - _NUMBER) / len(rows[0].tokens))
    # No wider than what is on it.
    texts = [
        _PHOTO + _GAP + text_width(line, _CAPTION, bold=True) for caption in captions for line in caption
    ]
    chips = [_PHOTO + _GAP + x + width for flow in flows for line in flow for _, x, width in line]
    legend = _legend(rows)
    title = _batch_title(rows)
    inner = max(_NUMBER + max(*texts, *chips, cell * len(rows[0].tokens)), legend[-1][-1])
    inner = max(inner, text_width(title, _CAPTION, bold=True))
    noted = wrap(note, inner, _NOTE)
    heights = [
        max(_PHOTO, len(caption) * _CAPTION_LINE + len(flow) * _CHIP_LINE) + _GAP
        for caption, flow in zip(captions, flows)
    ]
    first = 0.62 + len(noted) * _NOTE_LINE + 0.56
    batch = first + sum(heights) + 0.2
    sheet = Sheet(inner + 2 * _MARGIN, batch + 0.32 + len(rows) * _ROW + _MARGIN)
    sheet.text("How captions become numbers", _MARGIN, 0.48, 15, bold=True)
    for number, line in enumerate(noted):
        sheet.text(line, _MARGIN, 0.70 + number * _NOTE_LINE, _NOTE, colour=FAINT)
    _draw_legend(sheet, legend, first - 0.34)
    top = first
    for number, (row, caption, flow) in enumerate(zip(rows, captions, flows)):
        sheet.text(str(number + 1), _MARGIN, top + 0.14, _CAPTION, bold=True, colour=FAINT)
        _draw_caption(sheet, row, caption, flow, top)
        top += heights[number]
    sheet.text(title, _MARGIN, batch, _CAPTION, bold=True)
    _draw_batch(sheet, rows, batch + 0.16, cell)
    return sheet.save(out)


def _legend(rows: Sequence[Row]) -> list[tuple[Kind | None, str, float, float]]:
    """Return what the colours on the sheet mean: kind, meaning, left and right end in inches."""
    seen = {token.kind for row in rows for token in row.tokens}
    entries: list[tuple[Kind | None, str]] = [(kind, text) for kind, text in _MEANING.items() if kind in seen]
    if any(token.text == BYTES for row in rows for token in row.tokens):
        entries.append((None, f"{BYTES}  less than a letter"))
    placed = []
    left = 0.0
    for kind, text in entries:
        right = left + (0.26 if kind else 0) + text_width(text, _NOTE)
        placed.append((kind, text, left, right))
        left = right + 0.28
    return placed


def _draw_legend(sheet: Sheet, legend: Sequence[tuple[Kind | None, str, float, float]], base: float) -> None:
    for kind, text, left, _ in legend:
        if kind:
            face, edge, _ = _FACES[kind]
            sheet.box(_MARGIN + left, base - 0.11, (0.2, 0.14), face=face, edge=edge, round=0.03)
        sheet.text(text, _MARGIN + left + (0.26 if kind else 0), base, _NOTE)


def _draw_caption(
    sheet: Sheet,
    row: Row,
    caption: Sequence[str],
    flow: Sequence[Sequence[tuple[Token, float, float]]],
    top: float,
) -> None:
    left = _MARGIN + _NUMBER
    sheet.picture(np.asarray(_square(row.photo)), left, top, (_PHOTO, _PHOTO))
    left += _PHOTO + _GAP
    for number, line in enumerate(caption):
        sheet.text(line, left, top + 0.14 + number * _CAPTION_LINE, _CAPTION, bold=True)
    top += len(caption) * _CAPTION_LINE + 0.06
    for number, line_of_chips in enumerate(flow):
        for token, x, width in line_of_chips:
            _draw_chip(sheet, token, left + x, top + number * _CHIP_LINE, width)


def _draw_chip(sheet: Sheet, token: Token, left: float, top: float, width: float) -> None:
    face, edge, ink = _FACES[token.kind]
    sheet.box(left, top, (width, _CHIP), face=face, edge=edge, round=0.04)
    middle = left + width / 2
    room = width - 2 * _PAD + 0.02
    sheet.text(shorten(token.text, room, _TOKEN), middle, top + 0.17, _TOKEN, colour=ink, ha="center")
    under = id_of(token)
    colour = FAINT if token.kind == "known" else ink
    sheet.text(under, middle, top + 0.31, _ID, colour=colour, ha="center")


def _flow(tokens: Sequence[Token], room: float) -> list[list[tuple[Token, float, float]]]:
    """Place chips in lines: each with its left edge and its width in inches; padding is left to the batch."""
    lines: list[list[tuple[Token, float, float]]] = [[]]
    x = 0.0
    for token in tokens:
        if token.kind == "padding":
            break
        under = id_of(token)
        width = max(text_width(token.text, _TOKEN), text_width(under, _ID), 0.12) + 2 * _PAD
        width = min(width, room)
        x += 0.0 if token.joined or not lines[-1] else _BETWEEN
        if lines[-1] and x + width > room:
            lines.append([])
            x = 0.0
        lines[-1].append((token, x, width))
        x += width
    return lines


def _batch_title(rows: Sequence[Row]) -> str:
    longest = len(rows[0].tokens)
    return f"The batch that training sees: {len(rows)} captions × {longest} positions, the longest first"


def _draw_batch(sheet: Sheet, rows: Sequence[Row], top: float, cell: float) -> None:
    """Draw the ids of all captions, a row each."""
    start = _MARGIN + _NUMBER
    size = min(8.0, 0.9 * (cell / text_width("0000", 10.0)) * 10.0)
    for number, row in enumerate(rows):
        y = top + number * _ROW
        sheet.text(str(number + 1), _MARGIN, y + 0.165, _NOTE, bold=True, colour=FAINT)
        for column, token in enumerate(row.tokens):
            face, _, ink = _FACES[token.kind]
            sheet.box(start + column * cell, y, (cell, _ROW), face=face, edge=PAPER)
            middle = start + (column + 0.5) * cell
            sheet.text(str(token.id), middle, y + 0.165, size, colour=ink, ha="center")


def _square(photo: Image.Image) -> Image.Image:
    """Return the centre of a photo, small: a reminder which one it is."""
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    return photo.resize((220, 220), box=(left, top, left + side, top + side), reducing_gap=2.0)
