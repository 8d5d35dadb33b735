"""What an inspection found, as one HTML file to open anywhere."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup
from PIL import Image

from showtell.data.images import Preprocessing, open_image
from showtell.inspection.check import Finding
from showtell.inspection.result import Inspection
from showtell.inspection.text import bars, file_lines, grouped, similarity_line, splits_line
from showtell.report.document import write_document

_SIDE, _QUALITY = 240, 80
"""Of the images in the page: longest side in pixels, JPEG quality."""
_THUMBNAIL = Preprocessing(_SIDE, _SIDE, "stretch", 1.0, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_GROUPS, _TOGETHER, _PLACES = 4, 4, 100
"""Groups that a finding shows, images of a group, and places that it names."""


def write_inspection_page(found: Inspection, paths: Mapping[str, Path]) -> None:
    """Write the page of an inspection: one file that asks no network for anything.

    Args:
        found: Names the file, too; its folders are made if missing.
        paths: The files of the images by their names.
    """
    images = _Thumbnails(paths)
    write_document(
        Path(found.page),
        "inspection/page.html",
        title=Path(found.data).resolve().name,
        summary=_summary(found),
        cards=(),
        styles=("report/frame.css", "inspection/page.css"),
        language="en",
        found=found,
        files=[
            *file_lines(found),
            ("Splits", splits_line(found)),
            ("Near-duplicates", similarity_line(found)),
        ],
        charts=_charts(found),
        findings=[_finding(finding, images) for finding in found.findings],
        examples=[(example, images[example.name]) for example in found.examples],
    )


class _Thumbnails:
    """Small copies of images as data URIs, each made once."""

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


def _summary(found: Inspection) -> list[tuple[str, str]]:
    levels = [finding.level for finding in found.findings]
    counts = [("images", found.images)]
    if found.unreadable:
        counts.append(("cannot be read", found.unreadable))
    if found.classes:
        counts.append(("classes", len(found.classes)))
    if found.captions:
        counts += [("captions", found.captions.count), ("different words", found.captions.distinct_words)]
    counts += [("to fix", levels.count("error")), ("to check", levels.count("warning"))]
    return [(name, f"{count:,}") for name, count in counts]


def _charts(found: Inspection) -> list["_Chart"]:
    """Return the bar charts."""
    charts = []
    if found.classes:
        charts.append(_chart("Images of each class", [(one.name, one.count) for one in found.classes], True))
    if captions := found.captions:
        lengths, per_image = captions.words_per_caption.counts, captions.per_image.counts
        charts.append(_chart("Words of a caption", grouped(lengths, 14), False))
        charts.append(_chart("Captions of an image", grouped(per_image, 10), False))
        charts.append(_chart("Most frequent words", list(captions.frequent), True))
    return charts


class _Chart(NamedTuple):
    title: str
    rows: list[tuple[str, int, int]]  # names, counts, and lengths of the bars in percent
    wide: bool  # whether the names are


def _chart(title: str, counts: list[tuple[str, int]], wide: bool) -> _Chart:
    lengths = bars([count for _, count in counts], 100)
    rows = [(name, count, length) for (name, count), length in zip(counts, lengths)]
    return _Chart(title, rows, wide)


def _finding(finding: Finding, images: _Thumbnails) -> dict[str, object]:
    shown = finding.groups[:_GROUPS]
    if shown and all(len(group) == 1 for group in shown):  # single images stand in one row
        shown = (tuple(group[0] for group in finding.groups[: _GROUPS + 2]),)
    return {
        "found": finding,
        "drawn": [[(name, images[name]) for name in group[: _TOGETHER + 2]] for group in shown],
        "named": finding.places[:_PLACES],
        "unnamed": max(0, len(finding.places) - _PLACES),
    }
