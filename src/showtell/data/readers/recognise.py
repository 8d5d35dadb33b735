"""Which format a path holds, and the files to read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from showtell.data.names import is_picture_name, shown_name, split_in_name, split_named
from showtell.data.readers.brought_splits import is_list
from showtell.data.readers.captions_json import coco_files, json_kind
from showtell.data.readers.classes import holds_classes
from showtell.data.readers.columns import choose_columns
from showtell.data.readers.flickr8k import is_token_file
from showtell.data.readers.reading import Reading
from showtell.data.readers.sidecar import sidecars
from showtell.data.readers.table import UnclearColumnsError
from showtell.data.readers.tables import JSON_SUFFIXES, METADATA, Part, open_table, split_parts
from showtell.errors import DataError

FORMATS: dict[str, str] = {
    "csv": "captions in a table: image,caption (comma, tab, pipe, semicolon; JSON, .xlsx, .parquet)",
    "labels": "labels in a table: id,breed (the same kinds of files)",
    "classes": "class folders, with or without train/val/test above them",
    "flickr8k": "Flickr8k.token.txt with its image lists",
    "coco": "COCO captions JSON",
    "karpathy": "Karpathy dataset JSON",
    "imagefolder": "Hugging Face image folder: metadata.csv or metadata.jsonl",
    "sidecar": "each picture with a text of its name: 7.jpg, 7.txt",
    "webdataset": "tars of pictures with their texts",
}
_TABLE_SUFFIXES = frozenset(
    (".csv", ".tsv", ".txt", ".psv", ".tab", ".xlsx", ".xlsm", ".parquet", *JSON_SUFFIXES)
)
_NOT_TEXT = {
    ".xls": "an old Excel workbook; save it as .xlsx or 'CSV UTF-8'",
    ".zip": "an archive; unpack it",
    ".gz": "an archive; unpack it",
    ".7z": "an archive; unpack it",
    ".rar": "an archive; unpack it",
    ".mat": "a MATLAB file; write its columns as CSV",
    ".xml": "an XML file (CVAT, VOC); export it as CSV, JSON or COCO",
    ".arrow": "an Arrow file of Hugging Face's save_to_disk; write it by to_parquet",
    ".npy": "a NumPy array; save its pictures as files",
    ".npz": "a NumPy archive; save its pictures as files",
}
_TABLE_FOLDERS = (
    "annotations",
    "annotation",
    "captions",
    "text",
    "texts",
    "labels",
    "metadata",
    "meta",
    "data",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A format that a path may be read as, and what its reader is to be given.

    Attributes:
        format: A key of `FORMATS`.
        source: The file or the folder.
        parts: The tables that are read together.
        pictures: Where the pictures of a table are found; None where none are.
    """

    format: str
    source: Path
    parts: tuple[Part, ...] = field(default=())
    pictures: Path | None = None


def recognise(data: Path, reading: Reading) -> Candidate:
    """Find the one format in which a path can be read.

    A table of captions and one of labels are told apart by their columns' names, else by their values: see
    `choose_columns`. A folder with ``Flickr8k.token.txt`` is ``flickr8k`` even beside ``captions.txt``,
    since its lists bring splits. Captions JSON and image folder metadata win over picture folders that
    look like classes, such as ``train2017`` and ``val2017``. A folder that holds nothing but one other is
    looked through.

    Args:
        data: What the user gave: a file or a folder.
        reading: Holds the format and the columns that the user named; told what was guessed.

    Returns:
        The format and the file or folder to read.

    Raises:
        DataError: Nothing was recognised, or several formats were.
    """
    if not data.exists():
        raise DataError(
            f"There is no file or folder {data}.",
            would_do="Expected a captions table, a folder of class folders or a labels table.",
        )
    format = reading.source.format
    failures: list[DataError] = []
    if data.is_file():
        candidates = list(_in_file(data, reading, failures))
        if format is not None:
            return Candidate(format, data, candidates[0].parts if candidates else (Part(data),))
    else:
        data, candidates = _in_folders(data, reading, failures)
    if format is not None:
        candidates = [candidate for candidate in candidates if candidate.format == format]
        if not candidates and format in ("classes", "imagefolder", "coco", "sidecar", "webdataset"):
            return Candidate(format, data)  # the reader says best what it misses in a folder
    else:
        candidates = _strongest(candidates)
    unclear = [failure for failure in failures if isinstance(failure, UnclearColumnsError)]
    if unclear and {candidate.format for candidate in candidates} <= {"classes", "sidecar"}:
        raise unclear[0]  # the folders beside a table are not what is meant
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise _ambiguous(data, candidates)
    if len(failures) == 1:
        raise failures[0]
    raise _unrecognised(data, reading, failures, format)


