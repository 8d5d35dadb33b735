"""Train an MLP on cached features through the one loop."""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from showtell.console import Console
from showtell.kinds.classifier.heads import Candidate, Examples, score
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.models.heads import Head, HeadConfig, build_head
from showtell.training.loop import Loop, LoopConfig

_MLP_CHECKS = 12
"""Most validations of an MLP's training."""


class MlpTraining(NamedTuple):
    """How an MLP is trained: see ``TrainClassifier``."""

    steps: int = TrainClassifier.mlp_steps
    batch_size: int = TrainClassifier.mlp_batch_size
    learning_rate: float = TrainClassifier.mlp_learning_rate
    warmup_steps: int = TrainClassifier.mlp_warmup_steps
    ema_decay: float = TrainClassifier.mlp_ema_decay
    patience: int = TrainClassifier.mlp_patience
    label_smoothing: float = TrainClassifier.mlp_label_smoothing
    weight_decay: float = TrainClassifier.weight_decay
    clip_norm: float = TrainClassifier.clip_norm
    final_rate: float = TrainClassifier.final_rate


USUAL_MLP_TRAINING = MlpTraining()


class MlpTrainee:
    """What the loop needs to train an MLP on features in memory.

    Args:
        head: The MLP.
        train: Training features.
        validation: Features that choose when to stop.
        seed: Of order and dropout.
        how: Steps, batches and label smoothing.
    """

    unit = "images"

    def __init__(
        self, head: Head, train: Examples, validation: Examples, *, seed: int, how: MlpTraining
    ) -> None:
        self.network = head
        self.head, self.validation, self.seed, self.how = head, validation, seed, how
        self.standardised, self.labels = head.standardise(train.pooled), train.labels
        # Small data sets are gone through many times between two validations.
        self.steps_per_epoch = max(how.steps // _MLP_CHECKS, -(-len(train.labels) // how.batch_size))

    def loss(self, epoch: int, index: int) -> tuple[Tensor, int]:
        """Return the cross-entropy of a random batch and its size."""
        random = np.random.default_rng((self.seed, epoch, index))
        count = min(self.how.batch_size, len(self.labels))
        chosen = torch.from_numpy(random.choice(len(self.labels), count, replace=False))
        logits = self.head.logits(self.standardised[chosen])
        return F.cross_entropy(logits, self.labels[chosen], label_smoothing=self.how.label_smoothing), count

    def validate(self) -> dict[str, float]:
        """Score by likelihood, which tells more than accuracy where there are few images."""
        accuracy, likelihood = score(self.head, self.validation)
        return {"score": likelihood, "accuracy": accuracy}


def fit_mlp(
    train: Examples,
    validation: Examples,
    classes: int,
    *,
    folder: Path,
    seed: int,
    fingerprint: str,
    how: MlpTraining = USUAL_MLP_TRAINING,
) -> Candidate:
    """Train an MLP of 256 ReLUs with dropout 0.5.

    Args:
        train: What to train on.
        validation: What to stop by.
        classes: C.
        folder: For its checkpoints.
        seed: Of weights, order and dropout.
        fingerprint: Of the data; another one starts anew.
        how: The numbers of the training.
    """
    started = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = build_head(HeadConfig("mlp", train.pooled.shape[1], classes))
        head.fit_scale(train.pooled)
        trainee = MlpTrainee(head, train, validation, seed=seed, how=how)
        config = LoopConfig(
            _MLP_CHECKS,
            learning_rate=how.learning_rate,
            warmup_steps=how.warmup_steps,
            final_rate=how.final_rate,
            weight_decay=how.weight_decay,
            clip_norm=how.clip_norm,
            average=how.ema_decay,
            patience=how.patience,
        )
        loop = Loop(trainee, config, folder, fingerprint=fingerprint, console=Console(quiet=True))
        best = loop.run(resume=False).best_epoch * trainee.steps_per_epoch
    head.requires_grad_(False)
    return Candidate(head, f"{best} steps", *score(head, validation), time.perf_counter() - started)
