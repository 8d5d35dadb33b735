"""onnxruntime in torch's place: the same features but for rounding, from small networks in far less time.

It folds batch norms and activations into convolutions, and keeps channels in blocks that fit the vector
unit. What is bound by large matrix products gains nothing in float32 (docs/log.md, Features). In int8 every
network gains, and features are rougher: they are what a model is trained on, never what it is used with.
"""

import importlib.util
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone, grid_of
from showtell.backbones.description import ENGINES, EngineName
from showtell.console import Console
from showtell.engines.base import Pixels
from showtell.engines.graph import need_onnx, write_graph
from showtell.errors import ConfigError, MissingExtraError, ModelError
from showtell.runtime import share_cores

_PURPOSE = "--engine onnxruntime"


class OnnxEngine:
    """Runs a backbone on the processor; see :class:`showtell.engines.base.Engine`.

    Args:
        backbone: On the processor; its precision is that of the graph.
        folder: Where its graph is kept once it is written.
        calibration: Images that tell the ranges of int8, each (3, height, width).
        console: Told before the graph is written, which takes seconds.

    Raises:
        ConfigError: The backbone is somewhere else.
        MissingExtraError: onnxruntime, or what writes graphs, is not installed.
        ModelError: The network cannot be written as a graph, or not be run as one.
    """

    name: EngineName = "onnxruntime"
    precisions = ENGINES["onnxruntime"].precisions

    def __init__(
        self, backbone: Backbone, folder: Path, calibration: Iterable[Pixels], console: Console
    ) -> None:
        device = backbone.device
        if device.type != "cpu":
            raise ConfigError(
                f"{_PURPOSE} looks on the processor only; this machine has a faster device, {device.type}.",
                hint="Leave --engine out: torch uses that device.",
            )
        if not self.is_available():
            raise MissingExtraError("onnxruntime", "export", _PURPOSE)
        path, threads = folder / "network.onnx", share_cores(device)[1]
        session = _open(path, threads)
        if session is None:
            need_onnx(_PURPOSE)
            console.say(f"Writing {backbone.description.architecture} as a graph for onnxruntime, once")
            _write(backbone, path, calibration)
            session = _open(path, threads)
        if session is None:
            raise ModelError(
                f"onnxruntime cannot run {backbone.description.architecture}.",
                hint="Leave --engine out: torch can.",
            )
        self._session = session
        self._dtype = getattr(torch, backbone.description.dtype)

    @classmethod
    def is_available(cls) -> bool:
        """Whether what runs graphs is installed; to write one takes more packages, once."""
        return importlib.util.find_spec("onnxruntime") is not None

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images, as :meth:`Backbone.forward` does."""
        grid, pooled = self._session.run(None, {"pixels": pixels.numpy()})
        return torch.from_numpy(grid).to(self._dtype), torch.from_numpy(pooled).to(self._dtype)


class _Encoder(nn.Module):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.backbone.features(pixels)
        return grid_of(self.backbone.network, features)[0], self.backbone.pool(features)


def _open(path: Path, threads: int) -> Any:
    """Return a session; None where there is no such file, or onnxruntime cannot make one of it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception:  # its errors have no common kind
        return None


def _write(backbone: Backbone, path: Path, calibration: Iterable[Pixels]) -> None:
    size = backbone.preprocessing
    pixels = {"pixels": torch.zeros(2, 3, size.height, size.width, dtype=torch.uint8)}
    name, axes = backbone.description.architecture, {"pixels": {0: "batch"}}
    with tempfile.TemporaryDirectory(prefix=".graph-", dir=path.parent) as scratch:
        graph = Path(scratch) / "float32.onnx"
        write_graph(name, _Encoder(backbone).eval(), graph, pixels, ["grid", "pooled"], axes, {})
        if backbone.precision == "int8":
            from showtell.engines.int8 import quantise_encoder

            whole, graph = graph, graph.with_name("int8.onnx")
            quantise_encoder(whole, graph, calibration)
        graph.replace(path)
