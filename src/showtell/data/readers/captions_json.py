"""COCO and Karpathy caption files: what both are as JSON, and how to tell them apart."""

import mmap
from pathlib import Path
from typing import Literal

import msgspec

from showtell.data.readers.encoding import read_utf8
from showtell.errors import DataError


class Sentence(msgspec.Struct):
    """One caption of a Karpathy file."""

    raw: str = ""
    tokens: list[str] = []


class Image(msgspec.Struct):
    """One picture, of either file: COCO gives ``id`` and ``file_name``, Karpathy the rest."""

    id: int | str | None = None
    file_name: str = ""
    filename: str = ""
    filepath: str = ""
    split: str = ""
    sentences: list[Sentence] = []


class Annotation(msgspec.Struct):
    """One caption of a COCO file."""

    image_id: int | str
    caption: str | None = None


class CaptionsJson(msgspec.Struct):
    """The parts of a COCO or Karpathy file that matter here; all else is skipped."""

    images: list[Image]
    annotations: list[Annotation] = []


def json_kind(path: Path) -> Literal["coco", "karpathy"] | None:
    """Tell by its keys whether a JSON file holds COCO or Karpathy captions; None for neither.

    The file is searched, not parsed: COCO's object annotations, which often lie in the same folder, take
    half a gigabyte. Quotes inside a JSON string are escaped, so a caption can't look like a key.
    """
    if path.stat().st_size == 0:
        return None
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b'"images"') < 0:
            return None
        if content.find(b'"sentences"') >= 0:
            return "karpathy"
        if content.find(b'"annotations"') >= 0 and content.find(b'"caption"') >= 0:
            return "coco"
    return None


def read_captions_json(path: Path) -> CaptionsJson:
    """Parse a COCO or Karpathy file.

    Raises:
        DataError: The file is not UTF-8, not JSON, or a field has the wrong type; the message holds the
            place, such as ``$.annotations[12].caption``.
    """
    try:
        return msgspec.json.decode(read_utf8(path), type=CaptionsJson)
    except msgspec.DecodeError as error:
        raise DataError(
            f"{path} is not a captions JSON file: {error}.",
            would_do='COCO captions ({"images": [...], "annotations": [...]}) or a Karpathy file '
            '({"images": [{"filename": ..., "sentences": [...]}]}) would do.',
        ) from error
