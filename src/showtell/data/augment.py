"""Random views of an image, and its mirror image; each a pure function of content, view number and settings.

So views are kept in the feature store like any image, and a resumed training sees the very same ones.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transform

Change = Literal["flip", "crop", "light"]
"""What a view changes that words can contradict; ``light`` is brightness and the blend with a tone."""
_UNCHANGED: dict[Change, dict[str, Any]] = {
    "flip": {"flip": 0.0},
    "crop": {"crop": 1.0},
    "light": {"brightness": 0.0, "blend": 0.0},
}
_TONES = (0.0, 128.0, 255.0)
_RECIPE = "torchvision v2: crop, flip, affine over mirrored edges, brightness; 2"
"""Names how a view comes about; change it whenever the same view would give other pixels."""


@dataclass(frozen=True)
class Augmentation:
    """How far views may go from the plain image."""

    flip: float = 0.5  # probability of a left-right flip
    crop: float = 0.85  # least share of each side that is kept and scaled back to the full size, in (0, 1]
    shear: float = 10.0  # largest angle, degrees, each way
    zoom: float = 0.15  # largest change of size, a share, in and out
    shift: float = 0.1  # largest shift, a share of each side, each way
    brightness: float = 0.2  # largest change of brightness, a share, up and down
    blend: float = 0.0  # largest share of an even black, grey or white that is mixed in, in [0, 1)
    recipe: str = _RECIPE  # the version of the code that makes the views

    def without(self, changes: Iterable[Change]) -> "Augmentation":
        """Return the same without some changes, and with other views therefore."""
        return replace(self, **{name: value for one in changes for name, value in _UNCHANGED[one].items()})

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
    """One random view of every image."""

    number: int  # 1 or more; another number is another view
    augmentation: Augmentation = Augmentation()  # how far it may go

    @cached_property
    def name(self) -> str:
        """What the view is, as the feature store keys it."""
        settings = asdict(self.augmentation)
        if not self.augmentation.blend:  # so that views from before there were blends keep their key
            del settings["blend"]
        return json.dumps({"view": self.number} | settings, sort_keys=True)

    def changes(self, digest: bytes, height: int, width: int) -> "Changes":
        """Say what the view does to an image.

        Args:
            digest: Content digest of the image.
            height: Of the image's pixels.
            width: Of the image's pixels.
        """
        seed = hashlib.blake2b(digest + self.name.encode(), digest_size=16).digest()
        random = np.random.default_rng(int.from_bytes(seed, "little"))
        limits = self.augmentation
        # The order of the draws is part of the recipe.
        rows, columns = (round(side * random.uniform(limits.crop, 1)) for side in (height, width))
        return Changes(
            rows=rows,
            columns=columns,
            top=int(random.integers(height - rows + 1)),
            left=int(random.integers(width - columns + 1)),
            flip=bool(random.random() < limits.flip),
            shift_x=_signed(random, limits.shift),
            shift_y=_signed(random, limits.shift),
            zoom=1 + _signed(random, limits.zoom),
            shear=_signed(random, limits.shear),
            brightness=1 + _signed(random, limits.brightness),
            blend=float(random.uniform(0, limits.blend)),
            tone=_TONES[random.integers(len(_TONES))],
        )

    def apply(self, pixels: Tensor, digest: bytes) -> Tensor:
        """Return the view of an image.

        Args:
            pixels: As ``load_pixels`` returns them: (3, height, width), uint8.
            digest: Content digest of the image.

        Returns:
            As ``pixels``.
        """
        height, width = pixels.shape[-2:]
        changes = self.changes(digest, height, width)
        view = transform.resized_crop(
            pixels,
            changes.top,
            changes.left,
            changes.rows,
            changes.columns,
            [height, width],
            antialias=True,
        )
        if changes.flip:
            view = transform.horizontal_flip(view)
        view = transform.affine(
            transform.pad(view, self.augmentation.margins(height, width), padding_mode="reflect"),
            angle=0.0,
            translate=[width * changes.shift_x, height * changes.shift_y],
            scale=changes.zoom,
            shear=[changes.shear, 0.0],
            interpolation=InterpolationMode.BILINEAR,
        )
        view = transform.center_crop(view, [height, width])
        brighter: Tensor = transform.adjust_brightness(view, changes.brightness)
        if not changes.blend:
            return brighter
        return brighter.float().lerp(torch.tensor(changes.tone), changes.blend).round().to(torch.uint8)


CAPTION_AUGMENTATION = Augmentation(crop=0.85, shear=0, zoom=0, shift=0, brightness=0.2, blend=0.2)
"""What leaves most captions true: a strip is cut off at most, nothing slants, colours keep their hue.
Blends are with an even tone: of two images mixed, the captions of both would be half wrong."""
MIRRORED = View(1, Augmentation(flip=1, crop=1, shear=0, zoom=0, shift=0, brightness=0))
"""Every image with left and right swapped, and nothing else."""


@dataclass(frozen=True)
class Changes:
    """What a view does to an image, in the order in which it is done."""

    rows: int  # height of the cut, pixels; it is scaled back to the full size
    columns: int  # width of the cut, pixels
    top: int  # first row of the cut
    left: int  # first column of the cut
    flip: bool  # whether left and right are swapped
    shift_x: float  # to the right, a share of the width
    shift_y: float  # down, a share of the height
    zoom: float  # factor of the size, above 1 for larger
    shear: float  # angle in degrees, above 0 where the top moves to the right
    brightness: float  # factor of every pixel
    blend: float  # share of an even tone that is mixed in
    tone: float  # that tone, of all channels, 0 to 255


def _signed(random: np.random.Generator, limit: float) -> float:
    return float(random.uniform(-limit, limit))
