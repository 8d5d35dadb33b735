"""Pixels of an image by its content: decoded, or made of what was kept when it was decoded before.

A JPEG is decoded at a fraction of its size (``pixels/opening.py``). That decode is kept as it is, without
loss, so that whatever is made of it is the same to the last bit as from the file, for every network that
wants the same fraction. Of an image that would take too much, the network's input is kept instead, which
serves every network of the same input.
"""

import math

import numpy as np
import torch
from torch import Tensor

from showtell.data.images import Decoded, Preprocessing, as_input, decode
from showtell.store.kept_images import KeptImages

MAX_BYTES = 8_000_000
"""Most bytes of a decode that is kept. Of 12 million pixels, a fourth of each side takes 2.3 million."""


def kept_pixels(digest: bytes, preprocessing: Preprocessing, kept: KeptImages) -> Tensor | None:
    """Return what a network gets of an image, (3, height, width), uint8; None where nothing kept gives it."""
    if not kept.root.is_dir():  # of every image of a store that keeps none
        return None
    if found := kept.get(digest, _of_input(preprocessing)):
        return torch.from_numpy(found.pixels).permute(2, 0, 1)
    for scale in (8, 4, 2, 1):
        found = kept.get(digest, _of_jpeg(preprocessing, scale))
        if found and preprocessing.reduction(*found.full) == scale:
            return as_input(found.pixels, preprocessing)
    found = kept.get(digest, _of_file(preprocessing))
    return as_input(found.pixels, preprocessing) if found else None


def decoded_pixels(content: bytes, digest: bytes, preprocessing: Preprocessing, kept: KeptImages) -> Tensor:
    """Decode an image; keep it where that is asked for.

    Args:
        content: Of the file.
        digest: Of the content.
        preprocessing: What the network wants.
        kept: Where decoded images are kept.

    Returns:
        Pixels (3, height, width), uint8, as ``load_pixels`` returns them.

    Raises:
        ImageError: It cannot be read.
        StoreError: It cannot be kept.
    """
    decoded = decode(content, shrink_to=preprocessing)
    image = np.array(decoded.image)
    pixels = as_input(image, preprocessing)
    if kept.keeping:
        form = _form_of(decoded, preprocessing) if image.nbytes <= MAX_BYTES else None
        if form is None:
            form, image = _of_input(preprocessing), pixels.permute(1, 2, 0).numpy()
        kept.put(digest, form, image, (decoded.height, decoded.width))
    return pixels


def _form_of(decoded: Decoded, preprocessing: Preprocessing) -> str | None:
    """Return what a decode is; None where another preprocessing may be given another of the same file."""
    if decoded.format == "camera raw":  # of the JPEG inside, whose orientation may be said outside
        return None
    if decoded.format not in ("JPEG", "MPO"):
        return _of_file(preprocessing)
    scale = preprocessing.reduction(decoded.height, decoded.width)
    size = tuple(math.ceil(side / scale) for side in (decoded.width, decoded.height))
    # Of a huge one, memory may have had a say.
    return _of_jpeg(preprocessing, scale) if decoded.image.size == size else None


def _of_jpeg(preprocessing: Preprocessing, scale: int) -> str:
    return f"{preprocessing.recipe}; a JPEG at 1/{scale}"


def _of_file(preprocessing: Preprocessing) -> str:
    return f"{preprocessing.recipe}; the whole image"


def _of_input(preprocessing: Preprocessing) -> str:
    how = preprocessing
    crop = how.crop_pct if how.fit == "crop" else 1
    return f"{how.recipe}; {how.height}x{how.width}, {how.fit}, {crop}, {how.interpolation}"
