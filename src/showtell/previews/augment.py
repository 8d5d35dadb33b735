"""Draw photos beside their random views, each with what was done to it: ``showtell preview augment``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from showtell.data.augment import Augmentation, Changes
from showtell.report.figures import ACCENT, FAINT
from showtell.report.sheet import Sheet, shorten, wrap

_MARGIN, _GAP, _BETWEEN_ROWS, _BESIDE_PLAIN = 0.35, 0.18, 0.16, 0.14
"""Inches."""
_SIDE, _BELOW, _LINE, _NOTE_LINE = 1.66, 0.19, 0.15, 0.155
"""Inches: width of a picture, from it to the first base line below, between base lines."""
_NAME, _SMALL, _NOTE = 8.5, 7.0, 8.0
"""Points."""
_TRACK = "#e4dfd7"


@dataclass(frozen=True)
class Gauge:
    """One line below a view: what was done, and where that lies between the limits.

    Attributes:
        name: Of the setting.
        said: What was done, in words.
        at: Where on the way from one limit to the other, each in [0, 1].
        middle: Where no change lies on that way, in [0, 1].
    """

    name: str
    said: str
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
        height: Of the picture, pixels.
        width: Of the picture, pixels.
    """
    across, down = changes.columns / width, changes.rows / height
    right, lower = changes.shift_x, changes.shift_y

    def place(value: float, limit: float) -> tuple[float, ...]:
        return (0.5 + 0.5 * value / limit,) if limit else (0.5,)

    kept = 1 - limits.crop
    shares = tuple((share - limits.crop) / kept if kept else 1.0 for share in (across, down))
    return (
        Gauge(
            "crop",
            f"{100 * across:.0f} × {down:.0%}",
            tuple(min(1.0, max(0.0, s)) for s in shares),
            middle=1.0,
        ),
        Gauge("zoom", f"× {changes.zoom:.2f}", place(changes.zoom - 1, limits.zoom)),
        Gauge("shear", f"{_signed(changes.shear)}°", place(changes.shear, limits.shear)),
        Gauge("shift", f"{'→' if right > 0 else '←'} {abs(right):.0%}", place(right, limits.shift)),
        Gauge("", f"{'↓' if lower > 0 else '↑'} {abs(lower):.0%}", place(lower, limits.shift)),
        Gauge(
            "brightness",
            f"{_signed(100 * (changes.brightness - 1))}%",
            place(changes.brightness - 1, limits.brightness),
        ),
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
    views = len(rows[0].views)
    size = _SIDE, _SIDE * height / width
    lines = len(gauges(rows[0].views[0][1], limits, height, width))
    step = size[1] + _BELOW + (lines + 1) * _LINE + _BETWEEN_ROWS
    inner = max((views + 1) * (_SIDE + _GAP) - _GAP + _BESIDE_PLAIN, 6.8)
    head = wrap(_head(views, height, width), inner, _NOTE)
    foot = wrap(_foot(limits), inner, _NOTE)
    first = 0.76 + len(head) * _NOTE_LINE
    last = first + len(rows) * step + 0.12
    sheet = Sheet(inner + 2 * _MARGIN, last + len(foot) * _NOTE_LINE + _MARGIN - 0.12)
    what = "One random view" if views == 1 else f"{views} random views"
    sheet.text(f"{what} of each photo", _MARGIN, 0.48, 15, bold=True)
    for text, y in ((head, 0.70), (foot, last)):
        for number, line in enumerate(text):
            sheet.text(line, _MARGIN, y + number * _NOTE_LINE, _NOTE, colour=FAINT)
    for index, row in enumerate(rows):
        top = first + index * step
        _draw_plain(sheet, row, top, size)
        for column, (pixels, changes) in enumerate(row.views, start=1):
            left = _MARGIN + _BESIDE_PLAIN + column * (_SIDE + _GAP)
            sheet.picture(_shown(pixels), left, top, size)
            base = top + size[1] + _BELOW
            sheet.text(f"view {column}", left, base, _NAME, bold=True)
            sheet.text("mirrored" if changes.flip else "", left + _SIDE, base, _SMALL, ha="right")
            for line_number, gauge in enumerate(gauges(changes, limits, height, width), start=1):
                _draw_gauge(sheet, gauge, left, base + line_number * _LINE)
    return sheet.save(out)


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


def _draw_plain(sheet: Sheet, row: Row, top: float, size: tuple[float, float]) -> None:
    sheet.picture(_shown(row.plain), _MARGIN, top, size)
    below = top + size[1] + _BELOW
    sheet.text("as it is", _MARGIN, below, _NAME, bold=True)
    sheet.text(shorten(row.name, _SIDE, _SMALL, middle=True), _MARGIN, below + _LINE, _SMALL, colour=FAINT)
    sheet.text(shorten(row.note, _SIDE, _SMALL), _MARGIN, below + 2 * _LINE, _SMALL, colour=FAINT)


def _draw_gauge(sheet: Sheet, gauge: Gauge, left: float, base: float) -> None:
    """Draw name, track with a dot, and words; a tick on the track is no change at all."""
    sheet.text(gauge.name, left, base, _SMALL, colour=FAINT)
    sheet.text(gauge.said, left + _SIDE, base, _SMALL, ha="right")
    start, end, y = left + 0.58, left + 1.0, base - 0.035
    sheet.line((start, y), (end, y), colour=_TRACK, width=1.6)
    none = start + gauge.middle * (end - start)
    sheet.line((none, y - 0.03), (none, y + 0.03), colour=FAINT, width=0.7)
    for place in gauge.at:
        sheet.dot(start + place * (end - start), y, colour=ACCENT, size=3.6)


def _shown(pixels: Tensor) -> np.ndarray:
    return pixels.permute(1, 2, 0).numpy()


def _signed(value: float) -> str:
    return f"{value:+.0f}".replace("-", "−").replace("+0", "0").replace("−0", "0")
