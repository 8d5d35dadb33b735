"""Write a loaded model as ONNX graphs, with all that their reader must know in a JSON beside them.

A captioner becomes two graphs, ``encoder`` (pixels to the decoder's memory and first state, once a picture)
and ``decoder`` (one word); a classifier becomes one. Normalisation is part of the graph, and so is the
rounding of features to what the store keeps, so that the graphs see what the training saw.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from showtell import errors
from showtell.backbones.backbone import Backbone, grid_of
from showtell.data import pixels
from showtell.engines.graph import write_graph
from showtell.kinds.loading import LoadedCaptioner, LoadedClassifier
from showtell.models.captioner import LENGTH_PENALTY
from showtell.models.decoder import Decoder
from showtell.models.decoding import Rows, select_rows
from showtell.onnx_export.words import written_words
from showtell.runs.config_record import save_config

DESCRIPTION, SCRIPT, PIXELS = "model.json", "run.py", "showtell_pixels"
AnyDecoder = Decoder[Any, Any]


class _Encoder(nn.Module):
    """From pixels to what a captioner keeps of a picture, and its first state."""

    def __init__(self, backbone: Backbone, decoder: AnyDecoder) -> None:
        super().__init__()
        self.backbone, self.decoder = backbone, decoder

    def parts(self, pixels: Tensor) -> tuple[Rows, Rows]:
        """Return memory and state of pictures (B, 3, height, width), uint8."""
        grid, _ = grid_of(self.backbone.network, self.backbone.features(pixels))
        memory = self.decoder.encode_grid(_as_kept(grid, self.backbone))
        return memory, self.decoder.start(memory)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of both."""
        memory, state = self.parts(pixels)
        return (*memory, *state)


