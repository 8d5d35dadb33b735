"""Begin matplotlib figures, write on them, and save them, without pyplot and its global state."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from showtell.data.listing import COMMENT, is_drawing
from showtell.data.names import is_image_name
from showtell.errors import ConfigError
from showtell.files import write_atomic
from showtell.report.fonts import font, inches, plain, silent_boxes
from showtell.report.wrapping import wrap
from showtell.runs.records import JsonObject

INK, FAINT, PAPER, ACCENT = "#1d1b18", "#7a746b", "#ffffff", "#c2540a"
"""Colours of text, of secondary text, of the background, and of what matters; those of the HTML page."""
GRID, RIGHT = "#e7e1d6", "#1d7a45"
"""Colours of lines behind a drawing, and of what is right."""
DPI = 150
POINT = 1 / 72
"""Inches."""
MARGIN = 0.3
"""Inches around a figure that is cut to what is on it."""
_NOTE = 8.0
"""Points of a note around a figure."""
SMALL = 4.2, 2.9
"""Inches of a figure whose letters stay readable on a phone."""


def small_figure(width: float = SMALL[0], height: float = SMALL[1]) -> tuple[Figure, Axes]:
    """Begin a figure with one drawing in it, sizes in inches."""
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
    figure = Figure((width, height), facecolor=PAPER, layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_facecolor("none")
    return figure, axes


def figure_grid(
    columns: Sequence[float], rows: Sequence[float], gap: tuple[float, float] = (0.0, 0.0)
) -> tuple[Figure, npt.NDArray[Any]]:
    """Begin a figure that is a grid of axes without frames, to be saved with ``crop``.

    Args:
        columns: Width of each column, inches.
        rows: Height of each row, inches.
        gap: Between columns and between rows, inches.

    Returns:
        The figure and its axes, (rows, columns); the first row is at the top.
    """
    width = sum(columns) + gap[0] * (len(columns) - 1)
    height = sum(rows) + gap[1] * (len(rows) - 1)
    figure = Figure((width, height), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    figure.suppressComposite = True  # each image stays one in an SVG, too
    axes = figure.subplots(
        len(rows),
        len(columns),
        squeeze=False,
        width_ratios=columns,
        height_ratios=rows,
        gridspec_kw={
            "left": 0,
            "right": 1,
            "bottom": 0,
            "top": 1,
            "wspace": gap[0] * len(columns) / sum(columns),
            "hspace": gap[1] * len(rows) / sum(rows),
        },
    )
    for one in axes.flat:
        one.set_axis_off()
        one.set(xlim=(0, 1), ylim=(0, 1))
    return figure, axes


def inch_axes(axes: Axes, width: float, height: float) -> None:
    """Let the data of axes be inches from the upper left corner: they are ``width`` x ``height`` large."""
    axes.set(xlim=(0, width), ylim=(height, 0))


def write(
    on: Axes | Figure,
    x: float,
    y: float,
    text: str,
    size: float,
    *,
    bold: bool = False,
    colour: str = INK,
    **options: Any,
) -> None:
    """Write a text at a place, in the coordinates of the axes or figure.

    Args:
        on: Axes, or a whole figure.
        x: Where it begins, ends or has its middle, as ``ha`` says.
        y: Of its base line, unless ``va`` says otherwise.
        text: Lines stay lines; a dollar sign in it is a dollar sign.
        size: Points.
        bold: Heavy letters.
        colour: Of the letters.
        options: What else matplotlib's text takes.
    """
    shown = "\n".join(plain(line) for line in text.split("\n"))
    style = font(text, size, bold=bold)
    on.text(x, y, shown, fontproperties=style, color=colour, parse_math=False, **options)


def write_around(figure: Figure, title: str, note: str, foot: str = "") -> None:
    """Write a title and a note above a figure, and perhaps another note below it."""
    width, height = figure.get_size_inches()
    lines = wrap(note, width, inches(_NOTE))
    top = 1 + 0.25 / height
    write(figure, 0, top, "\n".join(lines), _NOTE, colour=FAINT, va="bottom", linespacing=1.4)
    write(figure, 0, top + (0.165 * len(lines) + 0.08) / height, title, 15, bold=True, va="bottom")
    below = "\n".join(wrap(foot, width, inches(_NOTE)))
    write(figure, 0, -0.1 / height, below, _NOTE, colour=FAINT, va="top", linespacing=1.4)


def show_image(
    axes: Axes, pixels: npt.NDArray[Any], extent: tuple[float, float, float, float] | None = None
) -> None:
    """Draw an image, (height, width, 3), uint8, between left, right, bottom and top; by default all over."""
    extent = extent or (*axes.get_xlim(), *axes.get_ylim())
    axes.imshow(np.asarray(pixels), aspect="auto", extent=extent, interpolation="antialiased")


def figure_pixels(figure: Figure) -> npt.NDArray[np.uint8]:
    """Return a figure as pixels, (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    with silent_boxes():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def check_figure_path(out: Path) -> None:
    """Refuse a file that no figure can be written to, before any work is done.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes, or ``out`` is a folder.
    """
    known = sorted(FigureCanvasAgg.get_supported_filetypes())
    if out.suffix.lower().removeprefix(".") not in known:
        raise ConfigError(
            f"{out} ends in {out.suffix or 'no suffix'}, which names no figure format.",
            hint=f"End the name in one of: {', '.join('.' + suffix for suffix in known)}.",
        )
    if out.is_dir():
        raise ConfigError(f"{out} is a folder.", hint="Name a file, such as why.png.")
    if is_image_name(out.name) and out.exists() and not is_drawing(out):
        raise ConfigError(
            f"{out} is there already, and was not drawn by showtell: it may be a photo.",
            hint="Name another file, or remove it first.",
        )


def save_figure(
    figure: Figure, out: Path, *, crop: bool = False, metadata: Mapping[str, str | None] | None = None
) -> Path:
    """Write a figure in the format of its suffix; folders are made if missing.

    Args:
        figure: The drawing.
        out: The file.
        crop: Cut or extend the paper to what is on it, with a margin.
        metadata: Fields of the format, None for those to leave out; by default what matplotlib writes. A PNG
            always says that showtell drew it.

    Returns:
        ``out``.
    """
    check_figure_path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with silent_boxes():
        suffix = out.suffix.lower().removeprefix(".")
        kind: JsonObject = {}
        if suffix == "png":
            # Photos hardly get smaller by zlib's best efforts, which took half the time of a figure.
            kind = {"pil_kwargs": {"compress_level": 3}}
            metadata = {**(metadata or {}), "Software": "showtell"}  # so that no drawing is read as a photo
        elif suffix in ("jpg", "jpeg"):
            kind = {"pil_kwargs": {"comment": COMMENT}}
        content = BytesIO()
        figure.savefig(
            content,
            dpi=DPI,
            format=suffix,
            metadata=metadata,
            bbox_inches="tight" if crop else None,
            pad_inches=MARGIN,
            **kind,
        )
    write_atomic(out, content.getvalue())
    return out
