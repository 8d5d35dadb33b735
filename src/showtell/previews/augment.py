"""Draw photos beside their random views, each with what was done to it: ``showtell preview augment``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from showtell.data.augment import Augmentation, Changes
from showtell.report.figures import (
    ACCENT,
    FAINT,
    figure_grid,
    inch_axes,
    save_figure,
    show_image,
    write,
    write_around,
)
from showtell.report.fonts import inches
from showtell.report.wrapping import shorten

_SIDE, _BELOW, _LINE = 1.66, 0.19, 0.15
"""Inches: width of an image, from it to the first base line below, between base lines."""
_NAME, _SMALL = 8.5, 7.0
"""Points."""
_TRACK = "#e4dfd7"


@dataclass(frozen=True)
class Gauge:
    """One line below a view: what was done, and where that lies between the limits.

    Attributes:
        name: Of the setting.
        text: What was done, in words.
        at: Where on the way from one limit to the other, each in [0, 1].
        middle: Where no change lies on that way, in [0, 1].
    """

    name: str
    text: str
    at: tuple[float, ...]
    middle: float = 0.5


@dataclass(frozen=True)
class Row:
    """A photo and its views.

    Attributes:
        name: Of the photo.
        note: What else is known of it, such as its size and its class.
        plain: (3, height, width), uint8, as the network sees it.
        views: Each view of it, as ``plain``, with what was done.
    """

    name: str
    note: str
    plain: Tensor
    views: tuple[tuple[Tensor, Changes], ...]


def gauges(changes: Changes, limits: Augmentation, height: int, width: int) -> tuple[Gauge, ...]:
    """Put what a view does into words, each with its place between the limits.

    Args:
        changes: What it does.
        limits: How far it may go.
        height: Of the image, pixels.
        width: Of the image, pixels.
    """
    across, down = changes.columns / width, changes.rows / height
    right, lower = changes.shift_x, changes.shift_y

    light = changes.brightness - 1

    def place(value: float, limit: float) -> tuple[float, ...]:
        return (0.5 + 0.5 * value / limit,) if limit else (0.5,)

    sides = np.divide(np.array((across, down)) - limits.crop, (1 - limits.crop) or 1.0).clip(0, 1)
    return (
        Gauge("crop", f"{100 * across:.0f} × {down:.0%}", tuple(sides), middle=1.0),
        Gauge("zoom", f"× {changes.zoom:.2f}", place(changes.zoom - 1, limits.zoom)),
        Gauge("shear", f"{_signed(changes.shear)}°", place(changes.shear, limits.shear)),
        Gauge("shift", f"{'→' if right > 0 else '←'} {abs(right):.0%}", place(right, limits.shift)),
        Gauge("", f"{'↓' if lower > 0 else '↑'} {abs(lower):.0%}", place(lower, limits.shift)),
        Gauge("brightness", f"{_signed(100 * light)}%", place(light, limits.brightness)),
    )


def draw_views(rows: Sequence[Row], limits: Augmentation, out: Path) -> Path:
    """Draw a row a photo: as it is, then its views, with a gauge for everything that was done.

    Args:
        rows: The photos, all of one size and with equally many views.
        limits: How far the views may go.
        out: The file to write; its suffix chooses the format.

    Returns:
        ``out``.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes.
    """
    height, width = rows[0].plain.shape[-2:]
    views, lines = len(rows[0].views), len(gauges(rows[0].views[0][1], limits, height, width))
    below = _BELOW + (lines + 2) * _LINE
    tall = _SIDE * height / width
    columns = max(views + 1, 4)  # wide enough for the words above
    figure, axes = figure_grid([_SIDE] * columns, [tall, below] * len(rows), (0.18, 0))
    for row, images, words in zip(rows, axes[::2], axes[1::2]):
        for place in words:
            inch_axes(place, _SIDE, below)
        show_image(images[0], _shown(row.plain))
        write(words[0], 0, _BELOW, "as it is", _NAME, bold=True)
        name = shorten(row.name, _SIDE, inches(_SMALL), middle=True)
        note = shorten(row.note, _SIDE, inches(_SMALL))
        for number, text in enumerate((name, note), start=1):
            write(words[0], 0, _BELOW + number * _LINE, text, _SMALL, colour=FAINT)
        for number, (pixels, changes) in enumerate(row.views, start=1):
            show_image(images[number], _shown(pixels))
            place = words[number]
            write(place, 0, _BELOW, f"view {number}", _NAME, bold=True)
            write(place, _SIDE, _BELOW, "mirrored" if changes.flip else "", _SMALL, ha="right")
            for line, gauge in enumerate(gauges(changes, limits, height, width), start=1):
                _draw_gauge(place, gauge, _BELOW + line * _LINE)
    what = "One random view" if views == 1 else f"{views} random views"
    write_around(figure, f"{what} of each photo", _head(views, height, width), _foot(limits))
    return save_figure(figure, out, crop=True)


def _head(views: int, height: int, width: int) -> str:
    return (
        f"At {width} × {height} pixels, as the network sees them. train-classifier with augmentations = "
        f"{views} learns from these very pixels: a view depends on nothing but the content of the photo and "
        "its own number."
    )


def _foot(limits: Augmentation) -> str:
    return (
        f"The limits: mirrored with a chance of {limits.flip:.0%}; {limits.crop:.0%} to 100% of each side "
        f"kept; zoom × {1 - limits.zoom:.2f} to {1 + limits.zoom:.2f}; shear up to {limits.shear:g}°; "
        f"shift up to {limits.shift:.0%}; brightness up to {limits.brightness:.0%} less or more. "
        "The tick on each line is no change. What comes in from beyond an edge is its mirror image."
    )


def _draw_gauge(axes: Axes, gauge: Gauge, base: float) -> None:
    """Draw name, track with a dot, and words; a tick on the track is no change at all."""
    write(axes, 0, base, gauge.name, _SMALL, colour=FAINT)
    write(axes, _SIDE, base, gauge.text, _SMALL, ha="right")
    start, length, y = 0.58, 0.42, base - 0.035
    axes.plot((start, start + length), (y, y), color=_TRACK, linewidth=1.6)
    axes.plot(start + gauge.middle * length, y, "|", color=FAINT, markersize=4.5, markeredgewidth=0.7)
    dots = [start + place * length for place in gauge.at]
    axes.plot(dots, [y] * len(dots), "o", color=ACCENT, markersize=3.6, markeredgewidth=0)


def _shown(pixels: Tensor) -> np.ndarray:
    return pixels.permute(1, 2, 0).numpy()


def _signed(value: float) -> str:
    return f"{value:+.0f}".replace("-", "−").replace("+0", "0").replace("−0", "0")
