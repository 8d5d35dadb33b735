"""Images as networks see them.

Training, prediction and export see the same pixels because all of them come from
:mod:`showtell.data.pixels`, told by one :class:`Preprocessing` that travels with the features and the model.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from showtell.data.pixels.bounds import MAX_PIXELS
from showtell.data.pixels.files import Source, read_content, source_name
from showtell.data.pixels.opening import Decoded, Note, decode, open_image
from showtell.data.pixels.preprocessing import Fit, Preprocessing
from showtell.errors import ImageError

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
    """Read a picture as the network sees it, before normalisation.

    Args:
        source: A path, the file's content, an open binary file, or a Pillow image.
        preprocessing: What the network wants.

    Returns:
        Pixels (3, height, width), uint8.

    Raises:
        ImageError: It cannot be read; the message gives the reason.
    """
    image = open_image(source, shrink_to=preprocessing)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).unsqueeze(0)  # (1, 3, H, W), channels last
    size = preprocessing.scaled_size(*pixels.shape[-2:])
    if size[0] * size[1] > MAX_PIXELS:  # a strip one pixel wide, scaled up until its shorter side fits
        raise ImageError(
            f"{source_name(source)} is a strip of {image.width}x{image.height}, too long to crop."
        )
    if pixels.shape[-2:] != size:
        # As Pillow's, to within one level of 255, in a third of the time.
        pixels = F.interpolate(pixels, size, mode=preprocessing.interpolation, antialias=True)
    rows, columns = preprocessing.window(size)
    return pixels[0, :, rows, columns]