class _Step(nn.Module):
    """One word of a captioner.

    Args:
        decoder: The decoder.
        memory: What it keeps of some picture, and
        state: its state: of what kind and how many tensors these are.
    """

    def __init__(self, decoder: AnyDecoder, memory: Rows, state: Rows) -> None:
        super().__init__()
        self.decoder = decoder
        self._memory, self._state, self._count = type(memory), type(state), len(memory)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Read words (B, K), int64, given the tensors of memory and state, one after the other."""
        token_ids, *parts = inputs
        memory, state = self._memory(*parts[: self._count]), self._state(*parts[self._count :])
        log_probs, moved, attention = self.decoder.step(memory, state, token_ids)
        return (log_probs, *moved, attention)


class _Namer(nn.Module):
    """From pixels to the probabilities of a classifier."""

    def __init__(self, model: LoadedClassifier) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.model.head
        self.temperature = model.model.config.temperature

    def forward(self, pixels: Tensor) -> Tensor:
        """Name pictures (B, 3, height, width), uint8."""
        pooled = _as_kept(self.backbone.pool(self.backbone.features(pixels)), self.backbone)
        return (self.head(pooled) / self.temperature).softmax(1)


def _as_kept(features: Tensor, backbone: Backbone) -> Tensor:
    """Round features as the store does."""
    return features.to(getattr(torch, backbone.description.dtype)).float()


def _names(parts: Rows) -> list[str]:
    """Return the names of a memory's or a state's tensors."""
    return list(parts._fields)  # type: ignore[attr-defined]  # a named tuple, of whatever kind


def write_graphs(model: LoadedCaptioner | LoadedClassifier, folder: Path) -> dict[str, Any]:
    """Write a model's graphs, ``model.json`` and ``run.py``.

    Args:
        model: On the CPU.
        folder: Where to; it exists.

    Returns:
        The content of ``model.json``.

    Raises:
        ModelError: The exporter cannot write this network.
    """
    about = _describe(model)
    size = model.backbone.preprocessing
    pixels = torch.zeros(2, 3, size.height, size.width, dtype=torch.uint8)
    if isinstance(model, LoadedClassifier):
        _write(_Namer(model), folder, about, "classifier", {"pixels": pixels}, ["probabilities"])
        return _finish(folder, about)
    decoder = model.model.captioner.decoder
    encoder = _Encoder(model.backbone, decoder)
    with torch.inference_mode():
        memory, state = encoder.parts(pixels)
        # Three rows a picture: a size of one would be taken for fixed.
        state = select_rows(state, torch.zeros(2, 3, dtype=torch.long))
    about["search"] |= {"memory": _names(memory), "state": _names(state)}
    _write(encoder, folder, about, "encoder", {"pixels": pixels}, [*_names(memory), *_names(state)])
    inputs = {"token_ids": torch.full((2, 3), about["search"]["bos_id"])}
    inputs |= dict(zip(_names(memory), memory)) | dict(zip(_names(state), state))
    outputs = ["log_probs", *(f"next_{name}" for name in _names(state)), "attention"]
    step = _Step(decoder, memory, state)
    _write(step, folder, about, "decoder", inputs, outputs, rows=("token_ids", *_names(state)))
    return _finish(folder, about)


def _describe(model: LoadedCaptioner | LoadedClassifier) -> dict[str, Any]:
    """Return what a reader of the graphs must know."""
    description = model.backbone.description
    about: dict[str, Any] = {
        "kind": model.model.config.kind,
        "backbone": description.architecture,
        "weights": description.weights,
        "preprocessing": asdict(description.preprocessing),
        "pixels": "(batch, 3, height, width), uint8, RGB; mean and std are applied inside the graph",
        "provenance": model.model.config.provenance,
        "files": {},
    }
    if isinstance(model, LoadedClassifier):
        return about | {"classes": list(model.classes)}
    captioner = model.model.captioner
    about["search"] = {
        "bos_id": captioner.special.bos_id,
        "eos_id": captioner.special.eos_id,
        "never": list(captioner.special.never),
        "beam_size": model.beam_size,
        "max_length": captioner.decoder.config.max_length,
        "length_penalty": LENGTH_PENALTY,
    }
    about["grid_size"] = list(captioner.grid_size)
    about["words"] = written_words(captioner.tokenizer)
    return about


def _write(
    module: nn.Module,
    folder: Path,
    about: dict[str, Any],
    part: str,
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    rows: Sequence[str] = (),
) -> None:
    """Write one graph; batches, and the rows of ``rows``, may be of any size."""
    axes = {name: {0: "batch"} | ({1: "rows"} if name in rows else {}) for name in inputs}
    path = folder / f"{part}.onnx"
    write_graph(about["backbone"], module.eval(), path, inputs, outputs, axes, _metadata(about))
    about["files"][part] = path.name


def _metadata(about: dict[str, Any]) -> dict[str, str]:
    """Return what a graph says of itself, for whoever finds it without its folder."""
    said = {name: value for name, value in about.items() if name not in ("files", "words", "provenance")}
    return {
        f"showtell.{name}": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in said.items()
    }


def _finish(folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    save_config(folder / DESCRIPTION, about)
    _copy_script(folder)
    return about


def _copy_script(folder: Path) -> None:
    """Write the script, and beside it the files that read pictures: the package's own, under another name."""
    shutil.rmtree(folder / PIXELS, ignore_errors=True)
    (folder / PIXELS).mkdir()
    sources = {folder / PIXELS / path.name: path for path in Path(pixels.__path__[0]).glob("*.py")}
    sources[folder / PIXELS / "errors.py"] = Path(errors.__file__)
    sources[folder / SCRIPT] = Path(__file__).with_name("runner.py")
    for target, source in sources.items():
        text = source.read_text(encoding="utf-8")
        text = text.replace("showtell.data.pixels", PIXELS).replace("showtell.errors", f"{PIXELS}.errors")
        if target.name == SCRIPT:  # its neighbours are found from wherever it is imported
            start = f"from {PIXELS}"
            text = text.replace(start, f"sys.path.insert(0, str(Path(__file__).parent))\n{start}", 1)
        target.write_text(text, encoding="utf-8")
