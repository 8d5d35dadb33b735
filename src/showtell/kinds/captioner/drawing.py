"""Draw a photo, its caption, and where the model looked at each word: ``showtell predict --save-plot``."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from showtell.data.images import Preprocessing
from showtell.models.captioner import Caption, Word
from showtell.report.figures import DPI, FAINT, check_figure_path
from showtell.report.fonts import plain
from showtell.report.overlay import Box, heat_level, overlay, paint, peak_of, seen_box
from showtell.report.sheet import POINT, Sheet, shorten, text_width, wrap

_MARGIN, _GAP, _LABEL, _BELOW, _SCALE = 0.30, 0.12, 0.42, 0.165, 0.46
"""Inches: around everything, between thumbnails, of a thumbnail's label, down to its base line, of the colour
scale at the foot."""
_CAPTION_SIZE, _WORD_SIZE, _SMALL_SIZE, _LEAST_SIZE = 14.0, 10.5, 8.0, 7.0
"""Points."""


@dataclass(frozen=True)
class _Layout:
    """Sizes in inches."""

    width: float
    height: float
    photo: tuple[float, float]
    thumbnail: tuple[float, float]
    columns: int
    caption: tuple[str, ...]
    caption_height: float


def draw_attention(
    image: Image.Image, caption: Caption, preprocessing: Preprocessing, out: Path, *, cells: bool = False
) -> Path:
    """Draw a photo with its caption, then a thumbnail a word with where the model looked.

    All thumbnails share one colour scale, from 0 to the largest weight of any word, so that a word at which
    the model looked hard is brighter than one at which its look wandered; the scale is drawn below them. It
    goes by the square root of the weight, or a single sharp look would hide all others. Colours are
    interpolated between the centres of the cells; ``cells`` shows the bare grid. Where the network
    saw only the centre of the photo, the rest is dark.

    Args:
        image: Upright, as ``open_image`` returns it.
        caption: What the captioner said.
        preprocessing: Of the captioner's backbone.
        out: The file to write; its suffix chooses the format.
        cells: Show the cells of the grid as they are.

    Returns:
        ``out``.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes.
    """
    check_figure_path(out)
    image = image.convert("RGB")
    layout = _lay_out(image.width / image.height, caption)
    sheet = Sheet(layout.width, layout.height)
    middle = layout.width / 2
    photo = np.asarray(_at_size(image, layout.photo))
    sheet.picture(photo, middle - layout.photo[0] / 2, _MARGIN, layout.photo)
    base = _MARGIN + layout.photo[1] + _GAP + 0.76 * _CAPTION_SIZE * POINT
    for line in layout.caption:
        sheet.text(line, middle, base, _CAPTION_SIZE, bold=True, ha="center")
        base += _line_height(_CAPTION_SIZE)
    top = _MARGIN + layout.photo[1] + layout.caption_height
    if caption.words:
        top = _draw_words(sheet, layout, image, caption.words, preprocessing, top, cells=cells)
        _draw_scale(sheet, caption.words, top, seen_box(preprocessing, image.width, image.height))
    return sheet.save(out)


def _lay_out(aspect: float, caption: Caption) -> _Layout:
    """Choose sizes for a photo of this aspect, width over height, and this many words."""
    # Thumbnails of about equal area, so that a panorama is wider and a portrait higher.
    width = min(2.92, max(1.15, 1.75 * math.sqrt(aspect)))
    thumbnail = width, min(width / aspect, 3.0)
    words = len(caption.words)
    most = max(1, int((9.6 + _GAP) / (width + _GAP)))
    columns = math.ceil(words / math.ceil(words / most)) if words else 0
    block = columns * (width + _GAP) - _GAP
    photo_height = min(3.8, 9.0 / aspect)
    photo = photo_height * aspect, photo_height
    inner = max(block, photo[0], 4.6)
    lines = tuple(wrap(caption.text, inner, _CAPTION_SIZE, bold=True))
    caption_height = len(lines) * _line_height(_CAPTION_SIZE) + 2.6 * _GAP
    height = 2 * _MARGIN + photo[1] + caption_height
    if words:
        height += math.ceil(words / columns) * (thumbnail[1] + _LABEL) + _SCALE
    return _Layout(inner + 2 * _MARGIN, height, photo, thumbnail, columns, lines, caption_height)


def _draw_words(
    sheet: Sheet,
    layout: _Layout,
    image: Image.Image,
    words: tuple[Word, ...],
    preprocessing: Preprocessing,
    top: float,
    *,
    cells: bool,
) -> float:
    """Draw the thumbnails; return where they end."""
    width, height = layout.thumbnail
    left = (layout.width - layout.columns * (width + _GAP) + _GAP) / 2
    small, peak = _at_size(image, layout.thumbnail), peak_of(word.attention for word in words)
    for index, word in enumerate(words):
        row, column = divmod(index, layout.columns)
        x, y = left + column * (width + _GAP), top + row * (height + _LABEL)
        look = overlay(small, word.attention, preprocessing, peak=peak, cells=cells)
        sheet.picture(np.asarray(look), x, y, layout.thumbnail)
        chance, base = f"{word.probability:.0%}", y + height + _BELOW
        text, size = _fit(plain(word.text), width - text_width(chance, _SMALL_SIZE) - 0.1)
        sheet.text(text, x, base, size, bold=True)
        sheet.text(chance, x + width, base, _SMALL_SIZE, colour=FAINT, ha="right")
    return top + math.ceil(len(words) / layout.columns) * (height + _LABEL)


def _draw_scale(sheet: Sheet, words: tuple[Word, ...], top: float, box: Box) -> None:
    """Draw what the colours mean."""
    peak, even = peak_of(word.attention for word in words), 1 / words[0].attention.numel()
    bar_width, bar_height, middle = 1.5, 0.11, sheet.width / 2
    share = np.linspace(0, 1, 300, dtype=np.float32)
    colours = paint(heat_level(share * peak, peak))
    strip = 84 * (1 - colours[:, 3:]) + colours[:, :3] * colours[:, 3:]
    bar = np.repeat(strip[None].astype(np.uint8), 8, axis=0)
    sheet.picture(bar, middle - bar_width / 2, top + 0.05, (bar_width, bar_height))
    beside, base = bar_width / 2 + 0.06, top + 0.145
    sheet.text("0", middle - beside, base, _SMALL_SIZE, colour=FAINT, ha="right")
    sheet.text(f"{peak:.1%}", middle + beside, base, _SMALL_SIZE, colour=FAINT)
    note = f"of the attention in one cell; spread evenly it is {even:.1%}"
    if box != (0, 0, 1, 1):
        note += ". Dark: outside of what the network sees"
    sheet.text(note, middle, base + 0.17, _SMALL_SIZE, colour=FAINT, ha="center")


def _at_size(image: Image.Image, inches: tuple[float, float]) -> Image.Image:
    """Shrink a picture to half as many pixels again as it is shown with; a small one stays as it is."""
    factor = min(1.0, 1.5 * DPI * inches[0] / image.width)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _line_height(size: float) -> float:
    return 1.45 * size * POINT


def _fit(text: str, width: float) -> tuple[str, float]:
    """Make a bold word smaller until it fits, then cut it; return it with its size in points."""
    size = _WORD_SIZE
    while size > _LEAST_SIZE and text_width(text, size, bold=True) > width:
        size -= 0.5
    return shorten(text, width, size, bold=True), size
