"""What a backbone is described by: its weights, its preprocessing, and the arithmetic that ran it."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from showtell.data.pixels.preprocessing import Preprocessing
from showtell.errors import ConfigError

Precision = Literal["float32", "bfloat16", "int8"]
EngineName = Literal["torch", "onnxruntime"]


class EngineEntry(NamedTuple):
    """An engine as it is registered; nothing of it is imported for that."""

    path: str
    """Path of its class within the package; see ``engines.base.Engine``."""
    precisions: tuple[Precision, ...]
    """Of the arithmetic that it has."""
    in_store: str
    """How features remember it: whatever makes it round otherwise stands here."""


ENGINES: dict[EngineName, EngineEntry] = {
    "torch": EngineEntry("engines.torch.TorchEngine", ("float32", "bfloat16"), "torch eager, channels last"),
    "onnxruntime": EngineEntry("engines.onnx.OnnxEngine", ("float32", "int8"), "onnxruntime"),
}
"""What may run a backbone to fill the store."""


def check_engine(engine: EngineName, precision: Precision) -> None:
    """Refuse a precision that an engine does not have.

    Raises:
        ConfigError: So it is.
    """
    if precision not in ENGINES[engine].precisions:
        able = next(name for name, entry in ENGINES.items() if precision in entry.precisions)
        raise ConfigError(
            f"--engine {engine} does not compute in {precision}.",
            hint=f"--engine {able} does; {engine} computes in {' and '.join(ENGINES[engine].precisions)}.",
        )


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

    def for_store(self) -> dict[str, Any]:
        """Return what the features depend on, as the store keys them: all but where weights came from."""
        description: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        del description["weights_source"]
        return description | {"engine": ENGINES[self.engine].in_store}
