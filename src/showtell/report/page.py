"""Write pictures, what was said of them, and where the model looked, as one HTML file to open anywhere."""

from collections.abc import Sequence
from pathlib import Path

from showtell.report.cards import WORDS, Language, PageItem, card_of
from showtell.report.document import write_document


def write_captions_page(
    out: Path,
    *,
    title: str,
    summary: Sequence[tuple[str, str]],
    items: Sequence[PageItem],
    language: Language,
) -> Path:
    """Write a page that shows captions with their pictures and, word by word, where the model looked.

    Everything lies in the one file: it works from a memory stick and asks no network for anything. Without
    scripts it still shows all pictures and texts. The colours of a picture's words share one scale.

    Args:
        out: The HTML file; folders are made if missing.
        title: Of the page.
        summary: Names and values of the figures on top, such as ``("Exactly right", "97 of 100")``.
        items: Pictures in order; those given as a path are opened one at a time.
        language: Of the page's own words.

    Returns:
        ``out``.

    Raises:
        ImageError: A picture cannot be read.
    """
    words = WORDS[language]
    marks = [item.right for item in items]
    cards = [card_of(item, words) for item in items]
    return write_document(
        out,
        "page.html",
        title=title,
        summary=summary,
        cards=cards,
        shown=cards,
        counts={"all": len(marks), "right": marks.count(True), "wrong": marks.count(False)},
        language=language,
        words=words,
    )
