"""What a short learning reaches on the features of a backbone: a linear head, or a captioner."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone
from showtell.comparison.settings import CompareBackbones
from showtell.console import Console, human_time
from showtell.data.groups import group_numbers
from showtell.errors import DataError
from showtell.evaluation.caption_scores import caption_scores
from showtell.evaluation.class_scores import class_scores
from showtell.extraction.prepared import Prepared
from showtell.kinds.captioner.data import CaptionData, caption_lengths, captioned, train_tokenizer
from showtell.kinds.captioner.model import NAME
from showtell.kinds.captioner.settings import BEAM_SIZE, TrainCaptioner
from showtell.kinds.captioner.task import CaptionTask, generate_captions
from showtell.kinds.captioner.train import build_captioner
from showtell.kinds.classifier.data import HeadData, learnable, read_examples
from showtell.kinds.classifier.heads import fit_linear
from showtell.runs.plan import TrainingPlan
from showtell.runtime import choose_device, has_fast_bfloat16, seed_everything
from showtell.text.lengths import length_limit
from showtell.text.tokenizer import CaptionTokenizer
from showtell.training.loop import Loop
from showtell.training.schedule import LoopConfig
from showtell.training.task import TrainingTask

TRAINING = "comparison-training"
"""Folder, in that of the comparison, of checkpoints that an interrupted one goes on with."""
HIDDEN_DIM = 256
"""Width of the decoder, half of what train-captioner takes by default: its training is short."""


@dataclass(frozen=True)
class Contender:
    """A backbone and its features of all images.

    Attributes:
        backbone: The network.
        images_per_second: Of the network alone, in batches.
        prepared: The images, split as for all others, and their features.
    """

    backbone: Backbone
    images_per_second: float
    prepared: Prepared


class Reached(NamedTuple):
    """How far a learning came.

    Attributes:
        score: On validation.
        interval_95: Of the score.
        images: Validation images.
        predict: Goes from grid (B, L, D) and pooled features (B, D) to words or classes.
    """

    score: float
    interval_95: tuple[float, float]
    images: int
    predict: Callable[[Tensor, Tensor], object]


def score_head(name: str, contender: Contender) -> Reached:
    """Fit a linear head; score it by accuracy.

    Raises:
        DataError: There is nothing to learn or to validate on.
    """
    features = contender.prepared.features
    classes, train, val = learnable(contender.prepared, Console(quiet=True))
    if not val:
        raise DataError(
            "There is no validation image to compare by: each class is a single group of near-duplicates.",
            hint="Expected images of two scenes or more of each class.",
        )
    check = read_examples([features], val, classes)
    head = fit_linear(HeadData(read_examples([features], train, classes), check, len(classes))).head
    with torch.inference_mode():
        probabilities = head(check.pooled).softmax(1).numpy()
    scores = class_scores(
        probabilities,
        check.labels.numpy(),
        group_numbers([image.name for image in val], contender.prepared.groups.of),
    )
    return Reached(
        scores.accuracy,
        scores.intervals["accuracy"],
        len(val),
        lambda grid, pooled: head(pooled.cpu()).softmax(1),
    )


def captioner_scorer(
    config: CompareBackbones, contenders: Mapping[str, Contender], console: Console
) -> Callable[[str, Contender], Reached]:
    """Learn the words that all captioners share, and say how long all of them will take.

    Returns:
        What trains a captioner on a backbone's grids, and scores it by CIDEr-D.

    Raises:
        DataError: There are no captions to learn from or to validate on.
    """
    settings = TrainCaptioner(
        config.data,
        out=config.out,
        hidden_dim=HIDDEN_DIM,
        hflip=False,
        seed=config.seed,
        device=config.device,
    )
    first = next(iter(contenders.values()))
    train = captioned(first.prepared, "train")
    tokenizer = train_tokenizer(
        train, console, kind=settings.tokenizer, vocab_size=settings.vocab_size, min_count=settings.min_count
    )
    settings = replace(settings, max_length=length_limit(caption_lengths(tokenizer, train)))
    task = _task(settings, tokenizer, first.prepared)
    seconds = _step_time(task) * config.steps * len(contenders)
    console.say(
        f"Training a captioner on each takes about {human_time(seconds)} in all, {config.steps:,} steps on "
        f"{len(task.data.train):,} images; then each describes {len(task.data.validation):,} images"
    )

    def score(name: str, contender: Contender) -> Reached:
        console.say(f"A captioner on {name}:")
        task = _task(settings, tokenizer, contender.prepared)
        plan = TrainingPlan(settings, NAME, contender.prepared, contender.backbone.description, {})
        mark = f"{plan.fingerprint[:16]}-{config.steps}"
        loop = Loop(
            _ShortTraining(task, config.steps),
            LoopConfig(epochs=1, learning_rate=settings.learning_rate),
            config.out / TRAINING / mark,
            fingerprint=mark,
            console=console,
        )
        found = loop.run(resume=True).history[-1]
        return Reached(
            found["cider_d"],
            (found["low"], found["high"]),
            len(task.data.validation),
            lambda grid, pooled: task.captioner.texts(grid, beam_size=BEAM_SIZE),
        )

    return score


class _ShortTraining(TrainingTask):
    """So many steps of a training as a single epoch, scored at its end: no epoch is chosen by its score."""

    unit = CaptionTask.unit

    def __init__(self, task: CaptionTask, steps: int) -> None:
        self.task, self.steps_per_epoch = task, steps

    @property
    def network(self) -> nn.Module:
        """Return what is optimised."""
        return self.task.network

    def loss(self, epoch: int, index: int) -> tuple[Tensor, int]:
        """Return the loss of a batch, whose epoch and index are those of the whole training."""
        return self.task.loss(*divmod(index, self.task.steps_per_epoch))

    def validate(self) -> dict[str, float]:
        """Score captions of the validation split by CIDEr-D, with its 95% interval."""
        data = self.task.data
        texts = generate_captions(self.task.captioner, data.features, data.validation, beam_size=BEAM_SIZE)
        scores = caption_scores({image.name: image.captions for image in data.validation}, texts)
        low, high = scores.intervals["cider_d"]
        return {"score": scores.cider_d, "cider_d": scores.cider_d, "low": low, "high": high}


def _task(settings: TrainCaptioner, tokenizer: CaptionTokenizer, prepared: Prepared) -> CaptionTask:
    """Return a fresh captioner with its batches: the same weights and order whatever was trained before."""
    seed_everything(settings.seed)
    data = CaptionData(prepared.features, captioned(prepared, "train"), captioned(prepared, "val"))
    captioner = build_captioner(settings, tokenizer, data).to(choose_device(settings.device))
    task = CaptionTask(captioner, data, settings)
    captioner.decoder.fit_word_bias(task.token_counts())
    return task


def _step_time(task: CaptionTask) -> float:
    """Return the seconds of a training step, the best of two; the first pays for memory and code paths."""
    times = []
    for index in range(2):
        started = time.perf_counter()
        with torch.autocast(task.device.type, torch.bfloat16, enabled=has_fast_bfloat16(task.device)):
            loss, _ = task.loss(0, index % task.steps_per_epoch)
        loss.backward()
        times.append(time.perf_counter() - started)
    return min(times)
