"""Figures of the lessons: begun in the colours of the product, shown in a notebook, saved beside a script."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from showtell.notebook import in_notebook
from showtell.report.figures import FAINT, GRID, INK, PAPER, save_figure
from showtell.report.fonts import font


def panels(
    columns: int = 1, rows: int = 1, *, width: float = 4.2, height: float = 3.2
) -> tuple[Figure, npt.NDArray[Any]]:
    """Begin a figure of several drawings.

    Args:
        columns: Drawings beside each other.
        rows: Drawings below each other.
        width: Of each, inches.
        height: Of each, inches.

    Returns:
        The figure and its axes in reading order, (rows * columns,).
    """
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.04)
    figure = Figure((width * columns, height * rows), facecolor=PAPER, layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for one in axes:
        one.set_axisbelow(True)
        one.grid(axis="y", color=GRID, linewidth=0.8)
        one.spines[["top", "right", "left"]].set_visible(False)
        one.spines["bottom"].set_color(GRID)
        one.tick_params(which="both", colors=FAINT, length=0, labelsize=9)
        one.xaxis.set_major_locator(MaxNLocator(6))
    return figure, axes


def name(axes: Axes, title: str, along: str = "", up: str = "") -> None:
    """Write a title and the names of the axes, Hangul too."""
    axes.set_title(title, loc="left", color=INK, fontproperties=font(title, 11, bold=True))
    axes.set_xlabel(along, color=FAINT, fontproperties=font(along, 9.5))
    axes.set_ylabel(up, color=FAINT, fontproperties=font(up, 9.5))


def picture(axes: Axes, pixels: npt.ArrayLike, title: str = "") -> None:
    """Show an image, (height, width) of grey levels or (height, width, 3), without a frame."""
    axes.imshow(np.asarray(pixels), cmap="gray", interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title(title, color=INK, fontproperties=font(title, 9.5))


def show(figure: Figure) -> None:
    """Show a figure in a notebook; in a script, save it as a PNG of the script's name beside it."""
    if in_notebook():
        from IPython.display import Image, display

        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=110)
        display(Image(content.getvalue(), width=round(110 * figure.get_figwidth())))
        return
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "lesson.py")
    sys.stdout.write(f"Figure: {save_figure(figure, script.with_suffix('.png'))}\n")
