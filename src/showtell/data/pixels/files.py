"""Image files: which a path or a pattern names, what they hold, and how large one may be."""

import glob
import io
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from showtell.data.pixels.memory import available_memory
from showtell.errors import ImageError

MAX_BYTES = 256_000_000
"""Most bytes of one image file."""
MAX_PIXELS = 178_956_970
"""Most pixels of one image that are ever decoded into memory, however much of that there is."""
ALWAYS_PIXELS = 50_000_000
"""Pixels that are decoded however little memory there seems to be: what cameras and phones write."""
MAX_CLAIM = 500_000_000
"""Most pixels that a JPEG may claim which is decoded at a fraction of its size; phones write 200 million."""

_BYTES_A_PIXEL = 12
"""Pillow keeps a colour in 4 bytes; a converted copy and an array of it stand beside it for a moment."""
_SHARE = 4
"""Of the memory that is available, one image takes one part in so many: several are decoded at a time."""


def decodable_pixels() -> int:
    """Return how many pixels of one image this machine has the memory for, at this moment."""
    available = available_memory()
    if available is None:
        return MAX_PIXELS
    return min(MAX_PIXELS, max(ALWAYS_PIXELS, available // (_SHARE * _BYTES_A_PIXEL)))


def too_large(name: str, claim: str, limit: int) -> ImageError:
    """Return the refusal of an image that claims more pixels than ``limit``."""
    return ImageError(
        f"{name} claims {claim} pixels, more than {limit // 10**6} million.",
        hint="Scale it down first, if it is what it claims to be.",
    )


class InFewReads(io.BytesIO):
    """A file's content, to be read in no more pieces than an image has.

    Pillow walks the segments of a JPEG and the chunks of a PNG in Python, about a microsecond each: a file of
    nothing but empty ones would hold the interpreter for 0.4 seconds a megabyte.

    Args:
        content: Of the file.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left = 20_000 + len(content) // 100  # photos take some dozens; one strip a row, some thousands

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file does.

        Raises:
            OSError: It was read too often.
        """
        self._left -= 1
        if self._left < 0:
            raise OSError("it is in more pieces than an image has")
        return super().read(size)


_EXTENSIONS = ".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .ppm .pgm .pnm .avif .heic .heif .jp2"
PICTURE_EXTENSIONS = frozenset(_EXTENSIONS.split())
"""Of files that are meant to be images; decoding has the last word."""
_LEFT_BEHIND = (
    "@eadir __macosx thumbs thumbnails #recycle @recycle $recycle.bin lost+found system_volume_information "
    "_vti_cnf __pycache__ node_modules site-packages"
)
_SYSTEM_FOLDERS = frozenset(_LEFT_BEHIND.split())
"""Folders that systems, network disks and programs leave in folders of images."""

Source = Path | bytes | BinaryIO | Image.Image


def is_system_folder(name: str) -> bool:
    """Tell whether a folder of this name is one that systems leave behind."""
    folded = name.casefold().replace(" ", "_")
    return folded in _SYSTEM_FOLDERS or folded.endswith((".lrdata", ".photoslibrary", ".photolibrary"))


def images_in(folder: Path) -> list[Path]:
    """Return the files below a folder that are called as images are, in order.

    Hidden files are left out, and folders that are hidden or that systems leave behind.
    """
    return sorted(_inside(folder))


def images_at(
    pattern: str,
    inside: Callable[[Path], list[Path]] = images_in,
    as_path: Callable[[str], Path] = Path,
) -> list[Path]:
    """Return the images at a path, in a folder, or of a pattern; none where there are none.

    Args:
        pattern: As typed. What it names as a file is always returned.
        inside: Returns the images of a folder.
        as_path: Makes a path of what is typed.
    """
    # What is typed is composed; a name that came from a Mac may be decomposed.
    forms = dict.fromkeys([pattern, *(unicodedata.normalize(form, pattern) for form in ("NFC", "NFD"))])
    return next((found for form in forms if (found := _named_by(form, inside, as_path))), [])


def _named_by(
    pattern: str, inside: Callable[[Path], list[Path]], as_path: Callable[[str], Path]
) -> list[Path]:
    path = as_path(pattern)
    if path.is_dir():
        return inside(path)
    if path.exists():
        return [path]
    found = (Path(name) for name in glob.glob(str(Path(pattern).expanduser()), recursive=True))  # noqa: PTH207
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
        ImageError: It is missing, a folder, empty, or larger than :data:`MAX_BYTES`.
    """
    name = source_name(source)
    if isinstance(source, bytes):
        content = source
    elif isinstance(source, Path):
        try:
            if read_head := getattr(source, "read_head", None):  # an address: in one request
                content = read_head(MAX_BYTES + 1)
            else:
                with source.open("rb") as file:
                    content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ImageError(f"{name} cannot be read: {error.strerror or error}.") from error
    else:
        content = source.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ImageError(f"{name} is larger than {MAX_BYTES // 10**6} MB.")
    if not content:
        raise ImageError(f"{name} is empty (0 bytes).")
    return content


def source_name(source: Source) -> str:
    """Return how messages call an image."""
    return str(source) if isinstance(source, Path) else "the image"
