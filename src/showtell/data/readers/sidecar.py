"""Format ``sidecar``: each picture with a text file of the same name, as img2dataset and taggers write it."""

import posixpath
import re
from collections import defaultdict
from pathlib import Path

import msgspec

from showtell.data.names import few, nfc, split_in_name
from showtell.data.readers.collect import Collector, Entry
from showtell.data.readers.picture_folder import PictureFolder
from showtell.data.readers.reading import Reading
from showtell.data.records import Dataset
from showtell.errors import DataError

_SUFFIXES = (".caption", ".captions", ".txt", ".json")
_BOXES = re.compile(r"(?:\d+(?:\s+-?\d*\.?\d+){4,}\s*)+")


def sidecars(folder: PictureFolder) -> dict[str, str]:
    """Return the text file of each picture that has one, by the names of both.

    It lies beside the picture; or elsewhere below the folder, where one text alone has that base name
    (``images/7.jpg`` and ``captions/7.txt``).
    """
    stems: dict[str, str] = {}
    bases: defaultdict[str, list[str]] = defaultdict(list)
    for suffix in reversed(_SUFFIXES):
        for name in folder.files:
            if name.lower().endswith(suffix):
                stem = name[: -len(suffix)]
                stems[stem] = name
                bases[posixpath.basename(stem)].append(name)
    found: dict[str, str] = {}
    for name in folder.pictures:
        stem = name.rpartition(".")[0] if "." in posixpath.basename(name) else name
        alone = bases.get(posixpath.basename(stem), [])
        text = stems.get(stem) or stems.get(name) or (alone[0] if len(alone) == 1 else None)
        if text is not None:
            found[name] = text
    return found


def read_sidecar(source: Path, reading: Reading) -> Dataset:
    """Read pictures with the text beside them: each line is a caption, of a JSON file its ``caption``.

    Pictures below a folder named after a split have that split. Raises DataError where there are no texts,
    or they hold boxes, or JSON without captions.
    """
    folder = reading.folder(source)
    collector = Collector(source, folder, reading)
    texts = sidecars(folder)
    if not texts:
        raise DataError(
            f"{source} holds no picture with a text file of its name.",
            would_do="Expected files such as 7.jpg with 7.txt beside it.",
        )
    boxes = without = 0
    for name, text in texts.items():
        path = Path(folder.files[text])
        captions = _captions(path, reading)
        if captions and all(_BOXES.fullmatch(caption) for caption in captions):
            boxes += 1
            continue
        without += captions is None
        split = split_in_name(name.partition("/")[0]) if "/" in name else None
        collector.add(Entry(str(path), name, captions or ("",), split=split))
    if 2 * boxes > len(texts):
        raise DataError(
            f"{source} holds boxes (YOLO) beside its pictures, not captions.",
            would_do="Expected captions; or class folders, for a classifier.",
        )
    if without == len(texts):
        raise DataError(
            f"{source} holds JSON files beside its pictures, and none of them a 'caption'.",
            would_do='Expected {"caption": "a dog"} in them, or a table of captions.',
        )
    suffixes = sorted({posixpath.splitext(text)[1].lower() for text in texts.values()})
    others = sorted({s for name in folder.files for s in _SUFFIXES if name.endswith(s)} - set(suffixes))
    stems = {posixpath.splitext(name)[0] for pair in texts.items() for name in pair} | texts.keys()
    parts = [(name, *posixpath.splitext(name)) for name in sorted(folder.files)]
    alone = [name for name, stem, suffix in parts if suffix.lower() in suffixes and stem not in stems]
    alone = [name for name in alone if not posixpath.basename(name).lower().startswith(("readme", "licen"))]
    if alone:
        reading.note(f"{len(alone):,} texts are left out, for no picture has their name: {few(alone, 5)}")
    left = f"; files that end in {' and '.join(others)} are not read" if others else ""
    reading.note(f"captions are the lines of the {' and '.join(suffixes)} file beside each picture{left}")
    return collector.finish("sidecar")


def _captions(path: Path, reading: Reading) -> list[str] | None:
    """Return the lines of a text, or the caption of a JSON file; None where that holds none."""
    if path.suffix.lower() == ".json":
        try:
            record = msgspec.json.decode(reading.utf8(path))
        except (msgspec.DecodeError, RecursionError):
            return None
        said = record.get("caption") if isinstance(record, dict) else None
        return [nfc(said.strip())] if isinstance(said, str) else None
    return [nfc(line.strip()) for line in reading.lines(path) if line.strip()]
