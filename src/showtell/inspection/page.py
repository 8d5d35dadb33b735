"""What an inspection found, as text for a terminal and as one HTML file to open anywhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from showtell.console import Console, human_bytes
from showtell.data.images import Preprocessing, open_image
from showtell.inspection.check import Finding
from showtell.inspection.image_map import ImageMap, map_for_page
from showtell.inspection.result import Captions, ClassCount, Inspection, Spread
from showtell.notebook import data_uri
from showtell.report.document import write_document
from showtell.report.wrapping import columns_of, shorten, wrap

WIDTH = 88
_BAR, _CLASSES, _NAMED, _MESSAGE = 30, 12, 3, 12
_MARKS = {"error": "[!]", "warning": "[?]", "info": "[ ]"}


def inspection_text(found: Inspection) -> str:
    """Return an inspection as text, 88 columns wide, ending with what to do."""
    lines = [
        f"{found.data} ({found.format}): {found.images:,} images"
        + (f", of which {found.unreadable:,} cannot be read" if found.unreadable else ""),
        "",
        *(line for name, value in file_lines(found) for line in _row(name.lower(), value)),
        *(line for note in found.notes for line in _row("read as", note)),
        *_row("splits", splits_line(found)),
        *_row("near-duplicates", similarity_line(found)),
        *_row("map of images", map_line(found)),
        *_classes(found.classes),
        *(_captions(found.captions) if found.captions else []),
        "",
        *_findings(found.findings),
        "",
        f"The same with images: {found.page} ({found.seconds:.1f} s)",
    ]
    # A name may hold a line break, or an order to the terminal.
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)


def file_lines(found: Inspection) -> list[tuple[str, str]]:
    """Return in words what the files are like, a name and a value each."""
    files = found.files
    return [
        ("Files", f"{human_bytes(files.bytes)}; {counted(files.formats)}"),
        ("Width", spread(files.width)),
        ("Height", spread(files.height)),
        ("Usual sizes", counted(files.sizes)),
        ("Width : height", f"{spread(files.aspect, '.2f')}; {counted(files.shapes)}"),
        ("Colour modes", counted(files.modes)),
        ("EXIF rotations", rotations_line(files.rotations)),
    ]


def splits_line(found: Inspection) -> str:
    """Return the sizes of the splits in words."""
    if not found.splits:
        return "none in the data; training makes its own"
    rest = found.images - sum(found.splits.values())
    parts = [f"{split} {count:,}" for split, count in found.splits.items()]
    return ", ".join(parts + ([f"in none {rest:,}"] if rest else []))


def similarity_line(found: Inspection) -> str:
    """Return in words what tells near-duplicates, and what would tell them better."""
    by = found.near_duplicates_by
    better = "" if by.startswith("features") else "; features see more (showtell extract first)"
    return f"told by {by}{better}"


def map_line(found: Inspection) -> str:
    """Return in words what the map is made by, or how to get one."""
    return found.map or f"none without features (run: showtell extract {found.data})"


def counted(counts: Mapping[str, int]) -> str:
    """Return counts in words: ``RGB (400), L (18)``."""
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items())


def spread(values: Spread | None, format: str = ",.0f") -> str:
    """Return a spread in words: ``120 to 720, median 540``."""
    if values is None:
        return "-"
    low, middle, high = (f"{value:{format}}" for value in (values.min, values.median, values.max))
    return low if low == high else f"{low} to {high}, median {middle}"


def rotations_line(rotations: Mapping[int, int]) -> str:
    """Return EXIF orientations other than upright in words."""
    names = {0: "nonsense", 3: "180°", 6: "90° to the right", 8: "90° to the left"}
    return counted({names.get(key, f"mirrored, {key}"): count for key, count in rotations.items()}) or "none"


def bars(counts: Sequence[int], width: int) -> list[int]:
    """Return the lengths of bars: the largest is ``width``, and none above 0 vanishes."""
    largest = max(counts, default=0)
    return [-(-count * width // largest) if largest else 0 for count in counts]


def grouped(counts: Mapping[int, int], limit: int) -> list[tuple[str, int]]:
    """Return counts of whole numbers in at most so many groups of equal width, as ``("4-7", 120)``."""
    if not counts:
        return []
    low, high = min(counts), max(counts)
    width = -(-(high - low + 1) // limit)
    found = []
    for start in range(low, high + 1, width):
        stop = min(start + width - 1, high)
        name = str(start) if stop == start else f"{start}-{stop}"
        found.append((name, sum(count for number, count in counts.items() if start <= number <= stop)))
    return found


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    """Break a text into lines; the first begins with ``first``, the others with ``rest``, the longer."""
    lines = wrap(text, WIDTH - len(rest))
    return [f"{rest if number else first}{line}" for number, line in enumerate(lines)]


def _row(name: str, text: str) -> list[str]:
    return _wrapped(text, f"{name:<17}", " " * 17)


def _classes(classes: Sequence[ClassCount]) -> list[str]:
    if not classes:
        return []
    widest = min(24, max(columns_of(one.name) for one in classes))
    lines = []
    for one, length in zip(classes, bars([one.count for one in classes], _BAR)):
        name = shorten(one.name, widest)
        lines.append(f"  {name}{' ' * (widest - columns_of(name))}  {'#' * length} {one.count:,}")
    if len(lines) > _CLASSES:
        half = _CLASSES // 2
        lines[half:-half] = [f"  ... and {len(lines) - _CLASSES:,} between ..."]
    return ["", f"{len(classes):,} classes", *lines]


def _captions(captions: Captions) -> list[str]:
    groups = grouped(captions.words_per_caption.counts, 8)
    lengths = bars([count for _, count in groups], _BAR)
    lines = [
        "",
        f"{captions.count:,} captions",
        *_row("  an image", spread(captions.per_image.spread)),
        *_row("  their words", spread(captions.words_per_caption.spread)),
        *(f"  {name:>15}  {'#' * length} {count:,}" for (name, count), length in zip(groups, lengths)),
        "",
        f"{captions.distinct_words:,} different words, {captions.seen_once:,} of them seen once; what "
        f"{captions.vocab_size:,} tokens know:",
        *(
            f"  {step.fraction:8.2%} of all text: {step.words:,} words seen {step.min_count}+ times"
            for step in captions.coverage
        ),
    ]
    for name, pairs in (("most frequent:", captions.frequent), ("rarest:", captions.rare)):
        words = " ".join(f"{word} {count:,}," for word, count in pairs).rstrip(",")
        lines += _wrapped(f"{name} {words}", "  ", "    ")
    return lines


def _findings(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return ["What to do: nothing. No fault was found."]
    lines = ["What was found, and what to do   [!] fix   [?] check   [ ] handled"]
    for finding in findings:
        lines += ["", *_wrapped(finding.what, f"{_MARKS[finding.level]} ", "    ")]
        named = _MESSAGE if finding.kind == "nothing to learn" else _NAMED
        for place in finding.places[:named]:
            lines += _wrapped(shorten(place, 2 * (WIDTH - 8)), " " * 6, " " * 8)
        if (more := len(finding.places) - named) > 0:
            lines.append(f"      and {more:,} more")
        lines += _wrapped(finding.advice, "    -> ", "       ")
    return lines


_SIDE, _QUALITY = 240, 80
"""Of the images in the page: longest side in pixels, JPEG quality."""
_THUMBNAIL = Preprocessing(_SIDE, _SIDE, "stretch", 1.0, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_GROUPS, _TOGETHER, _PLACES = 4, 4, 100
"""Groups that a finding shows, images of a group, and places that it names."""


def write_inspection_page(
    found: Inspection, paths: Mapping[str, Path], drawn: ImageMap | None, console: Console
) -> None:
    """Write the page of an inspection: one file that asks no network for anything.

    Args:
        found: Names the file, too; its folders are made if missing.
        paths: The files of the images by their names.
        drawn: The map of all images; None where there are no features to make it by.
        console: Told the progress.
    """
    images = _Thumbnails(paths)
    write_document(
        Path(found.page),
        "inspection/page.html",
        title=Path(found.data).resolve().name,
        summary=_summary(found),
        cards=(),
        styles=("report/frame.css", "inspection/page.css", "inspection/map.css"),
        scripts=("inspection/map.js",) if drawn else (),
        language="en",
        found=found,
        files=[
            *file_lines(found),
            ("Splits", splits_line(found)),
            ("Near-duplicates", similarity_line(found)),
            ("Map of images", map_line(found)),
        ],
        charts=_charts(found),
        map=map_for_page(drawn, paths, console) if drawn else None,
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
            image = open_image(self._paths[name], shrink_to=_THUMBNAIL)
            self._made[name] = Markup(data_uri(image, side=_SIDE, quality=_QUALITY))
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
