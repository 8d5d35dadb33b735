"""Which format a path holds, and the file to read."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from showtell.data.readers.captions_json import json_kind
from showtell.data.readers.coco import coco_files
from showtell.data.readers.columns import ColumnNames, choose_columns
from showtell.data.readers.encoding import read_lines, read_utf8
from showtell.data.readers.imagefolder import metadata_files
from showtell.data.readers.names import is_picture_name, split_named
from showtell.data.readers.table import open_table
from showtell.errors import DataError

FORMATS: dict[str, str] = {
    "csv": "captions table with a header: image,caption (comma, tab, pipe or semicolon)",
    "flickr8k": "Flickr8k.token.txt with its image lists",
    "coco": "COCO captions JSON",
    "karpathy": "Karpathy dataset JSON",
    "imagefolder": "Hugging Face image folder: metadata.csv or metadata.jsonl",
    "classes": "class folders, with or without train/val/test above them",
    "labels": "labels table with a header: id,breed",
}
_TABLE_SUFFIXES = frozenset((".csv", ".tsv", ".txt", ".psv", ".tab"))
_NOT_TEXT = {
    ".xlsx": "an Excel workbook; save it as 'CSV UTF-8'",
    ".xls": "an Excel workbook; save it as 'CSV UTF-8'",
    ".zip": "an archive; unpack it",
    ".tar": "an archive; unpack it",
    ".gz": "an archive; unpack it",
    ".parquet": "a Parquet file; write its columns as CSV",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A format that a path may be read as, and what its reader is to be given."""

    format: str
    source: Path


def recognise(data: Path, names: ColumnNames, format: str | None = None) -> Candidate:
    """Find the one format in which a path can be read.

    A captions table and a labels table are told apart by their column names, else by their values:
    see `choose_columns`. A folder with ``Flickr8k.token.txt`` is ``flickr8k`` even beside ``captions.txt``,
    since its lists bring splits. Captions JSON and image folder metadata win over picture folders that
    look like classes, such as ``train2017`` and ``val2017``.

    Args:
        data: What the user gave: a file or a folder.
        names: The columns that the user named.
        format: What the user forced; None to recognise.

    Returns:
        The format and the file or folder to read.

    Raises:
        DataError: Nothing was recognised, or several formats were.
    """
    if not data.exists():
        raise DataError(
            f"There is no file or folder {data}.",
            would_do="A captions table, a folder of class folders or a labels table would do.",
        )
    failures: list[DataError] = []
    if format is not None and data.is_file():
        return Candidate(format, data)
    if data.is_file():
        candidates = list(_in_file(data, names, failures))
    else:
        candidates = list(_in_folder(data, names, failures, format))
    if format is not None:
        candidates = [candidate for candidate in candidates if candidate.format == format]
        if not candidates and format in ("classes", "imagefolder", "coco"):
            return Candidate(format, data)  # the reader says best what it misses in a folder
    else:
        candidates = _strongest(candidates)
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise _ambiguous(data, candidates)
    if len(failures) == 1:
        raise failures[0]
    raise _unrecognised(data, failures, format)


def _strongest(candidates: list[Candidate]) -> list[Candidate]:
    formats = {candidate.format for candidate in candidates}
    weaker: set[str] = set()
    if "flickr8k" in formats:
        weaker |= {"csv"}
    if formats & {"flickr8k", "coco", "karpathy", "imagefolder"}:
        weaker |= {"classes"}
    return [candidate for candidate in candidates if candidate.format not in weaker]


def _in_file(path: Path, names: ColumnNames, failures: list[DataError]) -> Iterator[Candidate]:
    suffix = path.suffix.lower()
    if suffix in _NOT_TEXT:
        failures.append(
            DataError(f"{path} is {_NOT_TEXT[suffix]}.", would_do="A table in UTF-8 text would do.")
        )
    elif is_picture_name(path.name):
        failures.append(
            DataError(
                f"{path} is a picture, not a data set.",
                would_do="A captions table, a folder of class folders or a labels table would do.",
            )
        )
    elif suffix == ".json":
        kind = json_kind(path)
        if kind:
            yield Candidate(kind, path)
        else:
            _note_encoding(path, failures)
    elif suffix == ".jsonl" or path.name.lower() == "metadata.csv":
        yield Candidate("imagefolder", path)
    elif _is_token_file(path, failures):
        yield Candidate("flickr8k", path)
    elif not failures:
        yield from _as_table(path, names, failures)


