"""Pictures inside of archives and Parquet files, unpacked once into the user's cache."""

import hashlib
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from showtell.data.names import PICTURE_EXTENSIONS, nfc
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import RecordTable
from showtell.errors import DataError
from showtell.files import cache_root, new_folder

_WORDS = (".txt", ".caption", ".json", ".cls")
_MOST_BYTES = 256_000_000
"""Of one member, as of one picture file."""


def unpacked_folder(
    path: Path, members: Callable[[], Iterator[tuple[str, bytes]]], reading: Reading, column: str = ""
) -> Path:
    """Return a folder that holds the members of a file, unpacked the first time.

    Args:
        path: The file; another size or time of change is another file.
        members: Yields plain file names and contents.
        reading: Told where they are.
        column: Of the file from which they come, where it may hold several.
    """
    state = path.stat()
    mark = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}|{column}"
    digest = hashlib.sha256(mark.encode("utf-8", "surrogateescape")).hexdigest()
    folder = cache_root() / "unpacked" / digest[:24]
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            with new_folder(folder) as partial:
                for name, content in members():
                    (partial / name).write_bytes(content)
        except OSError:
            if not folder.is_dir():  # no other process was faster
                raise
    reading.note(f"the pictures inside of {path.name} are unpacked in {folder}")
    return folder


def open_webdataset(path: Path, reading: Reading) -> RecordTable:
    """Read a webdataset shard: files of one key in a tar are one sample (``7.jpg``, ``7.txt``, ``7.json``).

    Raises:
        DataError: It is no tar, or holds no pictures with words.
    """
    words: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    several = 0
    try:
        for stem, suffix, size, read in _members(path):
            if suffix in PICTURE_EXTENSIONS:
                several += "image" in words[stem]
                words[stem]["image"] = _flat_name(stem + suffix)
            elif suffix in _WORDS and size < 1_000_000:
                words[stem] |= _words(suffix, read())
        records = [(f"{path}:{key}", record) for key, record in words.items() if "image" in record]
        if not any(len(record) > 1 for _, record in records):
            raise DataError(
                f"{path} holds {len(records):,} pictures and no words for them.",
                would_do="Expected a .txt, .json or .cls of the same name beside each picture.",
            )
        if several:
            reading.note(f"{several:,} pictures of {path.name} are left out: their sample holds another one")
        folder = unpacked_folder(path, lambda: _pictures(path), reading)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a tar: {error}.") from error
    return RecordTable(path, records, pictures=folder)


def _members(path: Path) -> Iterator[tuple[str, str, int, Callable[[], bytes]]]:
    """Yield of each file its sample and its suffix, parted at the first dot; its size; its content."""
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile() and (handle := tar.extractfile(member)):
                name = PurePosixPath(member.name)
                base, dot, suffix = name.name.partition(".")
                stem = nfc(str(name.with_name(base))) if base else member.name
                yield stem, f"{dot}{suffix}".lower(), member.size, handle.read


def _pictures(path: Path) -> Iterator[tuple[str, bytes]]:
    for stem, suffix, size, read in _members(path):
        if suffix in PICTURE_EXTENSIONS and size <= _MOST_BYTES:
            yield _flat_name(stem + suffix), read()


def _flat_name(name: str) -> str:
    """Return a member's name without folders, so that none leads out of the cache; different ones stay so."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    return "%2F".join(part.replace("%", "%25") for part in parts)


def _words(suffix: str, content: bytes) -> dict[str, Any]:
    text = content.decode("utf-8", "replace").strip()
    if suffix == ".cls":
        return {"label": text}
    if suffix != ".json":
        return {"caption": text}
    try:
        record = msgspec.json.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):  # a ValueError is of its bytes
        return {}
    kept = ("caption", "text", "label", "class", "split")
    return {key: record[key] for key in kept if key in record} if isinstance(record, dict) else {}
