"""Draw what a classifier said: the photo, where it looked, and how likely each class is."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from showtell.data.images import Preprocessing
from showtell.report.figures import FAINT, INK, RIGHT, check_figure_path
from showtell.report.fonts import plain
from showtell.report.overlay import overlay
from showtell.report.sheet import POINT, Sheet, shorten, text_width, wrap

_OTHER = "#b9b2a7"
"""Colour of the bars of classes that are not known to be right."""
_MARGIN, _GAP, _LINE = 0.2, 0.22, 0.19
"""Inches: around everything, between columns, between lines of a title."""
_HEIGHT, _LEAST_COLUMN, _NAMES, _BAR = 3.2, 1.9, 2.6, 2.6
"""Inches: of the photo, of a title's width at least, of a class's name at most, of a bar of 100%."""
_TITLE, _NAME = 10.0, 11.0
"""Points."""
_LINES = 3
"""Of a title, at most."""
_SLOTS = 5
"""Bars that there is room for at least, so that a few are no thicker."""


def draw_prediction(
    image: Image.Image,
    heat: Tensor,
    probabilities: Mapping[str, float],
    preprocessing: Preprocessing,
    out: Path,
    *,
    right: str | None = None,
) -> Path:
    """Draw a photo beside a Grad-CAM overlay and a bar a class.

    Args:
        image: Upright, as ``open_image`` returns it.
        heat: What spoke for the first class, (rows, columns), each 0 or more.
        probabilities: Of the most likely classes, in [0, 1], most likely first.
        preprocessing: Of the model's backbone.
        out: The file to write; its suffix chooses the format.
        right: The right class where it is known: its name stands above the photo, and its bar is green.

    Returns:
        ``out``.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes.
    """
    check_figure_path(out)
    image = image.convert("RGB")
    image.thumbnail((900, 900))
    size = _HEIGHT * image.width / image.height, _HEIGHT
    column = max(size[0], _LEAST_COLUMN)
    best = next(iter(probabilities))
    photos = (
        (image, "" if right is None else f"it is {right}"),
        (
            overlay(image, heat, preprocessing),
            f"what speaks for {best}" if heat.any() else f"{best}; this kind of head cannot say why",
        ),
    )
    titles = [wrap(title, column, _TITLE)[:_LINES] for _, title in photos]
    top = _MARGIN + max(map(len, titles)) * _LINE + 0.06
    names = {name: shorten(plain(name), _NAMES, _NAME, bold=True, middle=True) for name in probabilities}
    start = _MARGIN + 2 * (column + _GAP)
    axis = start + max(text_width(name, _NAME, bold=True) for name in names.values())
    sheet = Sheet(axis + _BAR + 0.75 + _MARGIN, top + _HEIGHT + _MARGIN)
    for place, ((shown, _), lines) in enumerate(zip(photos, titles)):
        left = _MARGIN + place * (column + _GAP)
        sheet.picture(np.asarray(shown), left + (column - size[0]) / 2, top, size)
        for number, line in enumerate(reversed(lines)):
            base = top - 0.1 - number * _LINE
            sheet.text(line, left + column / 2, base, _TITLE, colour=FAINT, ha="center")
    step = _HEIGHT / max(_SLOTS, len(names))
    first = top + (_HEIGHT - step * len(names)) / 2
    for row, (name, share) in enumerate(probabilities.items()):
        y, found = first + row * step, name == right
        base = y + step / 2 + 0.36 * _NAME * POINT
        sheet.text(names[name], axis, base, _NAME, bold=found, colour=RIGHT if found else INK, ha="right")
        length = max(0.01, _BAR * share)
        sheet.box(axis + 0.08, y + 0.14 * step, (length, 0.72 * step), face=RIGHT if found else _OTHER)
        sheet.text(f"{share:.1%}", axis + 0.16 + length, base, _TITLE)
    return sheet.save(out)
