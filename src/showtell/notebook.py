"""What objects show of themselves in a notebook: HTML that asks for nothing else, its texts escaped.

Jupyter shows what ``_repr_html_`` of the last line of a cell returns. Styles are written on each element,
since a notebook is one page, whose own styles would mix with ours.
"""

import base64
import io
import sys
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup
from PIL.Image import Image, Resampling

INK, FAINT, LINE, ACCENT, SOFT = "#1d1b18", "#6b655d", "#e7e1d6", "#c2540a", "#d8d0c3"
"""Colours of text, of what is secondary, of lines, of what matters, and of other bars."""
_SIDE, _QUALITY = 360, 82
"""Of images: longest side in pixels, JPEG quality."""
_BLOCK = (
    f"color:{INK};background:#fff;border:1px solid {LINE};border-radius:8px;padding:12px 16px;"
    "max-width:60rem;font:14px/1.45 system-ui,sans-serif;overflow-x:auto"
)
_CELL = f"padding:2px 12px 2px 0;border:0;background:#fff;color:{INK};text-align:"
_WIDTH, _HEIGHT = 320, 120
"""Of a curve, pixels."""


def in_notebook() -> bool:
    """Say whether this program runs in a notebook: in a kernel of Jupyter's, as VS Code starts one, too."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def block(title: str, *parts: Markup, note: str = "") -> str:
    """Return what an object shows of itself.

    Args:
        title: What it is, in a line.
        parts: Such as :func:`table` and :func:`row` return.
        note: Below the title.
    """
    said = Markup('<div style="color:{}">{}</div>').format(FAINT, note) if note else Markup()
    whole = Markup('<div style="{}"><b style="font-size:16px">{}</b>{}{}</div>')
    return str(whole.format(_BLOCK, title, said, Markup().join(parts)))


def row(*parts: Markup) -> Markup:
    """Put parts beside each other, as many as fit."""
    style = "display:flex;flex-wrap:wrap;gap:8px 20px;align-items:flex-start;margin-top:10px"
    return Markup('<div style="{}">{}</div>').format(style, Markup().join(parts))


def table(lines: Iterable[Sequence[object]], head: Sequence[str] = ()) -> Markup:
    """Return a table; numbers, and the heads above them, stand to the right.

    Args:
        lines: Cells of each line.
        head: Names of the columns; none for a table without.
    """
    rows = [list(line) for line in lines]
    numeric = [isinstance(cell, int | float) for cell in rows[0]] if rows else [False] * len(head)

    def cells(values: Sequence[object], tag: str) -> Markup:
        made = (
            Markup("<{0} style='{1}{2}'>{3}</{0}>").format(
                Markup(tag), _CELL, "right" if right else "left", _shown(value)
            )
            for value, right in zip(values, numeric)
        )
        return Markup("<tr style='background:#fff'>{}</tr>").format(Markup().join(made))

    inside = [cells(head, "th")] * bool(head) + [cells(line, "td") for line in rows]
    return Markup('<table style="border-collapse:collapse;margin:8px 0 0;font-size:13px">{}</table>').format(
        Markup().join(inside)
    )


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def picture(image: Image, says: str, under: str = "", faint: str = "", *, width: int = 150) -> Markup:
    """Return an image with a line below it.

    Args:
        image: Upright, any mode.
        says: What it shows, for people who do not see it.
        under: Below it.
        faint: Behind that, in faint letters.
        width: At most, pixels; it is never higher than that, either.
    """
    line = Markup('<b>{}</b> <span style="color:{}">{}</span>').format(under, FAINT, faint)
    return Markup(
        '<figure style="margin:0;max-width:{0}px"><img src="{1}" alt="{2}" '
        'style="max-width:{0}px;max-height:{0}px;border-radius:4px;display:block">'
        '<figcaption style="font-size:13px;overflow-wrap:anywhere">{3}</figcaption></figure>'
    ).format(width, data_uri(image), says, line)


def data_uri(image: Image, *, side: int = _SIDE, quality: int = _QUALITY) -> str:
    """Encode a small copy; what a camera wrote beside the pixels, such as the place, stays out.

    Args:
        image: Upright, any mode.
        side: Longest side of the copy, pixels.
        quality: Of its JPEG.
    """
    small = image.convert("RGB")  # a copy, of an RGB image too
    small.thumbnail((side, side), Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def bars(shares: Mapping[str, float]) -> Markup:
    """Return a bar for each share, in [0, 1], by name; the first one stands out."""
    style = "display:grid;grid-template-columns:minmax(0,2fr) minmax(0,3fr) 4rem;gap:8px;align-items:center"
    line = Markup(
        "<div style='{}'><span style='text-align:right;overflow-wrap:anywhere'>{}</span>"
        "<span style='background:{};height:14px;border-radius:2px;width:{}%'></span><span>{}</span></div>"
    )
    lines = []
    for place, (name, share) in enumerate(shares.items()):
        colour = ACCENT if place == 0 else SOFT
        lines.append(line.format(style, name, colour, f"{100 * share:.1f}", f"{share:.1%}"))
    return Markup("<div style='font-size:13px;flex:1 1 16rem;max-width:30rem'>{}</div>").format(
        Markup().join(lines)
    )


def curve(title: str, points: Sequence[tuple[float, float]]) -> Markup:
    """Draw numbers over time, such as the loss of each step, with the least and the greatest of each axis.

    Args:
        title: What it is.
        points: In order, at least one; all are finite.
    """
    xs, ys = zip(*points)
    low, high = min(ys), max(ys)
    wide, tall = (xs[-1] - xs[0]) or 1.0, (high - low) or 1.0
    path = " ".join(
        f"{(x - xs[0]) / wide * _WIDTH:.1f},{(high - y) / tall * _HEIGHT:.1f}" for x, y in zip(xs, ys)
    )
    said = Markup('<b>{}</b> <span style="color:{}">{:.3g} to {:.3g}</span>').format(title, FAINT, low, high)
    return Markup(
        '<figure style="margin:0"><figcaption style="font-size:13px">{}</figcaption>'
        '<svg viewBox="-4 -4 {} {}" width="{}" style="max-width:100%" role="img" '
        'aria-label="{}: from {:.3g} to {:.3g}">'
        '<polyline points="{}" fill="none" stroke="{}" stroke-width="2" stroke-linejoin="round"/>'
        "</svg></figure>"
    ).format(said, _WIDTH + 8, _HEIGHT + 8, _WIDTH + 8, title, ys[0], ys[-1], path, ACCENT)
