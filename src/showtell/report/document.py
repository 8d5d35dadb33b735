"""Write an HTML file that needs nothing else: style, script, pictures inside, nothing asked for outside."""

import base64
import hashlib
import statistics
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from showtell.report.overlay import GREY, OUTSIDE, RAMP


def write_document(
    out: Path,
    template: str,
    *,
    title: str,
    summary: Sequence[tuple[str, str]],
    cards: Sequence[dict[str, Any]],
    styles: Sequence[str] = ("frame.css", "cards.css"),
    **values: Any,
) -> Path:
    """Fill a template that extends ``document.html`` and write it.

    The browser is told to run the one script of the file and no other, whatever a caption holds.

    Args:
        out: The HTML file; folders are made if missing.
        template: Its name in this folder.
        title: Of the page.
        summary: Names and values of the figures on top.
        cards: All cards of the page, as ``card_of`` makes them; their places for a picture are one size.
        styles: Style sheets of this folder, in order.
        values: What the template asks for; ``language`` is needed.

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
    script = _read("heat.js") + _read("cards.js")
    page = environment.get_template(template).render(
        title=title,
        summary=summary,
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
    out.write_text(page, encoding="utf-8", errors="backslashreplace", newline="\n")
    return out


def _read(name: str) -> str:
    return resources.files("showtell.report").joinpath(name).read_text(encoding="utf-8")


def _stage_aspect(cards: Sequence[dict[str, Any]]) -> float:
    """Return width over height of the place for a picture, the same on all cards: what suits most of them."""
    typical: float = statistics.median([card["width"] / card["height"] for card in cards] or [4 / 3])
    return round(min(1.5, max(0.9, typical)), 3)
