"""Tables of captions and labels, one or several together: CSV and its kin, JSON, workbooks, Parquet, tars."""

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from showtell.data.answers import MACHINE
from showtell.data.names import few, split_in_name, splits_in_names, splits_spoken_of
from showtell.data.readers.brought_splits import with_brought_splits
from showtell.data.readers.cells import image_of, is_missing, texts_of
from showtell.data.readers.collect import Collector, Entry
from showtell.data.readers.columns import Columns, choose_columns
from showtell.data.readers.delimited import DelimitedTable, open_delimited
from showtell.data.readers.folders import say_namesakes
from showtell.data.readers.image_folder import ImageFolder
from showtell.data.readers.json_tables import open_json, opened
from showtell.data.readers.reading import Reading
from showtell.data.readers.record_tables import open_parquet, open_workbook
from showtell.data.readers.split_folders import with_other_splits
from showtell.data.readers.table import Row, Table
from showtell.data.readers.webdataset import open_webdataset
from showtell.data.records import Dataset, Split
from showtell.errors import DataError

_OPENERS: dict[str, Callable[[Path, Reading], Table]] = {
    **dict.fromkeys((".json", ".jsonl", ".ndjson", ".manifest"), open_json),
    **dict.fromkeys((".xlsx", ".xlsm"), open_workbook),
    ".parquet": open_parquet,
    ".tar": open_webdataset,
}
TABLE_SUFFIXES = frozenset((".csv", ".tsv", ".txt", ".psv", ".tab", *_OPENERS)) - {".tar"}


_SAMPLE = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One of the tables that make a data set."""

    path: Path  # the file
    split: Split | None = None  # that its name brings
    under: str = ""  # folder below the image folder that its names are relative to


def open_table(path: Path, reading: Reading) -> Table:
    """Open a table of any kind.

    Raises:
        DataError: It is empty, damaged, or no table.
        MissingExtraError: What reads it is not installed.
    """
    return opened(_OPENERS.get(path.suffix.lower(), open_delimited)(path, reading))


def read_tables(
    source: Path,
    parts: Sequence[Part],
    reading: Reading,
    format_name: str,
    folder: ImageFolder | None = None,
) -> Dataset:
    """Read tables into one data set, with splits where a column, the tables' names or lists bring them.

    Args:
        source: What they are together, for messages.
        parts: The tables, in order.
        reading: Holds what the user said; told what was guessed.
        format_name: What the data set is said to be.
        folder: Where the images lie, where that is known.

    Raises:
        DataError: Columns are missing, a file cannot be decoded, or nothing in it is usable.
    """
    collector: Collector | None = None
    failures: list[DataError] = []
    for part in parts:
        under = part.under
        try:
            table = open_table(part.path, reading)
            if table.images:
                under = posixpath.join(part.under, part.path.stem) if folder else ""
                if folder:  # a further file that holds its images itself
                    folder.adopt(table.images, under)
            columns = choose_columns(table, reading, reading.folder(table.images) if table.images else folder)
            found = columns.folder
            if table.images:
                folder = folder or found
            elif folder is None:
                found, under = _home(found, source, columns, part, parts, reading)
        except DataError as error:
            failures.append(error)
            continue
        if collector is None:
            collector = Collector(source, found, reading)
        for entry in _entries(collector, columns, part.split):
            collector.add(entry, under=under)
    if collector is None or (failures and len(parts) == 1):
        raise failures[0]
    for failure in failures:  # such as a test table without answers
        collector.problem("table left out", str(source), failure.what)
    beside = source if source.is_dir() else source.parent
    return with_brought_splits(collector.finish(format_name), beside, collector.folder, reading)


def _home(
    found: ImageFolder, source: Path, columns: Columns, part: Part, parts: Sequence[Part], reading: Reading
) -> tuple[ImageFolder, str]:
    """Return the folder below which the images of all tables lie, and that of this one's in it, if sure."""
    if not columns.found:  # test.csv, whose images are not here, read before train.csv
        found = next(_found_by(parts, part, reading), found)
    root, beside = found.root, part.path.parent
    if len(parts) > 1 and source in root.parents:
        other = part.split and split_in_name(root.name) not in (None, part.split)  # test.csv, without test/
        return reading.folder(source), "" if other else root.relative_to(source).as_posix()
    splits = splits_in(columns) if columns.split else (one.split for one in parts)
    home = with_other_splits(reading, found, beside, splits)
    if home is found and root.parent == beside:
        rows = (row.fields for row in islice(columns.table.rows(), _SAMPLE))
        names = [image_of(fields[columns.image]) for fields in rows if len(fields) > columns.image]
        say_namesakes(reading, root, list(dict.fromkeys(names)))
    own, spoken = split_in_name(root.name), splits_spoken_of(part.path.stem)
    if (
        not (reading.source.images or columns.split or len(parts) > 1)
        and own
        and spoken
        and own not in spoken
    ):
        reading.note(f"the images of {part.path.name} are those in {root.name} (--images says otherwise)")
    return home, part.under


