"""Workbooks (``.xlsx``) and Parquet files as tables; what reads them are extras."""

import json
from collections.abc import Iterator
from pathlib import Path

from showtell.data.names import IMAGE_COLUMNS, column_key
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import RecordTable
from showtell.data.readers.unpacked import unpacked_folder
from showtell.errors import DataError, MissingExtraError

_SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PN": ".png", b"GIF": ".gif", b"RIF": ".webp"}


def open_workbook(path: Path, reading: Reading) -> RecordTable:
    """Read the first sheet of a workbook that holds more than one row.

    Raises:
        DataError: It cannot be read, or is empty.
        MissingExtraError: openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError("openpyxl", "excel", f"Reading {path.name}") from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheets = {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}
    except Exception as error:  # of zipfile, of XML, and its own
        what = f"{path} cannot be read as a workbook: {error}."
        raise DataError(what, would_do="Save it again, or as CSV.") from error
    for title, rows in sheets.items():
        filled = [(f"{path}:{number}", row) for number, row in enumerate(rows, 1) if set(row) - {None}]
        if len(filled) > 1:
            if len(sheets) > 1:
                reading.note(f"of {path.name} the sheet {title!r} is read")
            (_, header), *below = filled
            names = [f"column {place}" if cell is None else str(cell) for place, cell in enumerate(header, 1)]
            return RecordTable(path, [(where, dict(zip(names, row))) for where, row in below])
    raise DataError(f"{path} holds no sheet with rows.", would_do="Expected a header such as image,caption.")


def open_parquet(path: Path, reading: Reading) -> RecordTable:
    """Read a Parquet file, as Hugging Face keeps data sets: with pictures, and numbers of named classes.

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
        structs = [field for field in schema if pyarrow.types.is_struct(field.type)]
        cells = [field.name for field in structs if field.type.get_field_index("bytes") >= 0]
        bare = [field.name for field in schema if str(field.type) in ("binary", "large_binary")]
        usual = [name for name in bare if column_key(name) in IMAGE_COLUMNS or name == named]
        plain = [name for name in schema.names if name not in (*cells, *bare)]
        rows = parquet.read_table(path, columns=plain).to_pylist()
        column, folder = _column_of_pictures(path, cells or usual, named), None
        if column:
            folder = unpacked_folder(path, lambda: _pictures(path, column), reading, column)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}.") from error
    files = sorted(file.name for file in folder.iterdir()) if folder else []
    classes = _class_names(schema.metadata or {})
    records = []
    for place, row in enumerate(rows):
        for name, names in classes.items():
            if isinstance(number := row.get(name), int):  # -1 stands for no class
                row[name] = names[number] if 0 <= number < len(names) else None
        records.append((f"{path}:{place + 1}", ({column: files[place]} if files else {}) | row))
    return RecordTable(path, records, pictures=folder)


def _column_of_pictures(path: Path, columns: list[str], named: str | None) -> str:
    if len(columns) > 1 and named not in columns:
        what = f"{path} has several columns of pictures: {' and '.join(map(repr, columns))}."
        raise DataError(what, would_do="Expected the one to learn from: --image-column NAME.")
    return named if named in columns else "".join(columns)


def _pictures(path: Path, column: str) -> Iterator[tuple[str, bytes]]:
    import pyarrow.parquet as parquet

    place = 0
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=64, columns=[column]):
            for cell in batch.column(0).to_pylist():
                content = (cell.get("bytes") if isinstance(cell, dict) else cell) or b""
                yield f"{place:08d}{_SUFFIXES.get(content[:3], '.img')}", content
                place += 1


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names of classes by column, as Hugging Face writes them into the schema."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {name: feature["names"] for name, feature in features.items() if "names" in feature}
    except (KeyError, ValueError, TypeError):
        return {}
