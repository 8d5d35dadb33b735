"""Formats ``coco``, ``karpathy`` and ``flickr8k``: caption files of corpora, with their splits."""

import mmap
import posixpath
import re
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec

from showtell.data.names import nfc, split_in_name, split_named, splits_in_names
from showtell.data.readers.cells import texts_of
from showtell.data.readers.collect import Collector, Entry
from showtell.data.readers.folders import choose_folder
from showtell.data.readers.image_folder import ImageFolder, Match
from showtell.data.readers.reading import Reading
from showtell.data.readers.split_folders import with_other_splits
from showtell.data.readers.split_lists import list_places, read_lists, with_listed_splits
from showtell.data.records import Dataset, Split
from showtell.errors import DataError

_SAMPLE = 100
_CAPTIONS = (b'"caption"', b'"captions"')
_BOXES = (b'"bbox"', b'"segmentation"', b'"segments_info"', b'"keypoints"')


class _Sentence(msgspec.Struct):
    raw: str = ""
    tokens: list[str] = []


class _Image(msgspec.Struct):
    id: int | str | None = None  # COCO gives this and the next, Karpathy the rest
    file_name: str = ""
    filename: str = ""
    filepath: str = ""
    split: str | None = ""
    sentences: list[_Sentence | str] = []
    caption: Any = None  # this and the next are of those who write COCO's form by hand
    text: Any = None


class _Annotation(msgspec.Struct):
    image_id: int | str
    caption: str | list[str] | None = None
    text: Any = None  # this and the next are what others call it
    captions: Any = None
    is_rejected: bool | int | None = (
        None  # of VizWiz: "Quality issues are too severe to recognize visual content."
    )


class _Captions(msgspec.Struct):
    """The parts of a COCO or Karpathy file that matter here; all else is skipped."""

    images: list[_Image]
    annotations: list[_Annotation] = []


def json_kind(path: Path) -> Literal["coco", "karpathy", "boxes"] | None:
    """Tell by its keys whether a JSON file holds COCO or Karpathy captions, or COCO's boxes.

    The file is searched, not parsed: COCO's object annotations, which often lie in the same folder, take
    half a gigabyte. Quotes inside a JSON string are escaped, so a caption can't look like a key.
    """
    if path.stat().st_size == 0:
        return None
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begun = content[:100].removeprefix(b"\xef\xbb\xbf").lstrip()
        if not begun.startswith(b"{") or content.find(b'"images"') < 0:
            return None
        if content.find(b'"sentences"') >= 0:
            return "karpathy"
        if content.find(b'"annotations"') < 0:
            return None
        if any(content.find(key) >= 0 for key in _CAPTIONS):
            return "coco"
        if any(content.find(key) >= 0 for key in _BOXES):
            return "boxes"
        return "coco" if content.find(b'"text"') >= 0 else None


def _decode(path: Path, reading: Reading) -> _Captions:
    try:
        return msgspec.json.decode(reading.utf8(path), type=_Captions)
    except (
        msgspec.DecodeError,
        RecursionError,
    ) as error:  # with the place of a wrong type: $.annotations[12].caption
        raise DataError(
            f"{path} is not a captions JSON file: {error}.",
            hint='Expected COCO captions ({"images": [...], "annotations": [...]}) or a Karpathy file '
            '({"images": [{"filename": ..., "sentences": [...]}]}).',
        ) from error


def read_karpathy(source: Path, reading: Reading) -> Dataset:
    """Read a Karpathy JSON (2015): ``images[].sentences[].raw`` and ``split``, with ``restval`` as train.

    ``filepath`` (``val2014``) is followed where it exists below the image folder, and left out where the
    images lie in one folder. Raises DataError where the file is malformed, or nothing in it is usable.
    """
    content = _decode(source, reading)
    sample = [name for image in content.images[:_SAMPLE] for name in dict.fromkeys(_names(image))]
    folder = choose_folder(reading, source.parent, sample)
    splits = (split_named(image.split or "") for image in content.images)
    collector = Collector(source, with_other_splits(reading, folder, source.parent, splits), reading)
    for place, image in enumerate(content.images):
        where = f"{source}:images[{place}]"
        name = _existing(collector.folder, image)
        split = collector.read_split(where, image.split or "")
        if not image.sentences:
            collector.problem("image without captions", where, f"{name!r} has no sentences; left out")
        for number, sentence in enumerate(image.sentences):
            text = sentence if isinstance(sentence, str) else sentence.raw or " ".join(sentence.tokens)
            caption = nfc(text.strip())
            collector.add(Entry(f"{where}.sentences[{number}]", name, (caption,), split=split, number=number))
    # Of the folder's other images nothing is said: COCO's folders hold more than any one file names.
    return _with_lists(collector.finish("karpathy", report_unused=False), source.parent, collector)