def _strongest(candidates: list[Candidate]) -> list[Candidate]:
    weaker: set[str] = set()
    sure = [one for one in candidates if one.pictures is not None or one.format not in ("csv", "labels")]
    candidates = sure or candidates  # a table whose pictures are not here is what it is only by itself
    formats = {candidate.format for candidate in candidates}
    if any(one.pictures not in (None, one.source.parent) for one in candidates):
        weaker |= {"classes"}  # the folder of a table's pictures is no class
    if formats & {"flickr8k", "webdataset"}:
        weaker |= {"csv", "labels"}
    if formats & {"flickr8k", "coco", "karpathy", "imagefolder", "sidecar", "webdataset"}:
        weaker |= {"classes"}
    if formats - {"sidecar", "classes"}:
        weaker |= {"sidecar"}
    return [candidate for candidate in candidates if candidate.format not in weaker]


def _in_file(path: Path, reading: Reading, failures: list[DataError]) -> Iterator[Candidate]:
    suffix = path.suffix.lower()
    if suffix in _NOT_TEXT:
        failures.append(DataError(f"{path} is {_NOT_TEXT[suffix]}.", would_do="Expected a table in text."))
    elif is_picture_name(path.name):
        failures.append(
            DataError(
                f"{path} is a picture, not a data set.",
                would_do="Expected a captions table, a folder of class folders or a labels table.",
            )
        )
    elif suffix == ".tar":
        yield Candidate("webdataset", path, (Part(path),))
    elif suffix == ".json" and (kind := json_kind(path)):
        if kind == "boxes":
            failures.append(_boxes(path))
        else:
            yield Candidate(kind, path)
    elif path.name.lower() in METADATA:
        yield Candidate("imagefolder", path, (Part(path),))
    elif suffix not in _TABLE_SUFFIXES - {".txt"} and _is_tokens(path, reading, failures):
        yield Candidate("flickr8k", path)
    elif not failures:
        yield from _as_table(path, reading, failures)


