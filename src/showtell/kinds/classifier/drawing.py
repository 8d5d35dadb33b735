"""Draw what a classifier said: the photo, where it looked, and how likely each class is."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor

from showtell.data.images import Preprocessing
from showtell.report.figures import (
    FAINT,
    INK,
    RIGHT,
    check_figure_path,
    figure_grid,
    inch_axes,
    save_figure,
    show_image,
    write,
)
from showtell.report.fonts import inches, plain, text_width
from showtell.report.overlay import overlay
from showtell.report.wrapping import shorten, wrap

_OTHER = "#b9b2a7"
"""Colour of the bars of classes that are not known to be right."""
_GAP, _PAD, _PERCENT = 0.22, 0.08, 0.6
"""Inches: between columns, beside a bar, for its percentage."""
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
    width = _HEIGHT * image.width / image.height
    column = max(width, _LEAST_COLUMN)
    best = next(iter(probabilities))
    photos = (
        (image, "" if right is None else f"it is {right}"),
        (
            overlay(image, heat, preprocessing),
            f"what speaks for {best}" if heat.any() else f"{best}; this kind of head cannot say why",
        ),
    )
    names = [shorten(plain(name), _NAMES, inches(_NAME, bold=True), middle=True) for name in probabilities]
    beside = _PAD + max(text_width(name, _NAME, bold=True) for name in names)
    figure, ((*axes, bars),) = figure_grid([column, column, beside + _BAR + _PERCENT], [_HEIGHT], (_GAP, 0))
    start = (column - width) / 2
    for one, (shown, title) in zip(axes, photos):
        inch_axes(one, column, _HEIGHT)
        show_image(one, np.asarray(shown), (start, start + width, _HEIGHT, 0))
        lines = wrap(title, column, inches(_TITLE))[:_LINES]
        write(one, column / 2, -0.1, "\n".join(lines), _TITLE, colour=FAINT, ha="center", va="bottom")
    slots, middle = max(_SLOTS, len(names)), (len(names) - 1) / 2
    bars.set(xlim=(-beside, _BAR + _PERCENT), ylim=(middle + slots / 2, middle - slots / 2))
    for row, (name, (label, share)) in enumerate(zip(names, probabilities.items())):
        _draw_bar(bars, row, name, share, label == right)
    return save_figure(figure, out, crop=True)


def _draw_bar(axes: Axes, row: int, name: str, share: float, right: bool) -> None:
    """Draw how likely a class is, between its name and the number."""
    length, ink = max(0.01, _BAR * share), RIGHT if right else INK
    axes.barh(row, length, height=0.72, color=RIGHT if right else _OTHER)
    write(axes, -_PAD, row, name, _NAME, bold=right, colour=ink, ha="right", va="center_baseline")
    write(axes, length + _PAD, row, f"{share:.1%}", _TITLE, va="center_baseline")
