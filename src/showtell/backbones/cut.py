"""A backbone cut below its trained layers: what is below is run once an image, what is above at each step."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone, spec_in_memory
from showtell.backbones.grids import Grid
from showtell.backbones.layers import Layer
from showtell.errors import ConfigError

_IMAGES = 2
"""Images of noise that tell whether a cut separates."""


@dataclass(frozen=True)
class Cut:
    """Where a network is cut: everything above follows from the input of one module.

    Attributes:
        module: Path of the lowest module above the cut.
        shape: Of its input, without the batch.
        below: Shapes of what the modules below return, by path, with the rows an image takes first. Modules
            within one of them are left out.
    """

    module: str
    shape: tuple[int, ...]
    below: Mapping[str, tuple[int, ...]]

    @property
    def grid(self) -> Grid:
        """How a :class:`LowerBackbone` gives that input: L values of each of D channels."""
        return Grid(math.prod(self.shape[1:]), 1, self.shape[0])


@dataclass
class _Call:
    """What is known of a module after a run of the network."""

    began: int
    ended: int
    calls: int
    inputs: tuple[Any, ...]
    output: Any = None


class _ReachedError(Exception):
    """The run has come to the cut."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = values


def cut_below(backbone: Backbone, layers: Sequence[Layer]) -> Cut:
    """Return the highest cut that has all of some layers above it.

    A layer within a block cannot be cut off where the block's input goes around it, so each candidate is
    tried: noise must give the same features through the cut as through the whole network.

    Args:
        backbone: The network.
        layers: What is trained, the lowest first.

    Raises:
        ConfigError: No single module's input determines all that is above.
    """
    size = backbone.preprocessing
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (_IMAGES, 3, size.height, size.width), dtype=torch.uint8, generator=noise)
    with torch.no_grad():
        calls, expected = _trace(backbone, pixels)
        for name, call in sorted(calls.items(), key=lambda item: -item[1].began):
            values = call.inputs[0] if call.inputs else None
            if call.began > calls[layers[0].name].began or call.calls > 1:
                continue
            if not isinstance(values, Tensor) or len(values) != _IMAGES:
                continue
            cut = Cut(name, tuple(values.shape[1:]), _below(calls, call.began))
            if _separates(backbone, cut, values, expected):
                return cut
    raise ConfigError(
        f"{backbone.description.architecture} cannot be fine-tuned from {layers[0].name} up: what is below "
        "reaches the top by more than one way.",
        hint="Name a lower layer.",
    )


def _trace(backbone: Backbone, pixels: Tensor) -> tuple[dict[str, _Call], Tensor]:
    """Run the network once; return what became of each module, and the features."""
    calls: dict[str, _Call] = {}
    clock = iter(range(1 << 62))

    def begin(name: str, inputs: tuple[Any, ...]) -> None:
        # A copy, since a module may write over its input.
        kept = tuple(one.clone() if isinstance(one, Tensor) else one for one in inputs[:1])
        calls.setdefault(name, _Call(next(clock), 0, 0, kept)).calls += 1

    def end(name: str, output: Any) -> None:
        calls[name].ended, calls[name].output = next(clock), output

    hooks = []
    for name, module in backbone.network.named_modules():
        if name:
            hooks.append(module.register_forward_pre_hook(lambda _, inputs, name=name: begin(name, inputs)))
            hooks.append(module.register_forward_hook(lambda _, __, output, name=name: end(name, output)))
    try:
        features = backbone.features(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return calls, features


def _below(calls: Mapping[str, _Call], moment: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the outermost modules that are finished at a moment."""
    finished = {
        name: (len(call.output) // _IMAGES, *call.output.shape[1:])
        for name, call in calls.items()
        if call.ended < moment and isinstance(call.output, Tensor) and call.output.dim()
    }
    return {
        name: shape
        for name, shape in finished.items()
        if not any(name.startswith(f"{other}.") for other in finished)
    }


def _separates(backbone: Backbone, cut: Cut, values: Tensor, expected: Tensor) -> bool:
    try:
        found = run_above(backbone, cut, values.clone())
    except (
        RuntimeError,
        ValueError,
        AssertionError,
        TypeError,
    ):  # the parts do not fit without what is below
        return False
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-3, atol=1e-5)


def run_above(backbone: Backbone, cut: Cut, values: Tensor) -> Tensor:
    """Run what is above a cut, with gradients where they are on.

    Args:
        backbone: The network; one thread at a time may run it in this way.
        cut: Where.
        values: What comes from below, (B, *cut.shape); it may be overwritten.

    Returns:
        What :meth:`Backbone.features` returns of the images.
    """
    size = backbone.preprocessing
    blank = values.new_zeros(()).expand(len(values), 3, size.height, size.width)
    with _stand_ins(backbone.network, cut, values):
        features: Tensor = backbone.network.forward_features(blank)
    return features


@contextmanager
def _stand_ins(network: nn.Module, cut: Cut, values: Tensor) -> Iterator[None]:
    """Let all modules below the cut return zeros of the right shape, which nothing above depends on."""
    nothing, changed = values.new_zeros(()), []
    hook = network.get_submodule(cut.module).register_forward_pre_hook(
        lambda _, inputs: (values, *inputs[1:])
    )
    try:
        for name, (rows, *shape) in cut.below.items():
            module = network.get_submodule(name)
            module.forward = _returning(nothing.expand(rows * len(values), *shape))
            changed.append(module)
        yield
    finally:
        hook.remove()
        for module in changed:
            del module.forward


def _returning(value: Tensor) -> Callable[..., Tensor]:
    return lambda *_, **__: value


class LowerBackbone(Backbone):
    """What is below a cut, as a backbone whose features the store keeps: L values of each of D channels.

    Args:
        backbone: The whole network, which stays as it is.
        cut: Where it is cut.
    """

    def __init__(self, backbone: Backbone, cut: Cut) -> None:
        network = copy.deepcopy(backbone.network)
        network.get_submodule(cut.module).register_forward_pre_hook(_stop)
        spec = spec_in_memory(backbone.description, engine="torch")
        super().__init__(network, backbone.preprocessing, spec)
        self.description = replace(self.description, layer=f"input of {cut.module}")

    def _encode(self, pixels: Tensor) -> tuple[Tensor, tuple[int, int], Tensor]:
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                self.features(pixels)
        except _ReachedError as reached:
            grid = reached.values.float().flatten(2).transpose(1, 2)
            return grid, (grid.shape[1], 1), grid.mean(1)
        raise AssertionError("a cut is on the way to the features")


def from_store(grid: Tensor, cut: Cut) -> Tensor:
    """Bring what a :class:`LowerBackbone` encoded, (B, L, D), into the shape of the cut, float32."""
    values = grid.float().transpose(1, 2).reshape(len(grid), *cut.shape)
    return values.contiguous(memory_format=torch.channels_last) if values.dim() == 4 else values


def _stop(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    raise _ReachedError(inputs[0])
