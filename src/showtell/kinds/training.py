"""What the trainings of all kinds share: the claimed run, the store, the loop, the boards and the report."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from showtell.backbones.backbone import Backbone
from showtell.console import Console, Log, human_time
from showtell.data.records import AnnotatedImage, Dataset
from showtell.data.sizes import DEFAULT_SIZE
from showtell.extraction.prepared import Prepared, prepare
from showtell.kinds.kind import Reported
from showtell.runs.plan import TrainingPlan
from showtell.runs.run import Run
from showtell.runs.settings import TrainingSettings
from showtell.store.store import FeatureStore
from showtell.training.callbacks import TensorBoardLog
from showtell.training.checkpoint import Progress
from showtell.training.loop import Loop, LoopConfig
from showtell.training.task import TrainingTask

S = TypeVar("S", bound=TrainingSettings)


@dataclass(frozen=True)
class Session(Generic[S]):
    """A training under way.

    Attributes:
        settings: As given.
        run: Where it writes; claimed.
        store: Where features are kept.
        console: Told what happens.
        boards: Event files for TensorBoard, where they are asked for.
        started: When, by ``time.perf_counter``.
    """

    settings: S
    run: Run
    store: FeatureStore
    console: Console
    boards: Sequence[TensorBoardLog]
    started: float

    def prepare(
        self, dataset: Dataset, backbone: Backbone, val_size: float | None, test_size: float | None
    ) -> Prepared:
        """Encode all images and split them; sizes of None are the usual ones."""
        return prepare(
            dataset,
            backbone,
            self.store,
            self.console,
            seed=self.settings.seed,
            val_size=DEFAULT_SIZE if val_size is None else val_size,
            test_size=DEFAULT_SIZE if test_size is None else test_size,
        )

    def start(self, plan: TrainingPlan) -> str:
        """Record what is run; return its fingerprint."""
        return self.run.start(plan, self.console)

    def show(self, images: Sequence[AnnotatedImage], texts: Callable[[], Mapping[str, str]]) -> None:
        """Show a few of these images on the boards, with the model's text of each when last scored."""
        for board in self.boards:
            board.show(images, texts)

    def loop(self, task: TrainingTask, config: LoopConfig, fingerprint: str) -> Progress:
        """Train to the end, from the last checkpoint where the training is resumed."""
        loop = Loop(task, config, self.run.folder, fingerprint=fingerprint, console=self.console)
        return loop.run(resume=self.settings.resume, callbacks=self.boards)

    @property
    def took(self) -> str:
        """Return how long it has taken so far, for people."""
        return human_time(time.perf_counter() - self.started)

    def report(self, reported: Reported) -> None:
        """Write the report. Where that fails, say so: the model is finished."""
        from showtell.kinds.report import report_training  # matplotlib takes a second to load

        report_training(reported, self.console)

    def say_how_to_use(self) -> None:
        """Say what to type next."""
        self.console.say(f"Try it: showtell predict {self.run.folder} PICTURE --save-plot why.png")


def loop_config(settings: TrainingSettings, epochs: int, *, warmup_steps: int) -> LoopConfig:
    """Return how the loop goes by what the settings of all trainings say."""
    return LoopConfig(
        epochs,
        learning_rate=settings.learning_rate,
        warmup_steps=warmup_steps,
        final_rate=settings.final_rate,
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
        ema=settings.ema_decay,
        patience=settings.patience,
    )


def train_in_run(settings: S, console: Console | None, train: Callable[[Session[S]], None]) -> Run:
    """Claim the run of a training, train, and return the run.

    Args:
        settings: Of the training.
        console: Where to say what happens; None for the log of ``showtell``.
        train: The training of a kind.
    """
    started = time.perf_counter()
    boards = [TensorBoardLog(settings.out / "tensorboard")] if settings.tensorboard else []
    run = Run(settings.out)
    with run.claim(settings):
        train(Session(settings, run, FeatureStore(settings.store), console or Log(), boards, started))
    return run
