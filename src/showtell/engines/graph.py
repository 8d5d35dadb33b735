"""A network as an ONNX graph, by torch's exporter."""

import importlib.util
import inspect
import warnings
from collections.abc import Mapping, Sequence
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


def write_graph(
    name: str,
    module: nn.Module,
    path: Path,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    axes: Mapping[str, dict[int, str]],
    told: Mapping[str, str],
) -> None:
    """Write a module as a graph.

    Args:
        name: Of the network, for people.
        module: In evaluation mode.
        path: Where to.
        inputs: Examples, by name, in the order of the module's arguments.
        outputs: Names of what it returns.
        axes: Of each input, the axes that may be of any size.
        told: What the graph says of itself.

    Raises:
        ModelError: The exporter cannot.
    """
    import onnx

    try:
        with quiet("torch.onnx"), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                opset_version=_OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=_by_argument(module, tuple(axes[name] for name in inputs)),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ModelError(
            f"{name} cannot be written as ONNX: {reason}.",
            hint="Another backbone can; mobilenetv2_100, resnet50 and ViTs of fixed size are known to.",
        ) from error
    assert program is not None  # only where it writes the file itself
    graph = program.model_proto
    _forget_sources(graph)
    onnx.helper.set_model_props(graph, dict(told))
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
