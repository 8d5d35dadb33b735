"""Images as networks see them.

Training, prediction and export see the same pixels because all of them come from
:mod:`showtell.data.pixels`, told by one :class:`Preprocessing` that travels with the features and the model.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from showtell.data.pixels.files import MAX_PIXELS, Source, read_content, source_name
from showtell.data.pixels.opening import Decoded, Note, decode, open_image
from showtell.data.pixels.preprocessing import Fit, Preprocessing
from showtell.errors import ImageError

ImageLike: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | np.ndarray | Tensor
"""A path, the content of a file, an open binary file, a Pillow image, or an array (H, W), (H, W, 3) or
(H, W, 4) of uint8, RGB; as a tensor (3, H, W)."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_image(value: Any) -> bool:
    """Say whether a value is one image, not several."""
    single = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray, Tensor)
    return isinstance(value, single) or hasattr(value, "read")


def image_source(value: ImageLike) -> Source:
    """Return an image as the room of images takes it.

    Raises:
        ImageError: It is an address on a network, an array of another kind, or no image at all.
    """
    if isinstance(value, str) and _ADDRESS.match(value):
        raise ImageError(
            f"{value} is an address; images are read from this machine only.",
            hint="Download it, and give the file or its content.",
        )
    if isinstance(value, str | os.PathLike):
        return value if isinstance(value, Path) else Path(value)
    if isinstance(value, Tensor):
        value = _channels_last(value)
    if isinstance(value, np.ndarray):
        return _from_array(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, bytes | Image.Image) or isinstance(getattr(value, "read", None), Callable):  # type: ignore[arg-type]
        return value
    raise ImageError(
        f"{type(value).__name__} is not an image.",
        hint="Expected a path, bytes, an open file, a Pillow image or an array.",
    )


def _channels_last(tensor: Tensor) -> np.ndarray:
    array = tensor.detach().cpu().numpy()
    return array.transpose(1, 2, 0) if array.ndim == 3 else array


def _from_array(array: np.ndarray) -> Image.Image:
    shape = array.shape
    if array.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))):
        raise ImageError(
            f"An array of {array.dtype} and shape {tuple(shape)} is not an image.",
            hint="Expected uint8 from 0 to 255, (H, W), (H, W, 3) or (H, W, 4), RGB; several as a list.",
        )
    if 0 in shape:
        raise ImageError(f"An array of shape {tuple(shape)} holds no pixel.")
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if shape[2:] == (1,) else array))


__all__ = [
    "Decoded",
    "Fit",
    "Note",
    "Preprocessing",
    "Source",
    "decode",
    "load_pixels",
    "open_image",
    "read_content",
]


def load_pixels(source: Source, preprocessing: Preprocessing) -> Tensor:
    """Read an image as the network sees it, before normalisation.

    Args:
        source: A path, the file's content, an open binary file, or a Pillow image.
        preprocessing: What the network wants.

    Returns:
        Pixels (3, height, width), uint8.

    Raises:
        ImageError: It cannot be read; the message gives the reason.
    """
    image = open_image(source, shrink_to=preprocessing)
    return as_input(np.array(image), preprocessing, source_name(source))


def as_input(image: np.ndarray, preprocessing: Preprocessing, name: str = "the image") -> Tensor:
    """Scale an image to a network's input, and crop it where that is asked for.

    Args:
        image: Upright, (height, width, 3), uint8, writable.
        preprocessing: What the network wants.
        name: How a message calls the image.

    Returns:
        Pixels (3, height, width), uint8.

    Raises:
        ImageError: It is too long a strip.
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0)  # (1, 3, H, W), channels last
    size = preprocessing.scaled_size(*pixels.shape[-2:])
    if size[0] * size[1] > MAX_PIXELS:  # a strip one pixel wide, scaled up until its shorter side fits
        raise ImageError(f"{name} is a strip of {image.shape[1]}x{image.shape[0]}, too long to crop.")
    if pixels.shape[-2:] != size:
        # As Pillow's, to within one level of 255, in a third of the time.
        pixels = F.interpolate(pixels, size, mode=preprocessing.interpolation, antialias=True)
    rows, columns = preprocessing.window(size)
    return pixels[0, :, rows, columns]
