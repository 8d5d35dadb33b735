"""A frozen timm network as an encoder: uint8 pixels in, a grid and a pooled vector of features out.

Letters: B images, L grid cells, D channels.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from showtell.backbones.crops import MultiCrop
from showtell.backbones.description import BackboneDescription, BackboneSpec, EngineName, Precision
from showtell.data.images import Fit, Preprocessing, Source, load_pixels
from showtell.errors import ConfigError, ModelError, WeightsError


class Backbone(nn.Module):
    """A pretrained network with its preprocessing. Get one from ``weights.load_backbone``.

    Several of them may be one: see :class:`showtell.backbones.joint.JointBackbone`.

    Args:
        network: A timm network, whatever its family.
        preprocessing: How images become its input.
        spec: What it is. Its precision is that of encoding; gradients are always those of float32. Its engine
            fills the store; called itself, the backbone is run by torch, which has no int8: see
            :meth:`for_inference`.

    Raises:
        ConfigError: The network cannot take images of that size.
        ModelError: Its features are not a grid.
    """

    pixel_mean: Tensor
    pixel_scale: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, spec: BackboneSpec) -> None:
        super().__init__()
        # timm's networks share methods that no common type of theirs declares.
        self.network: Any = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.preprocessing = preprocessing
        self.inputs: tuple[Preprocessing, ...] = (preprocessing,)  # the different ones of its networks
        self.precision, self.spec = spec.precision, spec
        self.crops: MultiCrop | None = None  # until the size of the grid is known
        mean, std = (torch.tensor(v).view(3, 1, 1) * 255 for v in (preprocessing.mean, preprocessing.std))
        device = next(network.parameters()).device
        self.register_buffer("pixel_mean", mean.to(device), persistent=False)
        self.register_buffer("pixel_scale", (1 / std).to(device), persistent=False)
        pixels = torch.zeros(1, 3, preprocessing.height, preprocessing.width, dtype=torch.uint8)
        try:
            with torch.inference_mode():
                grid, size, pooled = self._encode(pixels)
        # Each network says in its own way that an image is too small for it.
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ConfigError(
                f"{spec.architecture} cannot encode {preprocessing.width}x{preprocessing.height} pixels: "
                f"{str(error).splitlines()[0] if str(error) else type(error).__name__}.",
                hint="Give another image_size, or leave it out for the network's own.",
            ) from error
        if spec.crops > 1:
            self.crops = MultiCrop(spec.crops, size).to(device)
        self.description = BackboneDescription(
            architecture=spec.architecture,
            model_args=dict(spec.model_args),
            weights=spec.weights_hash or state_hash(network.state_dict()),
            weights_source=spec.weights_source,
            preprocessing=preprocessing,
            grid_shape=(grid.shape[1], grid.shape[2]),
            grid_size=size,
            pooled_dim=pooled.shape[1],
            engine=spec.engine,
            precision=spec.precision,
            crops=spec.crops,
        )

    @torch.inference_mode()
    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images.

        Args:
            pixels: (B, 3, height, width), uint8, as ``load_pixels`` returns them.

        Returns:
            The grid (B, L, D) and the pooled vectors (B, pooled_dim), in the dtype the store keeps, so that
            fresh features equal cached ones.
        """
        grid, _, pooled = self._encode(pixels)
        grid, pooled = self._averaged(grid, pooled)
        dtype = getattr(torch, self.description.dtype)
        return grid.to(dtype), pooled.to(dtype)

    def run_by(self, engine: EngineName, precision: Precision) -> "Backbone":
        """Return the same network, for another engine to fill the store."""
        if (engine, precision) == (self.spec.engine, self.spec.precision):
            return self
        weights = self.description.weights
        spec = replace(self.spec, engine=engine, precision=precision, weights_hash=weights)
        return Backbone(self.network, self.preprocessing, spec)

    def for_inference(self) -> "Backbone":
        """Return what a model trained on its features encodes with: torch, in float32 if another ran it."""
        return self if self.spec.engine == "torch" else self.run_by("torch", "float32")

    def with_crops(self, crops: int) -> "Backbone":
        """Return the same network whose features are the mean of several crops of an image.

        Args:
            crops: How many, at most as many as there are ``crops.CROPS``; with 1 the whole image alone.
        """
        if crops == self.spec.crops:
            return self
        spec = replace(self.spec, crops=crops, weights_hash=self.description.weights)
        return Backbone(self.network, self.preprocessing, spec)

    @property
    def is_faithful(self) -> bool:
        """Whether its features are those of :meth:`for_inference`, but for rounding."""
        return self.spec.engine == "torch" or self.spec.any_engine or self.spec.precision == "float32"

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.pixel_mean.device

    @property
    def parts(self) -> "tuple[Backbone, ...]":
        """Return the backbones that it is made of: itself alone."""
        return (self,)

    def made_of(self, parts: "Sequence[Backbone]") -> "Backbone":
        """Return the backbone that other parts make in the place of its own, such as ones run otherwise."""
        return parts[0]

    def pixels(self, source: Source) -> Tensor:
        """Read an image as the network is given it: (3, height, width), uint8.

        Raises:
            ImageError: It cannot be read.
        """
        return load_pixels(source, self.preprocessing)

    def split(self, pixels: Tensor) -> list[Tensor]:
        """Return the pixels of each of its parts."""
        return [pixels]

    def join(self, pooled: Sequence[Tensor]) -> Tensor:
        """Join what each of its parts pools."""
        return pooled[0]

    def join_grids(self, grids: Sequence[Tensor]) -> Tensor:
        """Join the grids of its parts."""
        return grids[0]

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images in float32, with gradients where they are on: (B, L, D) and (B, pooled_dim)."""
        features = self.features(pixels)
        return self._averaged(grid_of(self.network, features)[0], self.pool(features))

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn uint8 pixels into the network's input, float32, channels last."""
        values = pixels.to(self.device, memory_format=torch.channels_last).float()
        return (values - self.pixel_mean) * self.pixel_scale

    def features(self, pixels: Tensor) -> Tensor:
        """Return the network's last features in its own layout, float32, with gradients where they are on.

        Of several crops, those of each, crop by crop.
        """
        values = self.normalise(pixels)
        features: Tensor = self.network.forward_features(self.crops.cut(values) if self.crops else values)
        return features

    def pool(self, features: Tensor) -> Tensor:
        """Turn what :meth:`features` returns into pooled vectors (B, pooled_dim)."""
        pooled: Tensor = self.network.forward_head(features, pre_logits=True)
        return pooled.flatten(1)

    def _averaged(self, grid: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        return self.crops.average(grid, pooled) if self.crops else (grid, pooled)

    def _encode(self, pixels: Tensor) -> tuple[Tensor, tuple[int, int], Tensor]:
        low = self.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            features = self.features(pixels)
        grid, size = grid_of(self.network, features)
        return grid, size, self.pool(features.float())


def spec_in_memory(description: BackboneDescription, **changed: Any) -> BackboneSpec:
    """Return the spec of a backbone whose weights are at hand, with other values for some of its fields."""
    spec = BackboneSpec(
        description.architecture,
        description.weights_source,
        model_args=description.model_args,
        crops=description.crops,
        precision=description.precision,
        engine=description.engine,
        weights_hash=description.weights,
        in_memory=True,
    )
    return replace(spec, **changed)


def grid_of(network: nn.Module, features: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Bring the output of any timm network's ``forward_features`` into one shape.

    Args:
        network: The network.
        features: (B, D, h, w), (B, h, w, D), or tokens (B, prefix + L, D) with class and register tokens
            first.

    Returns:
        The grid (B, L, D), row by row, and (rows, columns).

    Raises:
        ModelError: The output is none of these.
    """
    channels = network.num_features
    if not isinstance(features, Tensor):
        raise ModelError(
            f"{type(network).__name__} returns several feature maps at once, which are not a grid.",
            hint="Expected a network whose forward_features returns a grid of cells.",
        )
    if features.dim() == 4:
        channels_first = str(getattr(network, "output_fmt", "NCHW")).upper().endswith("NCHW")
        if channels_first and features.shape[1] != channels and features.shape[-1] == channels:
            channels_first = False
        if channels_first:
            features = features.permute(0, 2, 3, 1)
        return features.flatten(1, 2), (features.shape[1], features.shape[2])
    if features.dim() == 3:
        grid = features[:, getattr(network, "num_prefix_tokens", 0) :]
        size = _token_grid_size(network, grid.shape[1])
        if size is not None:
            return grid, size
    raise ModelError(
        f"{type(network).__name__} returns features of shape {tuple(features.shape)}, which are not a grid.",
        hint="Expected a network whose forward_features returns a grid of cells.",
    )


def _token_grid_size(network: nn.Module, tokens: int) -> tuple[int, int] | None:
    if tokens == 1 and getattr(network, "num_prefix_tokens", None) is None:
        return None  # the class token alone, as in PiT
    stated = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    if stated is not None and stated[0] * stated[1] == tokens:
        return int(stated[0]), int(stated[1])
    side = round(tokens**0.5)
    return (side, side) if side * side == tokens else None


def state_hash(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over a state's names, shapes and float32 values, whatever file it came from."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu()
        value = value.float() if value.is_floating_point() else value
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value.numpy()).data)
    return digest.hexdigest()


def _check_patches(network: nn.Module, image_size: int) -> None:
    """Refuse a size that patches do not fill: the rest, at the right and at the bottom, would go unseen."""
    embed = getattr(network, "patch_embed", None)
    if not isinstance(embed, timm.layers.PatchEmbed) or embed.dynamic_img_pad:
        return
    side = embed.patch_size[0]
    if image_size % side:
        below = image_size // side * side
        raise ConfigError(
            f"image_size {image_size} is not a multiple of the network's patches of {side} pixels.",
            hint=f"Expected {below or side} or {below + side}."
            if below >= 32
            else f"Expected {below + side}.",
        )


def preprocessing_of(network: nn.Module, *, image_size: int | None, fit: Fit) -> Preprocessing:
    """Take a network's preprocessing from timm's description of its weights.

    Args:
        network: A timm network.
        image_size: Side of the input, pixels; None for the network's own.
        fit: What to do with images that are not square.

    Raises:
        ConfigError: The network cannot take that size.
    """
    config = timm.data.resolve_data_config(model=network, use_test_size=False)
    _, height, width = config["input_size"]
    if image_size is not None:
        if image_size < 32:
            raise ConfigError(
                f"image_size {image_size} is too small.", hint="Expected a value of at least 32."
            )
        _check_patches(network, image_size)
        height = width = image_size
    # Antialiased kernels exist for these two; "random" and "bilinear" tags of old weights mean bilinear.
    interpolation = "bicubic" if config["interpolation"] == "bicubic" else "bilinear"
    mean, std = (tuple(float(v) for v in config[name]) for name in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3:
        raise WeightsError("The network's weights do not expect three colour channels.")
    return Preprocessing(
        height=height,
        width=width,
        fit=fit,
        crop_pct=float(config["crop_pct"]) if fit == "crop" else 1.0,
        interpolation=interpolation,
        mean=mean,
        std=std,
    )
