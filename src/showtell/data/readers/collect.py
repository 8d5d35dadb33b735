"""Rows into images: the counting and reporting that all readers share."""

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from showtell.data.names import few, is_image_name, split_named, splits_spoken_of
from showtell.data.readers.cells import MISREAD, cleaned, is_missing
from showtell.data.readers.folders import all_missing
from showtell.data.readers.image_folder import EXACT, TAIL, ImageFolder, Match
from showtell.data.readers.reading import Reading
from showtell.data.records import AnnotatedImage, Dataset, Problem, Split, strictest
from showtell.errors import DataError

CODE = re.compile(r"-?\d+(?:\.0)?|n\d{8}|/m/\w+")
_NAMING = re.compile(r"(?:class|label|categor|synset|name|words|map).*\.(?:txt|csv|tsv|json|ya?ml)$", re.I)


class Entry(NamedTuple):
    """One row of a table, or what stands for one in JSON."""

    where: str  # ``file:line``
    name: str  # the image as the row names it
    captions: Sequence[str] = ()  # captions, in NFC without outer blanks
    label: str | None = None  # the label, in the same form; None where the data has none
    split: Split | None = None  # the split that the data brings for this image
    group: str | None = None  # what the image belongs to, as the data says it
    # what tells equal captions of one image apart (two people wrote the same); else they are repeats
    number: Hashable = None


@dataclass(slots=True)
class _Known:
    """What the rows so far say of one image."""

    name: str
    path: Path
    names: dict[str, str] = field(default_factory=dict)  # that stand for it, and how each was bridged
    captions: dict[Hashable, str] = field(default_factory=dict)  # by what tells them from repeats
    label: tuple[str, str] | None = None  # and where it was given first
    split: Split | None = None
    group: str | None = None
    left_out: bool = False


