"""What the trainings of all kinds share: the claimed run, the store, the loop, the boards and the report."""

import contextlib
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from showtell.backbones.backbone import Backbone
from showtell.console import Console, Log, human_time
from showtell.data.records import AnnotatedImage, Dataset
from showtell.data.sizes import DEFAULT_SIZE
from showtell.errors import NotLearntError
from showtell.extraction.fastest import by_fastest, by_recorded
from showtell.extraction.prepared import Prepared, prepare
from showtell.files import write_atomic
from showtell.kinds.kind import Reported
from showtell.runs.plan import TrainingPlan
from showtell.runs.records import JsonObject, RangeTestRecord, save_record
from showtell.runs.run import Run
from showtell.runs.settings import TrainingSettings
from showtell.store.store import FeatureStore
from showtell.training.callbacks import TensorBoardLog
from showtell.training.checkpoint import Progress
from showtell.training.loop import Loop
from showtell.training.lr_finder import run_range_test
from showtell.training.processes import Processes, joined
from showtell.training.schedule import LoopConfig
from showtell.training.task import TrainingTask

S = TypeVar("S", bound=TrainingSettings)


class _DoneError(Exception):
    """Ends a training that was to find a learning rate only, or a process whose part in it is done."""


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
        processes: Those that train; a task that they shall share takes them.
        led: The run of the first of them, on a disk that all share; this one, where it is the first.
    """

    settings: S
    run: Run
    store: FeatureStore
    console: Console
    boards: Sequence[TensorBoardLog]
    started: float
    processes: Processes
    led: Run

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
            executor=self.settings.build_executor(),
        )

    def by_engine(self, backbone: Backbone, images: Sequence[AnnotatedImage]) -> Backbone:
        """Return the backbone run by what encodes these images: what did it at the start, or the fastest."""
        if self._goes_on and self.led.has_started:
            return by_recorded(backbone, self.led.record.backbone.networks)
        if not self.settings.encodes_here:
            return backbone
        return by_fastest(backbone, images, self.store, self.console)

    @property
    def started_with(self) -> JsonObject:
        """Return what was resolved at the start of a training that goes on, or by the first process.

        What follows from a machine, such as its memory, must be the same after a resume and in all processes.
        """
        return self.led.started_with if self._goes_on else {}

    @property
    def _goes_on(self) -> bool:
        """Whether a record of this very training may be there already."""
        return self.settings.resume or not self.processes.is_first

    def start(self, plan: TrainingPlan) -> str:
        """Record what is run; return its fingerprint."""
        return self.run.start(plan, self.console)

    def show(self, images: Sequence[AnnotatedImage], texts: Callable[[], Mapping[str, str]]) -> None:
        """Show a few of these images on the boards, with the model's text of each when last scored."""
        for board in self.boards:
            board.show(images, texts)

    def loop(self, task: TrainingTask, config: LoopConfig, fingerprint: str) -> Progress:
        """Train to the end, from the last checkpoint where it is resumed; or find a learning rate."""
        if self.processes.is_first:
            # What the others wait for: everything is in the store, and what is run is recorded.
            _lead(task.processes, self.run.folder)
        with task.processes.sharing_cores():
            if self.settings.find_lr:
                self._find_rate(task, config)
                raise _DoneError
            loop = Loop(task, config, self.settings.out, fingerprint=fingerprint, console=self.console)
            progress = loop.run(resume=self.settings.resume, callbacks=self.boards)
        if not self.processes.is_first:
            raise _DoneError
        return progress

    def _find_rate(self, task: TrainingTask, config: LoopConfig) -> None:
        """Find a learning rate, keep how it was found, and say it."""
        test = run_range_test(task, config, self.console)
        if self.processes.is_first:
            _keep_range_test(test, self.settings.out, self.run.folder / "drawn.png")
            self.console.say(_said_of(test, self.settings.out))

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
        run = shlex.quote(str(self.run.folder))
        self.console.say(f"Try it: showtell predict {run} PICTURE --save-plot why.png")


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

    Of several processes, the first one does so; once everything is encoded, the others do the same, aside and
    silently, up to the loop, and there take their part.

    Args:
        settings: Of the training.
        console: Where to say what happens; None for the log of ``showtell``.
        train: The training of a kind.
    """
    with joined(settings.device) as processes:
        if processes.is_first:
            try:
                _train_first(settings, console or Log(), train, processes)
            except NotLearntError:
                _lead(processes, None)
                raise
            _lead(processes, None)  # nothing is left for the others
        while not processes.is_first and (led := _lead(processes, None)):
            with processes.sharing_cores():
                _train_aside(settings, train, processes, Run(led))
    return Run(settings.out)


def _lead(processes: Processes, run: Path | None) -> Path | None:
    """Return the run in which the first process goes on with all; None where the others have no part."""
    return processes.of_first(run)


def _train_first(
    settings: S, console: Console, train: Callable[[Session[S]], None], processes: Processes
) -> None:
    """Claim the run, and train as the process that writes and speaks."""
    started = time.perf_counter()
    boards = [TensorBoardLog(settings.out / "tensorboard")] if settings.tensorboard else []
    # What comes before the loop, such as heads, is written aside where only a learning rate is wanted.
    with _aside() if settings.find_lr else contextlib.nullcontext(settings.out) as folder:
        run = Run(Path(folder))
        with run.claim(settings), contextlib.suppress(_DoneError):
            store = FeatureStore(settings.store, keep_images=settings.keep_images)
            train(Session(settings, run, store, console, boards, started, processes, run))


def _aside() -> tempfile.TemporaryDirectory[str]:
    """Make a folder for a run that nobody keeps."""
    return tempfile.TemporaryDirectory(prefix="showtell-")


def _train_aside(settings: S, train: Callable[[Session[S]], None], processes: Processes, led: Run) -> None:
    """Take part in a training that another process leads, in a run of its own."""
    with _aside() as folder, contextlib.suppress(_DoneError):
        store, quiet = FeatureStore(settings.store), Console(quiet=True)
        own, started = Run(Path(folder)), time.perf_counter()
        train(Session(settings, own, store, quiet, [], started, processes, led))


def _keep_range_test(test: RangeTestRecord, out: Path, drawn: Path) -> None:
    """Write the record of a range test and its drawing into a run, each whole or not at all."""
    from showtell.report.curves import draw_range_test  # matplotlib takes a second to load
    from showtell.report.figures import save_figure

    content = save_figure(draw_range_test(test), drawn).read_bytes()
    out.mkdir(parents=True, exist_ok=True)
    save_record(out / "learning-rate.json", test)
    write_atomic(out / "learning-rate.png", content)


def _said_of(test: RangeTestRecord, out: Path) -> str:
    """Word what a range test found, and what to type to train with it."""
    grew = f"grew beyond twice its first value at {test.diverged:.1e}" if test.diverged else ""
    end = grew or "never grew to twice its first value"
    where = f"{out / 'learning-rate.png'} shows the curve; no model was trained"
    if test.suggested is None:
        return (
            f"Learning rate: none to suggest: the loss falls no further than by chance, and {end}; "
            f"{test.present:g} (learning_rate) stays. {where}"
        )
    return (
        f"Learning rate: {test.suggested:.2g} suggested, where the loss falls most steeply; two thirds "
        f"of the fall are made by {test.valley:.2g}; it {end}; {test.present:g} (learning_rate) is set. "
        f"{where}\n"
        f"To train with it: write the line learning_rate = {test.suggested:.2g} into settings.toml, and "
        "repeat the command with --config settings.toml instead of --find-lr"
    )
