"""Draw how a classifier errs: which classes it takes for which, and whether it is as sure as it is right."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from showtell.report.figures import ACCENT, FAINT, GRID, INK, RIGHT, small_figure
from showtell.report.fonts import font, plain
from showtell.report.sheet import text_width

_NUMBERED = 20
"""Up to as many classes, the confusion matrix has its counts written in it."""
_NAME = 24
"""Letters of a class's name that are drawn."""
_RULE = 10
"""With more classes than are numbered, every so many a stronger line leads the eye to the names."""


def draw_confusion(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> Figure:
    """Draw the confusion matrix: right classes by row, named classes by column, coloured by share of the row.

    What is right is green and what is wrong is orange, the stronger the larger its share. The size grows with
    the number of classes, so that every name is written; of many classes on all four sides.

    Args:
        classes: Their names, C.
        confusion: Pictures of each class (row) that were given each name (column), (C, C).
    """
    counts = np.asarray(confusion)
    few = len(classes) <= _NUMBERED
    cell = 0.62 if len(classes) <= 6 else 0.44 if few else 0.1
    side = cell * len(classes)
    size = 9.5 if few else 6.2
    names = [_short(name) for name in classes]
    margin = 0.3 + max(text_width(name, size) for name in names)
    turned = len(classes) > 6 or margin > 1.1
    sides = 1 if few else 2
    figure, axes = small_figure(side + sides * margin, side + (sides * margin if turned else 0.6))
    axes.imshow(_coloured(counts), interpolation="nearest")
    for number in range(len(classes) + 1):
        width = 0.8 if few or number % _RULE == 0 else 0.2
        axes.axhline(number - 0.5, color=GRID, linewidth=width)
        axes.axvline(number - 0.5, color=GRID, linewidth=width)
    if few:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=INK, fontsize=9.5)
    axes.tick_params(axis="x", rotation=90 if turned else 0, length=0, labeltop=not few)
    axes.tick_params(axis="y", length=0, labelright=not few)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(range(len(names)), names)
        for tick, name in zip(axis.get_major_ticks(), names):
            for label in (tick.label1, tick.label2):
                label.set_fontproperties(font(name, size))
                label.set_parse_math(False)
                label.set_color(INK)
    axes.set_xlabel("named", color=FAINT)
    axes.set_ylabel("right class", color=FAINT)
    axes.spines[:].set_visible(False)
    return figure


def _coloured(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return colours (C, C, 4) that lie well on light and on dark paper."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    colours = np.empty((*counts.shape, 4))
    colours[..., :3] = to_rgb(ACCENT)
    colours[np.eye(len(counts), dtype=bool), :3] = to_rgb(RIGHT)
    # A rare mistake should still be seen.
    colours[..., 3] = np.where(counts > 0, 0.12 + 0.58 * np.sqrt(share), 0)
    return colours


def draw_reliability(bins: Sequence[Mapping[str, Any]], title: str, error: float) -> Figure:
    """Draw how many predictions are right against how sure they are; on the diagonal, both are the same.

    Args:
        bins: Records of ``pictures``, ``confidence`` and ``accuracy``, over equal parts of [0, 1].
        title: Of the drawing.
        error: Expected calibration error, which stands in the title.
    """
    figure, axes = small_figure(3.6, 3.6)
    full = [one for one in bins if one["pictures"]]
    most = max((one["pictures"] for one in full), default=1)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    for one in full:
        low, high = _wilson(one["accuracy"], one["pictures"])
        axes.plot([one["confidence"]] * 2, [low, high], color=ACCENT, linewidth=1.2, alpha=0.45)
        axes.scatter(
            one["confidence"],
            one["accuracy"],
            s=14 + 120 * one["pictures"] / most,
            color=ACCENT,
            alpha=0.85,
            linewidths=0,
        )
    axes.set(xlim=(-0.03, 1.05), ylim=(-0.03, 1.05), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    title = f"{title}: error {error:.3f}"
    axes.set_title(title, loc="left", color=INK, fontproperties=font(title, 10, bold=True))
    axes.set_xlabel("how sure it is", color=FAINT)
    axes.set_ylabel("how often it is right", color=FAINT)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=FAINT, length=0, labelsize=9)
    return figure


def _wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95% interval of a share of ``count``. Source: Wilson 1927."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - reach, middle + reach


def _short(name: str) -> str:
    """Cut a long name in the middle: names of kinds often differ in their ends only."""
    text, half = plain(name), _NAME // 2
    return text if len(text) <= _NAME else f"{text[: half - 1].rstrip()}…{text[-half:].lstrip()}"
