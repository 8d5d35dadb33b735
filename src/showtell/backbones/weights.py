"""Build a backbone from weights: timm's local format, a file, what this machine has, or seeded noise."""

import contextlib
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone, preprocessing_of, spec_in_memory, state_hash
from showtell.backbones.description import (
    BackboneDescription,
    BackboneSpec,
    EngineChoice,
    Precision,
    choose_engine,
)
from showtell.backbones.known import check_arguments, check_name
from showtell.backbones.local_format import read_local_format
from showtell.backbones.sources import DEFAULT_BACKBONE, find_weights
from showtell.console import Console, Log
from showtell.data.images import Fit, Preprocessing
from showtell.errors import ConfigError, WeightsError
from showtell.runtime import computing_by, quiet

RANDOM = "random"


def load_backbone(
    name: str | None = None,
    weights: str | None = None,
    *,
    image_size: int | None = None,
    fit: Fit = "stretch",
    seed: int = 0,
    precision: Precision = "float32",
    engine: EngineChoice = "torch",
    console: Console | None = None,
) -> Backbone:
    """Build a timm network with its pretrained weights.

    Args:
        name: timm's name of it; None takes the name from a folder of weights, else the default of
            ``sources.weights_at_hand``.
        weights: None for what ``sources.find_weights`` finds; a folder in timm's local format; a
            ``.safetensors`` or ``.pth`` file; or ``random``.
        image_size: Side of the input, pixels; None for the network's own.
        fit: What to do with images that are not square.
        seed: Of random weights.
        precision: Of its arithmetic.
        engine: What runs it to fill the store; ``auto`` leaves that to who fills it.
        console: Told which weights were found, and before anything is downloaded; None for the log of
            ``showtell``.

    Raises:
        WeightsError: They are missing, damaged, or of another network.
        ConfigError: timm knows no such network, or the engine has no such precision.
    """
    used = choose_engine(engine, precision)
    spec = replace(_find_spec(name, weights, seed, console), image_size=image_size, fit=fit)
    any_engine = engine == "auto" and precision == "float32"
    return build(replace(_sized(spec), precision=precision, engine=used, any_engine=any_engine))


def input_of(
    name: str | None, weights: str | None, *, image_size: int | None, fit: Fit
) -> tuple[Preprocessing, str]:
    """Return how images become a network's input, and the network's name; no weight is made or read.

    Raises:
        WeightsError: There are no weights of that name.
        ConfigError: timm knows no such network, or it does not take that size.
    """
    spec = _sized(replace(_find_spec(name, weights or RANDOM, 0, None), image_size=image_size, fit=fit))
    with torch.device("meta"), _explained(spec.architecture, None):
        network = timm.create_model(
            spec.architecture,
            pretrained_cfg=None if spec.pretrained_cfg is None else dict(spec.pretrained_cfg),
            **spec.model_args,
        )
    return preprocessing_of(network, image_size=spec.image_size, fit=spec.fit), spec.architecture


def _sized(spec: BackboneSpec) -> BackboneSpec:
    """Tell a network whose input has a fixed size which size that is."""
    if spec.image_size is None or not _has_fixed_size(spec):
        return spec
    return replace(spec, model_args={**spec.model_args, "img_size": spec.image_size})


def _find_spec(name: str | None, weights: str | None, seed: int, console: Console | None) -> BackboneSpec:
    """Find the network and the weights that are meant."""
    if name is not None:
        check_name(name)
    if weights == RANDOM:
        return BackboneSpec(name or DEFAULT_BACKBONE, f"random, seed {seed}", seed=seed)
    if weights is None:
        console = console or Log()
        found = find_weights(name, console)
        console.say(f"Backbone {found.architecture}, weights from the {found.source}")
        return BackboneSpec(found.architecture, found.source, found.file)
    path = Path(weights)
    if path.is_dir():
        return read_local_format(path, name)
    if path.is_file():
        return BackboneSpec(name or DEFAULT_BACKBONE, f"file {path.name}", path)
    raise WeightsError(
        f"There are no weights at {path}.",
        hint="--weights takes a folder in timm's local format, a .safetensors or .pth file, or random.",
    )


