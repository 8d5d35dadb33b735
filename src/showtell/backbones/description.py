"""What a backbone is described by: its weights, its preprocessing, and the arithmetic that ran it."""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from showtell.backbones.grids import Grid
from showtell.data.pixels.preprocessing import Fit, Preprocessing
from showtell.errors import ConfigError

Precision = Literal["float32", "bfloat16", "int8"]
EngineName = Literal["torch", "onnxruntime", "openvino"]
EngineChoice = Literal["auto", EngineName]


class EngineEntry(NamedTuple):
    """An engine as it is registered; nothing of it is imported for that."""

    path: str
    """Path of its class within the package; see ``engines.base.Engine``."""
    precisions: tuple[Precision, ...]
    """Of the arithmetic that it has."""
    in_store: str
    """How features remember it: whatever makes it round otherwise stands here."""
    package: str
    """What has to be installed to run it; to write a graph takes more, once."""

    @property
    def is_installed(self) -> bool:
        """Whether it can run here."""
        return importlib.util.find_spec(self.package) is not None


ENGINES: dict[EngineName, EngineEntry] = {
    "torch": EngineEntry(
        "engines.torch.TorchEngine", ("float32", "bfloat16"), "torch eager, channels last", "torch"
    ),
    "onnxruntime": EngineEntry("engines.onnx.OnnxEngine", ("float32", "int8"), "onnxruntime", "onnxruntime"),
    "openvino": EngineEntry(
        "engines.openvino.OpenVinoEngine", ("float32", "bfloat16"), "openvino", "openvino"
    ),
}
"""What may run a backbone to fill the store."""


def choose_engine(engine: EngineChoice, precision: Precision) -> EngineName:
    """Return the engine; for ``auto`` the first that has the precision.

    Raises:
        ConfigError: The engine does not have it.
    """
    able = next(name for name, entry in ENGINES.items() if precision in entry.precisions)
    if engine == "auto":
        return able
    if precision not in ENGINES[engine].precisions:
        raise ConfigError(
            f"--engine {engine} does not compute in {precision}.",
            hint=f"--engine {able} does; {engine} computes in {' and '.join(ENGINES[engine].precisions)}.",
        )
    return engine


@dataclass(frozen=True)
class BackboneDescription:
    """Everything that shapes a backbone's features: kept beside them in the store and inside every model.

    Attributes:
        architecture: timm's name.
        model_args: Arguments of timm's constructor.
        weights: SHA-256 over names, shapes and values of the network's state.
        weights_source: Where the weights came from, for people.
        preprocessing: How images become its input.
        grid_shape: (L, D).
        grid_size: Rows and columns of the grid.
        pooled_dim: Length of the pooled vector.
        layer: Which layer the features are.
        engine: What runs the network to fill the store.
        precision: Of the arithmetic. Weights are kept in float32 all the same.
        dtype: Of the features as kept.
        crops: Of an image, of which the features are the mean (see ``crops``).
        parts: The networks, where it is several joined (see ``joint``); what is above is then of all of them
            together, but for the preprocessing, which is the first one's.
    """

    architecture: str
    model_args: dict[str, Any]
    weights: str
    weights_source: str
    preprocessing: Preprocessing
    grid_shape: tuple[int, int]
    grid_size: tuple[int, int]
    pooled_dim: int
    layer: str = "forward_features"
    engine: EngineName = "torch"
    precision: Precision = "float32"
    dtype: str = "float16"
    crops: int = 1
    parts: "tuple[BackboneDescription, ...]" = ()

    @property
    def networks(self) -> "tuple[BackboneDescription, ...]":
        """Return the description of each network: itself alone, unless it is several joined."""
        return self.parts or (self,)

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Return the grid of each network."""
        return tuple(Grid(*one.grid_size, one.grid_shape[1]) for one in self.networks)

    def for_store(self) -> dict[str, object]:
        """Return what the features depend on, as the store keys them: all but where weights came from."""
        description: dict[str, object] = json.loads(json.dumps(asdict(self)))
        del description["weights_source"], description["parts"]
        if self.crops == 1:  # so that features from before there were several keep their key
            del description["crops"]
        return description | {"engine": ENGINES[self.engine].in_store}


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
        crops: Of an image, of which the features are the mean.
        any_engine: Whether others may, too, whose features are torch's in float32 but for rounding.
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
    crops: int = 1
    any_engine: bool = False
    library: Literal["timm"] = "timm"
    weights_hash: str | None = None
    in_memory: bool = False
