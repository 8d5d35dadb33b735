"""Format ``webdataset``: images with texts of their name in a tar."""

import shlex
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

import msgspec

from showtell.data.encoding import encoding_of, told_of
from showtell.data.names import PICTURE_EXTENSIONS, few, nfc
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import RecordTable
from showtell.errors import DataError

_TEXTS = (".txt", ".caption", ".json", ".cls")
_WIDE = (b"\xff\xfe", b"\xfe\xff")  # the marks of UTF-16
_MOST_BYTES = 256_000_000  # of one member, as of one image file


def open_webdataset(path: Path, reading: Reading) -> RecordTable:
    """Read a webdataset shard: files of one key in a tar are one sample (``7.jpg``, ``7.txt``, ``7.json``).

    Raises:
        DataError: It is not a tar, or holds no images with words.
    """
    words: defaultdict[str, dict[str, object]] = defaultdict(dict)
    described: dict[str, dict[str, object]] = {}
    texts: list[tuple[str, str, bytes]] = []
    several = 0
    try:
        for stem, suffix, size, read in _members(path):
            if suffix in PICTURE_EXTENSIONS:
                several += "image" in words[stem]
                words[stem]["image"] = _flat_name(stem + suffix)
            elif suffix in _TEXTS and size < 1_000_000:
                texts.append((stem, suffix, read()))
        encoding, errors = _encoding(path, texts, reading)
        damaged = []
        for stem, suffix, content in texts:
            # the encoding of JSON is UTF-8, whatever that of the texts is
            own = "utf-8-sig" if suffix == ".json" and _is_utf8(content) else encoding
            if (text := _decoded(content, own, errors)) is None:
                damaged.append(stem + suffix)
            elif suffix == ".json":
                described[stem] = _words_of(suffix, text)
            else:
                words[stem] |= _words_of(suffix, text)
        if any(isinstance(record.get("caption"), list) for record in words.values()):
            reading.note(f"captions are the lines of the texts in {path.name}")
        twice = 0
        for stem, record in described.items():  # texts beside it say more surely what they are
            twice += any(words[stem].get(key, value) != value for key, value in record.items())
            words[stem] = record | words[stem]
        records = [(f"{path}:{key}", record) for key, record in words.items() if "image" in record]
        if not any(len(record) > 1 for _, record in records):
            raise DataError(
                f"{path} holds {len(records):,} images and no words for them.",
                hint="Expected a .txt, .json or .cls of the same name beside each image; or, for a table "
                "that names them, the images unpacked.",
                run=f"tar -xf {shlex.quote(str(path))} -C {shlex.quote(str(path.parent))}",
            )
        if several:
            reading.note(f"{several:,} images of {path.name} are left out: their sample holds another one")
        if damaged:
            what = f"{len(damaged):,} texts of {path.name} are left out"
            reading.note(f"{what}, which are not {encoding.removesuffix('-sig')}: {few(damaged)}")
        if twice:
            reading.note(f"of {twice:,} samples of {path.name} the .json has other words, which are not read")
        folder = reading.unpacked(path, lambda: _images(path))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a tar: {error}.") from error
    return RecordTable(path, records, images=folder)


def _encoding(path: Path, texts: Sequence[tuple[str, str, bytes]], reading: Reading) -> tuple[str, str]:
    """Tell in which encoding the texts of a tar are, which is one; say it where it was guessed.

    Returns it, and whether what is not in it is replaced, or its text left out (``strict``).

    JSON tells it where there is nothing else. A text in a hundred that is not UTF-8 is damaged, as its
    captions then show. More whose encoding cannot be told are left out: one in ten, or fewer than those
    beyond ASCII that are UTF-8. Raises as `encoding_of` does.
    """
    if reading.source.encoding:
        return encoding_of(path, reading.source.encoding)[0], "replace"
    contents = [one for _, suffix, one in texts if suffix != ".json"] or [one for _, _, one in texts]
    strange = [one for one in contents if not one.isascii() and not one.startswith(_WIDE)]
    bad = sum(not _is_utf8(one) for one in strange)
    if 100 * bad <= len(contents):
        return "utf-8-sig", "replace"
    try:
        encoding, guess = told_of(path, BytesIO(b"\n".join(strange)))
    except DataError:
        if 10 * bad <= len(contents) or 2 * bad < len(strange):
            return "utf-8-sig", "strict"
        raise
    if guess:
        reading.note(guess)
    return encoding, "replace"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(content: bytes, encoding: str, errors: str) -> str | None:
    try:
        return content.decode("utf-16" if content.startswith(_WIDE) else encoding, errors)
    except UnicodeDecodeError:
        return None


def _members(path: Path) -> Iterator[tuple[str, str, int, Callable[[], bytes]]]:
    """Yield of each file its sample and its suffix, its size and its content.

    They are parted at the first dot; at the last where that gives no suffix that is read (``a.v2.jpg``).
    """
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile() and (handle := tar.extractfile(member)):
                name = PurePosixPath(member.name)
                base, dot, suffix = name.name.partition(".")
                if f"{dot}{suffix}".lower() not in (*PICTURE_EXTENSIONS, *_TEXTS):
                    base, dot, suffix = name.name.rpartition(".")
                stem = nfc(str(name.with_name(base))) if base else member.name
                yield stem, f"{dot}{suffix}".lower(), member.size, handle.read


def _images(path: Path) -> Iterator[tuple[str, bytes]]:
    for stem, suffix, size, read in _members(path):
        if suffix in PICTURE_EXTENSIONS and size <= _MOST_BYTES:
            yield _flat_name(stem + suffix), read()


def _flat_name(name: str) -> str:
    """Return a member's name without folders, so that none leads out of the cache; different ones stay so."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    return "%2F".join(part.replace("%", "%25") for part in parts)


def _words_of(suffix: str, text: str) -> dict[str, object]:
    """Return what a text says: a class, a caption in each line, or what a JSON file has of both."""
    if suffix == ".cls":
        return {"label": text.strip()}
    if suffix != ".json":
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return {"caption": lines if len(lines) > 1 else "".join(lines)}
    try:
        record = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):  # a ValueError is of halves of a sign
        return {}
    kept = ("caption", "captions", "text", "label", "class", "split")
    return {key: record[key] for key in kept if key in record} if isinstance(record, dict) else {}
