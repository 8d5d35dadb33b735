"""Draw what backbones reach against what they cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter, ScalarFormatter

from showtell.report.figures import (
    ACCENT,
    FAINT,
    GRID,
    INK,
    PAPER,
    check_figure_path,
    save_figure,
    small_figure,
)
from showtell.report.fonts import font, plain


class Point(NamedTuple):
    """A backbone in the drawing.

    Attributes:
        name: The backbone.
        milliseconds: A prediction takes, above 0.
        score: In the unit of the axis.
        low: Of the score's interval.
        high: Of the score's interval.
    """

    name: str
    milliseconds: float
    score: float
    low: float
    high: float


def draw_comparison(points: Sequence[Point], what: str, out: Path) -> Path:
    """Draw scores with their 95% intervals against the time of a prediction, on a logarithmic scale.

    Args:
        points: The backbones, at least one.
        what: The score, as it stands beside its axis, such as ``accuracy in % (val, 50 pictures)``.
        out: The file to write; its suffix chooses the format.

    Returns:
        ``out``.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes.
    """
    check_figure_path(out)
    figure, axes = small_figure(7.2, 4.4)
    times = [point.milliseconds for point in points]
    least, most = min(times) / 2, max(times) * 2
    axes.set_xscale("log")
    axes.set_xlim(least, most)
    axes.set_xticks([t for t in _round_numbers() if least <= t <= most])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    for point in points:
        axes.errorbar(
            point.milliseconds,
            point.score,
            yerr=[[point.score - point.low], [point.high - point.score]],
            fmt="o",
            color=ACCENT,
            ecolor=FAINT,
            elinewidth=1,
            capsize=3,
        )
        # Towards the middle, where there is room.
        is_left = point.milliseconds**2 <= least * most
        axes.annotate(
            plain(point.name),
            (point.milliseconds, point.score),
            xytext=(7 if is_left else -7, 5),
            textcoords="offset points",
            horizontalalignment="left" if is_left else "right",
            fontproperties=font(point.name, 10),
            color=INK,
            parse_math=False,
            path_effects=[withStroke(linewidth=3, foreground=PAPER)],
        )
    axes.margins(y=0.1)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, length=0)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("milliseconds a prediction", color=FAINT)
    axes.set_ylabel(what, color=FAINT)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    return save_figure(figure, out)


def _round_numbers() -> list[float]:
    """Return 1, 2, 5, 10, 20, 50 and so on, far in both directions."""
    return [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
