"""Tables of captions and labels, one or several together: CSV and its kin, JSON, workbooks, Parquet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from showtell.data.names import split_in_name
from showtell.data.readers.brought_splits import with_brought_splits
from showtell.data.readers.cells import texts_of
from showtell.data.readers.collect import Collector, Entry
from showtell.data.readers.columns import Columns, Kind, choose_columns, label_of
from showtell.data.readers.json_records import open_json
from showtell.data.readers.picture_folder import PictureFolder
from showtell.data.readers.reading import Reading
from showtell.data.readers.sheets import open_parquet, open_workbook
from showtell.data.readers.table import DelimitedTable, RecordTable, Row, Table, open_delimited
from showtell.data.readers.unpacked import open_webdataset
from showtell.data.records import Dataset, Split
from showtell.errors import DataError

JSON_SUFFIXES = frozenset((".json", ".jsonl", ".ndjson"))
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "_classes.csv")


@dataclass(frozen=True, slots=True)
class Part:
    """One of the tables that make a data set.

    Attributes:
        path: The file.
        split: That its name brings.
        under: Folder below the picture folder that its names are relative to.
    """

    path: Path
    split: Split | None = None
    under: str = ""


def open_table(path: Path, reading: Reading) -> tuple[Table, PictureFolder | None]:
    """Open a table of any kind.

    Returns:
        The table; and the folder of its pictures, where it holds them itself.

    Raises:
        DataError: It is empty, damaged, or no table.
        MissingExtraError: What reads it is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".manifest" or suffix in JSON_SUFFIXES:  # pictures lie beside it
        return open_json(path, reading), None
    if suffix in (".xlsx", ".xlsm"):
        return open_workbook(path, reading), None
    if suffix not in (".parquet", ".tar"):
        return open_delimited(path, reading), None
    table, folder = (open_parquet if suffix == ".parquet" else open_webdataset)(path, reading)
    return table, PictureFolder(folder) if folder else None


def read_tables(
    source: Path,
    parts: Sequence[Part],
    reading: Reading,
    *,
    format_name: str | None = None,
    kind: Kind | None = None,
    folder: PictureFolder | None = None,
) -> Dataset:
    """Read tables into one data set.

    Args:
        source: What they are together, for messages.
        parts: The tables, in order.
        reading: Holds what the user said; told what was guessed.
        format_name: What the data set is said to be; None for ``csv`` where it holds captions, else
            ``labels``.
        kind: What the words are, where the user says so.
        folder: Where the pictures lie, where that is known.

    Returns:
        Pictures with captions, labels or both, and splits where a column or the tables' names bring them.

    Raises:
        DataError: Columns are missing, a file cannot be decoded, or nothing in it is usable.
    """
    collector: Collector | None = None
    failures: list[DataError] = []
    for part in parts:
        under = part.under
        try:
            table, own = open_table(part.path, reading)
            if own is not None and folder is not None:  # a further file that holds its pictures itself
                under = part.path.stem
                folder.adopt(own.root, under)
            table, columns, found, _ = choose_columns(table, reading, kind, folder=folder or own)
            if len(parts) > 1 and folder is None and own is None:
                found, under = _common(source, found, reading)
        except DataError as error:
            failures.append(error)
            continue
        if collector is None:
            collector = Collector(source, found, reading)
            folder = folder or own
        for entry in _entries(collector, table, columns, part.split):
            collector.add(entry, under=under)
    if collector is None or (failures and len(parts) == 1):
        raise failures[0]
    for failure in failures:  # such as a test table without answers
        collector.problem("table left out", str(source), failure.what)
    dataset = collector.finish("csv")
    if format_name is None:
        format_name = "csv" if any(picture.captions for picture in dataset.pictures) else "labels"
    beside = source if source.is_dir() else source.parent
    return with_brought_splits(replace(dataset, format=format_name), beside, reading)


def _common(source: Path, folder: PictureFolder, reading: Reading) -> tuple[PictureFolder, str]:
    """Return the folder of all parts, and where in it the pictures of one of them lie."""
    if not source.is_dir() or source not in folder.root.parents:
        return folder, ""
    return reading.folder(source), folder.root.relative_to(source).as_posix()


def split_parts(paths: Sequence[Path], reading: Reading) -> list[Part]:
    """Return tables that are named after different splits as parts of one data set, else nothing."""
    named = [(path, split_in_name(path.stem)) for path in paths]
    splits = [split for _, split in named if split is not None]
    if len(splits) < 2 or len(set(splits)) < len(splits):
        return []
    parts = [Part(path, split) for path, split in named if split is not None]
    together = ", ".join(f"{part.path.name} ({part.split})" for part in parts)
    reading.note(f"read together, each a split: {together}")
    return parts


def _entries(collector: Collector, table: Table, columns: Columns, split: Split | None) -> Iterator[Entry]:
    """Yield every row with the right number of cells."""
    for where in table.broken if isinstance(table, RecordTable) else ():
        collector.skip("broken line", where, "not a JSON object; left out")
    for row in table.rows():
        if row.unclosed_quote:
            collector.problem(
                "unclosed quote", row.where, "a quote is opened and not closed; read as plain text"
            )
        fields = row.fields
        if len(fields) != len(table.header):
            assert isinstance(table, DelimitedTable)
            mended, detail = _mend(row, table, columns)
            if mended is None:
                collector.skip("wrong number of fields", row.where, detail)
                continue
            if detail:
                collector.problem("wrong number of fields", row.where, detail)
            fields = mended
        yield _entry(collector, row.where, fields, table, columns, split)


def _entry(
    collector: Collector,
    where: str,
    fields: Sequence[Any],
    table: Table,
    columns: Columns,
    brought: Split | None,
) -> Entry:
    captions = [
        text for place in columns.captions for text in texts_of(fields[place], listed=place in columns.listed)
    ]
    split = brought
    if columns.split is not None:
        value = str(fields[columns.split.place])
        split = columns.split.read(value) or brought
        if split is None and columns.split.by_name:
            split = collector.read_split(where, value)
    label = next(label_of(fields, columns, table.header), None)
    if label is None and (columns.label is not None or columns.one_hot):
        label = ""
    group = None if columns.group is None else str(fields[columns.group]).strip()
    number = tuple([str(fields[place]).strip() for place in columns.others])
    return Entry(where, _file_name(fields[columns.image]), captions, label, split, group, number)


def _file_name(cell: object) -> str:
    """Return the name in a cell; Hugging Face's own cells hold the name beside the content."""
    return str(cell.get("path") or "") if isinstance(cell, dict) else "" if cell is None else str(cell)


def _mend(row: Row, table: DelimitedTable, columns: Columns) -> tuple[list[str] | None, str]:
    """Return the cells, None where the row can't be understood; and what there is to report, if anything.

    Where the words are the last column, surplus cells are delimiters inside an unquoted caption and are
    joined again.
    """
    count, fields = len(table.header), list(row.fields)
    while len(fields) > count and not fields[-1].strip():
        fields.pop()
    if len(fields) == count:
        return fields, ""
    counts = f"{len(fields)} fields, the header has {count}"
    words = columns.captions[-1] if columns.captions else columns.label
    if len(fields) > count and words == count - 1:
        joined = [*fields[:words], table.delimiter.join(fields[words:])]
        return joined, f"{counts}; the surplus was joined to the {table.header[words]}"
    if len(fields) < count and len(columns.captions) > 1 and len(fields) > columns.image:
        return [*fields, *[""] * (count - len(fields))], ""  # a picture with fewer captions than others
    return None, f"{counts}: {table.delimiter.join(fields)[:80]!r}; left out"