def _with_lists(dataset: Dataset, beside: Path, collector: Collector) -> Dataset:
    """Give images the splits of lists beside their captions, where these bring none themselves."""
    if any(image.split for image in dataset.images):
        return dataset
    return with_listed_splits(
        dataset, list_places(beside, collector.folder), collector.folder, collector.reading
    )


def _names(image: _Image) -> tuple[str, str]:
    """Return the name with its folder, and the bare one, which is unique in these files."""
    return posixpath.join(image.filepath, image.filename), image.filename


def _existing(folder: ImageFolder, image: _Image) -> str:
    full, bare = _names(image)
    # A path that leads out must be refused as such, so only a plainly missing one falls back.
    found = folder.find(full)
    missing = not isinstance(found, Match) and found.kind == "missing image"
    return bare if missing and isinstance(folder.find(bare), Match) else full


def read_coco(source: Path, reading: Reading) -> Dataset:
    """Read COCO captions: a JSON, or a folder that holds some, itself or in ``annotations/``.

    Several files with ``train`` and ``val`` in their names bring splits; a single file brings none, whatever
    its name, for it is the whole data set then. The image folder may hold ``train2017/`` and the like.
    Raises DataError where there is no such file, it is malformed, or nothing in it is usable.
    """
    files = [source] if source.is_file() else coco_files(source)
    if not files:
        raise DataError(
            f"{source} holds no COCO captions JSON, nor does its annotations/ folder.",
            hint="Expected a file such as captions_val2017.json.",
        )
    contents = [_decode(path, reading) for path in files]
    sample = [image.file_name for content in contents for image in content.images[:_SAMPLE]]
    base = files[0].parent.parent if files[0].parent.name == "annotations" else files[0].parent
    subsets = [path.stem.removeprefix("captions_") for path in files]
    images, alone = reading.source.images, len(files) == 1
    if alone and images is not None and (images / subsets[0]).is_dir():
        folder = reading.folder(images / subsets[0])
    else:
        split = split_in_name(subsets[0])  # val_captions.json alone is of val_images/
        own = [path for path in sorted(base.iterdir()) if split and split_in_name(path.name) == split]
        folder = choose_folder(reading, base, sample, [base / subsets[0], *own] if alone else [base])
    splits = {} if alone else splits_in_names(subsets)
    folder = with_other_splits(reading, folder, base, splits.values())
    collector = Collector(source, folder, reading)
    for path, subset, content in zip(files, subsets, contents):
        _add_coco(collector, path, content, splits.get(subset), subset if subset in folder.folders else "")
    # Of the folder's other images nothing is said: it is often shared with other annotation files.
    return _with_lists(collector.finish("coco", report_unused=False), base, collector)


def coco_files(folder: Path) -> list[Path]:
    """Return the COCO captions files of a folder and of its ``annotations/``, sorted."""
    candidates = [*folder.glob("*.json"), *folder.glob("annotations/*.json")]
    return sorted(path for path in candidates if path.is_file() and json_kind(path) == "coco")


