"""Format ``sidecar``: images with texts of their name beside them in a folder."""

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from showtell.data.names import (
    CAPTION_COLUMNS,
    LABEL_COLUMNS,
    column_key,
    few,
    is_image_name,
    nfc,
    split_in_name,
)
from showtell.data.readers.brought_splits import with_brought_splits
from showtell.data.readers.cells import texts_of
from showtell.data.readers.collect import Collector, Entry
from showtell.data.readers.image_folder import ImageFolder
from showtell.data.readers.reading import Reading
from showtell.data.records import Dataset, Split
from showtell.errors import DataError

_SUFFIXES = (".caption", ".captions", ".txt", ".json")
_CLOUD = "supplemental-metadata"
CLOUD_CUT = 46
"""Letters of an image's name that Google leaves in that of its text."""
_SECOND = re.compile(r"(.+)(\(\d+\))")
_BOXES = re.compile(r"(?:\d+(?:\s+-?\d*\.?\d+){4,}\s*)+")
_JUDGED = 50
_FRACTION = re.compile(r"-?\d*\.\d+")


def sidecars(folder: ImageFolder) -> dict[str, str]:
    """Return the text file of each image that has one, by the names of both.

    It lies beside the image; or elsewhere below the folder, where one text alone has that base name
    (``images/7.jpg`` and ``captions/7.txt``), and lies beside no other image.
    """
    stems: dict[str, str] = {}
    bases: defaultdict[str, list[str]] = defaultdict(list)
    for suffix in reversed(_SUFFIXES):
        for name in folder.files:
            if name.lower().endswith(suffix):
                stem = of_cloud(name[: -len(suffix)])
                stems[stem] = name
                bases[posixpath.basename(stem)].append(name)
    found: dict[str, str] = {}
    elsewhere: defaultdict[str, list[str]] = defaultdict(list)
    longer: defaultdict[str, list[str]] = defaultdict(list)
    for name in folder.images:
        stem = name.rpartition(".")[0] if "." in posixpath.basename(name) else name
        alone = bases.get(posixpath.basename(stem), [])
        if len(alone) > 1:  # images/train/7.jpg and texts/train/7.txt
            folders = set(name.split("/")[:-1])
            shared = [text for text in alone if not folders.isdisjoint(text.split("/")[:-1])]
            split = _splits_above(name)  # train_images/7.jpg and train_captions/7.txt
            alone = shared or [text for text in alone if split and _splits_above(text) == split]
        if text := stems.get(stem) or stems.get(name):
            found[name] = text
        elif (text := stems.get(_cut(name), "")).lower().endswith(".json"):
            longer[text].append(name)
        elif len(alone) == 1:
            elsewhere[alone[0]].append(name)
    for others in (longer, elsewhere):  # two that begin alike have none
        taken = set(found.values())
        found |= {names[0]: text for text, names in others.items() if text not in taken and len(names) == 1}
    return dict(sorted(found.items()))


def _splits_above(name: str) -> set[Split]:
    return {split for part in name.split("/")[:-1] if (split := split_in_name(part))}


def _cut(name: str) -> str:
    """Return an image's name as Google cuts it for that of the text, where it is too long."""
    above, slash, base = name.rpartition("/")
    return f"{above}{slash}{base[:CLOUD_CUT]}"


def of_cloud(stem: str) -> str:
    """Return the image of which a text of Google's is; ``.supplemental-metadata`` may be cut off.

    The second of a name is ``7(1).jpg``, and its text ``7.jpg(1).json``.
    """
    if numbered := _SECOND.fullmatch(stem):
        image = of_cloud(numbered[1])
        root, suffix = posixpath.splitext(image)
        return f"{root}{numbered[2]}{suffix}" if is_image_name(image) else stem
    image, _, last = stem.rpartition(".")
    return image if is_image_name(image) and last and _CLOUD.startswith(last) else stem


