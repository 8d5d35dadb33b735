"""A page of images, each with what is said of it: found by a search, or captioned by a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from markupsafe import Markup

from showtell.data.images import open_image
from showtell.errors import ImageError
from showtell.notebook import data_uri
from showtell.report.document import write_document

MOST = 500
"""Images of a page; each takes about 20 kB of it."""


@dataclass(frozen=True)
class Shown:
    """One image of the page.

    Attributes:
        path: Its file.
        name: What the data calls it.
        text: What is said of it, in a line; empty for nothing.
        value: A number or a word beside that, such as a cosine; empty for nothing.
        heading: Over ``lines``, such as "People say".
        lines: What else is said of it.
        mark: Whether the text is known to be right or wrong; empty where nobody knows.
    """

    path: Path
    name: str
    text: str = ""
    value: str = ""
    heading: str = ""
    lines: tuple[str, ...] = ()
    mark: Literal["", "right", "wrong"] = ""


def write_gallery(
    out: Path,
    *,
    title: str,
    note: str,
    summary: Sequence[tuple[str, str]],
    shown: Sequence[Shown],
    asked: Shown | None = None,
) -> Path:
    """Write images with their texts as one HTML file.

    Args:
        out: The file; folders are made if missing.
        title: Of the page.
        note: What the page shows, in a sentence or two; empty for nothing.
        summary: Names and values of the figures on top.
        shown: The images in order; one that cannot be read any more is shown by its words alone.
        asked: The image that a search began with, shown above the others.

    Returns:
        ``out``.
    """
    cards = [_card(one) for one in shown]
    return write_document(
        out,
        "report/gallery.html",
        title=title,
        summary=summary,
        cards=[card for card in cards if card["image"]],
        styles=("report/frame.css", "report/gallery.css"),
        language="en",
        note=note,
        shown=cards,
        asked=_card(asked) if asked else None,
    )


def _card(one: Shown) -> dict[str, object]:
    return {"found": one} | embedded(one.path)


def embedded(path: Path | None) -> dict[str, object]:
    """Return an image as a page holds it, with its size; empty where there is none that can be read."""
    try:
        image = None if path is None else open_image(path)
    except ImageError:
        image = None
    if image is None:
        return {"image": "", "width": 4, "height": 3}
    return {"image": Markup(data_uri(image)), "width": image.width, "height": image.height}
