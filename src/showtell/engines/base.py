"""What runs a backbone to fill the store: the protocol of an engine, and how one is found by its name.

Another engine is a class in a file of its own, and a line in `ENGINES` of ``backbones/description.py``.
"""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.backbones.description import ENGINES, EngineName, Precision
from showtell.console import Console

Pixels = npt.NDArray[np.uint8]


class Engine(Protocol):
    """Runs one backbone; several threads may call it at the same time.

    Args:
        backbone: Where it shall run.
        folder: Where what the engine makes of the network may be kept: that of the feature space.
        calibration: Images, each (3, height, width), that tell the ranges of low precisions; drawn only
            where they are needed.
        console: Told of what takes long.

    Attributes:
        name: Of the engine.
        precisions: Of the arithmetic that it has.

    Raises:
        ShowtellError: It is not installed, or not able to run this backbone.
    """

    name: EngineName
    precisions: tuple[Precision, ...]

    def __init__(
        self, backbone: Backbone, folder: Path, calibration: Iterable[Pixels], console: Console
    ) -> None: ...

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images as the store keeps them.

        Args:
            pixels: (B, 3, height, width), uint8.

        Returns:
            The grid (B, L, D) and the pooled vectors (B, pooled_dim), in the description's dtype.
        """
        ...


def find_engine(name: EngineName) -> type[Engine]:
    """Import the class of an engine."""
    module, _, kind = ENGINES[name].path.rpartition(".")
    found: type[Engine] = getattr(import_module(f"showtell.{module}"), kind)
    return found
