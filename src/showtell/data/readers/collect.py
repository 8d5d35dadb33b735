"""Rows into pictures: the counting and reporting that all readers share."""

import shlex
from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import NamedTuple

from showtell.data.readers.names import nfc, split_named
from showtell.data.readers.picture_folder import Match, PictureFolder
from showtell.data.records import SPLITS, Dataset, Picture, Problem, Split
from showtell.errors import DataError

_SHOWN = 10


class Entry(NamedTuple):
    """One row of a table, or what stands for one in JSON.

    Attributes:
        where: ``file:line``.
        name: The picture as the row names it.
        text: The caption or label as written; it is kept in NFC without outer blanks.
        split: The split that the data brings for this picture.
        number: What tells two equal captions of one picture apart (two people wrote the same); equal
            captions with equal numbers are a repeated row.
    """

    where: str
    name: str
    text: str
    split: Split | None = None
    number: Hashable = None


class Collector:
    """What captions and labels have in common: finding the picture, its split, and the problems.

    Args:
        source: The table or folder that is read, for messages.
        folder: Where the pictures lie.
    """

    def __init__(self, source: Path, folder: PictureFolder) -> None:
        self.source = source
        self.folder = folder
        self.problems: list[Problem] = list(folder.problems)
        self.rows = 0
        self._splits: dict[str, Split] = {}
        self._paths: dict[str, Path] = {}
        self._missing = Counter[str]()

    def problem(self, kind: str, where: str, detail: str) -> None:
        """Report one thing at one place."""
        self.problems.append(Problem(kind, where, detail))

    def _find(self, where: str, name: str, under: str) -> str | None:
        found = self.folder.find(name, under=under)
        if not isinstance(found, Match):
            if found.kind == "missing picture":
                self._missing[name] += 1
            if self._missing[name] < 2:  # a picture is missing once, however many captions it has
                self.problem(found.kind, where, found.detail)
            return None
        if found.name not in self._paths:
            self._paths[found.name] = found.path
            if found.note:
                self.problem("name differs in case", where, found.note)
        return found.name

    def _admit(self, entry: Entry, under: str, kind_if_empty: str) -> tuple[str, str] | None:
        """Return the picture's name and the words of a row; report the row and return None if unusable."""
        self.rows += 1
        name = self._find(entry.where, entry.name, under)
        if name is None:
            return None
        text = nfc(entry.text.strip())
        if not text:
            self.problem(kind_if_empty, entry.where, f"of {name!r}; left out")
            return None
        self._put_in_split(entry.where, name, entry.split)
        return name, text

    def skip(self, kind: str, where: str, detail: str) -> None:
        """Count a row that can't be used, and report it."""
        self.rows += 1
        self.problem(kind, where, detail)

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

    def _report_unused(self, used: Iterable[str], kind: str) -> None:
        """Report every picture in the folder that no row named."""
        known = set(used)
        for name in self.folder.pictures:
            if name not in known:
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
                would_do="One row a picture and caption or label would do.",
            )
        if self._missing and self._missing.total() == self.rows:
            raise self._all_missing()
        shown = "\n".join(f"  {p.where}: {p.kind}: {p.detail}" for p in self.problems[:_SHOWN])
        raise DataError(
            f"No row of {self.source} is usable; {len(self.problems):,} problems, the first are:\n{shown}",
            would_do="At least one row with an existing picture and its words would do.",
        )

    def _all_missing(self) -> DataError:
        names = list(self._missing)
        shown = "\n".join(f"  {name}" for name in names[:_SHOWN])
        what = (
            f"None of the {len(names):,} pictures named in {self.source} is in {self.folder.root}, "
            f"which holds {len(self.folder.pictures):,} pictures. Not found:\n{shown}"
        )
        place = self.folder.elsewhere(names[0])
        where = "DIR" if place is None else shlex.quote(str((self.folder.root / place).parent))
        if place is not None:
            what += f"\nOf that name there is {self.folder.root / place}."
        return DataError(
            what,
            would_do="The folder that holds these pictures would do: --images DIR.",
            run=f"showtell look {shlex.quote(str(self.source))} --images {where}",
        )


class CaptionCollector(Collector):
    """Captions, merged by picture, in the order of the rows."""

    def __init__(self, source: Path, folder: PictureFolder) -> None:
        super().__init__(source, folder)
        self._captions: dict[str, dict[Hashable, str]] = {}

    def add(self, entry: Entry, *, under: str = "") -> None:
        """Add one caption, or report why not.

        Args:
            entry: The row; its text is the caption.
            under: Folder below the picture folder that the name is relative to, and may not leave.
        """
        admitted = self._admit(entry, under, "empty caption")
        if admitted is None:
            return
        name, caption = admitted
        known = self._captions.setdefault(name, {})
        if (caption, entry.number) in known:
            self.problem("repeated row", entry.where, f"{name!r}: {caption!r} stands above; left out")
        else:
            known[caption, entry.number] = caption

    def finish(self, format_name: str, *, report_unused: bool = True) -> Dataset:
        """Return the data set.

        Args:
            format_name: As ``--format`` takes it.
            report_unused: Whether pictures of the folder without a caption are problems; not so where
                they were reported already, or the folder serves other tables as well.

        Raises:
            DataError: Nothing usable is left.
        """
        self._check_some(len(self._captions))
        if report_unused:
            self._report_unused(self._captions, "picture without captions")
        pictures = tuple(
            Picture(name, self._paths[name], captions=tuple(texts.values()), split=self._splits.get(name))
            for name, texts in self._captions.items()
        )
        return Dataset(self.source, format_name, pictures, tuple(self.problems))


class LabelCollector(Collector):
    """Labels, one a picture; a picture under two labels is left out, for neither can be trusted."""

    def __init__(self, source: Path, folder: PictureFolder) -> None:
        super().__init__(source, folder)
        self._labels: dict[str, tuple[str, str]] = {}
        self._contradicted: set[str] = set()

    def add(self, entry: Entry, *, under: str = "") -> None:
        """Add one label, or report why not; the arguments are those of `CaptionCollector.add`."""
        admitted = self._admit(entry, under, "empty label")
        if admitted is None:
            return
        name, label = admitted
        if name not in self._labels:
            self._labels[name] = (label, entry.where)
            return
        first_label, first_where = self._labels[name]
        if first_label == label:
            self.problem("repeated row", entry.where, f"{name!r} is {label!r} at {first_where} too; left out")
        else:
            self._contradicted.add(name)
            detail = f"{name!r} is {label!r} here and {first_label!r} at {first_where}; left out"
            self.problem("two labels", entry.where, detail)

    def finish(self, format_name: str) -> Dataset:
        """Return the data set, with its classes sorted.

        Raises:
            DataError: Nothing usable is left, or all pictures have one label.
        """
        kept = {name: label for name, (label, _) in self._labels.items() if name not in self._contradicted}
        self._check_some(len(kept))
        self._report_unused(self._labels, "picture without label")
        classes = tuple(sorted(set(kept.values())))
        if len(classes) == 1:
            raise one_class(self.source, classes[0], len(kept))
        pictures = tuple(
            Picture(name, self._paths[name], label=label, split=self._splits.get(name))
            for name, label in kept.items()
        )
        return Dataset(self.source, format_name, pictures, tuple(self.problems), classes)


def one_class(source: Path, name: str, count: int) -> DataError:
    """Explain that a single class leaves nothing to tell apart."""
    return DataError(
        f"{source} has a single class, {name!r}, with {count:,} pictures: there is nothing to tell apart.",
        would_do="At least two classes would do.",
    )