def _add_coco(collector: Collector, path: Path, content: _Captions, split: Split | None, under: str) -> None:
    names: dict[int | str | None, str] = {}
    splits: dict[int | str | None, Split | None] = {}
    doubled = {}
    for place, image in enumerate(content.images):
        first = names.setdefault(number := _number(image.id), image.file_name)
        if first != image.file_name:
            doubled[number] = f"{first!r} or {image.file_name!r}"
        splits[number] = collector.read_split(f"{path}:images[{place}]", image.split or "") or split
    if any(image.split for image in content.images):
        collector.reading.note("the splits are those of 'split' in the images' records")
    captioned = set()
    for place, annotation in enumerate(content.annotations):
        where, number = f"{path}:annotations[{place}]", _number(annotation.image_id)
        if number not in names:
            detail = f"image_id {annotation.image_id!r} is not among the images; left out"
            collector.skip("missing image", where, detail)
            continue
        captioned.add(number)
        if annotation.is_rejected:
            collector.skip("rejected caption", where, f"of {names[number]!r}, as the data marks it; left out")
            continue
        if number in doubled:
            collector.skip("ambiguous name", where, f"image_id {number!r} is {doubled[number]}; left out")
            continue
        captions = texts_of(annotation.caption or annotation.text or annotation.captions) or [""]
        entry = Entry(where, names[number], captions, split=splits[number], number=place)
        collector.add(entry, under=under)
    for place, image in enumerate(content.images):
        if own := texts_of(image.caption or image.text):
            where = f"{path}:images[{place}]"
            entry = Entry(where, image.file_name, own, split=splits[_number(image.id)])
            collector.add(entry, under=under)
        elif _number(image.id) not in captioned:
            detail = f"{image.file_name!r} has no annotation; left out"
            collector.problem("image without captions", f"{path}:images[{place}]", detail)


def _number(name: int | str | None) -> int | str | None:
    """Return an id that is written as text in one place and as a number in the other."""
    return int(name) if isinstance(name, str) and name.isdecimal() and len(name) < 19 else name


_LINE = re.compile(r"(?P<key>(?P<name>[^#\t]+)#[\w#]+)[\t ,;]+(?P<caption>.*)")


def is_token_file(path: Path, reading: Reading) -> bool:
    """Tell whether its first lines have the form ``NAME#NUMBER<tab>CAPTION``, or that of other languages."""
    if path.suffix.lower() not in (".txt", ".token", ""):
        return False
    try:
        lines = [line.strip() for line in islice(reading.trial().lines(path), 5)]
    except DataError:  # said where it is read as a table
        return False
    return any(lines) and all(_LINE.match(line) for line in lines if line)


def read_flickr8k(source: Path, reading: Reading) -> Dataset:
    """Read ``NAME#NUMBER<tab>CAPTION`` lines, with splits from the image lists beside the file.

    Where there are image lists, each image has the split of its list (dev is val), and images in no list
    are left out and reported.
    Flickr30k's ``results_20130124.token`` has the same form. Raises DataError where the file cannot be
    decoded, or nothing in it is usable.
    """
    matches = (_LINE.match(line) for line in islice(reading.lines(source), _SAMPLE))
    sample = [match["name"].strip() for match in matches if match]
    folder = choose_folder(reading, source.parent, sample)
    listed, doubled = read_lists(source.parent, reading)
    splits = (split for split, _ in listed.values())
    collector = Collector(source, with_other_splits(reading, folder, source.parent, splits), reading)
    collector.problems += doubled
    seen: set[str] = set()
    for number, line in enumerate(reading.lines(source), start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        match = _LINE.match(line.rstrip("\r\n"))
        if not match:
            detail = f"not NAME#NUMBER, a tab and a caption: {line.strip()[:80]!r}; left out"
            collector.skip("wrong number of fields", where, detail)
            continue
        name, caption = nfc(match["name"].strip()), nfc(match["caption"].strip())
        if not listed or name in listed:
            split = listed[name][0] if listed else None
            collector.add(Entry(where, name, (caption,), split=split, number=match["key"]))
        elif name not in seen:
            collector.skip("image in no list", where, f"{name!r}; left out with its captions")
        seen.add(name)
    for name, (_, where) in listed.items():
        if name not in seen:
            found = isinstance(collector.folder.find(name), Match)
            kind = "image without captions" if found else "missing image"
            collector.problem(kind, where, f"{name!r} has no caption in {source}; left out")
    # With lists, the images that are not used have been reported with their line already.
    return collector.finish("flickr8k", report_unused=not listed)
