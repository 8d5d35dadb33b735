"""Train an MLP on cached features through the one loop, and fit all heads that are asked for."""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.console import Console
from showtell.kinds.classifier.data import HeadData
from showtell.kinds.classifier.heads import Candidate, fit_linear, fit_neighbours, score
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.models.heads import Head, HeadConfig, build_head
from showtell.training.loop import Loop, LoopConfig
from showtell.training.task import TrainingTask

_MLP_CHECKS = 12
"""Most validations of an MLP's training."""


class MlpTask(TrainingTask):
    """What the loop needs to train an MLP on features in memory.

    Args:
        head: The MLP.
        data: Features to train on, and features that choose when to stop.
        settings: Seed, and the numbers of the MLP's training.
    """

    unit = "images"

    def __init__(self, head: Head, data: HeadData, settings: TrainClassifier) -> None:
        self.head, self.validation, self.settings = head, data.validation, settings
        self.standardised, self.labels = head.standardise(data.train.pooled), data.train.labels
        # Small data sets are gone through many times between two validations.
        least = -(-len(self.labels) // settings.mlp_batch_size)
        self.steps_per_epoch = max(settings.mlp_steps // _MLP_CHECKS, least)

    @property
    def network(self) -> nn.Module:
        """Return the head."""
        return self.head

    def loss(self, epoch: int, index: int) -> tuple[Tensor, int]:
        """Return the cross-entropy of a random batch and its size."""
        random = np.random.default_rng((self.settings.seed, epoch, index))
        count = min(self.settings.mlp_batch_size, len(self.labels))
        chosen = torch.from_numpy(random.choice(len(self.labels), count, replace=False))
        logits, labels = self.head.logits(self.standardised[chosen]), self.labels[chosen]
        return F.cross_entropy(logits, labels, label_smoothing=self.settings.mlp_label_smoothing), count

    def validate(self) -> dict[str, float]:
        """Score by likelihood, which tells more than accuracy where there are few images."""
        accuracy, likelihood = score(self.head, self.validation)
        return {"score": likelihood, "accuracy": accuracy}


def fit_mlp(data: HeadData, settings: TrainClassifier, folder: Path, fingerprint: str) -> Candidate:
    """Train an MLP of 256 ReLUs with dropout 0.5.

    Args:
        data: What to train on and to stop by.
        settings: Seed of weights, order and dropout, and the numbers of the training.
        folder: For its checkpoints.
        fingerprint: Of the data; another one starts anew.
    """
    started = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        head = build_head(HeadConfig("mlp", data.train.pooled.shape[1], data.classes))
        head.fit_scale(data.train.pooled)
        task = MlpTask(head, data, settings)
        config = LoopConfig(
            _MLP_CHECKS,
            learning_rate=settings.mlp_learning_rate,
            warmup_steps=settings.mlp_warmup_steps,
            final_rate=settings.final_rate,
            weight_decay=settings.weight_decay,
            clip_norm=settings.clip_norm,
            ema=settings.mlp_ema_decay,
            patience=settings.mlp_patience,
        )
        loop = Loop(task, config, folder, fingerprint=fingerprint, console=Console(quiet=True))
        best = loop.run(resume=False).best_epoch * task.steps_per_epoch
    head.requires_grad_(False)
    return Candidate(head, f"{best} steps", *score(head, data.validation), time.perf_counter() - started)


def fit_heads(data: HeadData, settings: TrainClassifier, folder: Path, fingerprint: str) -> list[Candidate]:
    """Fit the heads that the settings ask for.

    Args:
        data: What to fit to, and what to choose settings by.
        settings: Which heads, and their numbers.
        folder: For checkpoints.
        fingerprint: Of the data; checkpoints of another one are no use.
    """
    wanted = ("linear", "mlp", "knn") if settings.head == "auto" else (settings.head,)
    candidates: list[Candidate] = []
    if "linear" in wanted:
        candidates.append(fit_linear(data, settings.l2_strengths))
    if "mlp" in wanted:
        candidates.append(fit_mlp(data, settings, folder / "mlp", fingerprint))
    if "knn" in wanted:
        candidates.append(fit_neighbours(data, settings.neighbours))
    return candidates
