"""Batches and losses of the captioner: an image with all its captions at once."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.data.records import AnnotatedImage
from showtell.evaluation.cider import CiderD
from showtell.extraction.features import Features
from showtell.kinds.captioner.data import CaptionData, read_grids
from showtell.kinds.captioner.encoded import EncodedCaptions
from showtell.kinds.captioner.reading import order_of
from showtell.kinds.captioner.scst import advantages, draw_captions, scst_loss
from showtell.kinds.captioner.settings import BEAM_SIZE, TrainCaptioner
from showtell.kinds.captioner.verdict import commonest_captions, mean_cider
from showtell.models import kernels
from showtell.models.batch import Batch, assemble
from showtell.models.captioner import Captioner
from showtell.models.decoding import Sampling
from showtell.training.checkpoint import Progress
from showtell.training.order import Window
from showtell.training.processes import ALONE, Processes
from showtell.training.read_ahead import ReadAhead
from showtell.training.task import TrainingTask

LOSS_BELOW = 500
"""Validations of fewer images measure the loss, too."""

DECODING_BATCH = 100
"""Images decoded side by side."""
_LOSS_BATCH = 50
"""Images read side by side, each with all its captions."""


class CaptionTask(TrainingTask):
    """What the loop needs to train a captioner on cached grids.

    Args:
        captioner: The captioner.
        data: Training and validation images with their grids.
        settings: Images per step, beam of validation, weights of the losses, and epochs of cross-entropy
            before those of self-critical training.
        processes: Those that share its batches and its validation.
        window: What is shuffled together, where grids do not fit into memory.

    Attributes:
        features: Grids of all images as the decoder now reads them.
    """

    unit = "captions"

    def __init__(
        self,
        captioner: Captioner,
        data: CaptionData,
        settings: TrainCaptioner,
        processes: Processes = ALONE,
        window: Window | None = None,
    ) -> None:
        self.captioner, self.data, self.settings = captioner, data, settings
        self.processes = processes
        self.features = data.features
        self.order = order_of(settings, data, window)
        self.sampling = Sampling(settings.scst_samples, settings.scst_temperature, settings.scst_max_tokens)
        self.steps_per_epoch = self.order.steps_per_epoch
        self._stored = ReadAhead(self._read, self.order, processes.share)
        self._encoded = EncodedCaptions(captioner.encode(image.captions) for image in data.train)
        self._references = CiderD({image.name: image.captions for image in data.validation})
        self.xe_epochs: float = math.inf
        self._train_references: CiderD | None = None
        if settings.scst_epochs and settings.epochs is not None:  # else not needed, and large
            self.xe_epochs = settings.epochs + (settings.fine_tune_epochs or 0)
            self._train_references = CiderD({image.name: image.captions for image in data.train})
        self.device = next(self.network.parameters()).device
        self.generated: dict[str, str] = {}
        """Captions of validation images when they were last scored, by name."""

    @property
    def network(self) -> nn.Module:
        """Return the decoder."""
        return self.captioner.decoder

    def token_counts(self) -> Tensor:
        """Count each token that is learnt, ends of captions included: (V,), int64."""
        return self._encoded.counts(self.captioner.tokenizer.vocab_size)

    def batch(self, epoch: int, index: int) -> Batch:
        """Return this process's part of a batch as a pure function of (seed, epoch, index)."""
        captions = [self._encoded.of(i) for i in self.order.images(epoch, index)]
        return self._assemble(self._grids(epoch, index), captions)

    def loss(self, epoch: int, index: int) -> tuple[Tensor, int]:
        """Return the loss of a batch, cross-entropy or self-critical, and how many captions it holds."""
        chosen = self.order.images(epoch, index)
        weight = self.processes.weight(len(chosen))
        if epoch < self.xe_epochs:
            batch = self.batch(epoch, index)
            loss = caption_loss(
                self.captioner,
                batch,
                label_smoothing=self.settings.label_smoothing,
                attention_regularization=self.settings.attention_regularization,
            )
            return loss * weight, batch.captions
        assert self._train_references is not None
        grid, part = self._grids(epoch, index), self.processes.part(len(chosen))
        drawn = draw_captions(self.captioner, grid, self.sampling, part, self.processes.all)
        names = [self.data.train[i].name for i in self.processes.share(chosen)]
        advantage = torch.from_numpy(advantages(self.captioner, self._train_references, names, drawn))
        batch = self._assemble(grid, self.processes.gather(drawn)[: len(chosen)])
        loss = scst_loss(self.captioner, batch, advantage[batch.order], self.sampling.temperature)
        return loss * weight, batch.captions

    def _assemble(self, grid: Tensor, captions: Sequence[Sequence[Sequence[int]]]) -> Batch:
        """Assemble this process's part of a batch, given its own grids and all captions."""
        own = None if self.processes.count == 1 else self.processes.places(len(captions))
        return assemble(grid, captions, self.captioner.tokenizer.pad_id, own)

    def _grids(self, epoch: int, index: int) -> Tensor:
        """Return the grids of a step, each plain, mirrored or in a view, by the epoch and the seed."""
        return self._stored.rows(epoch, index).to(self.device)

    def _data(self, epoch: int) -> CaptionData:
        """Return whose grids are learnt from in an epoch."""
        return self.data

    def _read(self, epoch: int, images: Sequence[int]) -> Tensor:
        return self._data(epoch).read(images, epoch, self.settings.seed)

    def validate(self) -> dict[str, float]:
        """Score free-running captions of the validation split by CIDEr-D.

        Where the split is small or the score is zero, the loss is measured, too: the mean surprise at a token
        of people's captions, given those before it, in nats.
        """
        data, own = self.data, self.processes.own(self.data.validation)
        found = self._captions(self.features, own)
        texts = self.processes.gather([found[image.name] for image in own])
        self.generated = {image.name: text for image, text in zip(data.validation, texts)}
        score = float(np.mean(self._references.score(self.generated)))
        figures = {"score": score, "cider_d": score}
        if score <= 0 or len(data.validation) < LOSS_BELOW:
            figures["loss"] = caption_surprise(self.captioner, self.features, data.validation, self.processes)
        return figures

    def score(self, features: Features) -> float:
        """Return the CIDEr-D that the captions of the validation split have from other features of it."""
        return float(np.mean(self._references.score(self._captions(features, self.data.validation))))

    def _captions(self, features: Features, images: Sequence[AnnotatedImage]) -> dict[str, str]:
        beam_size = self.settings.beam_size or BEAM_SIZE
        return generate_captions(self.captioner, features, images, beam_size=beam_size)

    def why_stop(self, progress: Progress) -> str:
        """Return why self-critical training may not begin, where it would begin now; empty where it may.

        It begins once validation scores higher than the most frequent captions do in the mean: a model that
        has learnt nothing draws captions that earn nothing, and learns nothing from them.
        """
        if self._train_references is None or progress.epoch != self.xe_epochs:
            return ""
        common = commonest_captions(self.data.train)
        scores = [mean_cider(self._references, one.name, common) for one in self.data.validation]
        floor = float(np.mean(scores))
        if progress.best_score > floor:
            return ""
        return (
            f"self-critical training needs captions better than the most frequent one, which scores "
            f"CIDEr-D {floor:.3f}; validation reached {progress.best_score:.3f}"
        )


