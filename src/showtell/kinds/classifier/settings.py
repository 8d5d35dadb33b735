"""Settings of a classifier's training."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from showtell.errors import ConfigError
from showtell.runs.settings import FineTuningSettings
from showtell.settings import Rare, above_zero, at_least, at_most, below_one, spelled

_TUNING = (
    *("epochs", "batch_size", "learning_rate", "warmup_epochs", "ema_decay", "patience"),
    *("label_smoothing", "top_share", "bottom_share", "tensorboard"),
)
"""Settings that say how to fine-tune, and nothing of how heads are fitted."""


@dataclass(frozen=True)
class TrainClassifier(FineTuningSettings):
    """Train a classifier on class folders or a labels table; the result is a folder, RUN.

    Example: showtell train-classifier photos/cats --out runs/cats

    Example: showtell train-classifier labels.csv --images photos --group-column cat --fine-tune 0.3
    """

    out: Path = Path("runs/classifier")
    head: Literal["auto", "linear", "mlp", "knn"] = "auto"
    """Head on the features.
    auto fits all and keeps the best on validation; knn only if clearly better, as it explains nothing."""
    epochs: int = 30
    """Fine-tuning: passes over the training split, at least 1."""
    batch_size: Rare[int] = 32
    """Fine-tuning: images per step, at least 1."""
    augmentations: Rare[int] = 0
    """Random views of each training image to learn from besides the plain one, 0 to 64."""
    learning_rate: Rare[float] = 3e-3
    """Fine-tuning: peak at the head; layers below learn more slowly."""
    warmup_epochs: Rare[int] = 2
    """Fine-tuning: epochs over which the learning rate rises to its peak; at most a tenth of all is used."""
    ema_decay: Rare[float] = 0.99
    patience: Rare[int] = 8
    l2_strengths: Rare[tuple[float, ...]] = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4)
    """Linear head: L2 penalties to try, the strongest first; each fit starts from the one before."""
    neighbours: Rare[tuple[int, ...]] = (1, 5, 20)
    """knn head: numbers of neighbours to try."""
    mlp_steps: Rare[int] = 360
    """MLP head: least steps, at least 12."""
    mlp_batch_size: Rare[int] = 64
    """MLP head: images per step, at least 1."""
    mlp_learning_rate: Rare[float] = 1e-3
    """MLP head: peak of the schedule, above 0 and below 1."""
    mlp_warmup_steps: Rare[int] = 20
    """MLP head: steps over which the learning rate rises to its peak."""
    mlp_ema_decay: Rare[float] = 0.99
    """MLP head: decay of the moving average of weights."""
    mlp_patience: Rare[int] = 3
    """MLP head: validations without improvement after which it stops, at least 1."""
    mlp_label_smoothing: Rare[float] = 0.05
    """MLP head: share of the target's probability that is spread over all classes."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, augmentations=0, epochs=1, batch_size=1, warmup_epochs=0)
        at_least(self, mlp_steps=12, mlp_batch_size=1, mlp_warmup_steps=0, mlp_patience=1)
        at_most(self, augmentations=64)
        above_zero(self, "mlp_learning_rate", below=1)
        below_one(self, "mlp_ema_decay", "mlp_label_smoothing")
        if self.find_lr and self.fine_tune is None:
            raise ConfigError(
                "--find-lr finds the learning rate of fine-tuning, and there is none without --fine-tune.",
                hint="Add --fine-tune, for example --fine-tune 0.3.",
            )
        for name in _TUNING:
            if self.fine_tune is None and getattr(self, name) != getattr(TrainClassifier, name):
                raise ConfigError(
                    f"{spelled(self, name)} is about fine-tuning, and there is none without --fine-tune.",
                    hint="Add --fine-tune, for example --fine-tune 0.3, or leave it out.",
                )
        for name in ("l2_strengths", "neighbours"):
            values = getattr(self, name)
            if not values or not all(0 < value < math.inf for value in values):
                raise ConfigError(f"{name} {list(values)} is out of range.", hint="Expected numbers above 0.")
        if self.fine_tune is not None and self.head == "knn":
            raise ConfigError("--fine-tune cannot train through --head knn.", hint="Use linear, mlp or auto.")
        networks = len(self.networks())
        if self.fine_tune is not None and networks > 1:
            raise ConfigError(
                f"--fine-tune of a classifier trains one backbone, and --backbone names {networks} "
                f"({self.backbone}).",
                hint="Leave --fine-tune out, or name one backbone.",
            )
