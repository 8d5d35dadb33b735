"""torch, eager: the backbone as it is, on whatever device it is."""

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.backbones.description import ENGINES, EngineName
from showtell.console import Console
from showtell.engines.base import Pixels


class TorchEngine:
    """Runs a backbone by torch; see :class:`showtell.engines.base.Engine`."""

    name: EngineName = "torch"
    precisions = ENGINES["torch"].precisions

    def __init__(
        self, backbone: Backbone, folder: Path, calibration: Iterable[Pixels], console: Console
    ) -> None:
        self._backbone = backbone

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images, as :meth:`Backbone.forward` does."""
        grid, pooled = self._backbone(pixels)
        return grid, pooled
