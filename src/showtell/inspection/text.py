"""What a look at a data set found, as a page of text."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from showtell.console import human_bytes

WIDTH = 88
_BAR, _CLASSES, _PLACES = 30, 12, 3
_MARKS = {"wrong": "[!]", "mind": "[?]", "note": "[ ]"}


def look_text(record: dict[str, Any]) -> str:
    """Return what `inspection.inspect.look` found as text, 88 columns wide, ending with what to do."""
    unread = record["pictures"] - record["readable"]
    lines = [
        f"{record['data']} ({record['format']}): {record['pictures']:,} pictures"
        + (f", of which {unread:,} cannot be read" if unread else ""),
        "",
        *_pixels(record),
        *(line for note in record["notes"] for line in _row("read as", note)),
        *_row("splits", splits_line(record)),
        *_row("near-duplicates", likeness_line(record)),
        *_classes(record["classes"]),
        *(_captions(record["captions"], record["captions_per_picture"]) if record["captions"] else []),
        "",
        *_findings(record["findings"]),
        "",
        f"The same with pictures: {record['page']} ({record['seconds']:.1f} s)",
    ]
    # A name may hold a line break, or an order to the terminal.
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)


def splits_line(record: dict[str, Any]) -> str:
    """Return the sizes of the splits in words."""
    splits = record["splits"]
    if not splits:
        return "none in the data; training makes its own"
    rest = record["pictures"] - sum(splits.values())
    parts = [f"{split} {count:,}" for split, count in splits.items()]
    return ", ".join(parts + ([f"in none {rest:,}"] if rest else []))


def likeness_line(record: dict[str, Any]) -> str:
    """Return in words what near-duplicates are told by, and what would tell them better."""
    by = record["near_duplicates_by"]
    better = "" if by.startswith("features") else "; features see more (showtell extract first)"
    return f"told by {by}{better}"


def counted(counts: dict[str, int]) -> str:
    """Return counts in words: ``RGB (400), L (18)``."""
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items())


def spread(values: dict[str, float], format: str = ",.0f") -> str:
    """Return a spread in words: ``120 to 720, median 540``."""
    if not values:
        return "-"
    low, middle, high = (f"{values[name]:{format}}" for name in ("min", "median", "max"))
    return low if low == high else f"{low} to {high}, median {middle}"


def bars(counts: Sequence[int], width: int) -> list[int]:
    """Return the lengths of bars: the largest is ``width``, and none above 0 vanishes."""
    largest = max(counts, default=0)
    return [-(-count * width // largest) if largest else 0 for count in counts]


def columns_of(text: str) -> int:
    """Return how many columns a terminal takes for a text; Hangul takes two a syllable."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def shorten(text: str, width: int) -> str:
    """Cut a text to so many columns."""
    if columns_of(text) <= width:
        return text
    while columns_of(text) > width - 3:
        text = text[:-1]
    return text + "..."


def wrapped(text: str, first: str, rest: str) -> list[str]:
    """Break a text into lines at its blanks, after the beginnings that the lines are given."""
    lines, line = [], first
    for word in text.split():
        if line not in (first, rest) and columns_of(f"{line} {word}") > WIDTH:
            lines.append(line)
            line = rest
        line += word if line in (first, rest) else f" {word}"
    return [*lines, line] if text else []


def _row(name: str, text: str) -> list[str]:
    return wrapped(text, f"{name:<17}", " " * 17)


def _pixels(record: dict[str, Any]) -> list[str]:
    shapes = counted({name: count for name, count in record["shapes"].items() if count})
    return [
        *_row("files", f"{human_bytes(record['bytes'])}; {counted(record['formats'])}"),
        *_row("width", spread(record["width"])),
        *_row("height", spread(record["height"])),
        *_row("usual sizes", counted(record["sizes"])),
        *_row("width : height", f"{spread(record['aspect'], '.2f')}; {shapes}"),
        *_row("colour modes", counted(record["modes"])),
        *_row("EXIF rotations", rotations_line(record["rotations"])),
    ]


def rotations_line(rotations: dict[str, int]) -> str:
    """Return EXIF orientations other than upright in words."""
    names = {"0": "nonsense", "3": "180°", "6": "90° to the right", "8": "90° to the left"}
    return counted({names.get(key, f"mirrored, {key}"): count for key, count in rotations.items()}) or "none"


def _classes(classes: list[dict[str, Any]]) -> list[str]:
    if not classes:
        return []
    widest = min(24, max(columns_of(entry["name"]) for entry in classes))
    lines = []
    for entry, length in zip(classes, bars([entry["count"] for entry in classes], _BAR)):
        name = shorten(entry["name"], widest)
        lines.append(f"  {name}{' ' * (widest - columns_of(name))}  {'#' * length} {entry['count']:,}")
    if len(lines) > _CLASSES:
        half = _CLASSES // 2
        lines[half:-half] = [f"  ... and {len(lines) - _CLASSES:,} between ..."]
    return ["", f"{len(classes):,} classes", *lines]


def _captions(captions: dict[str, Any], per_picture: dict[str, Any]) -> list[str]:
    lengths = captions["words_per_caption"]
    coverage = captions["coverage"]
    lines = [
        "",
        f"{captions['count']:,} captions",
        *_row("  a picture", spread(per_picture)),
        *_row("  their words", spread(lengths)),
        *_length_bars(lengths["counts"]),
        "",
        f"{captions['distinct_words']:,} different words, {captions['seen_once']:,} of them seen once; what "
        f"{captions['vocab_size']:,} tokens know:",
        *(
            f"  {step['share']:8.2%} of all text: {step['words']:,} words seen {step['min_count']}+ times"
            for step in coverage
        ),
    ]
    for name, pairs in (("most frequent:", captions["frequent"]), ("rarest:", captions["rare"])):
        words = " ".join(f"{word} {count:,}," for word, count in pairs).rstrip(",")
        lines += wrapped(f"{name} {words}", "  ", "    ")
    return lines


def _length_bars(counts: dict[str, int]) -> list[str]:
    groups = grouped(counts, 8)
    lengths = bars([count for _, count in groups], _BAR)
    return [f"  {name:>15}  {'#' * length} {count:,}" for (name, count), length in zip(groups, lengths)]


def grouped(counts: dict[str, int], most: int) -> list[tuple[str, int]]:
    """Return counts of whole numbers in at most so many groups of equal width, as ``("4-7", 120)``."""
    if not counts:
        return []
    numbers = {int(number): count for number, count in counts.items()}
    low, high = min(numbers), max(numbers)
    width = -(-(high - low + 1) // most)
    found = []
    for start in range(low, high + 1, width):
        stop = min(start + width - 1, high)
        name = str(start) if stop == start else f"{start}-{stop}"
        found.append((name, sum(count for number, count in numbers.items() if start <= number <= stop)))
    return found


def _findings(findings: list[dict[str, Any]]) -> list[str]:
    if not findings:
        return ["What to do: nothing. No fault was found."]
    lines = ["What was found, and what to do   [!] mend   [?] look   [ ] handled"]
    for finding in findings:
        lines += ["", *wrapped(finding["what"], f"{_MARKS[finding['level']]} ", "    ")]
        for place in finding["places"][:_PLACES]:
            lines += wrapped(shorten(place, 2 * (WIDTH - 8)), " " * 6, " " * 8)
        if (more := len(finding["places"]) - _PLACES) > 0:
            lines.append(f"      and {more:,} more")
        lines += wrapped(finding["advice"], "    -> ", "       ")
    return lines
