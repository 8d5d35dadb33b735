"""Image files: which of them a path or a pattern names, and what they hold."""

import glob
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from showtell.data.pixels import bounds
from showtell.errors import ImageError

_EXTENSIONS = ".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .ppm .pgm .pnm .avif .heic .heif .jp2"
PICTURE_EXTENSIONS = frozenset(_EXTENSIONS.split())
"""Of files that are meant to be images; decoding has the last word."""
_LEFT_BEHIND = (
    "@eadir __macosx thumbs thumbnails #recycle @recycle $recycle.bin lost+found system_volume_information"
)
_SYSTEM_FOLDERS = frozenset(_LEFT_BEHIND.split())
"""Folders that systems and network disks leave in folders of pictures, with copies of them."""

Source = Path | bytes | BinaryIO | Image.Image


def is_system_folder(name: str) -> bool:
    """Tell whether a folder of this name is one that systems leave behind."""
    return name.casefold().replace(" ", "_") in _SYSTEM_FOLDERS


def pictures_in(folder: Path) -> list[Path]:
    """Return the files below a folder that are called as pictures are, in order.

    Hidden files are left out, and folders that are hidden or that systems leave behind.
    """
    return sorted(_inside(folder))


def pictures_at(pattern: str, inside: Callable[[Path], list[Path]] = pictures_in) -> list[Path]:
    """Return the pictures at a path, in a folder, or of a pattern; none where there are none.

    Args:
        pattern: As typed. What it names as a file is always returned.
        inside: Returns the pictures of a folder.
    """
    # What is typed is composed; a name that came from a Mac may be decomposed.
    forms = dict.fromkeys([pattern, *(unicodedata.normalize(form, pattern) for form in ("NFC", "NFD"))])
    return next((found for form in forms if (found := _named_by(form, inside))), [])


def _named_by(pattern: str, inside: Callable[[Path], list[Path]]) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        return inside(path)
    if path.exists():
        return [path]
    found = (Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
    return sorted(p for p in found if p.is_file())


def _inside(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if _is_shown(name) and not is_system_folder(name)]
        for name in filter(_is_shown, names):
            path = Path(place, name)
            if path.suffix.lower() in PICTURE_EXTENSIONS and path.is_file():
                yield path


def _is_shown(name: str) -> bool:
    return not name.startswith(".")


def read_content(source: Path | bytes | BinaryIO) -> bytes:
    """Read an image file whole.

    Raises:
        ImageError: It is missing, a folder, empty, or larger than :data:`bounds.MAX_BYTES`.
    """
    name = source_name(source)
    if isinstance(source, bytes):
        content = source
    elif isinstance(source, Path):
        try:
            with source.open("rb") as file:
                content = file.read(bounds.MAX_BYTES + 1)
        except OSError as error:
            raise ImageError(f"{name} cannot be read: {error.strerror or error}.") from error
    else:
        content = source.read(bounds.MAX_BYTES + 1)
    if len(content) > bounds.MAX_BYTES:
        raise ImageError(f"{name} is larger than {bounds.MAX_BYTES // 10**6} MB.")
    if not content:
        raise ImageError(f"{name} is empty (0 bytes).")
    return content


def source_name(source: Source) -> str:
    """Return how messages call an image."""
    return str(source) if isinstance(source, Path) else "the picture"
