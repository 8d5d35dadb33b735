"""Tables of records in workbooks (``.xlsx``) and Parquet files, which need extras."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from showtell.data.names import IMAGE_COLUMNS, column_key, few, is_header, splits_in_names
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import RecordTable
from showtell.errors import DataError, MissingExtraError
from showtell.files import parse_json

_Record = tuple[str, dict[str, object]]
_SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PN": ".png", b"GIF": ".gif", b"RIF": ".webp"}


def open_workbook(path: Path, reading: Reading) -> RecordTable:
    """Read the first sheet of a workbook that has a header, or else rows, and those with the same columns.

    Sheets named after splits are read together. Hidden sheets are left out.

    Raises:
        DataError: It cannot be read, or is empty.
        MissingExtraError: openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError("openpyxl", "excel", f"Reading {path.name}") from None
    try:
        sheets = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets
        shown = [sheet for sheet in sheets if sheet.sheet_state == "visible"] or sheets
        marks = {sheet.title: _marks(sheet) for sheet in shown}
        filled = {
            sheet.title: rows
            for sheet in shown
            if len(rows := _rows(path, sheet, marks[sheet.title].merged)) > 1
        }
    except Exception as error:  # of zipfile, of XML, and its own
        what = f"{path} cannot be read as a workbook: {error}."
        raise DataError(what, hint="Save it again, or as CSV.") from error
    if not filled:
        raise DataError(f"{path} holds no sheet with rows.", hint="Expected a header such as image,caption.")
    splits = splits_in_names(filled)
    tables = {title: _below(rows) for title, rows in filled.items()}
    if len(set(splits.values())) > 1:
        reading.note(f"of {path.name} these sheets are read, each a split: {', '.join(splits)}")
        together = [
            (at, {"split": split} | one) for title, split in splits.items() for at, one in tables[title]
        ]
        return RecordTable(path, together)
    first = next((title for title, (_, record) in _firsts(tables) if is_header(record)), next(iter(tables)))
    alike = [title for title, (_, record) in _firsts(tables) if record.keys() == tables[first][0][1].keys()]
    if len(sheets) > 1:
        which = f"sheet {first!r} is" if len(alike) == 1 else f"sheets {few(alike)} are"
        left = [sheet.title for sheet in sheets if sheet.title not in alike]
        reading.note(f"of {path.name} the {which} read{f', and not {few(left)}' if left else ''}")
    for title in alike:
        _say_merged_and_hidden(path, marks[title], reading)
    return RecordTable(path, [row for title in alike for row in tables[title]])


def _firsts(tables: dict[str, list[_Record]]) -> Iterator[tuple[str, _Record]]:
    return ((title, records[0]) for title, records in tables.items())


@dataclass(frozen=True)
class _Marks:
    """What a sheet says beside its cells."""

    merged: list[tuple[int, int, int]]  # column, first and last row of merged cells, from 1
    hidden: int  # rows


def _marks(sheet: Any) -> _Marks:
    """Read what openpyxl says only of a workbook that it holds whole, with an object for each merged cell."""
    from openpyxl.utils import range_boundaries
    from openpyxl.xml.functions import iterparse

    merged, hidden = [], 0
    with sheet._get_source() as source:
        for _, element in iterparse(source):
            tag = element.tag.rpartition("}")[2]
            if tag == "row":
                hidden += element.get("hidden") in ("1", "true")
                element.clear()
            elif tag == "mergeCell":
                column, first, _, last = range_boundaries(element.get("ref"))
                merged.append((column, first, last))
    return _Marks(sorted(merged), hidden)


