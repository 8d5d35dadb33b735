"""Train the top of a backbone together with its head, on random views, through the one loop."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.data.augment import View
from showtell.data.images import load_pixels, read_content
from showtell.data.records import AnnotatedImage
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.fine_tune import TunedNetwork
from showtell.models.dropout import Dropout
from showtell.models.heads import Head
from showtell.store.store import content_digest
from showtell.training.order import Order
from showtell.training.processes import ALONE, Processes
from showtell.training.read_ahead import ReadAhead
from showtell.training.task import TrainingTask

_KEEP_BYTES = 256_000_000
"""Decoded images that are kept in memory; the others are decoded again every epoch."""
_VALIDATION_BATCH = 64
"""Images of a validation batch."""


class TunedClassifier(TunedNetwork):
    """A backbone with the head that classifies its pooled features."""

    head: Head

    def forward(self, pixels: Tensor) -> Tensor:
        """Classify images: pixels (B, 3, height, width), uint8, to logits (B, C)."""
        logits: Tensor = self.head(self.backbone.pool(self.backbone.features(pixels)))
        return logits


@dataclass(frozen=True)
class LabelledImages:
    """Readable images with their classes.

    Attributes:
        images: The images, N.
        labels: Positions of their classes, (N,), int64.
    """

    images: Sequence[AnnotatedImage]
    labels: Tensor


class FineTuneTask(TrainingTask):
    """What the loop needs to fine-tune.

    Args:
        network: Backbone and head.
        train: Training images.
        validation: Images that score an epoch.
        settings: Images per step, seed of the order, and label smoothing.
        processes: Those that share its batches and its validation.
    """

    unit = "images"

    def __init__(
        self,
        network: TunedClassifier,
        train: LabelledImages,
        validation: LabelledImages,
        settings: TrainClassifier,
        processes: Processes = ALONE,
    ) -> None:
        self._network, self.processes = network, processes
        self._dropouts = [module for module in network.head.modules() if isinstance(module, Dropout)]
        self.train, self.labels = train.images, train.labels
        self.validation, self.validation_labels = validation.images, validation.labels
        self._order = Order(len(train.images), settings.batch_size, settings.seed)
        self.label_smoothing = settings.label_smoothing
        self.steps_per_epoch = self._order.steps_per_epoch
        self.preprocessing = network.backbone.preprocessing
        self.device = network.backbone.pixel_mean.device
        self._readers = ThreadPoolExecutor(max(1, torch.get_num_threads()), "decode")
        self._kept: dict[str, tuple[bytes, Tensor]] = {}
        self._views = ReadAhead(self._read_views, self._order, processes.share)
        self.predicted = validation.labels.new_empty(0)
        """Likeliest classes of validation images when they were last scored, (N,), int64."""

    @property
    def network(self) -> nn.Module:
        """Return backbone and head."""
        return self._network

    def loss(self, epoch: int, index: int) -> tuple[Tensor, int]:
        """Return the cross-entropy of a batch of fresh views and its size."""
        chosen = self._order.images(epoch, index)
        pixels, count = self._views.rows(epoch, index), len(chosen)
        labels = self.labels[self.processes.share(chosen)].to(self.device)
        for layer in self._dropouts:
            layer.part = self.processes.part(count)
        logits = self.network(pixels).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        return loss * (self.processes.weight(count) * len(labels) / count), count

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Score plain validation images by accuracy, ties by likelihood."""
        logits, own = list[np.ndarray](), self.processes.own(self.validation)
        for start in range(0, len(own), _VALIDATION_BATCH):
            part = own[start : start + _VALIDATION_BATCH]
            pixels = torch.stack(list(self._readers.map(lambda image: self._plain(image)[1], part)))
            logits.extend(self.network(pixels).float().cpu().numpy())
        found = torch.from_numpy(np.stack(self.processes.gather(logits)))
        self.predicted = found.argmax(1)
        accuracy = (self.predicted == self.validation_labels).float().mean().item()
        likelihood = -F.cross_entropy(found, self.validation_labels).item()
        # Between 0 and 1 image, so that it only decides between equal accuracies.
        tie = 1 / (1 - likelihood) / len(self.validation)
        return {"score": accuracy + tie, "accuracy": accuracy, "log_likelihood": likelihood}

    def _read_views(self, epoch: int, images: Sequence[int]) -> Tensor:
        """Read fresh views of images, on all cores: (B, 3, height, width), uint8."""
        view = View(epoch + 1)
        return torch.stack(list(self._readers.map(lambda i: self._view(self.train[i], view), images)))

    def _view(self, image: AnnotatedImage, view: View) -> Tensor:
        digest, pixels = self._plain(image)
        return view.apply(pixels, digest)

    def _plain(self, image: AnnotatedImage) -> tuple[bytes, Tensor]:
        kept = self._kept.get(image.name)
        if kept is None:
            content = read_content(image.path)
            kept = content_digest(content), load_pixels(content, self.preprocessing)
            if (len(self._kept) + 1) * kept[1].numel() <= _KEEP_BYTES:
                self._kept[image.name] = kept
        return kept
