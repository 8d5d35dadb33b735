"""What the trainings of all kinds of models are told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from showtell.backbones.description import EngineChoice, Precision
from showtell.backbones.settings import BackboneSettings
from showtell.data.sizes import DEFAULT_SIZE, check_sizes
from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.extraction.settings import ExecutorName, ExecutorSettings
from showtell.settings import MAX_SEED, Maybe, Rare, above_zero, at_least, at_most, below_one


@dataclass(frozen=True)
class TrainingSettings(ExecutorSettings, BackboneSettings, DataSource):
    """Data, backbone, and what every training shares."""

    # Flags of other commands, and too rarely needed to be some of a training.
    encoding: Rare[Maybe[str]] = None
    image_size: Rare[Maybe[int]] = None
    resize: Rare[Literal["stretch", "crop"]] = "stretch"
    precision: Rare[Precision] = "float32"
    engine: Rare[EngineChoice] = "auto"
    device: Rare[str] = "auto"
    executor: Rare[ExecutorName] = "threads"
    workers: Rare[Maybe[int]] = None
    ray_address: Rare[Maybe[str]] = None
    gpus_per_worker: Rare[Maybe[float]] = None
    keep_images: Rare[bool] = False

    out: Path = Path("runs/model")
    """Folder of the run: model, checkpoints, metrics."""
    val_size: Maybe[float] = None
    """Share (0.1) or count (50) of images to validate on, unless the data has splits.
    By default 0.1; a captioner takes 8 of fewer than 80 images."""
    test_size: Maybe[float] = None
    """Share or count of images to test on, unless the data has splits; 0 for none.
    By default 0.1; a captioner takes none of fewer than 80 images."""
    seed: int = 0
    """Seed of initial weights, order, dropout and split, at least 0."""
    learning_rate: Rare[float] = 1e-3
    """Peak of the schedule, above 0 and below 1."""
    final_rate: Rare[float] = 0.05
    """Learning rate at the end as a share of the peak, from 0 to 1."""
    weight_decay: Rare[float] = 0.05
    """AdamW's weight decay, on matrices only, at least 0."""
    clip_norm: Rare[float] = 5.0
    """Largest norm of the gradient, above 0."""
    ema_decay: Rare[float] = 0.995
    """Decay of the moving average of weights that is validated and kept, at least 0 and below 1."""
    label_smoothing: Rare[float] = 0.1
    """Share of the target's probability that is spread over all classes or tokens, at least 0 and below 1."""
    patience: Rare[int] = 5
    """Epochs without a better validation after which training stops, at least 1."""
    tensorboard: Rare[bool] = False
    """Write event files for TensorBoard into RUN/tensorboard."""
    resume: bool = False
    """Continue the training in RUN."""
    find_lr: bool = False
    """Train nothing: find a learning rate in 120 steps, and draw RUN/learning-rate.png."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, seed=0, weight_decay=0, patience=1, final_rate=0)
        at_most(self, final_rate=1, seed=MAX_SEED)
        above_zero(self, "learning_rate", below=1)
        above_zero(self, "clip_norm")
        below_one(self, "ema_decay", "label_smoothing")
        val, test = (DEFAULT_SIZE if size is None else size for size in (self.val_size, self.test_size))
        check_sizes(val, test, least_val=1e-9)
        if self.find_lr and self.resume:
            raise ConfigError(
                "--find-lr starts from untrained weights, and --resume from trained ones.",
                hint="Leave one of them out.",
            )


@dataclass(frozen=True)
class FineTuningSettings(TrainingSettings):
    """What a training is told that may go on into the backbone."""

    fine_tune: Maybe[str] = None
    """Also train the top of the backbone.
    From a layer on (blocks.5, stage5, or 100 as counted in Keras), or a share of its layers (0.3)."""
    from_run: Annotated[Maybe[Path], tyro.conf.arg(name="from", metavar="RUN")] = None
    """Go on from a finished run: its weights, its splits, and what was corrected of it.
    DATA may be left out then: it is that of RUN."""
    top_share: Rare[float] = 0.1
    """Fine-tuning: share of the learning rate of the highest trained layer (Howard and Ruder 2018)."""
    bottom_share: Rare[float] = 0.02
    """Fine-tuning: share of the learning rate of the lowest trained layer."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_most(self, top_share=1, bottom_share=1)
        above_zero(self, "top_share", "bottom_share")
