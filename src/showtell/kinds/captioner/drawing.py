"""Draw a photo, its caption, and where the model looked at each word: ``showtell predict --save-plot``."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from showtell.data.images import Preprocessing
from showtell.models.captioner import Caption, Word
from showtell.report.figures import (
    DPI,
    FAINT,
    POINT,
    check_figure_path,
    figure_grid,
    inch_axes,
    save_figure,
    show_image,
    write,
)
from showtell.report.fonts import inches, plain, text_width
from showtell.report.overlay import Box, heat_level, overlay, paint, peak_of, seen_box
from showtell.report.wrapping import shorten, wrap

_GAP, _LABEL, _BELOW = 0.12, 0.42, 0.165
"""Inches: between thumbnails, of a thumbnail's label, down to its base line."""
_CAPTION_SIZE, _WORD_SIZE, _SMALL_SIZE, _LEAST_SIZE = 14.0, 10.5, 8.0, 7.0
"""Points."""


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
    words, aspect = caption.words, image.width / image.height
    # Thumbnails of about equal area, so that a panorama is wider and a portrait higher.
    width = min(2.92, max(1.15, 1.75 * math.sqrt(aspect)))
    most = max(1, int((9.6 + _GAP) / (width + _GAP)))
    columns = math.ceil(len(words) / (math.ceil(len(words) / most) or 1))
    thumbnail = width, min(width / aspect, 3.0)
    height = min(3.8, 9.0 / aspect)
    block = columns * (width + _GAP) - _GAP
    whole = max(block, height * aspect, 4.6)
    lines = wrap(caption.text, whole, inches(_CAPTION_SIZE, bold=True))
    first = height + len(lines) * 1.45 * _CAPTION_SIZE * POINT + 2.6 * _GAP
    last = first + (math.ceil(len(words) / columns) * (thumbnail[1] + _LABEL) if words else 0)
    figure, ((axes,),) = figure_grid([whole], [last + 0.2])
    inch_axes(axes, whole, last + 0.2)
    middle = whole / 2
    sides = middle - height * aspect / 2, middle + height * aspect / 2
    show_image(axes, np.asarray(_at_size(image, height * aspect)), (*sides, height, 0))
    write(axes, middle, height + _GAP, "\n".join(lines), _CAPTION_SIZE, bold=True, ha="center", va="top")
    if words:
        small, peak = _at_size(image, width), peak_of(word.attention for word in words)
        for index, word in enumerate(words):
            row, column = divmod(index, columns)
            place = middle - block / 2 + column * (width + _GAP), first + row * (thumbnail[1] + _LABEL)
            heat = overlay(small, word.attention, preprocessing, peak=peak, cells=cells)
            _draw_word(axes, word, heat, place, thumbnail)
        _draw_scale(axes, words, middle, last, seen_box(preprocessing, image.width, image.height))
    return save_figure(figure, out, crop=True)


def _draw_word(
    axes: Axes, word: Word, heat: Image.Image, place: tuple[float, float], size: tuple[float, float]
) -> None:
    """Draw a thumbnail at a place in inches, and below it the word and how likely it was."""
    (left, top), right, bottom = place, place[0] + size[0], place[1] + size[1]
    show_image(axes, np.asarray(heat), (left, right, bottom, top))
    chance = f"{word.probability:.0%}"
    text, points = _fit(plain(word.text), size[0] - text_width(chance, _SMALL_SIZE) - 0.1)
    write(axes, left, bottom + _BELOW, text, points, bold=True)
    write(axes, right, bottom + _BELOW, chance, _SMALL_SIZE, colour=FAINT, ha="right")


def _draw_scale(axes: Axes, words: tuple[Word, ...], middle: float, top: float, box: Box) -> None:
    """Draw what the colours mean."""
    peak, even = peak_of(word.attention for word in words), 1 / words[0].attention.numel()
    half = 0.75
    share = np.linspace(0, 1, 300, dtype=np.float32)
    colours = paint(heat_level(share * peak, peak))
    strip = 84 * (1 - colours[:, 3:]) + colours[:, :3] * colours[:, 3:]
    bar = np.repeat(strip[None].astype(np.uint8), 8, axis=0)
    show_image(axes, bar, (middle - half, middle + half, top + 0.16, top + 0.05))
    beside, base = half + 0.06, top + 0.145
    write(axes, middle - beside, base, "0", _SMALL_SIZE, colour=FAINT, ha="right")
    write(axes, middle + beside, base, f"{peak:.1%}", _SMALL_SIZE, colour=FAINT)
    note = f"of the attention in one cell; spread evenly it is {even:.1%}"
    if box != (0, 0, 1, 1):
        note += ". Dark: outside of what the network sees"
    write(axes, middle, base + 0.17, note, _SMALL_SIZE, colour=FAINT, ha="center")


def _at_size(image: Image.Image, width: float) -> Image.Image:
    """Shrink an image to half as many pixels again as it is shown with; a small one stays as it is.

    Args:
        image: The image.
        width: It is shown with, inches.
    """
    factor = min(1.0, 1.5 * DPI * width / image.width)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _fit(text: str, width: float) -> tuple[str, float]:
    """Make a bold word smaller until it fits, then cut it; return it with its size in points."""
    size = _WORD_SIZE
    while size > _LEAST_SIZE and text_width(text, size, bold=True) > width:
        size -= 0.5
    return shorten(text, width, inches(size, bold=True)), size
