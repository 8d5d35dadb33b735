"""Build a backbone from weights: timm's local format, a file, what this machine has, or seeded noise."""

import contextlib
import difflib
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from timm.models import PretrainedCfg
from torch import Tensor, nn

from showtell.backbones.backbone import (
    ENGINES,
    Backbone,
    BackboneDescription,
    preprocessing_of,
    state_hash,
)
from showtell.backbones.sources import DEFAULT_BACKBONE, find_weights
from showtell.console import Console, Log
from showtell.data.images import Fit
from showtell.errors import ConfigError, WeightsError
from showtell.runtime import quiet
from showtell.settings import Engine, Precision, check_engine

RANDOM = "random"


def load_backbone(
    name: str | None = None,
    weights: str | None = None,
    *,
    image_size: int | None = None,
    fit: Fit = "stretch",
    seed: int = 0,
    precision: Precision = "float32",
    engine: Engine = "torch",
    console: Console | None = None,
) -> Backbone:
    """Build a timm network with its pretrained weights.

    Args:
        name: timm's name of it; None takes the name from a folder of weights, else the default of
            ``sources.weights_at_hand``.
        weights: None for what ``sources.find_weights`` finds; a folder in timm's local format; a
            ``.safetensors`` or ``.pth`` file; or ``random``.
        image_size: Side of the input, pixels; None for the network's own.
        fit: What to do with pictures that are not square.
        seed: Of random weights.
        precision: Of its arithmetic.
        engine: What runs it to fill the store.
        console: Told which weights were found, and before anything is downloaded; None for the log of
            ``showtell``.

    Raises:
        WeightsError: They are missing, damaged, or of another network.
        ConfigError: timm knows no such network.
    """
    if name is not None:
        _check_name(name)
    if weights is not None and weights != RANDOM and Path(weights).is_dir():
        name, model_args, own = _read_local_format(Path(weights), name)
        source, file = f"folder {Path(weights).name}", _weights_file(Path(weights))
    else:
        model_args, own = {}, None
        if weights == RANDOM:
            name, source, file = name or DEFAULT_BACKBONE, f"random, seed {seed}", None
        elif weights is not None:
            name, file = name or DEFAULT_BACKBONE, _existing(Path(weights))
            source = f"file {file.name}"
        else:
            name, source, file = _found(name, console)
    if image_size is not None and _has_fixed_size(name, own):
        model_args = model_args | {"img_size": image_size}
    network = _build(name, model_args, own, file, seed)
    return Backbone(
        network,
        preprocessing_of(network, image_size=image_size, fit=fit),
        architecture=name,
        model_args=model_args,
        weights_source=source,
        precision=precision,
        engine=ENGINES[engine],
    )


def restore_backbone(
    description: BackboneDescription, state: dict[str, Tensor], precision: Precision | None = None
) -> Backbone:
    """Rebuild a backbone from a model's description and state, without looking for weights elsewhere.

    Args:
        description: Of the backbone as it was in training.
        state: Of its network.
        precision: Of its arithmetic; None for that of the description.

    Raises:
        WeightsError: The state is not the one described.
        ConfigError: torch has no such precision.
    """
    if precision is not None:
        check_engine("torch", precision)
    network = timm.create_model(description.architecture, **description.model_args)
    network.load_state_dict(state)
    found = state_hash(network.state_dict())
    if found != description.weights:
        raise WeightsError(
            f"The model's backbone has the weights {found[:12]}; its features were made with "
            f"{description.weights[:12]}.",
            would_do="The model folder was changed after training; take an unchanged copy.",
        )
    return Backbone(
        network,
        description.preprocessing,
        architecture=description.architecture,
        model_args=description.model_args,
        weights_source=description.weights_source,
        weights_hash=found,
        precision=precision or description.precision,
        engine=description.engine,
    )


def _found(name: str | None, console: Console | None) -> tuple[str, str, Path]:
    console = console or Log()
    found = find_weights(name, console)
    console.say(f"Backbone {found.architecture}, weights from the {found.source}")
    return found.architecture, found.source, found.file


