"""A backbone in a few words, from which any process on a machine with the same weights builds it again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from showtell.backbones.description import EngineName, Precision
from showtell.data.pixels.preprocessing import Fit


@dataclass(frozen=True)
class BackboneSpec:
    """What to build; small and picklable, so that it travels to workers. See ``weights.build``.

    Attributes:
        architecture: The library's name of the network.
        weights_source: Where its weights come from, for people.
        weights_file: What holds them; None for random ones, and for those in memory.
        model_args: Arguments of the library's constructor.
        pretrained_cfg: timm's description of weights that bring their own; None for timm's.
        image_size: Side of the input, pixels; None for the network's own.
        fit: What to do with images that are not square.
        seed: Of random weights.
        precision: Of its arithmetic.
        engine: What runs it to fill the store.
        library: Whose network it is.
        weights_hash: Their ``state_hash``, once it is known: a worker that reads others refuses them.
        in_memory: Whether the weights are in one process's memory only, so that no other can build it.
    """

    architecture: str
    weights_source: str
    weights_file: Path | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    pretrained_cfg: Mapping[str, Any] | None = None
    image_size: int | None = None
    fit: Fit = "stretch"
    seed: int = 0
    precision: Precision = "float32"
    engine: EngineName = "torch"
    library: Literal["timm"] = "timm"
    weights_hash: str | None = None
    in_memory: bool = False
