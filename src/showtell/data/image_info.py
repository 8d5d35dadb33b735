"""What an image's file turns out to hold when it is read and decoded to its last row."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from showtell.data.images import Note, Preprocessing, decode, read_content
from showtell.data.records import AnnotatedImage
from showtell.errors import ImageError

Hash = npt.NDArray[np.int8]

_SIDE = 16
"""Of the small grey copy that the perceptual hash is made of, pixels."""
_COARSE = 8
"""Of the small colour copy, pixels: coarse enough that a hand that shakes changes little."""
_EVEN = 2
"""Neighbours that differ by fewer grey levels count as even: compression moves them by as many."""
_SMALL = Preprocessing(_SIDE, _SIDE, "stretch", 1.0, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_AHEAD = 512
"""Images handed to the threads at once."""


@dataclass(frozen=True, eq=False, slots=True)
class ImageInfo:
    """What was found of one image."""

    image: AnnotatedImage  # as the data names it
    reason: str = ""  # why it cannot be decoded; empty where it can, and only then is the rest known
    length: int = 0  # of the file, bytes
    digest: bytes = b""  # SHA-256 of the file
    format: str = ""  # of the file, such as `JPEG`
    mode: str = ""  # of its pixels as Pillow calls it, such as `RGB`, `L` or `CMYK`
    width: int = 0  # upright, pixels
    height: int = 0  # upright, pixels
    orientation: int = 1  # as EXIF says it, 1 to 8; 1 where it says nothing; 0 where it says nonsense
    # perceptual hash, (480,), of -1, 0 and 1; all 0 for an image of one plain colour
    phash: Hash = field(default_factory=lambda: np.zeros(2 * _SIDE * (_SIDE - 1), np.int8))
    notes: tuple[Note, ...] = ()  # what was done to it because of what its file is like
    # from one part of the image to the next in red, green and blue, (336,), from -127 to 127
    steps: Hash = field(default_factory=lambda: np.zeros(6 * _COARSE * (_COARSE - 1), np.int8))


def read_image_infos(images: Sequence[AnnotatedImage]) -> Iterator[ImageInfo]:
    """Yield what each image's file holds, in order; several are read at a time."""
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1, "read") as readers:
        for start in range(0, len(images), _AHEAD):
            yield from readers.map(read_image_info, images[start : start + _AHEAD])


def read_image_info(image: AnnotatedImage) -> ImageInfo:
    """Read and decode one image.

    A JPEG is decoded at an eighth of its size, which goes through the file to its end all the same, so that
    a file that is cut off does not pass for a whole one.
    """
    try:
        content = read_content(image.path)
        found = decode(content, shrink_to=_SMALL)
    except ImageError as error:
        return ImageInfo(image, reason=error.what)
    return ImageInfo(
        image,
        length=len(content),
        digest=hashlib.sha256(content).digest(),
        format=found.format,
        mode=found.mode,
        width=found.width,
        height=found.height,
        orientation=found.orientation,
        phash=perceptual_hash(found.image),
        notes=found.notes,
        steps=colour_steps(found.image),
    )


def perceptual_hash(image: Image.Image) -> Hash:
    """Say of neighbouring parts of an image which is the brighter one.

    Another size, another compression or a little more light leave almost all answers as they are. The cosine
    of two hashes is the share of equal answers less that of opposite ones.

    Args:
        image: Upright, of any size.

    Returns:
        (480,), -1, 0 where neighbours are even, or 1.
    """
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    brightness = np.asarray(grey, np.int16)  # (16, 16)
    steps = np.concatenate([np.diff(brightness, axis=axis).ravel() for axis in (0, 1)])  # (480,)
    return np.where(np.abs(steps) < _EVEN, 0, np.sign(steps)).astype(np.int8)


def colour_steps(image: Image.Image) -> Hash:
    """Say how colours change from one part of an image to the next.

    Frames of one scene agree in it, also where flat ground and grain leave little to the perceptual hash.

    Args:
        image: Upright, of any size.

    Returns:
        (336,), half of each step of red, green and blue, from -127 to 127.
    """
    small = image.convert("RGB").resize((_COARSE, _COARSE), Image.Resampling.BOX)
    levels = np.asarray(small, np.int16)  # (8, 8, 3)
    steps = np.concatenate([np.diff(levels, axis=axis).ravel() for axis in (0, 1)])  # (336,)
    return (steps // 2).astype(np.int8)
