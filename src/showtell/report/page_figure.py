"""Put a matplotlib drawing into a page, as SVG that takes the page's colours, and beside it as a file."""

import html
import re
from pathlib import Path

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from showtell.report.figures import ACCENT, FAINT, GRID, INK, PAPER, RIGHT, save_figure

_COLOURS = {
    INK: "--ink",
    FAINT: "--faint",
    PAPER: "--card",
    ACCENT: "--accent",
    GRID: "--line",
    RIGHT: "--right",
}
"""Colours of figures, by the variable of ``frame.css`` that stands for each."""
_NOTHING = {"Date": None, "Creator": None, "Format": None, "Type": None}
"""No metadata: the same run gives the same file, and no address of a standard's host is in the page."""


def save_for_page(figure: Figure, out: Path, says: str) -> Markup:
    """Write a figure as SVG, and return it for a page.

    Letters are drawn as shapes, so they look alike everywhere, Hangul too. In the page the colours are those
    of the page, which turn with it from light to dark.

    Args:
        figure: The drawing.
        out: A file ``.svg``.
        says: What the figure shows, for people who do not see it.
    """
    with rc_context({"svg.hashsalt": out.stem, "svg.fonttype": "path"}):
        save_figure(figure, out, metadata=_NOTHING)
    drawn = out.read_text(encoding="utf-8")
    # Comments hold the texts, and the style is for every element of the page that it comes into.
    drawn = re.sub(r"<!--.*?-->|<style.*?</style>", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)
    head, _, inside = drawn.partition(">")
    box = head.split('viewBox="')[1].split('"')[0]
    inside = inside.rpartition("</svg>")[0]
    # Names within one figure may occur in the next.
    inside = re.sub(r"(\bid=\"|href=\"#|url\(#)", rf"\g<1>{out.stem}-", inside)
    for colour, variable in _COLOURS.items():
        inside = inside.replace(colour, f"var({variable})")
    inside = re.sub(r"\n\s*", "\n", inside)
    width = round(float(box.split()[2]))
    says = html.escape(says, quote=True)
    return Markup(
        f'<svg viewBox="{box}" style="--points: {width}" role="img" aria-label="{says}">{inside}</svg>'
    )
