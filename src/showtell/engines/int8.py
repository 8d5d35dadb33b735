"""Smaller graphs in 8-bit integers.

An encoder is quantised statically: images tell, once, in which range each layer's numbers lie. Weights have
one scale a channel: with one a layer, MobileNetV2's features fall to a cosine of 0.27 to those in floating
point, instead of 0.99. A decoder's few large products are quantised as they come, dynamically.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from showtell.runtime import quiet


class _Images(CalibrationDataReader):  # type: ignore[misc]  # the library carries no types
    """Images one by one, as the calibration asks for them."""

    def __init__(self, pixels: Iterable[np.ndarray]) -> None:
        self._rest = iter(pixels)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the inputs of one more run; None at the end."""
        return next(({"pixels": pixels[None]} for pixels in self._rest), None)


def quantise_encoder(source: Path, target: Path, pixels: Iterable[np.ndarray]) -> None:
    """Write the int8 variant of a graph that takes ``pixels``.

    Args:
        source: The graph.
        target: Where to.
        pixels: Images to calibrate with, each (3, height, width), uint8.
    """
    with _folded(source, target) as folded:
        quantize_static(
            folded,
            target,
            _Images(pixels),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            per_channel=True,
            weight_type=QuantType.QInt8,
        )


def quantise_decoder(source: Path, target: Path) -> None:
    """Write the int8 variant of a decoder's graph."""
    import onnx

    with _folded(source, target) as folded:
        quantize_dynamic(
            folded,
            target,
            op_types_to_quantize=["MatMul", "Gather"],
            nodes_to_exclude=_products_with_vectors(onnx.load(folded).graph),
            per_channel=True,
            weight_type=QuantType.QInt8,
        )


@contextmanager
def _folded(source: Path, target: Path) -> Iterator[Path]:
    """Lend a graph with its constants folded; then copy the metadata of the source to the target."""
    import onnx

    with quiet(None), tempfile.TemporaryDirectory() as scratch:
        folded = Path(scratch) / source.name
        # The batch has no fixed size, which the symbolic shape inference cannot bear with every network.
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        yield folded
    graph = onnx.load(target)
    metadata = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    onnx.helper.set_model_props(graph, metadata)
    onnx.save(graph, target)


def _products_with_vectors(graph: Any) -> list[str]:
    """Return the names of products with a vector, which has no channels to be scaled one by one."""
    vectors = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 1}
    return [node.name for node in graph.node if node.op_type == "MatMul" and node.input[1] in vectors]
