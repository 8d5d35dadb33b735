"""Several backbones as one: each encodes an image in its own way, and their features are joined.

Letters: B images, L grid cells and D channels of the joint grid.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone
from showtell.backbones.description import BackboneDescription, Precision
from showtell.backbones.grids import Grid, blocks, joint_shape, map_size
from showtell.backbones.weights import restore_backbone
from showtell.data.images import Preprocessing, Source, load_pixels, read_content
from showtell.errors import ConfigError


class JointBackbone(Backbone):
    """Several backbones that encode the same images; whoever takes a backbone takes it, too.

    Its pixels are those of one network where all take the same ones; else (3, P): the pixels of every input,
    row by row, one input after another.

    Args:
        parts: The backbones, at least two. The order is that of their features.

    Raises:
        ConfigError: Two of them are the same, or they see different parts of an image.
    """

    def __init__(self, parts: Sequence[Backbone]) -> None:
        nn.Module.__init__(self)
        self._parts = nn.ModuleList(parts)
        # Past PyTorch's registry: a checkpoint would hold every weight twice.
        self.__dict__["network"] = nn.ModuleList([part.network for part in parts])
        self.preprocessing, self.precision = parts[0].preprocessing, parts[0].precision
        self.description = join_descriptions([part.description for part in parts])
        inputs = [_input_of(part.preprocessing) for part in parts]
        self.inputs = tuple(dict.fromkeys(inputs))
        self._input_numbers = [self.inputs.index(one) for one in inputs]

    @property
    def parts(self) -> tuple[Backbone, ...]:
        """Return the backbones in their order."""
        return tuple(part for part in self._parts if isinstance(part, Backbone))

    def made_of(self, parts: Sequence[Backbone]) -> Backbone:
        """Join other backbones; return itself where they are its own."""
        return self if tuple(parts) == self.parts else JointBackbone(parts)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.parts[0].device

    @torch.inference_mode()
    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images as :meth:`Backbone.forward` does: (B, L, D), (B, pooled_dim)."""
        found = [part(own) for part, own in zip(self.parts, self.split(pixels))]
        dtype = getattr(torch, self.description.dtype)
        return self.join_grids([grid for grid, _ in found]), self.join([one for _, one in found]).to(dtype)

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images in float32, as :meth:`Backbone.encode` does."""
        found = [part.encode(own) for part, own in zip(self.parts, self.split(pixels))]
        return self.join_grids([grid for grid, _ in found]), self.join([one for _, one in found])

    def for_inference(self) -> Backbone:
        """Return what a model trained on its features encodes with; itself where torch runs every part."""
        return self.made_of([part.for_inference() for part in self.parts])

    def with_crops(self, crops: int) -> Backbone:
        """Return the same networks with several crops of an image each; see :meth:`Backbone.with_crops`."""
        return self.made_of([part.with_crops(crops) for part in self.parts])

    def pixels(self, source: Source) -> Tensor:
        """Read an image once for each different input.

        Raises:
            ImageError: It cannot be read.
        """
        if len(self.inputs) == 1:
            return load_pixels(source, self.preprocessing)
        if not isinstance(source, Path | bytes | Image):  # an open file, which can be read only once
            source = read_content(source)
        return torch.cat([load_pixels(source, one).flatten(1) for one in self.inputs], 1)

    def split(self, pixels: Tensor) -> list[Tensor]:
        """Return the pixels (B, 3, height, width) of each of the parts."""
        if len(self.inputs) == 1:
            return [pixels for _ in self._input_numbers]
        found = pixels.split([one.height * one.width for one in self.inputs], -1)
        images = [one.unflatten(-1, (size.height, size.width)) for one, size in zip(found, self.inputs)]
        return [images[number] for number in self._input_numbers]

    def join(self, pooled: Sequence[Tensor]) -> Tensor:
        """Join pooled vectors (B, D of a part) of all parts, any float dtype: (B, pooled_dim), float32."""
        return join_pooled(pooled)

    def join_grids(self, grids: Sequence[Tensor]) -> Tensor:
        """Join grids (B, cells, channels) of all parts to (B, L, D)."""
        return join_grids(grids, self.description.grids)


def join_grids(parts: Sequence[Tensor], grids: Sequence[Grid]) -> Tensor:
    """Join grids (B, cells, channels) of several networks to (B, L, D), as ``grids.blocks`` says."""
    cells, channels = joint_shape(grids)
    if all(part.shape[1] == cells for part in parts):
        return torch.cat(list(parts), -1)
    placed = [F.pad(part, (own.start, channels - own.stop)) for part, (_, own) in zip(parts, blocks(grids))]
    return torch.cat(placed, 1)


def join_pooled(parts: Sequence[Tensor]) -> Tensor:
    """Join pooled vectors (B, D of a part), any float dtype, of several networks: float32.

    Each is brought to length 1 first: one network's may be ten times as long as another's, and would alone
    say what is alike by cosine.
    """
    return torch.cat([F.normalize(part.float(), dim=1) for part in parts], 1)


def join_descriptions(parts: Sequence[BackboneDescription]) -> BackboneDescription:
    """Describe several backbones as one.

    Raises:
        ConfigError: Two of them are the same, or they see different parts of an image.
    """
    stored = [one.for_store() for one in parts]
    for number, one in enumerate(parts):
        if stored[number] in stored[:number]:
            raise ConfigError(
                f"{one.architecture} is named twice, with the same weights.",
                hint="Expected several different networks.",
            )
    seen = {(one.preprocessing.fit, one.preprocessing.crop_pct) for one in parts}
    if len(seen) > 1:
        shares = ", ".join(f"{one.architecture} {one.preprocessing.crop_pct:g}" for one in parts)
        raise ConfigError(
            f"The networks crop images differently (share of the shorter side: {shares}).",
            hint="--resize stretch shows all of them the whole image.",
        )
    grids = [one.grids[0] for one in parts]
    return replace(
        parts[0],
        architecture=" + ".join(one.architecture for one in parts),
        model_args={},
        weights=hashlib.sha256("".join(one.weights for one in parts).encode()).hexdigest(),
        weights_source="; ".join(one.weights_source for one in parts),
        grid_shape=joint_shape(grids),
        grid_size=map_size(grids),
        pooled_dim=sum(one.pooled_dim for one in parts),
        parts=tuple(parts),
    )


def restore_backbones(
    description: BackboneDescription, state: dict[str, Tensor], precision: Precision | None = None
) -> Backbone:
    """Rebuild the backbone of a model, or its several ones, as ``weights.restore_backbone`` does.

    Args:
        description: Of the backbone as it was in training.
        state: Of its network.
        precision: Of its arithmetic; None for that of the description.

    Raises:
        WeightsError: The state of one of them is not the one described.
        ConfigError: torch has no such precision.
    """
    if not description.parts:
        return restore_backbone(description, state, precision)
    states: list[dict[str, Tensor]] = [{} for _ in description.parts]
    for name, value in state.items():
        number, _, own = name.partition(".")
        states[int(number)][own] = value
    return JointBackbone(
        [restore_backbone(one, own, precision) for one, own in zip(description.parts, states)]
    )


def _input_of(preprocessing: Preprocessing) -> Preprocessing:
    """Return what makes the pixels of a network, apart from its normalisation, which is inside it."""
    return replace(preprocessing, mean=(0, 0, 0), std=(1, 1, 1))
