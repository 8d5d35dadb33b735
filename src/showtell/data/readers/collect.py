"""Rows into pictures: the counting and reporting that all readers share."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

from showtell.data.names import split_named
from showtell.data.readers.cells import cleaned, is_missing
from showtell.data.readers.folders import all_missing
from showtell.data.readers.picture_folder import EXACT, Match, PictureFolder
from showtell.data.readers.reading import Reading
from showtell.data.records import SPLITS, Dataset, Picture, Problem, Split
from showtell.errors import DataError

_SHOWN = 10


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


class Collector:
    """Find each row's picture, merge rows of one picture, and report whatever is wrong.

    A picture under two labels is left out, for neither can be trusted; so are pictures for which several
    names of the table stand, where these had to be bridged.

    Args:
        source: The table or folder that is read, for messages.
        folder: Where the pictures lie.
        reading: Told how names were found that are not those of the files.
    """

    def __init__(self, source: Path, folder: PictureFolder, reading: Reading) -> None:
        self.source, self.folder, self.reading = source, folder, reading
        self.problems: list[Problem] = []
        self.rows = 0
        self._paths: dict[str, Path] = {}
        self._captions: defaultdict[str, dict[Hashable, str]] = defaultdict(dict)
        self._labels: dict[str, tuple[str, str]] = {}
        self._splits: dict[str, Split] = {}
        self._groups: dict[str, str] = {}
        self._left_out: set[str] = set()
        self._missing = Counter[str]()
        self._named: defaultdict[str, dict[str, str]] = defaultdict(dict)
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
        name = self._find(entry.where, entry.name, under)
        if name is None:
            return
        captions = [
            text for text in entry.captions if self._says_something(entry.where, name, text, "caption")
        ]
        label = entry.label
        if label is not None and not self._says_something(entry.where, name, label, "label"):
            label = None
        if not captions and label is None:
            if not entry.captions and entry.label is None:
                self.problem("no words", entry.where, f"of {name!r}; left out")
            return
        self._put_in_split(entry.where, name, entry.split)
        self._put_in_group(entry.where, name, entry.group)
        if label is not None:
            self._add_label(entry.where, name, label, repeated=not captions)
        for place, caption in enumerate(captions):
            self._add_caption(entry, name, caption, place)

    def _find(self, where: str, name: str, under: str) -> str | None:
        found = self.folder.find(name, under=under)
        if not isinstance(found, Match):
            if found.kind in ("missing picture", "address", "outside the picture folder"):
                self._missing[name] += 1
            if self._missing[name] < 2:  # a picture is missing once, however many captions it has
                self.problem(found.kind, where, found.detail)
            return None
        self._named[found.name].setdefault(name, found.how)
        if found.name not in self._paths:
            self._paths[found.name] = found.path
            if found.note:
                self.problem("name differs in case", where, found.note)
        return found.name

    def _says_something(self, where: str, name: str, text: str, what: str) -> bool:
        if not text:
            self.problem(f"empty {what}", where, f"of {name!r}; left out")
        elif is_missing(text, caption=what == "caption"):
            self.problem(f"missing {what}", where, f"{text!r} of {name!r} stands for nothing; left out")
        else:
            return True
        return False

    def _add_caption(self, entry: Entry, name: str, caption: str, place: int) -> None:
        caption, taken = cleaned(caption)
        if taken:
            self._cleaned[taken] += 1
        if not caption:
            self.problem("empty caption", entry.where, f"of {name!r}, without its {taken}; left out")
            return
        known, key = (
            self._captions[name],
            (caption, entry.number, place if entry.number is not None else None),
        )
        if key in known:
            self.problem("repeated row", entry.where, f"{name!r}: {caption!r} stands above; left out")
        else:
            known[key] = caption

    def _add_label(self, where: str, name: str, label: str, *, repeated: bool) -> None:
        first_label, first_where = self._labels.setdefault(name, (label, where))
        if first_where == where:
            return
        if first_label != label:
            self._left_out.add(name)
            detail = f"{name!r} is {label!r} here and {first_label!r} at {first_where}; left out"
            self.problem("two labels", where, detail)
        elif repeated:
            self.problem("repeated row", where, f"{name!r} is {label!r} at {first_where} too; left out")

    def read_split(self, where: str, value: str) -> Split | None:
        """Return the split that a value names; report a value that names none, unless it is blank."""
        split = split_named(value)
        if split is None and value.strip():
            self.problem("unknown split", where, f"{value!r} is not train, val or test; taken as no split")
        return split

    def _put_in_split(self, where: str, name: str, split: Split | None) -> None:
        """Note a picture's split; of two different ones the earlier of train, val, test stands.

        What may be trained on must not be tested on, so the stricter reading of a contradiction is
        that the picture is a training picture.
        """
        if split is None:
            return
        earlier = self._splits.setdefault(name, split)
        if earlier != split:
            kept = min(earlier, split, key=SPLITS.index)
            self._splits[name] = kept
            self.problem("two splits", where, f"{name!r} is in {earlier} and in {split}; kept in {kept}")

    def _put_in_group(self, where: str, name: str, group: str | None) -> None:
        if group and self._groups.setdefault(name, group) != group:
            detail = f"{name!r} is in {self._groups[name]!r} and in {group!r}; kept in the first"
            self.problem("two groups", where, detail)

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
        kept = [name for name in self._paths if name in self._captions or name in self._labels]
        kept = [name for name in kept if name not in self._left_out]
        if report_unused:
            self._report_unused()
        self.problems = [*self.folder.problems, *self.problems]
        self._check_some(len(kept))
        for what, count in self._cleaned.items():
            self.reading.note(f"{what} were taken out of {count:,} captions")
        pictures = tuple(
            Picture(
                name,
                self._paths[name],
                captions=tuple(self._captions[name].values()) if name in self._captions else (),
                label=self._labels[name][0] if name in self._labels else None,
                split=self._splits.get(name),
                group=self._groups.get(name),
            )
            for name in kept
        )
        classes = tuple(sorted({picture.label for picture in pictures if picture.label is not None}))
        return Dataset(
            self.source, format_name, pictures, tuple(self.problems), classes, tuple(self.reading.notes)
        )

    def _settle_bridges(self) -> None:
        """Say how names were bridged; leave out a file for which several different names stand."""
        ways: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for file, names in self._named.items():
            if sum(how != EXACT for how in names.values()) > 1:
                self._left_out.add(file)
                several = ", ".join(map(repr, list(names)[:3]))
                self.problem("ambiguous name", str(self.source), f"{several} all fit {file!r}; left out")
                continue
            for name, how in names.items():
                if how == EXACT:
                    continue
                ways[how].append((name, file))
        for how, pairs in ways.items():
            name, file = pairs[0]
            fetched = "; addresses are never fetched" if "://" in name else ""
            self.reading.note(f"{len(pairs):,} pictures are found by {how}: {name!r} is {file!r}{fetched}")

    def _report_unused(self) -> None:
        """Report every picture in the folder that no row gave words to."""
        used = self._captions.keys() | self._labels.keys()
        kind = "picture without captions" if self._captions else "picture without label"
        for name in self.folder.pictures:
            if name not in used:
                self.problem(
                    kind, name, f"in {self.folder.root}, but not usable from {self.source}; left out"
                )

    def _check_some(self, usable: int) -> None:
        """Raise where nothing usable is left.

        Raises:
            DataError: The table has no rows, all pictures are missing, or all rows are unusable.
        """
        if usable:
            return
        if not self.rows:
            raise DataError(
                f"{self.source} holds no captions or labels: there are no rows below its header.",
                would_do="Expected a row for each picture and caption or label.",
            )
        if self._missing and self._missing.total() == self.rows:
            raise all_missing(self.reading, self.source, self.folder, list(self._missing), _SHOWN)
        shown = "\n".join(f"  {p.where}: {p.kind}: {p.detail}" for p in self.problems[:_SHOWN])
        raise DataError(
            f"No row of {self.source} is usable; {len(self.problems):,} problems, the first are:\n{shown}",
            would_do="Expected at least one row with an existing picture and its words.",
        )
