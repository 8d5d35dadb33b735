"""A model as a folder of plain files: config.json, model.safetensors, README.md, and what its kind adds.

It is loaded by the name of its run, its folder, or of a pretrained network.
"""

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
from torch import Tensor

from showtell.backbones.backbone import state_hash
from showtell.backbones.description import Precision
from showtell.backbones.joint import restore_backbones
from showtell.console import Console
from showtell.data.names import few
from showtell.errors import ModelError, WeightsError
from showtell.files import make_folder, parse_json, write_atomic
from showtell.kinds.kind import KINDS, find_kind
from showtell.kinds.model import CHANGED, FORMAT, Model, ModelConfig
from showtell.kinds.model_card import is_hub_card, short_card
from showtell.runs.records import JsonObject
from showtell.runtime import choose_device
from showtell.training.checkpoint import load_tensors, save_tensors

M = TypeVar("M", bound=Model[Any])


def save_model(folder: Path, model: M) -> M:
    """Write a model folder; ``config.json`` comes last and makes it complete. Return the model as saved."""
    make_folder(folder)
    (folder / "config.json").unlink(missing_ok=True)  # until then it counts as no model, whatever it held
    for name, text in model.files().items():
        write_atomic(folder / name, text, durable=True)
    tensors = {f"backbone.{name}": value for name, value in model.backbone.network.state_dict().items()}
    tensors |= {f"network.{name}": value for name, value in model.network.state_dict().items()}
    save_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
    model.config = replace(model.config, checksums=_checksums(model))
    readme = folder / "README.md"
    if not (readme.is_file() and is_hub_card(readme.read_text(encoding="utf-8", errors="replace"))):
        readme.write_text(short_card(model), encoding="utf-8")  # else somebody has made it their own
    config = json.dumps(asdict(model.config), ensure_ascii=False, indent=1) + "\n"
    write_atomic(folder / "config.json", config, durable=True)
    return model


def load(
    run: str | os.PathLike[str],
    *,
    device: str = "auto",
    beam_size: int | None = None,
    precision: Precision | None = None,
    console: Console | None = None,
) -> Model[Any]:
    """Load a model: ``load("runs/mine")("cat.jpg").text``.

    Nothing else in this process is changed (see ``tune_process``).

    Args:
        run: A run folder or a model folder; or a timm network or its folder of weights, for ImageNet's
            classes.
        device: ``cpu``, ``cuda``, ``mps``; ``auto`` for the best there is.
        beam_size: Captions that a captioner searches side by side, and no other model; None for its own.
        precision: Of the backbone's arithmetic, ``float32`` or ``bfloat16``; None for that of the training,
            which is float32 for a timm network.
        console: Told before weights are downloaded; None for the log of ``showtell``.

    Returns:
        The model; called with an image, several or a stream of them, it says what they show.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    where, folder = choose_device(device), Path(run)
    with torch.random.fork_rng(devices=[]):  # a network is built with random numbers, then filled
        for name in KINDS:
            if (pretrained := find_kind(name).pretrained(folder, where, console, precision)) is not None:
                return pretrained.with_beam_size(beam_size)
        return load_model(folder, where, precision).with_beam_size(beam_size)


def load_model(
    run: Path, device: torch.device | None = None, precision: Precision | None = None
) -> Model[Any]:
    """Load a model from its folder, or from the run that holds it.

    Args:
        run: A run folder or a model folder.
        device: Where to put it; None for the CPU.
        precision: Of the backbone's arithmetic; None for that of the training.

    Raises:
        ModelError: It is missing, incomplete, of a later format, or its parts do not fit together.
    """
    folder = find_model(run)
    raw = _read_config(folder)
    kind = find_kind(str(raw.get("kind")))
    config = _convert(raw, kind.Model.Config, folder)
    tensors, _ = load_tensors(folder / "model.safetensors")
    try:
        backbone = restore_backbones(config.backbone, _part(tensors, "backbone."), precision)
        model = kind.Model.build(config, backbone, folder)
        model.network.load_state_dict(_part(tensors, "network."))
    except WeightsError as error:
        raise ModelError(error.what, hint=error.hint) from error
    except (RuntimeError, KeyError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise ModelError(f"{folder} does not fit together: {reason}", hint=CHANGED) from error
    _check(folder, config.checksums, _checksums(model))
    return model.to(device or torch.device("cpu"))


def find_model(run: Path) -> Path:
    """Return the model folder of a run, or the folder itself where it is one.

    Raises:
        ModelError: There is no finished model.
    """
    for folder in (run / "model", run):
        if (folder / "model.safetensors").is_file() and (folder / "config.json").is_file():
            return folder
    if (run / "checkpoints").is_dir():
        raise ModelError(
            f"The training in {run} is not finished.",
            hint="Repeat its command with --resume; it goes on from the last checkpoint.",
        )
    near = [
        found.parents[1] for place in (run, run.parent) for found in sorted(place.glob("*/model/config.json"))
    ]
    if near:
        names = few([str(found) for found in near], 5)
        raise ModelError(f"There is no model in {run}.", hint=f"There is one in {names}.")
    raise ModelError(
        f"There is no model in {run}.",
        hint="Give the folder that --out named in training.",
        run="showtell train-captioner DATA --out RUN",
    )


def _read_config(folder: Path) -> JsonObject:
    path = folder / "config.json"
    try:
        raw = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}.") from error
    if not isinstance(raw, dict):
        raise ModelError(f"{path} is not a model's config: it holds no object.")
    if isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
        raise ModelError(
            f"{path} has format {raw['format']}; this showtell reads up to {FORMAT}.",
            run="pip install --upgrade showtell",
        )
    return raw


def _convert(raw: JsonObject, kind: type[ModelConfig], folder: Path) -> ModelConfig:
    try:
        return msgspec.convert(raw, kind)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise ModelError(f"{folder / 'config.json'} is not a model's config: {error}.") from error


def _checksums(model: Model[Any]) -> dict[str, str]:
    """Return the SHA-256 of each part that must fit the others; the backbone's is in its description."""
    texts = {
        name: hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()  # JSON escapes may hold halves
        for name, text in model.identity().items()
    }
    return {"network": state_hash(model.network.state_dict()), **texts}


def _check(folder: Path, saved: dict[str, str], found: dict[str, str]) -> None:
    for part, checksum in saved.items():
        if found.get(part) != checksum:
            raise ModelError(
                f"The {part} of {folder} has the SHA-256 {str(found.get(part))[:12]}; "
                f"{checksum[:12]} was saved.",
                hint=CHANGED,
            )


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
