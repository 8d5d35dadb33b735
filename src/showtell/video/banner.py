"""Draw on a frame what a model says of it: a bar a class on the image, or the caption under it."""

import math
from collections.abc import Mapping
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from showtell.report.fonts import pil_font, plain
from showtell.report.wrapping import shorten, wrap
from showtell.video.sources import Pixels

INK, TEXT, FAINT, ACCENT, TRACK = "#161513", "#f1ece3", "#a79f92", "#ff9d4d", "#4a453d"
"""Colours of the ground, of words, of secondary words, of what matters, of a bar's empty part: those of the
product's pages in the dark."""
ROWS = 5
"""Most classes that are shown."""
_LINES = 2
_GROUND = 0.8
"""Opacity of the ground under words, in [0, 1]."""
_NARROW = 480
"""Narrower frames are enlarged, for words to be read."""


class Banner:
    """Draws on frames of one size; what comes out is of one size, too, and even, as videos want it.

    Args:
        width: Of the frames, pixels.
        height: Of the frames, pixels.
        under: Leave room for a caption under the image.

    Attributes:
        unit: Size of small text, pixels.
    """

    def __init__(self, width: int, height: int, *, under: bool) -> None:
        times = max(1, math.ceil(_NARROW / width))
        self._image = (width * times, height * times)
        self.unit = max(13, round(min(self._image[0] / 34, self._image[1] / 24)))
        self._line = round(self.unit * 1.75)
        strip = _LINES * self._line + self.unit if under else 0
        self._canvas = (_even(self._image[0]), _even(self._image[1] + strip))

    def draw(self, pixels: Pixels, found: Mapping[str, float] | str | None, note: str = "") -> Pixels:
        """Draw on a frame.

        Args:
            pixels: (height, width, 3), uint8, RGB.
            found: Probabilities of classes in the order to show them, of which the first ``ROWS`` are shown;
                or a caption; None where nothing is known yet.
            note: Shown in the corner.

        Returns:
            The drawn frame, (at least height, at least width, 3), uint8, RGB.
        """
        canvas = Image.new("RGB", self._canvas, INK)
        image = Image.fromarray(pixels)
        canvas.paste(image if image.size == self._image else image.resize(self._image))
        brush = ImageDraw.Draw(canvas)
        if isinstance(found, str):
            self._caption(brush, plain(found))
        elif found:
            self._bars(canvas, brush, dict(list(found.items())[:ROWS]))
        if note:
            self._note(canvas, brush, note)
        return np.asarray(canvas)

    def _bars(self, canvas: Image.Image, brush: ImageDraw.ImageDraw, classes: Mapping[str, float]) -> None:
        unit, best = self.unit, max(classes, key=lambda name: classes[name])
        percent, pad, row = round(3.1 * unit), round(0.8 * unit), round(1.7 * unit)
        width = min(self._image[0] - unit, 21 * unit)
        names = min(9 * unit, max(_length(plain(name), unit) for name in classes))
        height = len(classes) * row + pad
        left, top = unit // 2, self._image[1] - unit // 2 - height
        self._ground(canvas, (left, top, width, height))
        start, end = left + pad + round(names) + pad, left + width - pad - percent
        for i, (name, probability) in enumerate(classes.items()):
            middle = top + pad // 2 + i * row + row // 2
            color = ACCENT if name == best else FAINT
            ink = TEXT if name == best else FAINT
            label = _fitted(plain(name), unit, names)
            brush.text((left + pad, middle), label, ink, _font(unit, label), "lm")
            box = (start, middle - unit // 4, end, middle + unit // 4)
            brush.rounded_rectangle(box, radius=2, fill=TRACK)
            filled = start + round(probability * (end - start))
            if filled > start:
                brush.rounded_rectangle((*box[:2], filled, box[3]), radius=2, fill=color)
            percentage = f"{probability:.0%}"
            brush.text((left + width - pad, middle), percentage, ink, _font(unit, percentage), "rm")

    def _caption(self, brush: ImageDraw.ImageDraw, caption: str) -> None:
        size = round(self.unit * 1.2)
        lines = _wrapped(caption, size, self._image[0] - 2 * self.unit)
        room = self._canvas[1] - self._image[1]
        top = self._image[1] + (room - len(lines) * self._line) // 2
        for i, line in enumerate(lines):
            middle = top + i * self._line + self._line // 2
            brush.text((self._canvas[0] // 2, middle), line, TEXT, _font(size, line), "mm")

    def _note(self, canvas: Image.Image, brush: ImageDraw.ImageDraw, note: str) -> None:
        size = round(self.unit * 0.8)
        width, height = round(_length(note, size)) + size, 2 * size
        left, top = self._image[0] - width - self.unit // 2, self.unit // 2
        self._ground(canvas, (left, top, width, height))
        brush.text((left + width // 2, top + height // 2), note, TEXT, _font(size, note), "mm")

    def _ground(self, canvas: Image.Image, box: tuple[int, int, int, int]) -> None:
        left, top, width, height = box
        canvas.paste(INK, (left, top), _mask(width, height, self.unit // 2))


def _even(length: int) -> int:
    return length + length % 2


@lru_cache(256)
def _font(size: int, text: str) -> ImageFont.FreeTypeFont:
    return pil_font(size, text)  # reading a Korean font takes longer than drawing with it


def _length(text: str, size: int) -> float:
    return _font(size, text).getlength(text)


@lru_cache(256)
def _fitted(text: str, size: int, width: float) -> str:
    """Shorten a text to a width, in pixels."""
    return shorten(text, width, partial(_length, size=size))


@lru_cache(64)
def _wrapped(text: str, size: int, width: float) -> tuple[str, ...]:
    """Break a text into lines of a width in pixels; what goes beyond the last line is cut off."""
    lines = wrap(text, width, partial(_length, size=size))
    if len(lines) > _LINES:
        lines[_LINES - 1 :] = [_fitted(" ".join(lines[_LINES - 1 :]), size, width)]
    return tuple(lines)


@lru_cache(8)
def _mask(width: int, height: int, radius: int) -> Image.Image:
    """Return a rounded ground, smooth at its corners."""
    large = Image.new("L", (4 * width, 4 * height))
    ImageDraw.Draw(large).rounded_rectangle(
        (0, 0, 4 * width - 1, 4 * height - 1), radius=4 * radius, fill=round(255 * _GROUND)
    )
    return large.resize((width, height), Image.Resampling.BOX)
