"""Fit heads on cached features, linear, nearest neighbours and an MLP, and choose between them.

Letters: N images, or views of images; D features; C classes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.console import Console
from showtell.kinds.classifier.data import Examples, HeadData
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.training import loop_config
from showtell.models.heads import Head, HeadConfig, HeadKind, LinearHead, NeighbourHead, build_head
from showtell.training.loop import Loop
from showtell.training.task import TrainingTask

_TIE = 1e-3
"""Mean log-likelihoods that are as close as this are equal, and the stronger penalty is taken."""
_MLP_CHECKS = 12
"""Most validations of an MLP's training."""


@dataclass(frozen=True)
class Candidate:
    """A fitted head and how it did.

    Attributes:
        head: The head, in evaluation mode.
        setting: What was chosen for it, for people.
        accuracy: On validation, in [0, 1].
        log_likelihood: On validation, mean natural logarithm of the right class's probability.
        seconds: What fitting took.
    """

    head: Head
    setting: str
    accuracy: float
    log_likelihood: float
    seconds: float

    @property
    def kind(self) -> HeadKind:
        """Return which head it is."""
        return self.head.config.kind


@torch.inference_mode()
def score(head: Head, examples: Examples) -> tuple[float, float]:
    """Return accuracy and mean log-likelihood."""
    logits = head(examples.pooled)
    accuracy = (logits.argmax(1) == examples.labels).float().mean().item()
    return accuracy, -F.cross_entropy(logits, examples.labels).item()


def fit_logistic(standardised: Tensor, labels: Tensor, head: LinearHead, l2: float) -> None:
    """Fit multinomial logistic regression to convergence, from where the head stands.

    Minimises mean cross-entropy + l2 / 2 * squared weights; the biases are free. That is the optimum of
    scikit-learn's ``LogisticRegression(C=1 / (N * l2))``.

    Args:
        standardised: Training features, (N, D), float32.
        labels: (N,), int64.
        head: Whose weights are fitted.
        l2: Strength of the penalty, above 0.
    """
    weight, bias = head.linear.weight, head.linear.bias
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=1000,
        history_size=20,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-6,
        tolerance_change=1e-9,
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(head.logits(standardised), labels) + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.zero_grad()


def fit_linear(data: HeadData, strengths: Sequence[float] = TrainClassifier.l2_strengths) -> Candidate:
    """Fit a linear head for each strength; keep the one that finds validation the most likely.

    Likelihood, not accuracy: on fifty photos many strengths have the same accuracy.
    """
    started, train = time.perf_counter(), data.train
    head = LinearHead(HeadConfig("linear", train.pooled.shape[1], data.classes))
    head.fit_scale(train.pooled)
    standardised = head.standardise(train.pooled)
    best: tuple[float, float, dict[str, Tensor]] | None = None
    worse = 0
    for l2 in strengths:
        fit_logistic(standardised, train.labels, head, l2)
        likelihood = score(head, data.validation)[1]
        if best is None or likelihood > best[0] + _TIE:
            state = {name: value.detach().clone() for name, value in head.state_dict().items()}
            best, worse = (likelihood, l2, state), 0
        else:
            worse += 1
        if worse == 3:  # weaker ones only fit the training images more closely
            break
    assert best is not None
    head.load_state_dict(best[2])
    head.requires_grad_(False).eval()
    return Candidate(head, f"L2 {best[1]:g}", *score(head, data.validation), time.perf_counter() - started)


def fit_neighbours(data: HeadData, neighbours: Sequence[int] = TrainClassifier.neighbours) -> Candidate:
    """Remember the training images; choose by validation how many of them vote."""
    started, train = time.perf_counter(), data.train
    found: list[Candidate] = []
    for count in neighbours:
        config = HeadConfig(
            "knn", train.pooled.shape[1], data.classes, neighbours=count, remembered=len(train.labels)
        )
        head = NeighbourHead(config)
        head.fit_scale(train.pooled)
        head.remember(train.pooled, train.labels)
        setting = f"{count} neighbours" if count > 1 else "1 neighbour"
        found.append(Candidate(head.eval(), setting, *score(head, data.validation), 0.0))
    best = best_of(found)
    seconds = time.perf_counter() - started
    return Candidate(best.head, best.setting, best.accuracy, best.log_likelihood, seconds)


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


