"""Image files: which of them a command line names, and what they hold."""

import glob
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from showtell.data.pixels import bounds
from showtell.errors import DataError, ImageError

_EXTENSIONS = ".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .ppm .pgm .pnm .avif .heic .heif .jp2"
PICTURE_EXTENSIONS = frozenset(_EXTENSIONS.split())
"""Of files that are meant to be images; decoding has the last word."""
SYSTEM_FOLDERS = frozenset(("@eadir", "#recycle", "__macosx", "thumbs", "$recycle.bin"))
"""Folders that systems and storage boxes keep beside people's images, in small letters."""

Source = Path | bytes | BinaryIO | Image.Image


def find_pictures(patterns: Sequence[str]) -> list[Path]:
    """Return the pictures that paths, folders and patterns name, in order and once.

    Raises:
        DataError: One of them names nothing.
    """
    if not patterns:
        raise DataError("No picture was given.", run="showtell predict RUN PICTURE")
    paths: dict[Path, None] = {}
    for pattern in patterns:
        found = pictures_at(pattern)
        if not found:
            raise DataError(
                f"There is no picture at {pattern}.",
                would_do=f"It takes pictures, folders and patterns; {Path.cwd()} is where it looked.",
            )
        paths |= dict.fromkeys(found)
    return list(paths)


def pictures_at(pattern: str) -> list[Path]:
    """Return the pictures at a path, in a folder, or of a pattern; none where there are none.

    Of a folder, files are taken by their extension; hidden ones are not, nor are those in folders of systems.
    """
    # What is typed is composed; a name that came from a Mac may be decomposed.
    forms = dict.fromkeys([pattern, *(unicodedata.normalize(form, pattern) for form in ("NFC", "NFD"))])
    return next((found for form in forms if (found := _named_by(form))), [])


def _named_by(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        return sorted(_inside(path))
    if path.exists():
        return [path]
    found = (Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
    return sorted(p for p in found if p.is_file())


def _inside(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if _is_shown(name) and name.lower() not in SYSTEM_FOLDERS]
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