def _in_folder(
    folder: Path, names: ColumnNames, failures: list[DataError], format: str | None
) -> Iterator[Candidate]:
    if metadata_files(folder):
        yield Candidate("imagefolder", folder)
    if coco_files(folder):
        yield Candidate("coco", folder)
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        suffix = path.suffix.lower()
        if suffix == ".json" and json_kind(path) == "karpathy":
            yield Candidate("karpathy", path)
        elif path.name.lower().endswith((".token.txt", ".token")):
            yield Candidate("flickr8k", path)
        elif suffix in _TABLE_SUFFIXES and path.name.lower() != "metadata.csv" and not _is_list(path):
            for candidate in _as_table(path, names, failures):
                forced = format if format in ("csv", "labels") else candidate.format
                yield Candidate(forced, path)
    if _holds_classes(folder):
        yield Candidate("classes", folder)


def _is_list(path: Path) -> bool:
    """Tell Flickr8k's image lists and text such as a readme, which have no columns, from tables."""
    name = path.name.lower()
    return path.suffix.lower() == ".txt" and (name.endswith("images.txt") or name.startswith("readme"))


def _as_table(path: Path, names: ColumnNames, failures: list[DataError]) -> Iterator[Candidate]:
    try:
        kind = choose_columns(open_table(path, names.given()), names).kind
    except DataError as error:
        failures.append(error)
    else:
        yield Candidate("csv" if kind == "caption" else "labels", path)


def _is_token_file(path: Path, failures: list[DataError]) -> bool:
    """Tell whether the first lines have the form ``NAME#NUMBER<tab>CAPTION``."""
    try:
        lines = [line for line in islice(read_lines(path), 5) if line.strip()]
    except DataError as error:
        failures.append(error)
        return False
    keys = [line.partition("\t") for line in lines]
    return bool(keys) and all(tab and key.rpartition("#")[2].isdigit() and "#" in key for key, tab, _ in keys)


def _note_encoding(path: Path, failures: list[DataError]) -> None:
    try:
        read_utf8(path)
    except DataError as error:
        failures.append(error)


def _holds_classes(folder: Path) -> bool:
    """Tell whether two or more class folders lie here, or below split folders, and stop at that."""
    tops = [Path(entry.path) for entry in _folders(folder)]
    split_tops = [top for top in tops if split_named(top.name)]
    if any(_holds_picture(Path(entry.path)) for top in split_tops for entry in _folders(top)):
        return True
    with_pictures = list(islice((top for top in tops if _holds_picture(top)), 50))
    # train/ and test/ with loose pictures are the two halves of something, not two classes.
    return len(with_pictures) >= 2 and not all(split_named(top.name) for top in with_pictures)


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name[0] != "."]


def _holds_picture(folder: Path) -> bool:
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if any(is_picture_name(name) for name in files if not name.startswith(".")):
            return True
    return False


def _formats() -> str:
    return "\n".join(f"  --format {name}: {form}" for name, form in FORMATS.items())


def _ambiguous(data: Path, candidates: Iterable[Candidate]) -> DataError:
    found = "\n".join(f"  {candidate.source}: {candidate.format}" for candidate in candidates)
    return DataError(
        f"{data} can be read in several ways:\n{found}",
        would_do=f"One of the files as DATA would do, or the format:\n{_formats()}",
    )


def _unrecognised(data: Path, failures: Iterable[DataError], format: str | None) -> DataError:
    names = [path.name + "/" * path.is_dir() for path in sorted(data.iterdir())] if data.is_dir() else []
    listing = ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")
    found = f"It holds {listing or 'nothing'}." if data.is_dir() else ""
    reasons = "\n".join(f"  {failure.what}" for failure in list(failures)[:10])
    form = f"no {format} data" if format else "no format that is known"
    return DataError(
        "\n".join(part for part in (f"{data} holds {form}. {found}".strip(), reasons) if part),
        would_do=f"One of these would do:\n{_formats()}",
    )
