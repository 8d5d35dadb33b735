"""Lay attention over a photo: where the network's grid lies on it, and in which colours."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from showtell.data.images import Preprocessing

RAMP: tuple[tuple[float, int, int, int, float], ...] = (
    (0.00, 110, 20, 90, 0.00),
    (0.25, 150, 30, 90, 0.08),
    (0.55, 226, 70, 50, 0.46),
    (0.80, 253, 146, 38, 0.68),
    (1.00, 255, 224, 96, 0.80),
)
"""Stops of the heat: position, red, green, blue in [0, 255], opacity in [0, 1]."""
GREY = 0.25
"""How much of its colour a photo loses under the heat, in [0, 1]."""
_UNDER_HEAT, OUTSIDE = 0.5, 0.35
"""Mean brightness of a photo under heat; what the network did not see has this share of it."""

Pixels = npt.NDArray[np.float32]


class Box(NamedTuple):
    """A rectangle on an image, each edge a share of the width or height, in [0, 1]."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, right, bottom in whole pixels, at least one pixel wide and high."""
        left, top = round(self.left * width), round(self.top * height)
        return left, top, max(left + 1, round(self.right * width)), max(top + 1, round(self.bottom * height))


def seen_box(preprocessing: Preprocessing, width: int, height: int) -> Box:
    """Return the part of an upright image that the network sees.

    Args:
        preprocessing: ``stretch`` gives the whole image, ``crop`` its centre.
        width: Of the image, pixels.
        height: Of the image, pixels.
    """
    scaled_height, scaled_width = preprocessing.scaled_size(height, width)
    # The same whole-pixel offsets as showtell.data.images.load_pixels.
    top, left = (scaled_height - preprocessing.height) // 2, (scaled_width - preprocessing.width) // 2
    return Box(
        left / scaled_width,
        top / scaled_height,
        (left + preprocessing.width) / scaled_width,
        (top + preprocessing.height) / scaled_height,
    )


def peak_of(maps: Iterable[Tensor]) -> float:
    """Return the largest weight of all maps, the end of a common colour scale; 1 where all are zero."""
    return max((float(weights.max()) for weights in maps), default=0.0) or 1.0


def heat_level(weights: npt.ArrayLike, peak: float) -> Pixels:
    """Place weights on the colour scale: the square root of their share of ``peak``, in [0, 1]."""
    level: Pixels = np.sqrt(np.clip(np.asarray(weights, np.float32) / peak, 0.0, 1.0))
    return level


def paint(level: Pixels) -> Pixels:
    """Colour levels by ``RAMP``.

    Returns:
        (..., 4): red, green, blue in [0, 255] and opacity in [0, 1], float32.
    """
    stops = np.array(RAMP, np.float32)
    channels = [np.interp(level, stops[:, 0], stops[:, channel]) for channel in range(1, 5)]
    return np.stack(channels, axis=-1).astype(np.float32)


def dimming(image: Image.Image) -> float:
    """Return the brightness to show an image with, in [0.74, 0.92]; light ones are dimmed most."""
    mean = float(np.asarray(image.convert("L").resize((16, 16))).mean()) / 255
    return min(0.92, max(0.74, _UNDER_HEAT / max(mean, 0.01)))


def overlay(
    image: Image.Image,
    attention: Tensor,
    preprocessing: Preprocessing,
    *,
    peak: float | None = None,
    cells: bool = False,
) -> Image.Image:
    """Draw attention over a dimmed, greyed copy of an image.

    Between the centres of the cells the colours are interpolated, by a cubic: nothing appears that the grid
    does not hold. Outside of what the network saw there is no heat, and the image is darker.

    Args:
        image: Upright, as ``open_image`` returns it; any mode.
        attention: Weights, (rows, columns), each 0 or more.
        preprocessing: What the network was given.
        peak: The weight that gets the hottest colour; by default the largest one here.
        cells: Show the cells as they are instead of blending them.

    Returns:
        An RGB image of the same size.
    """
    # The orientation tag of an upright image may still be on it; it must not turn it again.
    photo = np.asarray(image.convert("RGB"), np.float32)
    grey = photo.mean(-1, keepdims=True)
    photo = (grey * GREY + photo * (1 - GREY)) * dimming(image)
    height, width = photo.shape[:2]
    left, top, right, bottom = seen_box(preprocessing, width, height).pixels(width, height)
    peak = peak_of([attention]) if peak is None else peak
    method = Image.Resampling.NEAREST if cells else Image.Resampling.BICUBIC
    level = Image.fromarray(heat_level(attention.detach().cpu(), peak))
    heat = paint(
        np.asarray(level.resize((right - left, bottom - top), method))
    )  # (bottom - top, right - left, 4)
    result = photo * OUTSIDE
    opacity = heat[..., 3:]
    result[top:bottom, left:right] = photo[top:bottom, left:right] * (1 - opacity) + heat[..., :3] * opacity
    return Image.fromarray(result.round().clip(0, 255).astype(np.uint8))


def hottest_area(attention: Sequence[Sequence[float]] | Tensor, box: Box) -> tuple[int, int]:
    """Find where on the image most of the attention lies, for people who do not see it.

    Args:
        attention: Weights, (rows, columns).
        box: Where the grid lies on the image.

    Returns:
        Row and column, each 0 to 2, of the ninth of the image that holds the largest share.
    """
    weights = np.asarray(attention, np.float32)
    rows = box.top + (np.arange(weights.shape[0]) + 0.5) / weights.shape[0] * (box.bottom - box.top)
    columns = box.left + (np.arange(weights.shape[1]) + 0.5) / weights.shape[1] * (box.right - box.left)
    ninths = np.zeros((3, 3))
    np.add.at(ninths, ((rows * 3).astype(int)[:, None], (columns * 3).astype(int)[None, :]), weights)
    row, column = np.unravel_index(int(ninths.argmax()), ninths.shape)
    return int(row), int(column)
