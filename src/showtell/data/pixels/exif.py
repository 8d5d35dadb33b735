"""What a photo's EXIF says of it: when and how it was taken, and which way up it is."""

import io
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from showtell.data.pixels.decoders import FORMATS, quiet, quiet_libtiff
from showtell.data.pixels.formats import heic_exif, is_heic, png_exif

_DIRECTORY = 0x8769
_HEAD = 512
_EXIF_WITHIN = 1 << 17
"""Bytes of an object that are fetched for its EXIF, which stands before the pixels."""


def exif_of(path: Path) -> dict[int, Any]:
    """Return the EXIF tags of a photo by number, those of its Exif directory too; none if none can be read.

    A file that cannot be read at all is told where its pixels are read.
    """
    try:
        read_head = getattr(path, "read_head", None)  # of an address
        with (
            io.BytesIO(read_head(_EXIF_WITHIN)) if read_head else path.open("rb") as file,
            quiet(),
            quiet_libtiff(),
        ):
            exif = _exif_in(file)
            return dict(exif) | exif.get_ifd(_DIRECTORY)
    except Exception:  # a damaged block fails in as many ways as a damaged image
        return {}


def _exif_in(file: BinaryIO) -> Image.Exif:
    if is_heic(file.read(_HEAD)):
        return _loaded(heic_exif(file))
    image = Image.open(file, formats=FORMATS)
    if image.format != "PNG":
        return image.getexif()
    # That of a PNG decodes the pixels first, behind which there may be a block.
    return _loaded(png_exif(file)) or Image.Image.getexif(image)


def _loaded(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block)
    return exif


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the turn that undoes it; anything else, which phones do write, means upright."""


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none, 0 where it is nonsense."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block is no reason to lose the image
        return 0
    return value if isinstance(value, int) and 1 <= value <= 8 else 0


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image upright."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
