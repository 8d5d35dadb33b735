"""What a look at a data set found, as one HTML file to open anywhere."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from showtell.console import human_bytes
from showtell.data.images import Preprocessing, open_image
from showtell.inspection.text import (
    bars,
    counted,
    grouped,
    likeness_line,
    rotations_line,
    splits_line,
    spread,
)
from showtell.report.document import write_document

_SIDE, _QUALITY = 240, 80
"""Of the pictures in the page: longest side in pixels, JPEG quality."""
_THUMBNAIL = Preprocessing(_SIDE, _SIDE, "stretch", 1.0, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_GROUPS, _TOGETHER, _PLACES = 4, 4, 100
"""Groups that a finding shows, pictures of a group, and places that it names."""


def write_look_page(record: dict[str, Any], paths: Mapping[str, Path], out: Path) -> Path:
    """Write a page that shows what is in a data set and what is wrong with it.

    Everything lies in the one file: it asks no network for anything.

    Args:
        record: What `showtell.inspection.inspect.look` found.
        paths: The files of the pictures by their names.
        out: The HTML file; folders are made if missing.

    Returns:
        ``out``.
    """
    pictures = _Thumbnails(paths)
    return write_document(
        out,
        "inspection/page.html",
        title=Path(record["data"]).resolve().name,
        summary=_summary(record),
        cards=(),
        styles=("report/frame.css", "inspection/page.css"),
        language="en",
        record=record,
        facts=_facts(record),
        charts=_charts(record),
        findings=[_finding(finding, pictures) for finding in record["findings"]],
        samples=[sample | {"picture": pictures[sample["name"]]} for sample in record["samples"]],
    )


class _Thumbnails:
    """Small copies of pictures as data URIs, each made once."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._made: dict[str, Markup] = {}

    def __getitem__(self, name: str) -> Markup:
        if name not in self._made:
            small = open_image(self._paths[name], shrink_to=_THUMBNAIL)
            small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
            content = io.BytesIO()
            small.save(content, "JPEG", quality=_QUALITY, optimize=True)
            encoded = base64.b64encode(content.getvalue()).decode()
            self._made[name] = Markup(f"data:image/jpeg;base64,{encoded}")
        return self._made[name]


def _summary(record: dict[str, Any]) -> list[tuple[str, str]]:
    levels = [finding["level"] for finding in record["findings"]]
    found = [("pictures", f"{record['pictures']:,}")]
    if unread := record["pictures"] - record["readable"]:
        found.append(("cannot be read", f"{unread:,}"))
    if record["classes"]:
        found.append(("classes", f"{len(record['classes']):,}"))
    if record["captions"]:
        found.append(("captions", f"{record['captions']['count']:,}"))
        found.append(("different words", f"{record['captions']['distinct_words']:,}"))
    found.append(("to mend", f"{levels.count('wrong'):,}"))
    found.append(("to look at", f"{levels.count('mind'):,}"))
    return found


def _facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    shapes = {name: count for name, count in record["shapes"].items() if count}
    return [
        ("Files", f"{human_bytes(record['bytes'])}; {counted(record['formats'])}"),
        ("Width", f"{spread(record['width'])} px"),
        ("Height", f"{spread(record['height'])} px"),
        ("Usual sizes", counted(record["sizes"])),
        ("Width : height", spread(record["aspect"], ".2f")),
        ("Shapes", counted(shapes)),
        ("Colour modes", counted(record["modes"])),
        ("EXIF rotations", rotations_line(record["rotations"])),
        ("Splits", splits_line(record)),
        ("Near-duplicates", likeness_line(record)),
    ]


def _charts(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bar charts: title, rows of (name, count, length in percent), and whether names are wide."""
    charts = []
    if classes := record["classes"]:
        charts.append(_chart("Pictures of each class", [(c["name"], c["count"]) for c in classes], True))
    if captions := record["captions"]:
        per_picture = grouped(record["captions_per_picture"]["counts"], 10)
        lengths = grouped(captions["words_per_caption"]["counts"], 14)
        charts.append(_chart("Words of a caption", lengths, False))
        charts.append(_chart("Captions of a picture", per_picture, False))
        charts.append(_chart("Most frequent words", captions["frequent"], True))
    return charts


def _chart(title: str, counts: list[tuple[str, int]], wide: bool) -> dict[str, Any]:
    lengths = bars([count for _, count in counts], 100)
    rows = [(name, count, length) for (name, count), length in zip(counts, lengths)]
    return {"title": title, "rows": rows, "wide": wide}


def _finding(finding: dict[str, Any], pictures: _Thumbnails) -> dict[str, Any]:
    shown = finding["groups"][:_GROUPS] if finding["groups"] else ()
    if shown and all(len(group) == 1 for group in shown):  # single pictures stand in one row
        shown = (tuple(group[0] for group in finding["groups"][: _GROUPS + 2]),)
    return finding | {
        "drawn": [[(name, pictures[name]) for name in group[: _TOGETHER + 2]] for group in shown],
        "named": finding["places"][:_PLACES],
        "unnamed": max(0, len(finding["places"]) - _PLACES),
    }
