"""Random views of a picture, each a pure function of (content of the picture, number of the view, settings).

So views are kept in the feature store like any picture, and a resumed training sees the very same ones.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transform

_RECIPE = "torchvision v2: crop, flip, affine over mirrored edges, brightness; 2"
"""Names how a view comes about; change it whenever the same view would give other pixels."""


@dataclass(frozen=True)
class Augmentation:
    """How far views may go from the plain picture.

    Attributes:
        flip: Probability of a left-right flip.
        crop: Least share of each side that is kept and scaled back to the full size, in (0, 1].
        shear: Largest angle, degrees, each way.
        zoom: Largest change of size, a share, in and out.
        shift: Largest shift, a share of each side, each way.
        brightness: Largest change of brightness, a share, up and down.
        recipe: The version of the code that makes the views.
    """

    flip: float = 0.5
    crop: float = 0.85
    shear: float = 10.0
    zoom: float = 0.15
    shift: float = 0.1
    brightness: float = 0.2
    recipe: str = _RECIPE

    def margins(self, height: int, width: int) -> list[int]:
        """Return how many columns and rows may come into view beyond the edges, on each side."""
        slant = math.tan(math.radians(self.shear))
        reach_x = (0.5 * width + 0.5 * height * slant + self.shift * width) / (1 - self.zoom)
        reach_y = (0.5 * height + self.shift * height) / (1 - self.zoom)
        columns, rows = math.ceil(reach_x - width / 2) + 1, math.ceil(reach_y - height / 2) + 1
        # A mirror shows no more than there is.
        return [min(columns, width - 1), min(rows, height - 1)]


@dataclass(frozen=True)
class View:
    """One random view of every picture.

    Attributes:
        number: 1 or more; another number is another view.
        augmentation: How far it may go.
    """

    number: int
    augmentation: Augmentation = Augmentation()

    @cached_property
    def name(self) -> str:
        """What the view is, as the feature store keys it."""
        return json.dumps({"view": self.number} | asdict(self.augmentation), sort_keys=True)

    def apply(self, pixels: Tensor, digest: bytes) -> Tensor:
        """Return the view of a picture.

        Args:
            pixels: As ``load_pixels`` returns them: (3, height, width), uint8.
            digest: Content digest of the picture.

        Returns:
            As ``pixels``.
        """
        seed = hashlib.blake2b(digest + self.name.encode(), digest_size=16).digest()
        random = np.random.default_rng(int.from_bytes(seed, "little"))
        limits = self.augmentation
        height, width = pixels.shape[-2:]
        rows, columns = (round(side * random.uniform(limits.crop, 1)) for side in (height, width))
        top, left = random.integers(height - rows + 1), random.integers(width - columns + 1)
        view = transform.resized_crop(
            pixels, int(top), int(left), rows, columns, [height, width], antialias=True
        )
        if random.random() < limits.flip:
            view = transform.horizontal_flip(view)
        view = transform.affine(
            transform.pad(view, limits.margins(height, width), padding_mode="reflect"),
            angle=0.0,
            translate=[width * _signed(random, limits.shift), height * _signed(random, limits.shift)],
            scale=1 + _signed(random, limits.zoom),
            shear=[_signed(random, limits.shear), 0.0],
            interpolation=InterpolationMode.BILINEAR,
        )
        view = transform.center_crop(view, [height, width])
        brighter: Tensor = transform.adjust_brightness(view, 1 + _signed(random, limits.brightness))
        return brighter


def _signed(random: np.random.Generator, limit: float) -> float:
    return float(random.uniform(-limit, limit))