def generate_captions(
    captioner: Captioner, features: Features, images: Sequence[AnnotatedImage], *, beam_size: int
) -> dict[str, str]:
    """Caption images from their cached grids, by name."""
    found: dict[str, str] = {}
    for part, grid in decoding_batches(captioner, features, images):
        texts = captioner.texts(grid, beam_size=beam_size)
        found |= {image.name: text for image, text in zip(part, texts)}
    return found


def decoding_batches(
    captioner: Captioner, features: Features, images: Sequence[AnnotatedImage]
) -> Iterator[tuple[Sequence[AnnotatedImage], Tensor]]:
    """Yield images that are decoded side by side, with their grids (B, L, D)."""
    for start in range(0, len(images), DECODING_BATCH):
        part = images[start : start + DECODING_BATCH]
        yield part, read_grids(captioner, features, part)


def caption_loss(
    captioner: Captioner,
    batch: Batch,
    *,
    label_smoothing: float = TrainCaptioner.label_smoothing,
    attention_regularization: float = TrainCaptioner.attention_regularization,
) -> Tensor:
    """Return label-smoothed cross-entropy a word plus the doubly stochastic term, a scalar.

    Args:
        captioner: The captioner.
        batch: Captions of people.
        label_smoothing: Share of the target's probability that is spread over all tokens, in [0, 1).
        attention_regularization: Weight of the doubly stochastic term, lambda of eq. 14.

    Returns:
        A scalar; of a part of a batch, what it adds to the whole batch's.

    Source: Xu et al. 2015, eq. 14; Szegedy et al. 2016, section 7, for the smoothing.
    """
    logits, attention, position = captioner.decoder.teacher_forced(
        batch.grid, batch.token_ids, batch.lengths, batch.whole
    )
    image, caption, _ = position.unbind(1)
    targets = batch.targets(position)
    if kernels.are_faster_on(logits.device):
        likelihood = kernels.smoothed_cross_entropy(logits, targets, label_smoothing)
    else:
        likelihood = F.cross_entropy(logits.float(), targets, label_smoothing=label_smoothing)
    # A cell's attention, summed over all words of a caption, should be near 1.
    captions = batch.lengths.shape[1]
    total = torch.zeros(batch.lengths.numel(), attention.shape[1], device=attention.device)  # (B * K, L)
    total = total.index_add(0, image * captions + caption, attention)
    real = (batch.lengths.flatten() > 0).to(total.device)
    penalty = (1 - total[real]).square().mean()
    return likelihood * batch.word_share + attention_regularization * (penalty * batch.caption_share)


@torch.inference_mode()
def caption_surprise(
    captioner: Captioner,
    features: Features,
    images: Sequence[AnnotatedImage],
    processes: Processes = ALONE,
) -> float:
    """Return the cross-entropy of people's captions in nats a token, each given the true ones before it.

    Tokens that are not in the vocabulary are not counted.

    Args:
        captioner: In evaluation mode.
        features: Holds the grids.
        images: With captions.
        processes: Those that share the batches.
    """
    tokenizer, found = captioner.tokenizer, []
    for start in processes.own(range(0, len(images), _LOSS_BATCH)):
        part = images[start : start + _LOSS_BATCH]
        encoded = [captioner.encode(image.captions) for image in part]
        batch = assemble(read_grids(captioner, features, part), encoded, tokenizer.pad_id)
        packed = captioner.decoder.teacher_forced(batch.grid, batch.token_ids, batch.lengths)
        targets = batch.targets(packed.position)
        surprise = F.cross_entropy(packed.logits.float(), targets, reduction="none")
        surprise = surprise[targets != tokenizer.unk_id]
        found.append((float(surprise.double().sum()), len(surprise)))
    totals, counts = zip(*processes.gather(found))
    return float(sum(totals) / max(1, sum(counts)))
