"""One training loop: optimise, average, validate, checkpoint, resume, stop early."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from showtell.console import Bar, Console, human_time
from showtell.errors import ModelError
from showtell.files import make_folder
from showtell.training.callbacks import Callback, MetricsLog
from showtell.training.checkpoint import (
    Progress,
    TrainingState,
    load_checkpoint,
    load_tensors,
    save_checkpoint,
    save_tensors,
)
from showtell.training.gradient import compute_gradient, join
from showtell.training.interrupt import held_interrupt
from showtell.training.schedule import LoopConfig, adamw, learning_rate
from showtell.training.task import TrainingTask, is_better
from showtell.training.threads import ThreadChoice


class Loop:
    """Train a network in a folder.

    Args:
        task: What to train.
        config: How.
        folder: Holds ``metrics.jsonl`` and ``checkpoints/``.
        fingerprint: Of the settings and the data that a resume must share.
        console: Told the progress.
    """

    def __init__(
        self, task: TrainingTask, config: LoopConfig, folder: Path, *, fingerprint: str, console: Console
    ) -> None:
        self.task, self.config, self.folder = task, config, folder
        self.fingerprint, self.console = fingerprint, console
        self.total = task.steps_per_epoch * config.epochs
        self._decay_epochs = config.decay_epochs or config.epochs
        network = task.network
        self._loss, self.threads = join(task), ThreadChoice.of(task)
        self.ema = {name: value.detach().clone() for name, value in network.named_parameters()}
        self.optimizer = adamw(network, config)
        self._state = TrainingState(network, self.ema, self.optimizer)
        self.progress = Progress()
        self._writes = task.processes.is_first
        self._callbacks: tuple[Callback, ...] = (MetricsLog(folder / "metrics.jsonl"),) * self._writes
        self._last, self._best = (folder / "checkpoints" / f"{name}.safetensors" for name in ("last", "best"))
        self._saved = time.perf_counter()
        self._began = self._saved, 0

    def run(self, *, resume: bool, callbacks: Sequence[Callback] = ()) -> Progress:
        """Train to the end, from the last checkpoint where ``resume`` and there is one.

        Args:
            resume: Whether to go on from the last checkpoint.
            callbacks: Told every step and every validation, after ``metrics.jsonl``.

        Returns:
            Where the training ended. The network of the first process holds the average weights of the best
            epoch.

        Raises:
            ModelError: The loss is not finite any more, or the checkpoint does not fit.
            KeyboardInterrupt: Ctrl-C; a step under way was finished and is in the last checkpoint.
        """
        self._callbacks = (*self._callbacks, *callbacks)
        make_folder(self._last.parent)
        if resume and self._last.exists():
            self.progress = load_checkpoint(self._last, self._state, self.fingerprint)
            self.console.say(f"Resuming after step {self.progress.step} of {self.total}")
        if self.task.processes.of_first(self.progress.step) != self.progress.step:
            raise ModelError(f"{self._last} differs between processes.", hint="Name an --out that all share.")
        self._began = time.perf_counter(), self.progress.step
        for callback in self._callbacks:
            callback.begin(self.progress.step, self.progress.epoch)
        while self.progress.epoch < self.config.epochs:
            if why := self._why_ended():
                self.console.say(f"Ended after epoch {self.progress.epoch} of {self.config.epochs}: {why}")
                break
            self._stretch()
        if self._writes:
            self._load_best()
        return self.progress

    def _why_ended(self) -> str:
        """Return why training ends before its last epoch; empty where it goes on, as between validations."""
        progress, config = self.progress, self.config
        restarted = config.restart_epochs and progress.epoch >= self._decay_epochs
        waited = progress.epoch - max(progress.best_epoch, self._decay_epochs if restarted else 0)
        if progress.best_epoch and not progress.unseen and waited >= config.patience:
            return f"none of the last {waited} was better than epoch {progress.best_epoch}"
        return self.task.why_stop(progress) if progress.index == 0 else ""

    def _stretch(self) -> None:
        """Train to the next validation, and validate."""
        progress, steps = self.progress, self.task.steps_per_epoch
        last = self._next_validation(progress.epoch)
        left = (last - progress.epoch) * steps - progress.index
        what = f"epoch {last}/{self.config.epochs}"
        self.task.network.train()
        with (
            held_interrupt() as interrupted,
            self.console.bar(progress.unseen + left, what, "steps", progress.unseen) as bar,
        ):
            while self._turn_page(last):
                self._step(bar)
                stopped = self.task.processes.any(interrupted())
                if stopped or time.perf_counter() - self._saved > self.config.checkpoint_seconds:
                    self._checkpoint()
                if stopped:
                    self.task.processes.any(stopped)  # nobody ends before the checkpoint is written
                    raise KeyboardInterrupt
            if not self._last.exists():  # Ctrl-C after the first steps, or in their validation, loses none
                self._checkpoint()
        self._validate()
        progress.epoch, progress.index, progress.loss_sum, progress.unseen = last, 0, 0.0, 0
        self._checkpoint()

    def _next_validation(self, epoch: int) -> int:
        """Return after which epoch the next validation is, where ``epoch`` epochs are finished."""
        regular = (epoch // self.config.validate_every + 1) * self.config.validate_every
        first = self._decay_epochs
        fixed = (first, first + self.config.restart_epochs, self.config.epochs)
        return min([regular, *(one for one in fixed if one > epoch)])

    def _turn_page(self, last: int) -> bool:
        """Begin the next epoch where one is finished; return whether a step is left up to ``last``."""
        progress = self.progress
        if progress.index == self.task.steps_per_epoch:
            if progress.epoch + 1 == last:
                return False
            progress.epoch, progress.index = progress.epoch + 1, 0
        return True

    def _step(self, bar: Bar) -> None:
        progress, started = self.progress, time.perf_counter()
        rate = self._rate(progress.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        if progress.step == self.task.steps_per_epoch * (self._decay_epochs + self.config.restart_epochs):
            # What follows is another loss: Adam's memory of the old one's gradients would hold it back.
            self.optimizer.state.clear()
        place, clip = (progress.epoch, progress.index), self.config.clip_norm
        value, norm, count = compute_gradient(self.task, self._loss, *place, clip, self.threads)
        _check_finite("loss", value, progress.step)
        _check_finite("norm of the gradient", norm, progress.step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        progress.step += 1
        self._update_ema()
        progress.index += 1
        progress.unseen += 1
        progress.loss_sum += value
        speed = count / (time.perf_counter() - started)
        for callback in self._callbacks:
            callback.step(progress.step, progress.epoch + 1, value, rate)
        best = f", best {progress.best_score:.3f}" if progress.best_epoch else ""
        bar.set_postfix_str(
            f"loss {progress.loss_sum / progress.unseen:.3f}, rate {rate:.1e}, "
            f"{speed:.0f} {self.task.unit}/s{best}"
        )
        bar.update(1)

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0: of the first descent, or of the second."""
        config, first = self.config, self.task.steps_per_epoch * self._decay_epochs
        second = self.task.steps_per_epoch * config.restart_epochs
        if first <= step < first + second:
            return config.restart_rate * learning_rate(config, step - first, second)
        return learning_rate(config, step, first)

    @torch.no_grad()
    def _update_ema(self) -> None:
        """Move the average towards the weights, faster while it is young."""
        decay = min(self.config.ema, (1 + self.progress.step) / (10 + self.progress.step))
        torch._foreach_lerp_(list(self.ema.values()), list(self.task.network.parameters()), 1 - decay)

    def _validate(self) -> None:
        progress = self.progress
        started = time.perf_counter()
        with self._averaged():
            figures = self.task.processes.of_first(self.task.validate())
            if is_better(figures, progress.best, self.config.criterion):
                progress.best, progress.best_epoch = dict(figures), progress.epoch + 1
                if self._writes:
                    save_tensors(self._best, self.ema, {"epoch": str(progress.best_epoch)})
        loss = progress.loss_sum / max(1, progress.unseen)
        record = {"epoch": progress.epoch + 1, "train_loss": loss} | figures
        progress.history.append(record)
        for callback in self._callbacks:
            callback.validation(progress.step, record)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if name != "score")
        by_score = self.config.criterion == "score"
        best = " (best)" if by_score and progress.best_epoch == progress.epoch + 1 else ""
        seconds = time.perf_counter() - started
        self.console.say(
            f"epoch {progress.epoch + 1}: loss {loss:.3f}; validation {shown}{best}, in {seconds:.0f} s"
            f"{self._left()}"
        )

    def _left(self) -> str:
        """Say how long the whole training still takes at the pace since the last validation."""
        (moment, step), now = self._began, self.progress.step
        self._began = time.perf_counter(), now
        pace = (self._began[0] - moment) / max(1.0, self._cost(step, now))
        left = pace * self._cost(now, self.total)
        return f"; about {human_time(left)} left" if left >= 1 else ""

    def _cost(self, start: int, end: int) -> float:
        """Return what the steps between two take, in steps of the first epochs."""
        early = self.task.steps_per_epoch * self._decay_epochs
        late = max(end, early) - max(start, early)
        return min(end, early) - min(start, early) + self.config.late_cost * late

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Lend the network its average weights, in evaluation mode."""
        network = self.task.network
        own = {name: value.detach().clone() for name, value in network.named_parameters()}
        _load_parameters(network, self.ema)
        network.eval()
        try:
            yield
        finally:
            _load_parameters(network, own)
            network.train()

    def _load_best(self) -> None:
        _load_parameters(self.task.network, load_tensors(self._best)[0])
        self.task.network.eval()

    def _checkpoint(self) -> None:
        for callback in self._callbacks:
            callback.checkpoint()
        if self._writes:
            save_checkpoint(self._last, self._state, self.progress, self.fingerprint)
        self._saved = time.perf_counter()


def _check_finite(what: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise ModelError(f"The {what} became {value} at step {step}.", hint="Lower learning_rate.")


@torch.no_grad()
def _load_parameters(network: nn.Module, values: dict[str, Tensor]) -> None:
    for name, parameter in network.named_parameters():
        parameter.copy_(values[name])