def splits_in(columns: Columns) -> Iterator[Split | None]:
    """Yield the split of each row of a table, nothing where no column brings it."""
    column, count = columns.split, len(columns.table.header)
    for row in columns.table.rows() if column else ():
        if column and len(row.fields) == count:
            yield column.of(row.fields)


def _found_by(parts: Sequence[Part], without: Part, reading: Reading) -> Iterator[ImageFolder]:
    """Yield the folders in which the images of other tables are found."""
    for part in parts:
        trial = reading.trial()
        try:
            columns = choose_columns(open_table(part.path, trial), trial) if part != without else None
        except DataError:  # said where it is read
            continue
        if columns is not None and columns.found:
            yield columns.folder


def split_parts(paths: Sequence[Path], reading: Reading) -> list[Part]:
    """Return tables that are named after different splits as parts of one data set, else nothing."""
    splits = splits_in_names(path.stem for path in paths)
    parts = [Part(path, splits[path.stem]) for path in paths if path.stem in splits]
    if not 2 <= len(paths) == len(parts) == len({part.split for part in parts}):
        return []
    together = ", ".join(f"{part.path.name} ({part.split})" for part in parts)
    reading.note(f"read together, each a split: {together}")
    return parts


def shard_parts(paths: Sequence[Path], reading: Reading) -> tuple[Part, ...]:
    """Return shards of one data set, with the splits after which they are named (``x-train-00000``)."""
    stems = {path: re.split(r"[-_.]?\d", path.stem)[0] for path in paths}
    splits = splits_in_names(stems.values())
    if splits:
        reading.note(f"the splits are those of the shards' names: {few(sorted(splits))}")
    return tuple(Part(path, splits.get(stem)) for path, stem in stems.items())


def _entries(collector: Collector, columns: Columns, split: Split | None) -> Iterator[Entry]:
    """Yield every row with the right number of cells."""
    table = columns.table
    image: Any = ""
    for where in table.broken:
        collector.skip("broken line", where, "not a record; left out")
    for row in table.rows():
        fields = row.fields
        if row.unclosed_quote:
            detail = "a quote is opened and not closed; read as plain text"
            collector.problem("unclosed quote", row.where, detail)
        if len(row.fields) != len(table.header):
            assert isinstance(table, DelimitedTable)
            fields, detail = _mend(row, table, columns)
            if not fields:
                collector.skip("wrong number of fields", row.where, detail)
                continue
            if detail:
                collector.problem("wrong number of fields", row.where, detail)
        if columns.who is not None and str(fields[columns.who]).strip() == MACHINE:
            collector.skip("nobody accepted", row.where, "a machine wrote it; left out")
            continue
        if columns.rejects(fields):
            collector.skip("rejected", row.where, "as the data marks it; left out")
            continue
        named = fields[columns.image] not in ("", None)
        if columns.continued and not named and image:
            fields = [*fields[: columns.image], image, *fields[columns.image + 1 :]]
        image = fields[columns.image] if named else image
        labels = columns.words.labels_of(fields, table.header)
        if len(labels) > 1:
            several = " and ".join(map(repr, labels[:3]))
            collector.skip("several labels", row.where, f"{several}: an image has one here; left out")
            continue
        yield _entry(collector, row.where, fields, columns, split, *labels)


def _entry(
    collector: Collector,
    where: str,
    fields: Sequence[Any],
    columns: Columns,
    brought: Split | None,
    label: str | None = None,
) -> Entry:
    split = brought
    if columns.split is not None:
        split = columns.split.of(fields) or brought
        if split is None and columns.split.by_name:
            split = collector.read_split(where, str(fields[columns.split.places[0]]))
    image = fields[columns.image]
    name = image if type(image) is str and image[:1] not in "[{" else image_of(image)
    return Entry(
        where,
        name if columns.folders is None else f"{fields[columns.folders]}/{name}",
        columns.words.captions_of(fields),
        label,
        split,
        group=None if columns.group is None else _group_of(fields[columns.group]),
        number=tuple([str(fields[place]).strip() for place in columns.others]),
    )


def _group_of(cell: Any) -> str | None:
    """Return the group that a cell names; what names none stands alone."""
    text = next(iter(texts_of(cell)), "")
    return None if not text or is_missing(text, caption=False) else text


def _mend(row: Row, table: DelimitedTable, columns: Columns) -> tuple[list[str], str]:
    """Return the cells, none where the row can't be understood; and what there is to report, if anything.

    Where the words are the last column, surplus cells are delimiters inside an unquoted caption and are
    joined again.
    """
    count, fields, captions = len(table.header), list(row.fields), columns.words.captions
    while len(fields) > count and not fields[-1].strip():
        fields.pop()
    if len(fields) == count:
        return fields, ""
    counts = f"{len(fields)} fields, the header has {count}"
    last = captions[-1] if captions else columns.words.label
    if len(fields) > count and last == count - 1:
        joined = [*fields[:last], table.delimiter.join(fields[last:])]
        return joined, f"{counts}; the surplus was joined to the {table.header[last]}"
    if len(fields) < count and len(captions) > 1 and len(fields) > columns.image:
        return [*fields, *[""] * (count - len(fields))], ""  # an image with fewer captions than others
    return [], f"{counts}: {table.delimiter.join(fields)[:80]!r}; left out"