def _in_folders(data: Path, reading: Reading, failures: list[DataError]) -> tuple[Path, list[Candidate]]:
    """Look into a folder; where it holds nothing that is known, into its tables' folder, or its only one."""
    candidates = list(_in_folder(data, reading, failures))
    if candidates:
        return data, candidates
    inside = [path for path in sorted(data.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    inside = [path for path in inside if not path.is_symlink() and not path.name.startswith(("__", "@"))]
    for folder in inside:
        if len(inside) == 1 or folder.name.lower() in _TABLE_FOLDERS:
            place, candidates = _in_folders(folder, reading, failures)
            if candidates:
                reading.note(f"what is known lies in {place}")
                return place, candidates
    return data, []


def _in_folder(folder: Path, reading: Reading, failures: list[DataError]) -> Iterator[Candidate]:
    if metadata := metadata_parts(folder):
        yield Candidate("imagefolder", folder, tuple(metadata))
    if coco_files(folder):
        yield Candidate("coco", folder)
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    files = [path for path in entries if path.is_file()]
    pictured = {path.stem for path in files if is_picture_name(path.name)}
    tables: list[Candidate] = []
    shards: list[Part] = []
    for path in files:
        suffix = path.suffix.lower()
        kind = json_kind(path) if suffix == ".json" else None
        if kind == "karpathy":
            yield Candidate("karpathy", path)
        elif kind == "boxes":
            failures.append(_boxes(path))
        elif suffix == ".tar":
            shards.append(Part(path))
        elif path.stem in pictured or kind or path.name.lower() in METADATA or _is_no_table(path, reading):
            continue
        elif path.name.lower().endswith((".token.txt", ".token")) or _is_tokens(path, reading, []):
            yield Candidate("flickr8k", path)
        elif "submission" in path.stem.lower():
            reading.note(f"{path.name} is left out, as what a competition wants to be handed in")
        elif suffix in _TABLE_SUFFIXES:
            tables += _as_table(path, reading, failures)
        elif suffix == ".arrow":
            raise DataError(f"{path} is {_NOT_TEXT[suffix]}.")
        elif suffix == ".xml":
            failures.append(DataError(f"{path} is {_NOT_TEXT[suffix]}."))
    if shards:
        yield Candidate("webdataset", folder, tuple(shards))
    yield from _together(folder, tables, reading)
    # To list all that lies below takes time, and beside a table one folder is that of its pictures.
    if not tables or len(entries) - len(files) > 1:
        listing = reading.folder(folder)
        if 2 * len(sidecars(listing)) >= len(listing.pictures) > 0:
            yield Candidate("sidecar", folder)
        if holds_classes(listing):
            yield Candidate("classes", folder)


def _together(folder: Path, tables: list[Candidate], reading: Reading) -> Iterator[Candidate]:
    """Yield tables that are named after splits, or that are shards of one, as one candidate."""
    paths = [table.source for table in tables]
    parts = split_parts(paths, reading) if len(tables) > 1 else []
    if parts and {part.path for part in parts} == set(paths):
        kinds = {table.format for table in tables}
        places = [table.pictures for table in tables if table.pictures]
        yield Candidate("csv" if "csv" in kinds else "labels", folder, tuple(parts), next(iter(places), None))
    elif len(tables) > 1 and all(path.suffix == ".parquet" for path in paths):
        shards = tuple(Part(path, split_in_name(path.stem.partition("-")[0])) for path in paths)
        yield Candidate(tables[0].format, folder, shards, tables[0].pictures)
    else:
        yield from tables


def metadata_parts(folder: Path) -> list[Part]:
    """Return the metadata of a folder, or else those of its split folders (train, validation, test)."""
    here = [folder / name for name in METADATA if (folder / name).is_file()]
    if here:
        return [Part(here[0])]
    splits = sorted(path for path in folder.iterdir() if path.is_dir() and split_named(path.name))
    found = [(path, [path / name for name in METADATA if (path / name).is_file()][:1]) for path in splits]
    return [Part(metadata, split_named(path.name), path.name) for path, files in found for metadata in files]


def _is_no_table(path: Path, reading: Reading) -> bool:
    """Tell lists of pictures and text such as a readme, which have no columns, from tables."""
    if path.suffix.lower() != ".txt":
        return False
    return path.name.lower().startswith(("readme", "licen")) or is_list(path, reading)


def _as_table(path: Path, reading: Reading, failures: list[DataError]) -> list[Candidate]:
    trial = reading.trial()
    try:
        table, own = open_table(path, trial)
        _, columns, pictures, found = choose_columns(table, trial, reading.kind(), folder=own)
    except DataError as error:
        failures.append(error)
        return []
    place = pictures.root if found else None
    return [Candidate("csv" if columns.captions else "labels", path, (Part(path),), place)]


def _is_tokens(path: Path, reading: Reading, failures: list[DataError]) -> bool:
    """Tell whether the first lines of a text file have the form ``NAME#NUMBER<tab>CAPTION``."""
    if path.suffix.lower() not in (".txt", ".token", ""):
        return False
    try:
        return is_token_file([line for line in islice(reading.trial().lines(path), 5) if line.strip()])
    except DataError as error:
        failures.append(error)
        return False


def _boxes(path: Path) -> DataError:
    return DataError(
        f"{path} holds COCO's boxes, which are no captions.",
        would_do="Expected captions_*.json; or crop the boxes into class folders, for a classifier.",
    )


def _formats() -> str:
    return "\n".join(f"  --format {name}: {form}" for name, form in FORMATS.items())


def _ambiguous(data: Path, candidates: Iterable[Candidate]) -> DataError:
    found = "\n".join(f"  {candidate.source}: {candidate.format}" for candidate in candidates)
    return DataError(
        f"{data} can be read in several ways:\n{found}",
        would_do=f"Expected one of the files as DATA, or the format:\n{_formats()}",
    )


def _unrecognised(
    data: Path, reading: Reading, failures: Iterable[DataError], format: str | None
) -> DataError:
    names = (
        [shown_name(path.name) + "/" * path.is_dir() for path in sorted(data.iterdir())]
        if data.is_dir()
        else []
    )
    listing = ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")
    found = f"It holds {listing or 'nothing'}." if data.is_dir() else ""
    problems = reading.folder(data).problems if data.is_dir() else []
    reasons = [f"  {problem.where}: {problem.detail}" for problem in problems[:10]]
    reasons += [f"  {failure.what}" for failure in list(failures)[:10]]
    form = f"no {format} data" if format else "no format that is known"
    return DataError(
        "\n".join(part for part in (f"{data} holds {form}. {found}".strip(), *reasons) if part),
        would_do=f"Expected one of these:\n{_formats()}",
    )