def fit_mlp(data: HeadData, settings: TrainClassifier, folder: Path) -> Candidate:
    """Train an MLP of 256 ReLUs with dropout 0.5.

    Args:
        data: What to train on and to stop by.
        settings: Seed of weights, order and dropout, and the numbers of the training.
        folder: For its checkpoints, which nobody goes on from: it takes seconds.
    """
    started = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        head = build_head(HeadConfig("mlp", data.train.pooled.shape[1], data.classes))
        head.fit_scale(data.train.pooled)
        task = MlpTask(head, data, settings)
        config = replace(
            loop_config(settings, _MLP_CHECKS, warmup_steps=settings.mlp_warmup_steps),
            learning_rate=settings.mlp_learning_rate,
            ema=settings.mlp_ema_decay,
            patience=settings.mlp_patience,
        )
        loop = Loop(task, config, folder, fingerprint="", console=Console(quiet=True))
        best = loop.run(resume=False).best_epoch * task.steps_per_epoch
    head.requires_grad_(False)
    return Candidate(head, f"{best} steps", *score(head, data.validation), time.perf_counter() - started)


def fit_heads(data: HeadData, settings: TrainClassifier, folder: Path) -> list[Candidate]:
    """Fit the heads that the settings ask for.

    Args:
        data: What to fit to, and what to choose settings by.
        settings: Which heads, and their numbers.
        folder: For checkpoints.
    """
    wanted = ("linear", "mlp", "knn") if settings.head == "auto" else (settings.head,)
    candidates: list[Candidate] = []
    if "linear" in wanted:
        candidates.append(fit_linear(data, settings.l2_strengths))
    if "mlp" in wanted:
        candidates.append(fit_mlp(data, settings, folder / "mlp"))
    if "knn" in wanted:
        candidates.append(fit_neighbours(data, settings.neighbours))
    return candidates


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate with the best validation accuracy; of equal ones the likelier, then the first."""
    return max(candidates, key=lambda candidate: (candidate.accuracy, candidate.log_likelihood))


def choose_head(candidates: Sequence[Candidate], groups: int) -> Candidate:
    """Return the best head; nearest neighbours only where they are clearly better than all others.

    They have no gradient to show what spoke for a class, and their probabilities are coarse. Clearly is more
    than one standard error of the other's accuracy, and more than one group of images.

    Args:
        candidates: To choose from.
        groups: How many groups of near-duplicates validation has; its images, where each stands alone.
    """
    best = best_of(candidates)
    others = [candidate for candidate in candidates if candidate.kind != "knn"]
    if best.kind != "knn" or not others:
        return best
    other = best_of(others)
    error = (other.accuracy * (1 - other.accuracy) / groups) ** 0.5
    return best if best.accuracy - other.accuracy > max(error, 1 / groups) + 1e-9 else other


def candidates_table(candidates: Sequence[Candidate], chosen: Candidate) -> str:
    """Return the heads and their validation scores as a table."""
    lines = ["head     validation accuracy   log-likelihood   seconds   setting"]
    for one in candidates:
        mark = "   <- chosen" if one is chosen else ""
        lines.append(
            f"{one.kind:<8} {one.accuracy:19.4f}   {one.log_likelihood:14.4f}   {one.seconds:7.2f}   "
            f"{one.setting}{mark}"
        )
    return "\n".join(lines)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature by which logits (N, C) find the labels (N,) the most likely, in [0.05, 20].

    A normal prior of its logarithm weighs as much as an image: without it, a few images of which all are
    right would have every later one named with 100%.

    Source: Guo et al. 2017, section 4.2; searched by golden section on its logarithm.
    """
    ratio = (5**0.5 - 1) / 2
    low, high = 0.05, 20.0  # of 1 / temperature, searched on a logarithmic scale
    low, high = float(np.log(low)), float(np.log(high))

    def cost(log_scale: float) -> float:
        likelihood = F.cross_entropy(logits.double() * float(np.exp(log_scale)), labels).item()
        return likelihood + log_scale**2 / 2 / len(labels)

    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if cost(left) <= cost(right) else (left, high)
    return float(np.exp(-(low + high) / 2))
