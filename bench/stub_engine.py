"""Run a command of showtell with simulated networks: whatever grows with the images shows, not the network.

    python bench/stub_engine.py extract TABLE --backbone test_resnet --weights random ...

Features are a fixed projection of each image's mean colours, so that images that look alike have features
that are alike; everything else (reading, decoding, the store) is the product's own. `bench/growth.py --stub`
runs its commands by this script.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from showtell.__main__ import program
from showtell.backbones.backbone import Backbone
from showtell.console import Console
from showtell.engines.base import Pixels
from showtell.engines.torch import TorchEngine
from showtell.extraction import extract

CELLS = 4
"""Colours along a side that features tell apart."""


class StubEngine(TorchEngine):
    """Gives features without a network."""

    def __init__(
        self, backbone: Backbone, folder: Path, calibration: Iterable[Pixels], console: Console
    ) -> None:
        super().__init__(backbone, folder, calibration, console)
        description = backbone.description
        self._shape, self._dtype = description.grid_shape, getattr(torch, description.dtype)
        random = torch.Generator().manual_seed(0)
        self._to_grid, self._to_pooled = (
            torch.randn(3 * CELLS**2, wide, generator=random)
            for wide in (self._shape[0] * self._shape[1], description.pooled_dim)
        )

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Project the mean colours of each cell."""
        colours = F.adaptive_avg_pool2d(pixels.float() / 255 - 0.5, CELLS).flatten(1)
        grid = (colours @ self._to_grid).view(-1, *self._shape)
        return grid.to(self._dtype), (colours @ self._to_pooled).to(self._dtype)


if __name__ == "__main__":
    extract.find_engine = lambda name: StubEngine  # type: ignore[assignment]
    program()
