"""How an image becomes a network's input; travels with features, models and exports."""

import math
from dataclasses import dataclass
from typing import Literal

Fit = Literal["stretch", "crop"]

RECIPE = "pillow draft 2x, exif, sRGB, bits by largest value, first frame shown, white behind alpha, uint8; 2"
"""Names how pixels come about; change it whenever the same file would give other pixels."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input."""

    height: int  # of the input, pixels
    width: int  # of the input, pixels
    # `stretch` stretches the whole image to the input; `crop` scales its shorter side and cuts out the
    # centre
    fit: Fit
    crop_pct: float  # with `crop`, the share of the shorter side that is kept, in (0, 1]
    interpolation: str  # `bilinear` or `bicubic`, both antialiased
    mean: tuple[float, float, float]  # per channel, of pixels in [0, 1]; subtracted inside the network
    std: tuple[float, float, float]  # per channel, of pixels in [0, 1]; divided by inside the network
    recipe: str = RECIPE  # the version of the code that makes the pixels

    def scaled_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) an image is scaled to before any crop."""
        if self.fit == "stretch":
            return self.height, self.width
        target = math.floor(self.height / self.crop_pct), math.floor(self.width / self.crop_pct)
        scale = max(target[0] / height, target[1] / width)
        return max(target[0], round(height * scale)), max(target[1], round(width * scale))

    def reduction(self, height: int, width: int) -> int:
        """Return by how much a JPEG may be scaled down while it is decoded: 1, 2, 4 or 8.

        At least twice the pixels that are needed are left on each side.

        Args:
            height: Of the upright image, pixels.
            width: Likewise.
        """
        rows, columns = self.scaled_size(height, width)
        most = min(height // (2 * rows), width // (2 * columns))
        return next((scale for scale in (8, 4, 2) if scale <= most), 1)

    def window(self, scaled: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns of a scaled image that the network sees."""
        top, left = (scaled[0] - self.height) // 2, (scaled[1] - self.width) // 2
        return slice(top, top + self.height), slice(left, left + self.width)