def _rows(
    path: Path, sheet: Any, merged: Iterable[tuple[int, int, int]]
) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the rows of a sheet that are not empty; merged cells hold the same in each of them."""
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    done: dict[int, int] = {}  # the last row by column: what overlaps is no work twice
    for column, first, last in merged:
        for row in rows[max(first, done.get(column, 0)) : last]:
            if len(row) >= column and set(row) - {None}:
                row[column - 1] = rows[first - 1][column - 1] if len(rows[first - 1]) >= column else None
        done[column] = max(last, done.get(column, 0))
    return [(f"{path}:{number}", tuple(row)) for number, row in enumerate(rows, 1) if set(row) - {None}]


def _say_merged_and_hidden(path: Path, marks: _Marks, reading: Reading) -> None:
    if any(last > first for _, first, last in marks.merged):
        reading.note(f"merged cells of {path.name} are read as the same in each of their rows")
    if marks.hidden:
        reading.note(
            f"{marks.hidden:,} rows of {path.name} that are hidden, as by a filter, are read as well"
        )


def _below(rows: list[tuple[str, tuple[Any, ...]]]) -> list[_Record]:
    """Return the rows below a sheet's header as records; columns of one name stay apart."""
    places = range(min(len(rows), 10))  # above the header there may be a title
    first = next((p for p in places if is_header([str(cell) for cell in rows[p][1] if cell is not None])), 0)
    (_, header), *below = rows[first:]
    names = [f"column {place}" if cell is None else str(cell) for place, cell in enumerate(header, 1)]
    for place, name in enumerate(names):
        if name in names[:place]:  # caption, caption, caption
            names[place] = f"{name}_{place + 1}"
    return [(where, dict(zip(names, row))) for where, row in below]


def open_parquet(path: Path, reading: Reading) -> RecordTable:
    """Read a Parquet file, as Hugging Face keeps data sets: with images, and numbers of named classes.

    Raises:
        DataError: It cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet", f"Reading {path.name}") from None
    try:
        named = reading.source.image_column
        schema = parquet.read_schema(path)
        types = {field.name: field.type for field in schema}
        types = {
            name: kind.value_type if pyarrow.types.is_list(kind) else kind for name, kind in types.items()
        }
        structs = {name: kind for name, kind in types.items() if pyarrow.types.is_struct(kind)}
        cells = [name for name, kind in structs.items() if kind.get_field_index("bytes") >= 0]
        cells = [name for name in cells if _holds_images(path, name)]
        bare = [field.name for field in schema if str(field.type) in ("binary", "large_binary")]
        usual = [name for name in bare if column_key(name) in IMAGE_COLUMNS or name == named]
        plain = [name for name in schema.names if name not in (*cells, *bare)]
        rows = parquet.read_table(path, columns=plain).to_pylist()
        column, folder = _column_of_images(path, cells or usual, named), None
        if column:
            folder = reading.unpacked(path, lambda: _images(path, column), column)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}.") from error
    files = sorted(file.name for file in folder.iterdir()) if folder else []
    classes = _class_names(schema.metadata or {})
    records = []
    for place, row in enumerate(rows):
        for name, names in classes.items():
            if isinstance(number := row.get(name), int):  # -1 stands for no class
                row[name] = names[number] if 0 <= number < len(names) else None
        records.append((f"{path}:{place + 1}", ({column: files[place]} if files else {}) | row))
    return RecordTable(path, records, images=folder)


def _column_of_images(path: Path, columns: list[str], named: str | None) -> str:
    if len(columns) > 1 and named not in columns:
        what = f"{path} has several columns of images: {' and '.join(map(repr, columns))}."
        raise DataError(what, hint="Expected the one to learn from: --image-column NAME.")
    return named if named in columns else "".join(columns)


def _holds_images(path: Path, column: str) -> bool:
    """Tell whether the first cells hold content; of images that lie elsewhere they name the path alone."""
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        first = next(file.iter_batches(batch_size=64, columns=[column]), None)
    cells = (
        [] if first is None else [one for cell in first.column(0).to_pylist() if (one := _only(path, cell))]
    )
    return any(cell["bytes"] for cell in cells) or not any(cell.get("path") for cell in cells)


def _only(path: Path, cell: Any) -> Any:
    """Return what a cell holds, be it the only one of a list."""
    if isinstance(cell, list) and len(cell) > 1:
        what = f"{path} has several images in a row: of which is something said?"
        raise DataError(what, hint="Expected one image in each row.")
    return next(iter(cell), None) if isinstance(cell, list) else cell


def _images(path: Path, column: str) -> Iterator[tuple[str, bytes]]:
    import pyarrow.parquet as parquet

    place = 0
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=64, columns=[column]):
            for cell in batch.column(0).to_pylist():
                cell = _only(path, cell)
                content = (cell.get("bytes") if isinstance(cell, dict) else cell) or b""
                yield f"{place:08d}{_SUFFIXES.get(content[:3], '.img')}", content
                place += 1


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names of classes by column, as Hugging Face writes them into the schema."""
    try:
        features = parse_json(metadata[b"huggingface"])["info"]["features"]
        return {name: feature["names"] for name, feature in features.items() if "names" in feature}
    except (KeyError, ValueError, TypeError):
        return {}