def read_sidecar(source: Path, reading: Reading) -> Dataset:
    """Read images with the text beside them: each line is a caption, of a JSON file its ``caption``.

    Images below a folder named after a split have that split. Raises DataError where there are no texts,
    or they hold boxes, or JSON without captions.
    """
    folder = reading.folder(source)
    collector = Collector(source, folder, reading)
    texts = sidecars(folder)
    if not texts:
        raise DataError(
            f"{source} holds no image with a text file of its name.",
            hint="Expected files such as 7.jpg with 7.txt beside it.",
        )
    boxes = without = empty = labelled = 0
    for name, text in texts.items():
        path = folder.path_of(text)
        captions, label = _said(path, reading)
        if captions and any(map(_is_box, captions)):
            boxes += 1
            continue
        empty += captions == []
        without += captions is None and label is None
        labelled += label is not None
        split = split_in_name(name.partition("/")[0]) if "/" in name else None
        collector.add(Entry(str(path), name, captions or [""] * (label is None), label, split=split))
    if 2 * boxes > len(texts) - empty:
        raise DataError(
            f"{source} holds boxes (YOLO and the like) beside its images, not captions.",
            hint="Expected captions; or class folders, for a classifier.",
        )
    if without == len(texts):
        raise DataError(
            f"{source} holds JSON files beside its images, and none of them a 'caption' or a 'label'.",
            hint='Expected {"caption": "a dog"} or {"label": "dog"} in them, or a table.',
        )
    suffixes = sorted({posixpath.splitext(text)[1].lower() for text in texts.values()})
    others = sorted({s for name in folder.files for s in _SUFFIXES if name.endswith(s)} - set(suffixes))
    stems = {posixpath.splitext(name)[0] for pair in texts.items() for name in pair} | texts.keys()
    parts = [(name, *posixpath.splitext(name)) for name in sorted(folder.files)]
    alone = [name for name, stem, suffix in parts if suffix.lower() in suffixes and stem not in stems]
    alone = [name for name in alone if not posixpath.basename(name).lower().startswith(("readme", "licen"))]
    if alone:
        reading.note(f"{len(alone):,} texts are left out, for no image has their name: {few(alone, 5)}")
    shared = [text for text, count in Counter(texts.values()).items() if count > 1]
    if shared:
        reading.note(
            f"{len(shared):,} texts stand beside several images each, which all have it: {few(shared, 5)}"
        )
    left = f"; files that end in {' and '.join(others)} are not read" if others else ""
    what = "labels are those" if labelled == len(texts) else "captions are the lines"
    reading.note(f"{what} of the {' and '.join(suffixes)} file beside each image{left}")
    return with_brought_splits(collector.finish("sidecar"), source, folder, reading)


def say_something(folder: ImageFolder, texts: Sequence[str], reading: Reading) -> bool:
    """Tell whether the first of some texts beside images hold captions: JSON may be of a camera.

    Its labels say no more than class folders.
    """
    first = [text for text in texts if text.lower().endswith(".json")][:_JUDGED]
    found = [_said(folder.path_of(text), reading.trial()) for text in first]
    return len(found) < len(texts[:_JUDGED]) or any(any(captions or ()) for captions, _ in found)


def _is_box(line: str) -> bool:
    """Tell a line of numbers, or one of fractions beside a word or two (KITTI, DOTA), from a caption."""
    parts = line.split()
    fractions = [part for part in parts if _FRACTION.fullmatch(part)]
    return bool(_BOXES.fullmatch(line)) or len(fractions) > max(3, len(parts) // 2)


def _said(path: Path, reading: Reading) -> tuple[list[str] | None, str | None]:
    """Return the lines of a text, or caption and label of a JSON file; None where it has none."""
    if path.suffix.lower() != ".json":
        return [nfc(line.strip()) for line in reading.lines(path) if line.strip()], None
    try:
        record = msgspec.json.decode(reading.utf8(path))
    except (msgspec.DecodeError, RecursionError):
        return None, None
    record = record[0] if isinstance(record, list) and len(record) == 1 else record
    if not isinstance(record, dict):
        return None, None
    caption, label = _first(record, CAPTION_COLUMNS), _first(record, LABEL_COLUMNS)
    inner = [one for one in record.values() if isinstance(one, dict)]
    if caption is None and label is None:  # {"image": {...}, "annotation": {"caption": "a dog"}}
        found = [one for one in (_first(part, CAPTION_COLUMNS) for part in inner) if one is not None]
        caption = found[0] if len(found) == 1 else None
    flags = record.get("flags")  # of LabelMe
    if label is None and isinstance(flags, dict) and [*flags.values()].count(True) == 1:
        label = next(name for name, cell in flags.items() if cell is True)
    labels = texts_of(label)
    return None if caption is None else texts_of(caption), labels[0] if len(labels) == 1 else None


def _first(record: dict[str, Any], names: Sequence[str]) -> Any:
    """Return what a record holds under the first of some usual names; None where it has none of them.

    ExifTool and what uses it write keys such as XMP:Description.
    """
    texts = {column_key(key.rpartition(":")[2]): cell for key, cell in record.items()}
    return next((texts[key] for key in names if isinstance(texts.get(key), str | list)), None)
