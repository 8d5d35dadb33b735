"""Batches and losses of the captioner: an image with all its captions at once."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from showtell.data.records import AnnotatedImage
from showtell.errors import DataError
from showtell.evaluation.ngrams import CiderD
from showtell.evaluation.verdict import mean_cider
from showtell.extraction.features import Features
from showtell.kinds.captioner.reward import USUAL_SAMPLING, Sampling, advantages, draw_captions, reward_loss
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.models import kernels
from showtell.models.batch import Batch, assemble
from showtell.models.captioner import Captioner
from showtell.training.checkpoint import Progress

LOSS_BELOW = 500
"""Validations of fewer images measure the loss, too."""

DECODING_BATCH = 100
"""Images decoded side by side."""
_LOSS_BATCH = 50
"""Images read side by side, each with all its captions."""


class CaptionTrainee:
    """What the loop needs to train a captioner on cached grids.

    Args:
        captioner: The captioner.
        extraction: Where the grids are.
        train: Training images with captions.
        validation: Images that score an epoch.
        batch_size: Images a step.
        seed: Of the order of images.
        beam_size: Of validation.
        label_smoothing: Share of the target's probability that is spread over all tokens.
        attention_regularization: Weight of the doubly stochastic term.
        likelihood_epochs: Epochs before training goes on by reward; None for never.
        sampling: How captions are drawn to be rewarded.
        mirrored: Where the grids of mirrored training images are, for those that have one: half of the
            time they are learnt from instead of the plain ones.
        views: Where the grids of random views are, each of some training images. Each of its
            views is learnt from as often as the plain image.
        baseline: Captions that are said of every image; training by reward begins once validation scores
            higher than they do in the mean.
    """

    unit = "captions"

    def __init__(
        self,
        captioner: Captioner,
        extraction: Features,
        train: Sequence[AnnotatedImage],
        validation: Sequence[AnnotatedImage],
        *,
        batch_size: int,
        seed: int,
        beam_size: int,
        label_smoothing: float = TrainCaptioner.label_smoothing,
        attention_regularization: float = TrainCaptioner.attention_regularization,
        likelihood_epochs: int | None = None,
        sampling: Sampling = USUAL_SAMPLING,
        mirrored: Features | None = None,
        views: Sequence[Features] = (),
        baseline: Sequence[str] = ("",),
    ) -> None:
        if not train or not validation:
            raise DataError(
                f"There are {len(train)} images to train on and {len(validation)} to validate on.",
                hint="Both splits need images with captions.",
            )
        self.network = captioner.decoder
        self.captioner, self.extraction, self.mirrored, self._views = captioner, extraction, mirrored, views
        self.train, self.validation = train, validation
        self.batch_size, self.seed, self.beam_size = batch_size, seed, beam_size
        self.label_smoothing, self.attention_regularization = label_smoothing, attention_regularization
        self.sampling = sampling
        self.steps_per_epoch = -(-len(train) // batch_size)
        tokenizer = captioner.tokenizer
        self._encoded = [
            [_framed(ids, captioner) for ids in encoded]
            for encoded in (tokenizer.encode_batch(list(image.captions)) for image in train)
        ]
        self._references = CiderD({image.name: image.captions for image in validation})
        self.likelihood_epochs, self._rewards = math.inf, None
        if likelihood_epochs is not None:  # else not needed, and as large as the captions
            self.likelihood_epochs = likelihood_epochs
            self._rewards = CiderD({image.name: image.captions for image in train})
        self._baseline = baseline
        self._order = (-1, np.empty(0, np.int64))
        self.device = next(self.network.parameters()).device
        self.described: dict[str, str] = {}
        """What was said of validation images when they were last scored, by name."""

    def token_counts(self) -> Tensor:
        """Count each token that is learnt, ends of captions included: (V,), int64."""
        words = np.array([word for captions in self._encoded for ids in captions for word in ids[1:]])
        return torch.from_numpy(np.bincount(words, minlength=self.captioner.tokenizer.vocab_size))

    def batch(self, epoch: int, index: int) -> Batch:
        """Return a batch as a pure function of (seed, epoch, index)."""
        chosen = self._chosen(epoch, index)
        captions = [self._encoded[i] for i in chosen]
        return assemble(self._grids(epoch, chosen), captions, self.captioner.tokenizer.pad_id)

    def loss(self, epoch: int, index: int) -> tuple[Tensor, int]:
        """Return the loss of a batch, by likelihood or by reward, and how many captions it holds."""
        if epoch < self.likelihood_epochs:
            batch = self.batch(epoch, index)
            loss = caption_loss(
                self.captioner,
                batch,
                label_smoothing=self.label_smoothing,
                attention_regularization=self.attention_regularization,
            )
            return loss, int((batch.lengths > 0).sum())
        assert self._rewards is not None
        chosen = self._chosen(epoch, index)
        grid = self._grids(epoch, chosen)
        drawn = draw_captions(self.captioner, grid, self.sampling)
        names = [self.train[i].name for i in chosen]
        advantage = torch.from_numpy(advantages(self.captioner, self._rewards, names, drawn))
        batch = assemble(grid, drawn, self.captioner.tokenizer.pad_id)
        loss = reward_loss(self.captioner, batch, advantage[batch.order], self.sampling.temperature)
        return loss, advantage.numel()

    def _chosen(self, epoch: int, index: int) -> list[int]:
        """Return which images a batch holds, as a pure function of (seed, epoch, index)."""
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng((self.seed, epoch)).permutation(len(self.train))
        chosen: list[int] = self._order[1][index * self.batch_size : (index + 1) * self.batch_size].tolist()
        return chosen

    def _grids(self, epoch: int, chosen: Sequence[int]) -> Tensor:
        """Read the grids of images, each plain, mirrored or in a view, by the epoch and the seed."""
        sources = [self.extraction] * len(chosen)
        if self.mirrored is not None:
            turned = np.random.default_rng((self.seed, epoch, 1)).random(len(self.train)) < 0.5
            for row, i in enumerate(chosen):
                if turned[i] and self.train[i].name in self.mirrored.digests:
                    sources[row] = self.mirrored
        if self._views:
            drawn = np.random.default_rng((self.seed, epoch, 2)).random(len(self.train))
            for row, i in enumerate(chosen):
                own = [view for view in self._views if self.train[i].name in view.digests]
                number = int(drawn[i] * (len(own) + 1))
                sources[row] = own[number - 1] if number else sources[row]
        grid = read_grids(self.captioner, self.extraction, [self.train[i] for i in chosen])
        for source in {id(one): one for one in sources if one is not self.extraction}.values():
            rows = [row for row, one in enumerate(sources) if one is source]
            grid[rows] = read_grids(self.captioner, source, [self.train[chosen[row]] for row in rows])
        return grid

    def validate(self) -> dict[str, float]:
        """Score free-running captions of the validation split by CIDEr-D.

        Where the split is small or the score is zero, the loss is measured, too: the mean surprise at a token
        of people's captions, given those before it, in nats.
        """
        self.described = describe_images(
            self.captioner, self.extraction, self.validation, beam_size=self.beam_size
        )
        score = float(np.mean(self._references.score(self.described)))
        figures = {"score": score, "cider_d": score}
        if score <= 0 or len(self.validation) < LOSS_BELOW:
            figures["loss"] = caption_surprise(self.captioner, self.extraction, self.validation)
        return figures

    def why_no_reward(self, progress: Progress) -> str:
        """Return why training may not go on by reward, where it would begin now; empty where it may.

        A model that has learnt nothing draws captions that earn nothing, and learns nothing from them.
        """
        if self._rewards is None or progress.epoch != self.likelihood_epochs:
            return ""
        scores = [mean_cider(self._references, one.name, self._baseline) for one in self.validation]
        floor = float(np.mean(scores))
        if progress.best_score > floor:
            return ""
        return (
            f"training by reward needs captions better than the most frequent one, which scores "
            f"CIDEr-D {floor:.3f}; validation reached {progress.best_score:.3f}"
        )


def describe_images(
    captioner: Captioner, extraction: Features, images: Sequence[AnnotatedImage], *, beam_size: int
) -> dict[str, str]:
    """Caption images from their cached grids, by name."""
    found: dict[str, str] = {}
    for start in range(0, len(images), DECODING_BATCH):
        part = images[start : start + DECODING_BATCH]
        grid = read_grids(captioner, extraction, part)
        texts = captioner.texts(grid, beam_size=beam_size)
        found |= {image.name: text for image, text in zip(part, texts)}
    return found


def read_grids(captioner: Captioner, extraction: Features, images: Sequence[AnnotatedImage]) -> Tensor:
    """Read cached grids (B, L, D) to where the captioner is."""
    return torch.from_numpy(extraction.grid(images)).to(next(captioner.parameters()).device)


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

    Source: Xu et al. 2015, eq. 14; Szegedy et al. 2016, section 7, for the smoothing.
    """
    logits, attention, position = captioner.decoder.teacher_forced(batch.grid, batch.token_ids, batch.lengths)
    image, caption, time = position.unbind(1)
    targets = batch.token_ids[image, caption, time + 1]  # (N,)
    if kernels.are_faster_on(logits.device):
        likelihood = kernels.smoothed_cross_entropy(logits, targets, label_smoothing)
    else:
        likelihood = F.cross_entropy(logits.float(), targets, label_smoothing=label_smoothing)
    # A cell's attention, summed over all words of a caption, should be near 1.
    captions = batch.lengths.shape[1]
    total = torch.zeros(batch.lengths.numel(), attention.shape[1], device=attention.device)  # (B * K, L)
    total = total.index_add(0, image * captions + caption, attention)
    real = (batch.lengths.flatten() > 0).to(total.device)
    return likelihood + attention_regularization * (1 - total[real]).square().mean()


