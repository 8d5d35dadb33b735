"""A sheet of paper on which things are placed in inches from the top left corner."""

from bisect import bisect_right
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from showtell.report.figures import DPI, INK, PAPER, save_figure
from showtell.report.fonts import font, plain, silent_boxes

POINT = 1 / 72
"""Inches."""


class Sheet:
    """A figure in inches.

    Args:
        width: Inches.
        height: Inches.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._figure = Figure((width, height), facecolor=PAPER)
        FigureCanvasAgg(self._figure)

    def save(self, out: Path) -> Path:
        """Write the sheet in the format of the file's suffix; return ``out``."""
        return save_figure(self._figure, out)

    def pixels(self) -> npt.NDArray[np.uint8]:
        """Return the sheet as pixels, (height, width, 3)."""
        self._figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(self._figure)
        with silent_boxes():
            canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def picture(self, pixels: npt.NDArray[Any], left: float, top: float, size: tuple[float, float]) -> None:
        """Place a picture.

        Args:
            pixels: (height, width, 3), uint8.
            left: Of its left edge, inches.
            top: Of its upper edge, inches.
            size: Width and height, inches.
        """
        axes = self.axes(left, top, size)
        axes.imshow(np.asarray(pixels), aspect="auto", interpolation="antialiased")
        axes.set_axis_off()

    def axes(self, left: float, top: float, size: tuple[float, float]) -> Axes:
        """Place a diagram; return what it is drawn on."""
        width, height = size[0] / self.width, size[1] / self.height
        axes: Axes = self._figure.add_axes((left / self.width, 1 - top / self.height - height, width, height))
        return axes

    def text(
        self,
        text: str,
        x: float,
        y: float,
        size: float,
        *,
        bold: bool = False,
        colour: str = INK,
        ha: str = "left",
    ) -> None:
        """Write a line.

        Args:
            text: A dollar sign in it is a dollar sign.
            x: Where it begins, ends or has its middle, as ``ha`` says, inches.
            y: Of its base line, inches.
            size: Points.
            bold: Heavy letters.
            colour: Of the letters.
            ha: ``left``, ``right`` or ``center``.
        """
        self._figure.text(
            x,
            self.height - y,
            plain(text),
            ha=ha,
            va="baseline",
            color=colour,
            fontproperties=font(text, size, bold=bold),
            parse_math=False,
            transform=self._figure.dpi_scale_trans,
        )

    def box(
        self,
        left: float,
        top: float,
        size: tuple[float, float],
        *,
        face: str,
        edge: str = "none",
        round: float = 0.0,
    ) -> None:
        """Place a box under whatever comes later.

        Args:
            left: Of its left edge, inches.
            top: Of its upper edge, inches.
            size: Width and height, inches.
            face: Colour that fills it.
            edge: Colour of its edge.
            round: Radius of its corners, inches.
        """
        self._figure.add_artist(
            FancyBboxPatch(
                (left, self.height - top - size[1]),
                *size,
                boxstyle=f"round,pad=0,rounding_size={round}" if round else "square,pad=0",
                facecolor=face,
                edgecolor=edge,
                linewidth=0.7,
                transform=self._figure.dpi_scale_trans,
                zorder=0,
            )
        )

    def line(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        *,
        colour: str,
        width: float = 0.8,
        style: str = "-",
    ) -> None:
        """Draw a line between two points, each (x, y) in inches; its width is in points."""
        xs, ys = zip(start, end)
        self._add_line(xs, ys, color=colour, linewidth=width, linestyle=style, solid_capstyle="round")

    def dot(self, x: float, y: float, *, colour: str, size: float = 4.0) -> None:
        """Draw a dot; its size is in points."""
        self._add_line((x,), (y,), color=colour, marker="o", markersize=size, markeredgewidth=0)

    def _add_line(self, xs: tuple[float, ...], ys: tuple[float, ...], **style: Any) -> None:
        heights = [self.height - y for y in ys]
        self._figure.add_artist(Line2D(xs, heights, transform=self._figure.dpi_scale_trans, **style))


@lru_cache(4096)
def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Measure a line of so many points, in inches."""
    with silent_boxes():
        renderer = RendererAgg(1, 1, DPI)
        style = font(text, size, bold=bold)
        width, _, _ = renderer.get_text_width_height_descent(plain(text), style, False)
    return float(width) / DPI


def shorten(text: str, width: float, size: float, *, bold: bool = False, middle: bool = False) -> str:
    """Cut a line to a width in inches, with dots where something is missing.

    Args:
        text: The line.
        width: Inches.
        size: Points.
        bold: Heavy letters.
        middle: Cut in the middle, as suits file names, rather than at the end.
    """
    if text_width(text, size, bold=bold) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        tail = kept // 2 if middle else 0
        cut = f"{text[: kept - tail].rstrip()}…{text[len(text) - tail :] if tail else ''}"
        if text_width(cut, size, bold=bold) <= width:
            return cut
    return "…"


def wrap(text: str, width: float, size: float, *, bold: bool = False) -> list[str]:
    """Break a text into lines that fit: at its blanks, or inside a word that alone is too long.

    Args:
        text: Any text; some languages write without blanks.
        width: Inches.
        size: Points.
        bold: Heavy letters.
    """
    lines = [""]
    for word in plain(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size, bold=bold) <= width:
            lines[-1] = longer
            continue
        lines.append(word)
        while (fit := letters_that_fit(lines[-1], width, size, bold=bold)) < len(lines[-1]):
            lines[-1:] = [lines[-1][:fit], lines[-1][fit:]]
    return [line for line in lines if line]


def letters_that_fit(text: str, width: float, size: float, *, bold: bool = False) -> int:
    """Return how many letters of a line fit into a width in inches, at least 1."""
    ends = range(1, len(text) + 1)
    return max(1, bisect_right(ends, width, key=lambda end: text_width(text[:end], size, bold=bold)))
