"""Which layers of a backbone are trained: in the order in which they run, by name, stage, number or share."""

import math
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from showtell.backbones.backbone import Backbone
from showtell.errors import ConfigError

_SHOWN = 12


@dataclass(frozen=True)
class Layer:
    """A module of a backbone that has weights of its own.

    Attributes:
        name: Its path in the network.
        number: Operations that run before it, the input counted as one: what Keras calls the layer's index,
            for networks that are built alike (inputs, convolutions, norms, activations, paddings, additions).
    """

    name: str
    number: int


class _Counter(TorchDispatchMode):
    """Counts operations that turn values into new values; reshaping and allocating do not."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 1  # the input

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        views = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        self.count += not views and any(isinstance(argument, torch.Tensor) for argument in args)
        return func(*args, **(kwargs or {}))


def layers_of(backbone: Backbone) -> list[Layer]:
    """Return a backbone's layers in the order in which they run; those that do not run are left out."""
    size = backbone.preprocessing
    pixels = torch.zeros(1, 3, size.height, size.width, device=backbone.device)
    found: dict[str, Layer] = {}
    counter = _Counter()

    def note(name: str) -> None:
        found.setdefault(name, Layer(name, counter.count))

    hooks = [
        module.register_forward_pre_hook(lambda module, inputs, name=name: note(name))
        for name, module in backbone.network.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    ]
    try:
        with torch.no_grad(), counter:
            backbone.network.forward_head(backbone.network.forward_features(pixels), pre_logits=True)
    finally:
        for hook in hooks:
            hook.remove()
    return sorted(found.values(), key=lambda layer: layer.number)


def layers_from(backbone: Backbone, start: str) -> list[Layer]:
    """Return the layers from a place to the top, in the order in which they run.

    Args:
        backbone: One network.
        start: A whole number as in Keras (100: the first 100 stay frozen), a share of the layers (0.3), a
            stage by timm's count (stage5), or a name (blocks.5).

    Raises:
        ConfigError: There is no such place, or nothing above it.
    """
    layers = layers_of(backbone)
    if start.isascii() and start.isdigit():
        chosen = [layer for layer in layers if layer.number >= int(start)]
        range_of = f"Numbers go up to {layers[-1].number}"
    elif re.fullmatch(r"[01]?\.\d+", start):
        fraction = float(start)
        chosen = layers[-math.ceil(fraction * len(layers)) :] if 0 < fraction <= 1 else []
        range_of = "Shares go from above 0 to 1.0"
    else:
        chosen, range_of = _named(backbone.network, layers, start)
    if not chosen:
        raise ConfigError(
            f"--fine-tune {start} names no layer of {backbone.description.architecture}.",
            hint=f"{range_of}; expected a number, a share such as 0.3, a stage or a name.",
        )
    return chosen


def _named(network: nn.Module, layers: list[Layer], start: str) -> tuple[list[Layer], str]:
    stages = [str(entry["module"]) for entry in getattr(network, "feature_info", ())]
    stage = re.fullmatch(r"stage[ _.:]?(\d+)", start)
    if stage and 1 <= int(stage[1]) <= len(stages):
        below = [_last(layers, name) for name in stages[: int(stage[1]) - 1]]
        return layers[max(below, default=-1) + 1 :], ""
    first = next((i for i, layer in enumerate(layers) if _within(layer.name, start)), None)
    blocks = dict.fromkeys(".".join(layer.name.split(".")[:2]) for layer in layers)
    names = ", ".join([*list(blocks)[-_SHOWN:], *(f"stage{i + 1}" for i in range(len(stages)))])
    return (layers[first:] if first is not None else []), f"Names are {names}"


def _last(layers: list[Layer], name: str) -> int:
    return max((i for i, layer in enumerate(layers) if _within(layer.name, name)), default=-1)


def _within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")