def _build(
    name: str, model_args: dict[str, Any], own: dict[str, Any] | None, file: Path | None, seed: int
) -> nn.Module:
    with torch.random.fork_rng(devices=[]), _explained(name, file):
        torch.manual_seed(seed)
        network = timm.create_model(
            name,
            pretrained=file is not None,
            pretrained_cfg=own,
            pretrained_cfg_overlay={"file": str(file)} if file is not None else None,
            **model_args,
        )
        if file is None:
            _settle_batch_norm(network, model_args.get("img_size"))
        return network


def _settle_batch_norm(network: nn.Module, image_size: int | None) -> None:
    """Give a random network batch statistics of noise, without which deep ones leave float16's range."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    height, width = timm.data.resolve_data_config(model=network)["input_size"][1:]
    if image_size is not None:
        height = width = image_size
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(4, 3, height, width))


def _check_name(name: str) -> None:
    """Refuse what is no network of timm; a name with a scheme would have timm contact a hub.

    Raises:
        ConfigError: timm knows no such network; the message names similar ones.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 5) or timm.list_models(f"*{name}*")[:5]
        raise ConfigError(
            f"timm {timm.__version__} knows no network {name!r}.",
            would_do=f"Similar names: {', '.join(near)}."
            if near
            else "timm.list_models() names all of them.",
        )
    tags = timm.list_pretrained(f"{name.split('.')[0]}.*")
    if "." in name and name not in tags:
        raise ConfigError(
            f"timm {timm.__version__} knows no weights {name!r}.",
            would_do=f"It knows {', '.join(tags[:8])}." if tags else f"Call it {name.split('.')[0]}.",
        )


@contextlib.contextmanager
def _explained(name: str, file: Path | None) -> Iterator[None]:
    try:
        with quiet("timm"):
            yield
    except (SafetensorError, OSError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"{file or name} cannot be read as weights: {error}.") from error
    except (RuntimeError, TypeError, AssertionError, pickle.UnpicklingError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])[:200]
        if file is None:
            raise ConfigError(
                f"{name} cannot be built so: {reason}", would_do="Leave --image-size out, if you gave one."
            ) from error
        # timm's own error, or pickle's
        if "weights_only" in reason or isinstance(error, pickle.UnpicklingError):
            raise WeightsError(
                f"{file} is damaged, or holds more than tensors; it is not opened, as it could run code.",
                would_do="Save its state_dict alone, best as safetensors.",
            ) from error
        raise WeightsError(
            f"{file} does not hold weights of {name}: {reason}",
            would_do="Give --backbone the network they were made for, or other weights.",
        ) from error


def _read_local_format(folder: Path, name: str | None) -> tuple[str, dict[str, Any], dict[str, Any]]:
    path = folder / "config.json"
    if not path.is_file():
        raise WeightsError(
            f"{folder} holds no weights of a network.",
            would_do="In timm's local format there is a config.json beside model.safetensors.",
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        architecture = str(config["architecture"])
        pretrained_cfg, model_args = (
            dict(config.get("pretrained_cfg") or {}),
            dict(config.get("model_args") or {}),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} cannot be read: {error!r}.",
            would_do="A folder of weights holds config.json (with architecture) beside model.safetensors.",
        ) from error
    _check_name(architecture)
    if name is not None and name.split(".")[0] != architecture.split(".")[0]:
        raise WeightsError(
            f"{folder} holds weights of {architecture}, not of {name}.",
            would_do="Leave --backbone out; the folder names its network.",
        )
    stated = {"num_classes": config.get("num_classes", 1000)} | pretrained_cfg
    # The folder's own description stands alone: timm's of the same architecture may speak of other sizes.
    own = {key: value for key, value in stated.items() if key in PretrainedCfg.__dataclass_fields__}
    model_args.setdefault("num_classes", config.get("num_classes", 1000))
    return architecture, model_args, own


def _weights_file(folder: Path) -> Path:
    for candidate in ("model.safetensors", "pytorch_model.bin"):
        if (folder / candidate).is_file():
            return folder / candidate
    raise WeightsError(f"{folder} holds no model.safetensors.")


def _existing(path: Path) -> Path:
    if path.is_file():
        return path
    raise WeightsError(
        f"There are no weights at {path}.",
        would_do="--weights takes a folder in timm's local format, a .safetensors or .pth file, or random.",
    )


def _has_fixed_size(name: str, own: dict[str, Any] | None) -> bool:
    if own is not None and "fixed_input_size" in own:
        return bool(own["fixed_input_size"])
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return bool(config is not None and config.fixed_input_size)
