"""Write an HTML file that needs nothing else: style, script, images inside, nothing asked for outside."""

import base64
import hashlib
import html
import re
import statistics
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from showtell.files import write_atomic
from showtell.report.figures import ACCENT, FAINT, GRID, INK, PAPER, RIGHT, save_figure
from showtell.report.overlay import GREY, OUTSIDE, RAMP

Card = Mapping[str, Any]
"""What a template shows of an image; ``width`` and ``height`` are those of the image, pixels."""


def write_document(
    out: Path,
    template: str,
    *,
    cards: Sequence[Card],
    styles: Sequence[str] = ("report/frame.css", "report/cards.css"),
    scripts: Sequence[str] = ("report/heat.js", "report/cards.js"),
    **values: Any,
) -> Path:
    """Fill a template that extends ``document.html`` and write it.

    The browser is told to run the one script of the file and no other, whatever a caption holds.

    Args:
        out: The HTML file; folders are made if missing.
        template: Its path within the package.
        cards: All cards of the page, as ``card_of`` makes them; their places for an image are one size.
        styles: Style sheets, by their paths within the package, in order.
        scripts: What becomes the one script, likewise.
        values: What the template asks for: ``title``, ``language``, ``summary`` (names and values of the
            figures on top), and its own.

    Returns:
        ``out``.
    """
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = "".join(map(_read, scripts))
    page = environment.get_template(template).render(
        style=Markup("\n".join(_read(name) for name in styles)),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        ramp=RAMP,
        grey=GREY,
        outside=OUTSIDE,
        stage_aspect=_stage_aspect(cards),
        **values,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    # The path of a file may hold bytes that are not UTF-8.
    write_atomic(out, page, errors="backslashreplace")
    return out


def _read(name: str) -> str:
    return resources.files("showtell").joinpath(name).read_text(encoding="utf-8")


def _stage_aspect(cards: Sequence[Card]) -> float:
    """Return width over height of the place for an image, the same on all cards: what suits most of them."""
    typical: float = statistics.median([card["width"] / card["height"] for card in cards] or [4 / 3])
    return round(min(1.5, max(0.9, typical)), 3)


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
