"""Rows into pictures: the counting and reporting that all readers share."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from showtell.data.names import split_named
from showtell.data.readers.brought_splits import strictest
from showtell.data.readers.cells import cleaned, is_missing
from showtell.data.readers.folders import all_missing
from showtell.data.readers.picture_folder import EXACT, Match, PictureFolder
from showtell.data.readers.reading import Reading
from showtell.data.records import Dataset, Picture, Problem, Split
from showtell.errors import DataError


class Entry(NamedTuple):
    """One row of a table, or what stands for one in JSON.

    Attributes:
        where: ``file:line``.
        name: The picture as the row names it.
        captions: Captions, in NFC without outer blanks.
        label: The label, in the same form; None where the data has none.
        split: The split that the data brings for this picture.
        group: What the picture belongs to, as the data says it.
        number: What tells two equal captions of one picture apart (two people wrote the same); equal
            captions with equal numbers are a repeated row.
    """

    where: str
    name: str
    captions: Sequence[str] = ()
    label: str | None = None
    split: Split | None = None
    group: str | None = None
    number: Hashable = None


@dataclass(slots=True)
class _Known:
    """What the rows so far say of one picture.

    Attributes:
        path: Of its file.
        names: How each name that stands for it was bridged.
        captions: Its captions, by what tells them from repeats.
        label: Its label, and where it was given first.
    """

    path: Path
    names: dict[str, str] = field(default_factory=dict)
    captions: dict[Hashable, str] = field(default_factory=dict)
    label: tuple[str, str] | None = None
    split: Split | None = None
    group: str | None = None
    left_out: bool = False


class Collector:
    """Find each row's picture, merge rows of one picture, and report whatever is wrong.

    A picture under two labels is left out, for neither can be trusted; so are pictures for which several
    names of the table stand, where these had to be bridged.
    """

    def __init__(self, source: Path, folder: PictureFolder, reading: Reading) -> None:
        self.source, self.folder, self.reading = source, folder, reading
        self.problems: list[Problem] = []
        self.rows = 0
        self._known: dict[str, _Known] = {}
        self._missing = Counter[str]()
        self._cleaned = Counter[str]()

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
            under: Folder below the picture folder that the name is relative to, and may not leave.
        """
        self.rows += 1
        where, label = entry.where, entry.label
        match = self._find(where, entry.name, under)
        if match is None:
            return
        name, known = match.name, self._known[match.name]
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
        if entry.group:
            known.group = known.group or entry.group
            if known.group != entry.group:
                detail = f"{name!r} is in {known.group!r} and in {entry.group!r}; kept in the first"
                self.problem("two groups", where, detail)
        if label is not None:
            self._add_label(where, name, known, label, repeated=not captions)
        for place, caption in enumerate(captions):
            self._add_caption(entry, name, known, caption, place)

    def _find(self, where: str, name: str, under: str) -> Match | None:
        found = self.folder.find(name, under=under)
        if not isinstance(found, Match):
            if found.kind in ("missing picture", "address", "outside the picture folder"):
                self._missing[name] += 1
            if self._missing[name] < 2:  # a picture is missing once, however many captions it has
                self.problem(found.kind, where, found.detail)
            return None
        known = self._known.get(found.name)
        if known is None:
            known = self._known[found.name] = _Known(found.path)
            if found.note:
                self.problem("name differs in case", where, found.note)
        known.names.setdefault(name, found.how)
        return found

    def _says_something(self, where: str, name: str, text: str, what: str) -> bool:
        if not text:
            self.problem(f"empty {what}", where, f"of {name!r}; left out")
        elif is_missing(text, caption=what == "caption"):
            self.problem(f"missing {what}", where, f"{text!r} of {name!r} stands for nothing; left out")
        else:
            return True
        return False

    def _add_caption(self, entry: Entry, name: str, known: _Known, caption: str, place: int) -> None:
        caption, taken = cleaned(caption)
        if taken:
            self._cleaned[taken] += 1
        if not caption:
            self.problem("empty caption", entry.where, f"of {name!r}, without its {taken}; left out")
            return
        key = (caption, entry.number, None if entry.number is None else place)
        if key in known.captions:
            self.problem("repeated row", entry.where, f"{name!r}: {caption!r} stands above; left out")
        else:
            known.captions[key] = caption

    def _add_label(self, where: str, name: str, known: _Known, label: str, *, repeated: bool) -> None:
        if known.label is None:
            known.label = label, where
            return
        first, first_where = known.label
        if first != label:
            known.left_out = True
            detail = f"{name!r} is {label!r} here and {first!r} at {first_where}; left out"
            self.problem("two labels", where, detail)
        elif repeated:
            self.problem("repeated row", where, f"{name!r} is {label!r} at {first_where} too; left out")

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
            report_unused: Whether pictures of the folder without words are problems; not so where
                they were reported already, or the folder serves other tables as well.

        Raises:
            DataError: Nothing usable is left.
        """
        self._settle_bridges()
        worded = {name: known for name, known in self._known.items() if known.captions or known.label}
        pictures = [
            Picture(
                name,
                known.path,
                captions=tuple(known.captions.values()),
                label=known.label[0] if known.label else None,
                split=known.split,
                group=known.group,
            )
            for name, known in worded.items()
            if not known.left_out
        ]
        if report_unused:
            captioned = any(known.captions for known in worded.values())
            kind = "picture without captions" if captioned else "picture without label"
            detail = f"in {self.folder.root}, but not usable from {self.source}; left out"
            self.problems += [
                Problem(kind, name, detail) for name in self.folder.pictures if name not in worded
            ]
        self.problems = [*self.folder.problems, *self.problems]
        if not pictures:
            raise self._nothing_usable()
        for what, count in self._cleaned.items():
            self.reading.note(f"{what} were taken out of {count:,} captions")
        return dataset_of(self.source, format_name, pictures, self.problems, self.reading)

    def _settle_bridges(self) -> None:
        """Say how names were bridged; leave out a file for which several different names stand."""
        ways: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for file, known in self._known.items():
            bridged = [(how, name) for name, how in known.names.items() if how != EXACT]
            if len(bridged) > 1:
                known.left_out = True
                several = ", ".join(map(repr, list(known.names)[:3]))
                self.problem("ambiguous name", str(self.source), f"{several} all fit {file!r}; left out")
                continue
            for how, name in bridged:
                ways[how].append((name, file))
        for how, pairs in ways.items():
            name, file = pairs[0]
            fetched = "; addresses are never fetched" if "://" in name else ""
            self.reading.note(f"{len(pairs):,} pictures are found by {how}: {name!r} is {file!r}{fetched}")

    def _nothing_usable(self) -> DataError:
        """Explain why: the table has no rows, all pictures are missing, or all rows are unusable."""
        if not self.rows:
            return DataError(
                f"{self.source} holds no captions or labels: there are no rows below its header.",
                would_do="Expected a row for each picture and caption or label.",
            )
        if self._missing and self._missing.total() == self.rows:
            return all_missing(self.source, self.folder, list(self._missing))
        shown = "\n".join(f"  {p.where}: {p.kind}: {p.detail}" for p in self.problems[:10])
        return DataError(
            f"No row of {self.source} is usable; {len(self.problems):,} problems, the first are:\n{shown}",
            would_do="Expected at least one row with an existing picture and its words.",
        )


def dataset_of(
    source: Path, format_name: str, pictures: Sequence[Picture], problems: Sequence[Problem], reading: Reading
) -> Dataset:
    """Return pictures as a data set, with their classes and what was guessed."""
    classes = tuple(sorted({picture.label for picture in pictures if picture.label is not None}))
    return Dataset(source, format_name, tuple(pictures), tuple(problems), classes, tuple(reading.notes))