@torch.inference_mode()
def caption_surprise(captioner: Captioner, extraction: Features, images: Sequence[AnnotatedImage]) -> float:
    """Return the cross-entropy of people's captions in nats a token, each given the true ones before it.

    Tokens that are not in the vocabulary are not counted.

    Args:
        captioner: In evaluation mode.
        extraction: Holds the grids.
        images: With captions.
    """
    tokenizer, total, count = captioner.tokenizer, 0.0, 0
    for start in range(0, len(images), _LOSS_BATCH):
        part = images[start : start + _LOSS_BATCH]
        framed = [[_framed(ids, captioner) for ids in tokenizer.encode_batch(p.captions)] for p in part]
        batch = assemble(read_grids(captioner, extraction, part), framed, tokenizer.pad_id)
        packed = captioner.decoder.teacher_forced(batch.grid, batch.token_ids, batch.lengths)
        image, caption, time = packed.position.unbind(1)
        targets = batch.token_ids[image, caption, time + 1]
        surprise = F.cross_entropy(packed.logits.float(), targets, reduction="none")
        surprise = surprise[targets != tokenizer.unk_id]
        total, count = total + float(surprise.double().sum()), count + len(surprise)
    return total / max(1, count)


def _framed(ids: list[int], captioner: Captioner) -> list[int]:
    """Return a caption with its beginning and its end; without an end where it is cut."""
    tokenizer, most = captioner.tokenizer, captioner.decoder.config.max_length
    end = [tokenizer.eos_id] if len(ids) <= most else []
    return [tokenizer.bos_id, *ids[:most], *end]
