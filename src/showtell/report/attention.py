"""Draw a photo, its caption, and where the model looked at each word: ``showtell predict --picture``."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from PIL import Image

from showtell.data.images import Preprocessing
from showtell.models.captioner import Caption, Word
from showtell.report.figures import DPI, FAINT, INK, PAPER, check_figure_path, save_figure
from showtell.report.fonts import font, plain, silent_boxes
from showtell.report.overlay import Box, heat_level, overlay, paint, peak_of, seen_box

_POINT = 1 / 72
_MARGIN, _GAP, _LABEL, _SCALE = 0.30, 0.12, 0.42, 0.46
"""Inches: around everything, between thumbnails, of a thumbnail's label, of the colour scale at the foot."""
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


class _Sheet:
    """A figure whose things are placed in inches from the top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure((width, height), facecolor=PAPER)
        FigureCanvasAgg(self.figure)

    def picture(self, image: Image.Image, left: float, top: float, size: tuple[float, float]) -> None:
        width, height = size[0] / self.width, size[1] / self.height
        axes = self.figure.add_axes((left / self.width, 1 - top / self.height - height, width, height))
        axes.imshow(np.asarray(image), aspect="auto", interpolation="antialiased")
        axes.set_axis_off()

    def text(
        self,
        text: str,
        x: float,
        top: float,
        size: float,
        *,
        bold: bool = False,
        colour: str = INK,
        ha: str = "center",
    ) -> None:
        self.figure.text(
            x / self.width,
            1 - top / self.height,
            text,
            ha=ha,
            va="top",
            color=colour,
            fontproperties=font(text, size, bold=bold),
            # A dollar sign in a caption is a dollar sign.
            parse_math=False,
        )


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
    sheet = _Sheet(layout.width, layout.height)
    middle = layout.width / 2
    sheet.picture(_at_size(image, layout.photo), middle - layout.photo[0] / 2, _MARGIN, layout.photo)
    top = _MARGIN + layout.photo[1] + _GAP
    for line in layout.caption:
        sheet.text(line, middle, top, _CAPTION_SIZE, bold=True)
        top += _line_height(_CAPTION_SIZE)
    top = _MARGIN + layout.photo[1] + layout.caption_height
    if caption.words:
        top = _draw_words(sheet, layout, image, caption.words, preprocessing, top, cells=cells)
        _draw_scale(sheet, caption.words, top, seen_box(preprocessing, image.width, image.height))
    return save_figure(sheet.figure, out)


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
    lines = tuple(_wrap(plain(caption.text), inner, _CAPTION_SIZE))
    caption_height = len(lines) * _line_height(_CAPTION_SIZE) + 2.6 * _GAP
    height = 2 * _MARGIN + photo[1] + caption_height
    if words:
        height += math.ceil(words / columns) * (thumbnail[1] + _LABEL) + _SCALE
    return _Layout(inner + 2 * _MARGIN, height, photo, thumbnail, columns, lines, caption_height)


def _draw_words(
    sheet: _Sheet,
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
        sheet.picture(look, x, y, layout.thumbnail)
        chance = f"{word.probability:.0%}"
        room = width - _text_width(chance, _SMALL_SIZE) - 0.1
        text, size = _fit(plain(word.text), room, _WORD_SIZE)
        sheet.text(text, x, y + height + 0.05 + (_WORD_SIZE - size) * _POINT, size, bold=True, ha="left")
        sheet.text(chance, x + width, y + height + 0.075, _SMALL_SIZE, colour=FAINT, ha="right")
    return top + math.ceil(len(words) / layout.columns) * (height + _LABEL)


def _draw_scale(sheet: _Sheet, words: tuple[Word, ...], top: float, box: Box) -> None:
    """Draw what the colours mean."""
    peak, even = peak_of(word.attention for word in words), 1 / words[0].attention.numel()
    bar_width, bar_height, middle = 1.5, 0.11, sheet.width / 2
    share = np.linspace(0, 1, 300, dtype=np.float32)
    colours = paint(heat_level(share * peak, peak))
    strip = 84 * (1 - colours[:, 3:]) + colours[:, :3] * colours[:, 3:]
    bar = Image.fromarray(np.repeat(strip[None].astype(np.uint8), 8, axis=0))
    sheet.picture(bar, middle - bar_width / 2, top + 0.05, (bar_width, bar_height))
    sheet.text("0", middle - bar_width / 2 - 0.06, top + 0.04, _SMALL_SIZE, colour=FAINT, ha="right")
    sheet.text(f"{peak:.1%}", middle + bar_width / 2 + 0.06, top + 0.04, _SMALL_SIZE, colour=FAINT, ha="left")
    note = f"of the attention in one cell; spread evenly it is {even:.1%}"
    if box != (0, 0, 1, 1):
        note += ". Dark: outside of what the network sees"
    sheet.text(note, middle, top + 0.22, _SMALL_SIZE, colour=FAINT)


def _at_size(image: Image.Image, inches: tuple[float, float]) -> Image.Image:
    """Shrink a picture to half as many pixels again as it is shown with; a small one stays as it is."""
    factor = min(1.0, 1.5 * DPI * inches[0] / image.width)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _line_height(size: float) -> float:
    return 1.45 * size * _POINT


@lru_cache(4096)
def _text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Measure a line, in inches."""
    with silent_boxes():
        renderer = RendererAgg(1, 1, DPI)
        style = font(text, size, bold=bold)
        width, _, _ = renderer.get_text_width_height_descent(text, style, False)
    return float(width) / DPI


def _wrap(text: str, width: float, size: float) -> list[str]:
    """Break a bold text into lines that fit, at blanks, or inside a word that alone is too long."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if _text_width(longer, size, bold=True) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while _text_width(line, size, bold=True) > width:
            end = max(1, _letters_that_fit(line, width, size))
            lines.append(line[:end])
            line = line[end:]
    return [*lines, line] if line else lines


def _fit(text: str, width: float, size: float) -> tuple[str, float]:
    """Make a bold word smaller until it fits, then cut it; return it with its size in points."""
    while size > _LEAST_SIZE and _text_width(text, size, bold=True) > width:
        size -= 0.5
    if _text_width(text, size, bold=True) <= width:
        return text, size
    ellipsis = "…"
    room = width - _text_width(ellipsis, size, bold=True)
    return text[: max(1, _letters_that_fit(text, room, size))] + ellipsis, size


def _letters_that_fit(text: str, width: float, size: float) -> int:
    """Return how many letters of a bold text fit."""
    ends = range(1, len(text) + 1)
    return bisect_right(ends, width, key=lambda end: _text_width(text[:end], size, bold=True))