def build(spec: BackboneSpec) -> Backbone:
    """Build a backbone, here or on a worker; its weights are hashed once.

    Args:
        spec: As a backbone that was built from it carries it.

    Returns:
        The backbone, on the processor; its own spec knows the hash of the weights.

    Raises:
        WeightsError: They are missing, damaged, of another network, in another process's memory, or not
            those of the spec's hash.
        ConfigError: timm knows no such network.
    """
    if spec.in_memory:
        raise WeightsError(f"The weights of {spec.architecture} are in the memory of another process.")
    network = _build_network(spec)
    found = state_hash(network.state_dict())
    if spec.weights_hash not in (None, found):
        raise WeightsError(
            f"The weights of {spec.architecture} from the {spec.weights_source} are {found[:12]}; expected "
            f"{str(spec.weights_hash)[:12]}.",
            hint="The file is another one here, or was changed; take an unchanged copy.",
        )
    preprocessing = preprocessing_of(network, image_size=spec.image_size, fit=spec.fit)
    return Backbone(network, preprocessing, replace(spec, weights_hash=found))


def restore_backbone(
    description: BackboneDescription, state: dict[str, Tensor], precision: Precision | None = None
) -> Backbone:
    """Rebuild a backbone from a model's description and state, without looking for weights elsewhere.

    Args:
        description: Of the backbone as it was in training.
        state: Of its network.
        precision: Of its arithmetic; None for that of the description.

    Returns:
        The backbone, run by torch; in float32, any engine may fill the store for it.

    Raises:
        WeightsError: The state is not the one described.
        ConfigError: torch has no such precision.
    """
    used = precision or description.precision
    choose_engine("torch", used)
    network = _described_network(description.architecture, description.model_args)
    network.load_state_dict(state)
    found = state_hash(network.state_dict())
    if found != description.weights:
        raise WeightsError(
            f"The model's backbone has the weights {found[:12]}; its features were made with "
            f"{description.weights[:12]}.",
            hint="The model folder was changed after training; take an unchanged copy.",
        )
    spec = spec_in_memory(description, precision=used, any_engine=used == "float32")
    return Backbone(network, description.preprocessing, spec)


def _described_network(name: str, model_args: Mapping[str, Any]) -> nn.Module:
    """Build the network that a model folder describes; a name with a scheme would have timm ask a hub."""
    problem = "there is no such network"
    if timm.is_model(name):
        check_arguments(name, model_args)
        try:
            with quiet("timm"):
                network: nn.Module = timm.create_model(name, **model_args)
            return network
        except Exception as error:  # each network says in its own way what it does not take
            problem = f"{type(error).__name__}, {' '.join(str(error).split())[:200]}"
    raise WeightsError(
        f"timm {timm.__version__} does not build the model's backbone {name[:100]!r}: {problem}.",
        hint="The model folder was changed after training, or made with another version of timm.",
    )


def _build_network(spec: BackboneSpec) -> nn.Module:
    file = spec.weights_file
    with torch.random.fork_rng(devices=[]), _explained(spec.architecture, file):
        torch.manual_seed(spec.seed)
        network = timm.create_model(
            spec.architecture,
            pretrained=file is not None,
            pretrained_cfg=None if spec.pretrained_cfg is None else dict(spec.pretrained_cfg),
            pretrained_cfg_overlay={"file": str(file)} if file is not None else None,
            **spec.model_args,
        )
        if file is None:
            _settle_batch_norm(network, spec.model_args.get("img_size"))
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
    # Sums depend on how many threads share them, and one seed shall give one network.
    with torch.no_grad(), computing_by(1):
        network.train()(torch.randn(4, 3, height, width))


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
                f"{name} cannot be built so: {reason}", hint="Leave image_size out, if you gave one."
            ) from error
        # timm's own error, or pickle's
        if "weights_only" in reason or isinstance(error, pickle.UnpicklingError):
            raise WeightsError(
                f"{file} is damaged, or holds more than tensors; it is not opened, as it could run code.",
                hint="Save its state_dict alone, best as safetensors.",
            ) from error
        raise WeightsError(
            f"{file} does not hold weights of {name}: {reason}",
            hint="Give --backbone the network they were made for, or other weights.",
        ) from error


def _has_fixed_size(spec: BackboneSpec) -> bool:
    if spec.pretrained_cfg is not None and "fixed_input_size" in spec.pretrained_cfg:
        return bool(spec.pretrained_cfg["fixed_input_size"])
    config = timm.get_pretrained_cfg(spec.architecture, allow_unregistered=True)
    return bool(config is not None and config.fixed_input_size)
