"""OpenVINO in torch's place: the fastest convolutions on Intel's processors, in float32 and in bfloat16.

Features are torch's but for rounding in float32; in bfloat16 those of some networks (MobileNetV2) are
rougher, and are for training only (docs/log.md, Features).
"""

import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.backbones.description import ENGINES, EngineName
from showtell.console import Console
from showtell.engines.base import Pixels
from showtell.engines.onnx import encoder_graph, need_onnx
from showtell.errors import ConfigError, MissingExtraError
from showtell.runtime import share_cores

_PURPOSE = "--engine openvino"
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """Runs a backbone on the processor; see :class:`showtell.engines.base.Engine`.

    Args:
        backbone: On the processor; its precision is that of the arithmetic.
        folder: Where its graph is kept once it is written.
        calibration: Not needed.
        console: Told before the graph is written, which takes seconds.

    Raises:
        ConfigError: The backbone is somewhere else, or the processor has no bfloat16.
        MissingExtraError: OpenVINO, or what writes graphs, is not installed.
        ModelError: The network cannot be written as a graph, or not be run as one.
    """

    name: EngineName = "openvino"
    precisions = ENGINES["openvino"].precisions

    def __init__(
        self, backbone: Backbone, folder: Path, calibration: Iterable[Pixels], console: Console
    ) -> None:
        if backbone.device.type != "cpu":
            raise ConfigError(
                f"{_PURPOSE} computes on the processor; there is a faster device, {backbone.device.type}.",
                hint="Leave --engine out: torch uses that device.",
            )
        if not ENGINES["openvino"].is_installed:
            raise MissingExtraError("openvino", "openvino", _PURPOSE)
        need = partial(need_onnx, _PURPOSE, ("onnx", "onnxscript"))
        open_graph = partial(_compile, backbone=backbone)
        self._model = encoder_graph(backbone, folder, calibration, console, "OpenVINO", need, open_graph)
        self._dtype = getattr(torch, backbone.description.dtype)
        self._requests = threading.local()
        # Threads whose first calls come together can wait for each other for ever: what OpenVINO's binding
        # looks up once, it looks up without Python's lock, and another thread that waits for it has the lock.
        side = backbone.preprocessing
        self.encode(torch.zeros(1, 3, side.height, side.width, dtype=torch.uint8))

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images, as :meth:`Backbone.forward` does."""
        if not hasattr(self._requests, "own"):  # one a thread: a request runs one batch at a time
            self._requests.own = self._model.create_infer_request()
        found = self._requests.own.infer({"pixels": pixels.numpy()}, share_inputs=True)
        grid, pooled = (
            torch.from_numpy(found[name]).to(self._dtype, copy=True) for name in ("grid", "pooled")
        )
        return grid, pooled


def _compile(path: Path, backbone: Backbone) -> Any:
    """Return the graph, compiled for cores as an extraction shares them; None if there is none to run."""
    import openvino

    core, (number, cores) = openvino.Core(), share_cores(backbone.device)
    precision = _HINTS[backbone.precision]
    if precision.upper() not in (*core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"), "F32"):
        raise ConfigError(
            f"This processor does not compute in {backbone.precision}.", hint="Leave --precision out."
        )
    config = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": str(number),
        "INFERENCE_NUM_THREADS": str(number * cores),
        "ENABLE_CPU_PINNING": "NO",  # threads that stay where they are wait for whoever shares their core
    }
    try:
        return core.compile_model(core.read_model(path), "CPU", config)
    except RuntimeError:  # the only kind of error that it has
        return None
