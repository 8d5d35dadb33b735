"""Tables beside the data that say the split of each image and no more: ``image,split``, CelebA's, folds."""

import re
from collections.abc import Sequence
from pathlib import Path

from showtell.data.names import COUNTER_COLUMNS, IMAGE_COLUMNS, SPLIT_COLUMNS, column_key, is_image_name
from showtell.data.readers.delimited import DelimitedTable, open_delimited
from showtell.data.readers.reading import Reading
from showtell.data.records import Split
from showtell.errors import DataError

SPEAKS = re.compile("split|partition|(?<![a-z])folds?(?![a-z])", re.IGNORECASE)
"""What the names of files hold that speak of splits as such."""
_NUMBERED = "partition"  # as CelebA calls 0, 1 and 2
_SILENT = COUNTER_COLUMNS | {"fold"}
"""Columns that say nothing of what an image shows; so do numbers of things, of which none occurs twice."""


def listed_in_table(path: Path, reading: Reading) -> list[tuple[Split, str, str]]:
    """Return split, name and place of each row of a table that says no more; nothing of another file.

    Of one whose name does not speak of splits the header must: ``image,split`` in any CSV or TSV.
    """
    from showtell.data.readers.brought_splits import split_column  # which takes lists from here in turn

    trial = reading.trial()
    try:
        if not SPEAKS.search(path.stem) and not _has_header(path, trial):
            return []
        table = open_delimited(path, trial)
        rows = [row for row in table.rows() if len(row.fields) == len(table.header)]
    except DataError:
        return []
    cells = [[row.fields[place].strip() for row in rows] for place in range(len(table.header))]
    header = _header(table, cells)
    column = split_column(header, {place: list(filter(None, one)) for place, one in enumerate(cells)})
    if column is None:
        return []
    left = [place for place, one in enumerate(cells) if place not in column.places and any(one)]
    image = _image_of(header, cells, left)
    if image is None or not all(_is_silent(header[place], cells[place]) for place in left if place != image):
        return []
    reading.note(f"of {path.name}, {column.sentence}")
    found = ((column.of(row.fields), row) for row in rows)
    return [(split, row.fields[image].strip(), row.where) for split, row in found if split]


def _has_header(path: Path, reading: Reading) -> bool:
    """Tell whether the first line of a table names images and splits, and nothing that is said of them."""
    if path.suffix not in (".csv", ".tsv"):
        return False
    cells = re.split(r"[,;|\t]", next(reading.lines(path), ""))
    keys = {column_key(cell.strip().strip('"')) for cell in cells}
    known = keys <= {*_SILENT, *SPLIT_COLUMNS, *IMAGE_COLUMNS}
    return known and not keys.isdisjoint(SPLIT_COLUMNS) and not keys.isdisjoint(IMAGE_COLUMNS)


def _is_silent(name: str, cells: Sequence[str]) -> bool:
    key = column_key(name)
    return key in _SILENT or (key.endswith("id") and len(set(cells)) == len(cells))


def _header(table: DelimitedTable, cells: Sequence[Sequence[str]]) -> Sequence[str]:
    """Return the names of the columns; of CelebA's two without a header those that are meant.

    Behind a name, 0, 1 and 2 are else classes.
    """
    if table.headed or len(cells) != 2 or _NUMBERED not in table.path.stem.lower():
        return table.header
    return ["image" if all(map(is_image_name, one)) else _NUMBERED for one in cells]


def _image_of(header: Sequence[str], cells: Sequence[Sequence[str]], left: Sequence[int]) -> int | None:
    """Return the column that names the images: by its cells, or else by its own name."""
    named = [place for place in left if 2 * sum(map(is_image_name, cells[place])) > len(cells[place])]
    keys = {column_key(header[place]): place for place in left}
    return next(iter(named), next((keys[key] for key in IMAGE_COLUMNS if key in keys), None))