class Collector:
    """Find each row's image, merge rows of one image, and report whatever is wrong.

    An image under two labels is left out, for neither can be trusted; so are images for which several
    names of the table stand, where these had to be bridged. A file's own name and its path elsewhere are one.
    """

    def __init__(self, source: Path, folder: ImageFolder, reading: Reading) -> None:
        self.source, self.folder, self.reading = source, folder, reading
        self.problems: list[Problem] = []
        self.rows = 0
        self._known: dict[str, _Known] = {}
        self._missing = Counter[str]()
        self._cleaned = Counter[str]()
        self._lost = 0  # captions with letters that an earlier program has lost

    def problem(self, kind: str, where: str, detail: str) -> None:
        """Report one thing at one place."""
        self.problems.append(Problem(kind, where, detail))

    def skip(self, kind: str, where: str, detail: str) -> None:
        """Count a row that can't be used, and report it."""
        self.rows += 1
        self.problem(kind, where, detail)

    def add(self, entry: Entry, *, under: str = "") -> None:
        """Add one row, or report why not.

        Args:
            entry: The row.
            under: Folder below the image folder that the name is relative to, and may not leave.
        """
        self.rows += 1
        known = self._find(entry, under)
        if known is None:
            return
        where, name, label = entry.where, known.name, entry.label
        captions = [text for text in entry.captions if self._says_something(where, name, text, "caption")]
        if label is not None and not self._says_something(where, name, label, "label"):
            label = None
        if not captions and label is None:
            if not entry.captions and entry.label is None:
                self.problem("no words", where, f"of {name!r}; left out")
            return
        if entry.split and entry.split != known.split:
            earlier, known.split = known.split, strictest(known.split, entry.split)
            if earlier:
                detail = f"{name!r} is in {earlier} and in {entry.split}; kept in {known.split}"
                self.problem("two splits", where, detail)
        known.group = known.group or entry.group
        if entry.group and entry.group != known.group:
            detail = f"{name!r} is in {known.group!r} and in {entry.group!r}; kept in the first"
            self.problem("two groups", where, detail)
        if label is not None:
            self._add_label(where, known, label, repeated=not captions)
        for place, caption in enumerate(captions):
            self._add_caption(entry, known, caption, place)

    def _find(self, entry: Entry, under: str) -> _Known | None:
        found = self.folder.find(entry.name, under=under)
        if isinstance(found, Match):
            known = self._known.get(found.name)
            if known is None:
                known = self._known[found.name] = _Known(found.name, found.path)
            if found.note and entry.name not in known.names:
                self.problem("name differs in case", entry.where, found.note)
            known.names.setdefault(entry.name, found.how)
            return known
        if found.kind in ("missing image", "address", "outside the image folder"):
            self._missing[entry.name] += 1
        if self._missing[entry.name] < 2:  # an image is missing once, however many captions it has
            self.problem(found.kind, entry.where, found.detail)
        return None

    def _says_something(self, where: str, name: str, text: str, what: str) -> bool:
        if text and not is_missing(text, caption=what == "caption"):
            return True
        if text:
            self.problem(f"missing {what}", where, f"{text[:80]!r} of {name!r} stands for nothing; left out")
        else:
            self.problem(f"empty {what}", where, f"of {name!r}; left out")
        return False

    def _add_caption(self, entry: Entry, known: _Known, caption: str, place: int) -> None:
        base = posixpath.basename(known.name)
        # "1.jpg a dog", copied with its name
        if caption.startswith(base) and caption != base and is_image_name(base):
            self._cleaned["names of the images"] += 1
            caption = re.sub(r"^(?:#\d+)?[\s:,;=>|–—-]*", "", caption.removeprefix(base))
        caption, taken = cleaned(caption)
        if taken:
            self._cleaned[taken] += 1
        self._lost += "\ufffd" in caption
        key = caption if entry.number is None else (caption, entry.number, place)
        if not caption:
            self.problem("empty caption", entry.where, f"of {known.name!r}, without its {taken}; left out")
        elif key in known.captions:
            self.problem("repeated row", entry.where, f"{known.name!r}: {caption!r} stands above; left out")
        else:
            known.captions[key] = caption

    def _add_label(self, where: str, known: _Known, label: str, *, repeated: bool) -> None:
        known.label = known.label or (label, where)
        first, at = known.label
        if first != label:
            known.left_out = True
            detail = f"{known.name!r} is {label!r} here and {first!r} at {at}; left out"
            self.problem("two labels", where, detail)
        elif repeated and at != where:
            self.problem("repeated row", where, f"{known.name!r} is {label!r} at {at} too; left out")

    def read_split(self, where: str, value: str) -> Split | None:
        """Return the split that a value names; report a value that names none, unless it is blank."""
        split = split_named(value)
        if split is None and value.strip():
            self.problem("unknown split", where, f"{value!r} is not train, val or test; taken as no split")
        return split

    def finish(self, format_name: str, *, report_unused: bool = True) -> Dataset:
        """Return the data set.

        Args:
            format_name: As ``--format`` takes it.
            report_unused: Whether images of the folder without words are problems; not so where
                they were reported already, or the folder serves other tables as well.

        Raises:
            DataError: Nothing usable is left.
        """
        self._settle_bridges()
        worded = {name: known for name, known in self._known.items() if known.captions or known.label}
        images = [
            AnnotatedImage(
                one.name,
                one.path,
                captions=tuple(one.captions.values()),
                label=one.label[0] if one.label else None,
                split=one.split,
                group=one.group,
            )
            for one in worded.values()
            if not one.left_out
        ]
        if report_unused:
            captioned = any(known.captions for known in worded.values())
            kind = "image without captions" if captioned else "image without label"
            detail = f"in {self.folder.root}, but not usable from {self.source}; left out"
            self.problems += [
                Problem(kind, name, detail) for name in self.folder.images if name not in worded
            ]
        self.problems = [*self.folder.problems, *self.problems]
        if not images:
            raise self._nothing_usable()
        alone = sum(image.group is None for image in images)
        if (column := self.reading.source.group_column) and alone:
            self.reading.note(f"{alone:,} images name no group in {column!r}, and stand alone")
        for what, count in self._cleaned.items():
            how = "were mended in" if what == MISREAD else "were taken out of"
            self.reading.note(f"{what} {how} {count:,} captions")
        if self._lost:
            self.reading.note(f"{self._lost:,} captions hold \ufffd, where an earlier program lost a letter")
        return dataset_of(self.source, format_name, images, self.problems, self.reading)

    def _settle_bridges(self) -> None:
        """Say how names were bridged; leave out a file for which several different names stand."""
        ways: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for file, known in self._known.items():
            bridged = [(how, name) for name, how in known.names.items() if how != EXACT]
            # Beside a.jpg, which is there, a.png is another image, which is not.
            other = len(known.names) > 1 and any(how != TAIL for how, _ in bridged)
            if len(bridged) > 1 or other:
                known.left_out = True
                several = ", ".join(map(repr, list(known.names)[:3]))
                self.problem("ambiguous name", str(self.source), f"{several} all fit {file!r}; left out")
                continue
            for how, name in bridged:
                ways[how].append((name, file))
        for how, pairs in ways.items():
            name, file = pairs[0]
            fetched = "; addresses are never fetched" if "://" in name else ""
            self.reading.note(f"{len(pairs):,} images are found by {how}: {name!r} is {file!r}{fetched}")

    def _nothing_usable(self) -> DataError:
        """Explain why: the table has no rows, all images are missing, or all rows are unusable."""
        if not self.rows:
            return DataError(
                f"{self.source} holds no captions or labels: there are no rows below its header.",
                hint="Expected a row for each image and caption or label.",
            )
        if self._missing and self._missing.total() == self.rows:
            return all_missing(self.source, self.folder, list(self._missing))
        shown = "\n".join(f"  {p.where}: {p.kind}: {p.detail}" for p in self.problems[:10])
        return DataError(
            f"No row of {self.source} is usable; {len(self.problems):,} problems, the first are:\n{shown}",
            hint="Expected at least one row with an existing image and its words.",
        )


def dataset_of(
    source: Path,
    format_name: str,
    images: Sequence[AnnotatedImage],
    problems: Sequence[Problem],
    reading: Reading,
) -> Dataset:
    """Return images as a data set, with their classes and what was guessed."""
    classes = tuple(sorted({image.label for image in images if image.label is not None}))
    forms: defaultdict[str, list[str]] = defaultdict(list)
    for name in classes:
        plain = " ".join(name.casefold().split())
        forms[plain.removesuffix(".0") if plain.removesuffix(".0").isdecimal() else plain].append(name)
    if alike := [" and ".join(map(repr, names)) for names in forms.values() if len(names) > 1]:
        reading.note(f"classes that differ in capitals, blanks or .0 alone stay apart: {few(alike)}")
    if naming := _names_beside(source, classes):
        reading.note(f"the classes are numbers or codes; not read, though it may name them: {few(naming)}")
    return Dataset(source, format_name, tuple(images), tuple(problems), classes, tuple(reading.notes))


def _names_beside(source: Path, classes: Sequence[str]) -> list[str]:
    """Return files beside a data set, or in it, that may name classes which are numbers or codes."""
    if not classes or not all(map(CODE.fullmatch, classes)):
        return []
    beside = source if source.is_dir() else source.parent
    names = [path.name for path in sorted(beside.iterdir()) if path != source and _NAMING.search(path.name)]
    return [name for name in names if not splits_spoken_of(name)]
