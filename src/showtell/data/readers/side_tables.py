"""Tables beside those of the data: of classes, people, settings, whose numbers pass for names of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from showtell.data.names import few, splits_in_names
from showtell.data.readers.cells import image_of
from showtell.data.readers.columns import Columns
from showtell.data.readers.image_folder import Match
from showtell.data.readers.read_data import CODE
from showtell.data.readers.reading import Annotation, Reading
from showtell.data.readers.table import Sample
from showtell.data.readers.tables import open_table

_LARGEST, _EACH = 1_000_000, 2
"""Bytes of a table of classes, and images of each class in one that shows them."""


class Seen(NamedTuple):
    """What the first rows of a table say."""

    path: Path
    header: Sequence[str]
    numbered: bool  # whether it names its images by bare numbers
    usual: bool  # whether its words have a name that says so
    images: Sequence[str]  # found, one for each row
    labels: frozenset[str]  # none of captions

    @property
    def kind(self) -> Annotation:
        """What it says of images."""
        return "labels" if self.labels else "captions"


def first_rows(columns: Columns, rows: Sequence[Sequence[Any]], usual: bool) -> Seen:
    """Return what the first rows of a table say."""
    names = [image_of(fields[columns.image]) for fields in rows]
    found = [one.name for one in map(columns.folder.find, names) if isinstance(one, Match)]
    labels = {label for fields in rows for label in columns.words.labels_of(fields, columns.table.header)}
    numbered = all(name.replace(".", "").isdecimal() for name in names)
    return Seen(columns.table.path, columns.table.header, numbered, usual, found, frozenset(labels))


def tables_aside(seen: Sequence[Seen], reading: Reading) -> set[Path]:
    """Return tables that lie beside those of the data, and say why.

    Numbers may be those of anything beside a table of at least as many names of files, unless they alone
    have what is wanted (captions beside labels), under a usual name. A table that holds each class once,
    where the others number these, is that of the classes. None of a split is either.
    """
    splits = splits_in_names(one.path.stem for one in seen)
    named = [one for one in seen if not one.numbered]
    most = max((len(one.images) for one in named), default=0)
    kinds = {one.kind for one in named}
    numbered = {
        one.path
        for one in seen
        if one.numbered and len(one.images) <= most and one.path.stem not in splits
        if not (one.usual and one.kind == reading.wanted and one.kind not in kinds)
    }
    left = [one for one in seen if one.path not in numbered]
    coded = [one for one in left if len(one.labels) > 1 and all(map(CODE.fullmatch, one.labels))]
    naming = {
        one.path
        for one in left
        if one.path.stem not in splits and _names_classes(one, coded, [*splits], reading)
    }
    if len(naming) == len(left):  # of each other
        naming = set()
    if numbered:
        what = "beside names of files numbers may be those of anything"
        reading.note(f"left out, for {what}: {few(sorted(path.name for path in numbered))}")
    if naming:
        reading.note(f"left out, as tables of the classes: {few(sorted(path.name for path in naming))}")
    return numbered | naming


def _names_classes(one: Seen, coded: Sequence[Seen], splits: Sequence[str], reading: Reading) -> bool:
    """Tell whether a table holds each label of another once, all of which are codes."""
    others = [
        of
        for of in coded
        # Of the same columns it is a part of one data set, unless the others are all its splits.
        if of != one
        and (
            of.header != one.header or (of.path.stem in splits and len(one.images) <= _EACH * len(of.labels))
        )
        if one.numbered or set(one.images).isdisjoint(of.images)
    ]
    if not others or one.path.stat().st_size > _LARGEST:
        return False
    columns = Sample(open_table(one.path, reading.trial())).texts
    once = [set(cells) for cells in columns if len(set(cells)) == len(cells)]
    return any(of.labels <= cells for of in others for cells in once)
