"""onnxruntime in torch's place: the same features but for rounding, from small networks in far less time.

It folds batch norms and activations into convolutions, and keeps channels in blocks that fit the vector
unit. What is bound by large matrix products gains nothing in float32 (docs/log.md, Features). In int8 every
network gains, and features are rougher: they are what a model is trained on, never what it is used with.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from showtell.backbones.backbone import ENGINES, Backbone, grid_of
from showtell.console import Console
from showtell.data.images import Preprocessing, load_pixels
from showtell.engines.graph import need_onnx, write_graph
from showtell.errors import ConfigError, ModelError
from showtell.runtime import share_cores
from showtell.samples import draw_scene, make_scenes

_PURPOSE = "--engine onnxruntime"
_SCENES = 32
"""Drawings to calibrate int8 with."""
Look = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From pixels (B, 3, height, width), uint8, to grids and pooled vectors, as the store keeps them."""


def engine_of(backbone: Backbone, folder: Path, console: Console) -> Look:
    """Return what runs a backbone to fill its feature space; several threads may call it at the same time.

    Args:
        backbone: Where it shall run.
        folder: Of its feature space.
        console: Told of what takes long.

    Raises:
        ShowtellError: Its engine is not installed, or not able to run it.
    """
    if backbone.description.engine == ENGINES["torch"]:
        return backbone
    return OnnxEngine(backbone, folder, console)


class OnnxEngine:
    """Runs a backbone on the processor.

    Args:
        backbone: On the processor; its precision is that of the graph.
        folder: Where its graph is kept once it is written.
        console: Told before it is written, which takes seconds.

    Raises:
        ConfigError: The backbone is somewhere else.
        MissingExtraError: onnxruntime, or what writes graphs, is not installed.
        ModelError: The network cannot be written as a graph, or not be run as one.
    """

    def __init__(self, backbone: Backbone, folder: Path, console: Console) -> None:
        device = backbone.pixel_mean.device
        if device.type != "cpu":
            raise ConfigError(
                f"{_PURPOSE} looks on the processor only; this machine has a faster device, {device.type}.",
                would_do="Leave --engine out: torch uses that device.",
            )
        need_onnx(_PURPOSE, ["onnxruntime"])
        path, threads = folder / "network.onnx", share_cores(device)[1]
        session = _open(path, threads)
        if session is None:
            need_onnx(_PURPOSE)
            console.say(f"Writing {backbone.description.architecture} as a graph for onnxruntime, once")
            _write(backbone, path)
            session = _open(path, threads)
        if session is None:
            raise ModelError(
                f"onnxruntime cannot run {backbone.description.architecture}.",
                would_do="Leave --engine out: torch can.",
            )
        self._session = session
        self._dtype = getattr(torch, backbone.description.dtype)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Look at pictures, as :meth:`Backbone.forward` does."""
        grid, pooled = self._session.run(None, {"pixels": pixels.numpy()})
        return torch.from_numpy(grid).to(self._dtype), torch.from_numpy(pooled).to(self._dtype)


class _Look(nn.Module):
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


def _write(backbone: Backbone, path: Path) -> None:
    size = backbone.preprocessing
    pixels = {"pixels": torch.zeros(2, 3, size.height, size.width, dtype=torch.uint8)}
    name, axes = backbone.description.architecture, {"pixels": {0: "batch"}}
    with tempfile.TemporaryDirectory(prefix=".graph-", dir=path.parent) as scratch:
        graph = Path(scratch) / "float32.onnx"
        write_graph(name, _Look(backbone).eval(), graph, pixels, ["grid", "pooled"], axes, {})
        if backbone.precision == "int8":
            graph = graph.with_name("int8.onnx")
            _quantise(graph.with_name("float32.onnx"), graph, backbone.preprocessing)
        graph.replace(path)


def _quantise(source: Path, target: Path, preprocessing: Preprocessing) -> None:
    """Calibrate with drawn scenes: features then depend on no data set. Photos do no better (docs/log.md)."""
    from showtell.engines.int8 import quantise_looking

    scenes = make_scenes(0, _SCENES, "train")
    quantise_looking(
        source, target, (load_pixels(draw_scene(one, 320), preprocessing).numpy() for one in scenes)
    )
