"""Draw what backbones reach against what they cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from showtell.report.figures import ACCENT, FAINT, INK, PAPER, check_figure_path, save_figure
from showtell.report.fonts import font, plain


class Point(NamedTuple):
    """A backbone in the drawing.

    Attributes:
        name: The backbone.
        milliseconds: A prediction takes, above 0.
        accuracy: In [0, 1].
        low: Of the accuracy's interval.
        high: Of the accuracy's interval.
    """

    name: str
    milliseconds: float
    accuracy: float
    low: float
    high: float


def draw_comparison(points: Sequence[Point], what: str, out: Path) -> Path:
    """Draw accuracy with its 95% interval against the time of a prediction, on a logarithmic scale.

    Args:
        points: The backbones, at least one.
        what: What was scored, such as ``val, 50 pictures``.
        out: The file to write; its suffix chooses the format.

    Returns:
        ``out``.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes.
    """
    check_figure_path(out)
    figure = Figure((7.2, 4.4), facecolor=PAPER, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for point in points:
        below, above = point.accuracy - point.low, point.high - point.accuracy
        axes.errorbar(
            point.milliseconds,
            100 * point.accuracy,
            yerr=[[100 * below], [100 * above]],
            fmt="o",
            color=ACCENT,
            ecolor=FAINT,
            capsize=3,
        )
        axes.annotate(
            plain(point.name),
            (point.milliseconds, 100 * point.accuracy),
            xytext=(7, 5),
            textcoords="offset points",
            fontproperties=font(point.name, 10),
            color=INK,
            parse_math=False,
        )
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.1)
    axes.set_xlabel("milliseconds a prediction", color=FAINT)
    axes.set_ylabel(f"accuracy in % ({what})", color=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    return save_figure(figure, out)
