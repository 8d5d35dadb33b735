"""Train the top of a backbone together with the decoder, from kept values of the last frozen layer.

By cross-entropy the decoder is trained first, on cached grids, then together with the top. Training by reward
reads the grids that the tuned top gives, and leaves it as it is.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from showtell.backbones.backbone import Backbone, grid_of
from showtell.backbones.cut import Cut, LowerBackbone, cut_below, from_store, run_above
from showtell.backbones.grids import blocks
from showtell.backbones.layers import Layer, layers_from
from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.kinds.captioner.data import CaptionData, with_views
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.task import CaptionTask
from showtell.kinds.fine_tune import TunedNetwork, describe_layers
from showtell.models.captioner import Captioner
from showtell.models.decoder import Decoder
from showtell.store.record import Array
from showtell.store.store import FeatureStore
from showtell.training.checkpoint import Progress
from showtell.training.order import Window
from showtell.training.processes import ALONE, Processes


@dataclass(frozen=True)
class Top:
    """What is trained of a backbone, of each of its networks.

    Attributes:
        backbone: The whole backbone, frozen.
        layers: What is trained of each network, the lowest first.
        cuts: Below them, one in each network.
    """

    backbone: Backbone
    layers: Sequence[Sequence[Layer]]
    cuts: Sequence[Cut]

    @classmethod
    def of(cls, backbone: Backbone, start: str) -> "Top":
        """Find what is trained from a place up.

        Args:
            backbone: What encodes; it is tuned as torch runs it.
            start: As :func:`layers_from` takes it.

        Raises:
            ConfigError: There is no such place, or no cut below it.
        """
        used = backbone.for_inference()
        layers = [layers_from(part, start) for part in used.parts]
        return cls(used, layers, [cut_below(part, own) for part, own in zip(used.parts, layers)])

    def extract_below(
        self, data: CaptionData, settings: TrainCaptioner, store: FeatureStore, console: Console
    ) -> CaptionData:
        """Bring the values of the last frozen layer into the store: of the images and of their views."""
        parts = [LowerBackbone(part, cut) for part, cut in zip(self.backbone.parts, self.cuts)]
        lower = self.backbone.made_of(parts)
        for part, layers, below in zip(self.backbone.parts, self.layers, parts):
            console.say(
                f"{describe_layers(part, layers)}; what is below is encoded once, up to the "
                f"{below.description.layer}"
            )
        images = [*data.train, *data.validation]
        features = extract_features(images, lower, store, console=console)
        return with_views(replace(data, features=features), settings, lower, store, console)


class TunedCaptioner(TunedNetwork):
    """A decoder with the backbone whose top is trained.

    Args:
        top: What is trained of the backbone, which is copied.
        decoder: The decoder.
    """

    def __init__(self, top: Top, decoder: Decoder[Any, Any]) -> None:
        super().__init__(copy.deepcopy(top.backbone), decoder, top.layers)
        self.cuts = top.cuts

    def grid(self, stored: Tensor) -> Tensor:
        """Run the top, in float32: values from below, (B, l, d), to the grid (B, L, D)."""
        grids, places = [], blocks([cut.grid for cut in self.cuts])
        with torch.autocast(stored.device.type, enabled=False):
            for part, cut, (cells, channels) in zip(self.backbone.parts, self.cuts, places):
                features = run_above(part, cut, from_store(stored[:, cells, channels], cut))
                grids.append(grid_of(part.network, features)[0])
        return self.backbone.join_grids(grids)


@dataclass(frozen=True, repr=False, kw_only=True)
class TunedFeatures(Features):
    """Features whose grids a backbone's top, as it is now, makes of what the store keeps.

    Attributes:
        network: The backbone with the decoder.
        below: What the store keeps.
    """

    network: TunedCaptioner
    below: Features

    @torch.inference_mode()
    def grid(self, images: Sequence[AnnotatedImage | str] | None = None) -> Array:
        """Return grids, rounded as the store would."""
        stored = torch.from_numpy(self.below.grid(images))
        return self.network.grid(stored.to(self.network.backbone.device)).to(stored.dtype).cpu().numpy()


class FineTuneTask(CaptionTask):
    """What the loop needs to train a captioner on cached grids, and then with the top of its backbone.

    Validation always runs the top, so that frozen and tuned epochs are scored alike.

    Args:
        captioner: The captioner.
        data: Training and validation images with their grids by the frozen backbone.
        settings: As for :class:`CaptionTask`, and epochs of fine-tuning after those of cross-entropy.
        top: What is trained of the backbone.
        below: The same images with the values of the last frozen layer.
        processes: Those that share its batches and its validation.
        window: As for :class:`CaptionTask`.
    """

    rests = True

    def __init__(
        self,
        captioner: Captioner,
        data: CaptionData,
        settings: TrainCaptioner,
        top: Top,
        below: CaptionData,
        processes: Processes = ALONE,
        window: Window | None = None,
    ) -> None:
        self._network = TunedCaptioner(top, captioner.decoder)
        super().__init__(captioner, data, settings, processes, window)
        self.below = below
        self.frozen_epochs = settings.epochs or 0
        self.tuned_until = self.frozen_epochs + (settings.fine_tune_epochs or 0)
        kept = below.features
        self.features = TunedFeatures(kept.space, kept.digests, network=self._network, below=kept)

    @property
    def network(self) -> TunedCaptioner:
        """Return backbone and decoder."""
        return self._network

    def _data(self, epoch: int) -> CaptionData:
        return self.data if epoch < self.frozen_epochs else self.below

    def _grids(self, epoch: int, index: int) -> Tensor:
        """Return grids: cached ones, then with gradients for the top, then as it is."""
        stored = super()._grids(epoch, index)
        if epoch < self.frozen_epochs:
            return stored
        with torch.set_grad_enabled(epoch < self.tuned_until):
            return self._network.grid(stored)

    def best_backbone(self, progress: Progress, console: Console) -> Backbone | None:
        """Return the tuned backbone after the training, or None where no epoch of it was kept; say so."""
        frozen, tuned = (
            [record["score"] for record in progress.history if first < record["epoch"] <= last]
            for first, last in ((0, self.frozen_epochs), (self.frozen_epochs, self.tuned_until))
        )
        if not tuned:
            return None
        kept = progress.best_epoch > self.frozen_epochs
        console.say(
            f"By cross-entropy: CIDEr-D {max(frozen):.3f} frozen, {max(tuned):.3f} fine-tuned; the "
            f"{'fine-tuned' if kept else 'frozen'} network is kept"
        )
        return self._network.tuned_backbone() if kept else None
