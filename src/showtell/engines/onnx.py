"""onnxruntime in torch's place: the same features but for rounding, from small networks in far less time.

It folds batch norms and activations into convolutions, and keeps channels in blocks that fit the vector
unit. What is bound by large matrix products gains nothing in float32 (docs/log.md, Features). In int8 every
network gains, and features are rougher: they are what a model is trained on, never what it is used with.
"""

import importlib.util
import inspect
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone
from showtell.backbones.description import ENGINES, EngineName
from showtell.console import Console
from showtell.engines.base import Pixels
from showtell.errors import ConfigError, MissingExtraError, ModelError
from showtell.runtime import quiet, share_cores

_OPSET = 18
"""Version of ONNX's operators: the first whose operators torch's exporter writes; read since 2023."""


def need_onnx(purpose: str, packages: Sequence[str] = ("onnx", "onnxscript", "onnxruntime")) -> None:
    """Refuse to go on without the packages of the extra.

    Args:
        purpose: What they are needed for, as a user calls it.
        packages: To write graphs, and to run them.

    Raises:
        MissingExtraError: One is missing.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "export", purpose)


@dataclass(frozen=True)
class GraphSource:
    """What becomes a graph.

    Attributes:
        name: Of the network, for messages.
        module: In evaluation mode.
        inputs: Examples, by name, in the order of the module's arguments; their first axis is the batch.
        outputs: Names of what it returns.
        rows: Inputs whose second axis may be of any size, too.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    rows: Sequence[str] = ()


def write_graph(source: GraphSource, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a module as a graph.

    Args:
        source: The module, and what it takes and returns.
        path: Where to.
        metadata: Kept inside the graph.

    Raises:
        ModelError: The exporter cannot.
    """
    import onnx

    module, inputs = source.module, source.inputs
    axes = tuple({0: "batch"} | ({1: "rows"} if name in source.rows else {}) for name in inputs)
    try:
        with quiet("torch.onnx"), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                opset_version=_OPSET,
                input_names=list(inputs),
                output_names=list(source.outputs),
                dynamic_shapes=_by_argument(module, axes),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ModelError(
            f"{source.name} cannot be written as ONNX: {reason}.",
            hint="Another backbone can; mobilenetv2_100, resnet50 and ViTs of fixed size are known to.",
        ) from error
    assert program is not None  # only where it writes the file itself
    graph = program.model_proto
    _forget_sources(graph)
    onnx.helper.set_model_props(graph, dict(metadata))
    onnx.save(graph, path)


def _by_argument(module: nn.Module, axes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Group axes as the exporter groups inputs: those of a module that takes ``*inputs`` are one argument."""
    parameters = list(inspect.signature(module.forward).parameters.values())
    return (axes,) if parameters[0].kind is inspect.Parameter.VAR_POSITIONAL else axes


def _forget_sources(graph: Any) -> None:
    """Remove what the exporter noted of each node: lines of this machine's files."""
    graph.graph.doc_string = ""
    del graph.graph.metadata_props[:]
    for node in [*graph.graph.node, *(node for function in graph.functions for node in function.node)]:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*graph.graph.input, *graph.graph.output, *graph.graph.value_info):
        del value.metadata_props[:]


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
                f"{_PURPOSE} computes on the processor only; there is a faster device, {device.type}.",
                hint="Leave --engine out: torch uses that device.",
            )
        if not ENGINES["onnxruntime"].is_installed:
            raise MissingExtraError("onnxruntime", "export", _PURPOSE)
        threads = share_cores(device)[1]
        need = partial(need_onnx, _PURPOSE)
        open_graph = partial(_open, threads=threads)
        self._session = encoder_graph(backbone, folder, calibration, console, "onnxruntime", need, open_graph)
        self._dtype = getattr(torch, backbone.description.dtype)

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images, as :meth:`Backbone.forward` does."""
        grid, pooled = self._session.run(None, {"pixels": pixels.numpy()})
        return torch.from_numpy(grid).to(self._dtype), torch.from_numpy(pooled).to(self._dtype)


class _Encoder(nn.Module):
    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        return self.backbone.encode(pixels)


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


def encoder_graph(
    backbone: Backbone,
    folder: Path,
    calibration: Iterable[Pixels],
    console: Console,
    runner: str,
    need: Callable[[], None],
    open_graph: Callable[[Path], Any],
) -> Any:
    """Open a backbone's graph; write it where there is none, or where it is damaged.

    Args:
        backbone: In its precision; int8 is quantised.
        folder: Where the graph is kept.
        calibration: Images that tell the ranges of int8, each (3, height, width).
        console: Told before the graph is written.
        runner: Of the graph, for messages.
        need: Raises where what writes graphs is not installed.
        open_graph: Opens it; returns None where there is none, or none that can be run.

    Raises:
        ModelError: The network cannot be written as a graph, or not be run as one.
    """
    path, name = folder / "network.onnx", backbone.description.architecture
    opened = open_graph(path)
    if opened is None:
        need()
        console.say(f"Writing {name} as a graph for {runner}, once")
        write_encoder(backbone, path, calibration)
        opened = open_graph(path)
    if opened is None:
        raise ModelError(f"{runner} cannot run {name}.", hint="Leave --engine out: torch can.")
    return opened


def write_encoder(backbone: Backbone, path: Path, calibration: Iterable[Pixels]) -> None:
    """Write a backbone as a graph from ``pixels`` to ``grid`` and ``pooled``, whole or not at all.

    Args:
        backbone: In its precision; int8 is quantised.
        path: Where to.
        calibration: Images that tell the ranges of int8, each (3, height, width).

    Raises:
        ModelError: The exporter cannot.
    """
    size = backbone.preprocessing
    pixels = {"pixels": torch.zeros(2, 3, size.height, size.width, dtype=torch.uint8)}
    encoder = _Encoder(backbone).eval()
    source = GraphSource(backbone.description.architecture, encoder, pixels, ["grid", "pooled"])
    with tempfile.TemporaryDirectory(prefix=".graph-", dir=path.parent) as scratch:
        graph = Path(scratch) / "float32.onnx"
        write_graph(source, graph, {})
        if backbone.precision == "int8":
            from showtell.engines.int8 import quantise_encoder

            whole, graph = graph, graph.with_name("int8.onnx")
            quantise_encoder(whole, graph, calibration)
        graph.replace(path)
