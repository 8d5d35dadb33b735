"""Tables beside those of the data: of classes, people, settings, whose numbers pass for names of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from showtell.data.names import few, splits_in_names
from showtell.data.readers.cells import image_of
from showtell.data.readers.columns import Columns
from showtell.data.readers.image_folder import Match
from showtell.data.readers.read_data import CODE
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import Sample
from showtell.data.readers.tables import open_table

_LARGEST = 1_000_000
"""Bytes of a table of classes."""


class Seen(NamedTuple):
    """What the first rows of a table say."""

    path: Path
    numbered: bool  # whether it names its images by bare numbers
    images: Sequence[str]  # found, one for each row
    labels: frozenset[str]


def first_rows(columns: Columns, rows: Sequence[Sequence[Any]]) -> Seen:
    """Return what the first rows of a table say."""
    names = [image_of(fields[columns.image]) for fields in rows]
    found = [one.name for one in map(columns.folder.find, names) if isinstance(one, Match)]
    labels = {label for fields in rows for label in columns.words.labels_of(fields, columns.table.header)}
    numbered = all(name.replace(".", "").isdecimal() for name in names)
    return Seen(columns.table.path, numbered, found, frozenset(labels))


def tables_aside(seen: Sequence[Seen], reading: Reading) -> set[Path]:
    """Return tables that lie beside those of the data, and say why.

    Numbers may be those of anything beside a table of at least as many names of files. A table that holds
    each class once, where the others number these, is that of the classes; it is none of a split.
    """
    named = max((len(one.images) for one in seen if not one.numbered), default=0)
    numbered = {one.path for one in seen if one.numbered and len(one.images) <= named}
    left = [one for one in seen if one.path not in numbered]
    splits = splits_in_names(one.path.stem for one in left)
    coded = [one for one in left if len(one.labels) > 1 and all(map(CODE.fullmatch, one.labels))]
    naming = {one.path for one in left if one.path.stem not in splits and _names_classes(one, coded, reading)}
    if len(naming) == len(left):  # of each other
        naming = set()
    if numbered:
        what = "beside names of files numbers may be those of anything"
        reading.note(f"left out, for {what}: {few(sorted(path.name for path in numbered))}")
    if naming:
        reading.note(f"left out, as tables of the classes: {few(sorted(path.name for path in naming))}")
    return numbered | naming


def _names_classes(one: Seen, coded: Sequence[Seen], reading: Reading) -> bool:
    """Tell whether a table holds each label of another once, all of which are codes."""
    others = [of for of in coded if of != one and (one.numbered or set(one.images).isdisjoint(of.images))]
    if not others or one.path.stat().st_size > _LARGEST:
        return False
    columns = Sample(open_table(one.path, reading.trial())).texts
    once = [set(cells) for cells in columns if len(set(cells)) == len(cells)]
    return any(of.labels <= cells for of in others for cells in once)
