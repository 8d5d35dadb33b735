"""Write a matplotlib figure to a file, without pyplot and its global state."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from showtell.errors import ConfigError
from showtell.report.fonts import silent_boxes

INK, FAINT, PAPER, ACCENT = "#1d1b18", "#7a746b", "#ffffff", "#c2540a"
"""Colours of text, of secondary text, of the background, and of what matters; those of the HTML page."""
GRID, RIGHT = "#e7e1d6", "#1d7a45"
"""Colours of lines behind a drawing, and of what is right."""
DPI = 150
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


def check_figure_path(out: Path) -> None:
    """Refuse a file that no figure can be written to, before any work is done.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes, or ``out`` is a folder.
    """
    known = sorted(FigureCanvasAgg.get_supported_filetypes())
    if out.suffix.lower().removeprefix(".") not in known:
        raise ConfigError(
            f"{out} ends in {out.suffix or 'no suffix'}, which names no figure format.",
            would_do=f"End the name in one of: {', '.join('.' + suffix for suffix in known)}.",
        )
    if out.is_dir():
        raise ConfigError(f"{out} is a folder.", would_do="Name a file, such as why.png.")


def save_figure(figure: Figure, out: Path, *, metadata: Mapping[str, str | None] | None = None) -> Path:
    """Write a figure in the format of its suffix; folders are made if missing.

    Args:
        figure: The drawing.
        out: The file.
        metadata: Fields of the format, None for those to leave out; by default what matplotlib writes. A PNG
            always says that showtell drew it.

    Returns:
        ``out``.
    """
    check_figure_path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with silent_boxes():
        suffix = out.suffix.lower().removeprefix(".")
        # Photos hardly get smaller by zlib's best efforts, which took half the time of a figure.
        options: dict[str, Any] = {}
        if suffix == "png":
            options["pil_kwargs"] = {"compress_level": 3}
            metadata = {**(metadata or {}), "Software": "showtell"}  # so that no drawing is read as a photo
        figure.savefig(out, dpi=DPI, format=suffix, metadata=metadata, **options)
    return out
