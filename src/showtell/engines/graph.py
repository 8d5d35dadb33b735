"""A network as an ONNX graph, by torch's exporter."""

import importlib.util
import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from showtell.errors import MissingExtraError, ModelError
from showtell.runtime import quiet

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
