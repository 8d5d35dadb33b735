"""What a photo's file says of how it was taken. Only its header is read."""

from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from showtell.data.pixels import heic, png
from showtell.data.pixels.quiet import quiet, quiet_libtiff
from showtell.data.pixels.refusals import FORMATS

_DIRECTORY = 0x8769
_HEAD = 512


def exif_of(path: Path) -> dict[int, Any]:
    """Return the EXIF tags of a photo by number, those of its Exif directory too; none if none can be read.

    A file that cannot be read at all is told where its pixels are read.
    """
    try:
        with path.open("rb") as file, quiet(), quiet_libtiff():
            exif = _exif_in(file)
            return dict(exif) | exif.get_ifd(_DIRECTORY)
    except Exception:  # a damaged block fails in as many ways as a damaged picture
        return {}


def _exif_in(file: BinaryIO) -> Image.Exif:
    if heic.is_heic(file.read(_HEAD)):
        return _loaded(heic.exif_block(file))
    image = Image.open(file, formats=FORMATS)
    if image.format != "PNG":
        return image.getexif()
    # That of a PNG decodes the pixels first, behind which there may be a block.
    return _loaded(png.exif_block(file)) or Image.Image.getexif(image)


def _loaded(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block)
    return exif
