"""Format ``imagefolder``: a Hugging Face image folder, ``metadata.csv`` or ``metadata.jsonl``."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from showtell.data.readers.captions_table import table_entries
from showtell.data.readers.collect import CaptionCollector, Collector, Entry, LabelCollector
from showtell.data.readers.columns import ColumnNames, Kind, choose_columns
from showtell.data.readers.encoding import read_lines
from showtell.data.readers.names import (
    CAPTION_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    column_key,
    nfc,
    split_named,
)
from showtell.data.readers.picture_folder import PictureFolder
from showtell.data.readers.table import open_table
from showtell.data.records import Dataset
from showtell.errors import DataError

_METADATA = ("metadata.csv", "metadata.jsonl")
_SAMPLE = 100


def metadata_files(folder: Path) -> list[Path]:
    """Return the metadata of a folder, or else those of its split folders (train, validation, test)."""
    here = [folder / name for name in _METADATA if (folder / name).is_file()]
    if here:
        return here[:1]
    splits = sorted(path for path in folder.iterdir() if path.is_dir() and split_named(path.name))
    found = ([path / name for name in _METADATA if (path / name).is_file()][:1] for path in splits)
    return [path for paths in found for path in paths]


def read_imagefolder(source: Path, images: Path | None, names: ColumnNames) -> Dataset:
    """Read a Hugging Face image folder.

    Args:
        source: The folder; or one metadata file, ``.csv`` or ``.jsonl``.
        images: Picture folder, where it is not the one that holds the metadata.
        names: The columns or keys that the user named, in place of ``file_name`` and ``text``.

    Returns:
        Pictures with captions; or with labels, where the metadata has labels and no captions. Pictures
        below a folder that is called train, validation or test have that split.

    Raises:
        DataError: There is no metadata, it lacks the columns, or nothing in it is usable.
    """
    files = [source] if source.is_file() else metadata_files(source)
    if not files:
        raise DataError(
            f"{source} holds no metadata.csv or metadata.jsonl, nor do its split folders.",
            would_do="A metadata.csv with the columns file_name,text beside the pictures would do.",
        )
    root = source.parent if source.is_file() else source
    folder = PictureFolder(images or root)
    kinds = {path: _kind(path, names) for path in files}
    if len(set(kinds.values())) > 1:
        raise DataError(
            "Captions and labels are mixed: "
            + ", ".join(f"{path} holds {kinds[path]}s" for path in files)
            + ".",
            would_do="Metadata of one kind would do, or the name of the column: --text-column NAME.",
        )
    holds_labels = "label" in kinds.values()
    collector = LabelCollector(source, folder) if holds_labels else CaptionCollector(source, folder)
    for path in files:
        under = "" if images or path.parent == root else nfc(path.parent.name)
        read = _object_entries if path.suffix.lower() == ".jsonl" else _table_entries
        for entry in read(collector, path, names):
            collector.add(entry, under=under)
    return _with_folder_splits(collector.finish("imagefolder"))


def _kind(path: Path, names: ColumnNames) -> Kind:
    if path.suffix.lower() != ".jsonl":
        table = open_table(path, names.given())
        return choose_columns(table, names, prefer="caption").kind
    keys = {
        key for _, record in islice(_objects(path), _SAMPLE) if isinstance(record, dict) for key in record
    }
    if names.text:
        return "label" if column_key(names.text) in LABEL_COLUMNS else "caption"
    known = {column_key(key) for key in keys}
    return "label" if known.isdisjoint(CAPTION_COLUMNS) and not known.isdisjoint(LABEL_COLUMNS) else "caption"


def _table_entries(collector: Collector, path: Path, names: ColumnNames) -> Iterator[Entry]:
    table = open_table(path, names.given())
    return table_entries(collector, table, choose_columns(table, names, prefer="caption"))


def _objects(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line, parsed line) of a JSON-lines file; a line that is not JSON yields its error."""
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            yield number, msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            yield number, error


def _object_entries(collector: Collector, path: Path, names: ColumnNames) -> Iterator[Entry]:
    """Yield an entry a caption or label: its key may hold one text, a number, or a list of texts."""
    name_keys = (names.image,) if names.image else IMAGE_COLUMNS
    text_keys = (names.text,) if names.text else (*CAPTION_COLUMNS, *LABEL_COLUMNS)
    for line, record in _objects(path):
        where = f"{path}:{line}"
        if not isinstance(record, dict):
            collector.skip("broken line", where, f"not a JSON object ({record}); left out")
            continue
        by_key = {column_key(key): value for key, value in record.items()}
        name = next((by_key[key] for key in map(column_key, name_keys) if key in by_key), None)
        value = next((by_key[key] for key in map(column_key, text_keys) if key in by_key), None)
        if not isinstance(name, str) or value is None:
            detail = f"no picture or no words among the keys {', '.join(map(repr, record))}; left out"
            collector.skip("wrong number of fields", where, detail)
            continue
        for text in value if isinstance(value, list) else [value]:
            yield Entry(where, name, str(text))


def _with_folder_splits(dataset: Dataset) -> Dataset:
    """Give every picture without a split that of the topmost folder it lies in."""
    pictures = (
        picture
        if picture.split or "/" not in picture.name
        else replace(picture, split=split_named(picture.name.partition("/")[0]))
        for picture in dataset.pictures
    )
    return replace(dataset, pictures=tuple(pictures))
