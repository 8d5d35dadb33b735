"""The loop: rates, averages, the epoch that is kept, patience, stops and checkpoints."""

import contextlib
import itertools
import json
import math
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from showtell.console import Console
from showtell.errors import ModelError
from showtell.training.checkpoint import Progress
from showtell.training.loop import Loop
from showtell.training.schedule import LoopConfig, learning_rate
from showtell.training.task import TrainingTask, is_better

CONSOLE = Console(quiet=True)


class Line(TrainingTask):
    """A task whose loss is a weight's distance to a target, with scores told in advance."""

    unit = "numbers"

    def __init__(
        self,
        scores: list[float],
        steps_per_epoch: int = 3,
        losses: dict[int, float] | None = None,
        held_out: list[float] | None = None,
    ):
        self.held_out = held_out
        self.line = nn.Linear(1, 1)
        nn.init.zeros_(self.network.weight)
        nn.init.zeros_(self.network.bias)
        self.steps_per_epoch, self.scores, self.losses = steps_per_epoch, scores, losses or {}
        self.asked: list[tuple[int, int]] = []
        self.seen: list[list[torch.Tensor]] = []

    @property
    def network(self) -> nn.Module:
        return self.line

    def loss(self, epoch: int, index: int) -> tuple[torch.Tensor, int]:
        assert self.network.training
        self.asked.append((epoch, index))
        value = (self.network.weight - 1).square().sum() + (self.network.bias + 2).square().sum()
        return value * self.losses.get(len(self.asked) - 1, 1.0), 5

    def validate(self) -> dict[str, float]:
        assert not self.network.training
        self.seen.append([value.detach().clone() for value in self.network.parameters()])
        figures = {"score": self.scores[len(self.seen) - 1], "other": 0.5}
        return figures | ({"loss": self.held_out[len(self.seen) - 1]} if self.held_out else {})


def run(task, folder: Path, *, resume: bool = False, **settings):
    settings = {"epochs": 4, "learning_rate": 0.1, "warmup_steps": 1, **settings}
    loop = Loop(task, LoopConfig(**settings), folder, fingerprint="same", console=CONSOLE)
    return loop, loop.run(resume=resume)


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]


def test_the_learning_rate_rises_in_a_line_and_falls_in_a_cosine():
    config = LoopConfig(epochs=1, learning_rate=0.2, warmup_steps=10, final_rate=0.1)
    rates = [learning_rate(config, step, 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(0.2 / 10)
    assert rates[4] == pytest.approx(0.2 * 5 / 10, rel=1e-3)
    assert max(rates) == rates[9]
    assert rates[500] == pytest.approx(0.2 * (0.1 + 0.9 * 0.5))
    assert rates[1000] == pytest.approx(0.02)
    assert all(after < before for before, after in itertools.pairwise(rates[9:]))
    assert learning_rate(config, 5000, 1000) == pytest.approx(0.02)


def test_a_short_training_warms_up_for_a_tenth_of_it_at_most():
    config = LoopConfig(epochs=1, learning_rate=1.0, warmup_steps=200)
    rates = [learning_rate(config, step, 40) for step in range(40)]
    assert rates.index(max(rates)) == 3
    assert learning_rate(config, 0, 1) == pytest.approx(1.0)  # a single step is no division by zero


def test_the_forecast_knows_that_later_steps_take_longer(tmp_path, monkeypatch):
    clock, said = [0.0], []
    monkeypatch.setattr("showtell.training.loop.time.perf_counter", lambda: clock[0])
    task = Line([1, 2, 3, 4], steps_per_epoch=10)
    original = task.loss

    def slow(epoch, index):
        clock[0] += 10.0 if epoch < 2 else 30.0
        return original(epoch, index)

    task.loss, console = slow, Console(quiet=True)
    console.say = said.append
    config = LoopConfig(epochs=4, decay_epochs=2, late_cost=2.0)
    Loop(task, config, tmp_path, fingerprint="same", console=console).run(resume=False)
    left = [line.partition("; about ")[2] for line in said if "validation" in line]
    # 10 steps of 10 s and 20 of twice that; then 20 of twice that; then 10 as they were found to be
    assert left == ["8 min 20 s left", "6 min 40 s left", "5 min left", ""]


def test_the_average_follows_the_weights_as_stated(tmp_path):
    task = Line([1, 2, 3, 4])
    decays = [min(0.6, (1 + step) / (10 + step)) for step in range(1, 13)]
    weights: list[torch.Tensor] = []
    original = task.loss

    def spying(epoch, index):
        weights.append(task.network.weight.detach().clone())
        return original(epoch, index)

    task.loss = spying
    run(task, tmp_path, ema=0.6)
    average = weights[0]
    expected = []
    for step, decay in enumerate(decays[:-1], 1):
        average = decay * average + (1 - decay) * weights[step]
        expected.append(average)
    for epoch in range(3):
        assert torch.allclose(task.seen[epoch][0], expected[3 * (epoch + 1) - 1], atol=1e-6)
    assert not torch.allclose(task.seen[2][0], weights[9])  # the average, not the last weights


def test_the_loop_keeps_the_average_of_the_best_epoch(tmp_path):
    task = Line([0.1, 0.9, 0.3, 0.9])
    _, progress = run(task, tmp_path)
    assert (progress.best_epoch, progress.best_score, progress.step) == (2, 0.9, 12)
    for kept, seen in zip(task.network.parameters(), task.seen[1]):
        assert torch.equal(kept, seen)
    assert not task.network.training
    assert [record["score"] for record in progress.history] == [0.1, 0.9, 0.3, 0.9]


@pytest.mark.parametrize(
    ("scores", "patience", "epochs"),
    [
        ([1, 2, 3, 2, 2, 2, 9], 3, 6),
        ([3, 3, 3, 9], 2, 3),  # an equal score is no better one
        ([0, 0, 0, 9], 2, 3),
        ([1, 2, 1, 3, 1, 1, 9], 2, 6),
        ([5, 4, 3, 2, 1, 0, 0], 7, 7),
    ],
)
def test_training_stops_when_patience_is_spent(tmp_path, scores, patience, epochs):
    task = Line(scores)
    _, progress = run(task, tmp_path, epochs=7, patience=patience)
    assert progress.epoch == epochs == len(task.seen)
    # A resume of a stopped training does not go on either.
    again = Line(scores)
    run(again, tmp_path, resume=True, epochs=7, patience=patience)
    assert again.asked == []


def test_a_score_of_zero_is_nobodys_best_where_there_is_a_loss(tmp_path):
    """Empty captions score zero for many epochs while the loss falls: patience has nothing to wait from."""
    task = Line([0, 0, 0, 0, 0, 0.2, 0.1], held_out=[5, 4, 3, 2, 1, 6, 0.5])
    _, progress = run(task, tmp_path, epochs=7, patience=2)
    assert (progress.epoch, progress.best_epoch, progress.best_score) == (7, 6, 0.2)


def test_where_nothing_ever_scores_the_loss_decides(tmp_path):
    task = Line([0, 0, 0, 0, 0], held_out=[5, 4, 3, 3.5, 3.6])
    _, progress = run(task, tmp_path, epochs=5, patience=2)
    assert (progress.epoch, progress.best_epoch) == (5, 3)
    for kept, seen in zip(task.network.parameters(), task.seen[2]):
        assert torch.equal(kept, seen)


def test_the_last_epoch_is_kept_where_that_is_asked_for_and_patience_has_no_say(tmp_path):
    task = Line([0.9, 0.1, 0.8, 0.7], held_out=[1, 2, 3, 4])
    _, progress = run(task, tmp_path, criterion="last", patience=1)
    assert (progress.epoch, progress.best_epoch, progress.best_score) == (4, 4, 0.7)
    for kept, seen in zip(task.network.parameters(), task.seen[3]):
        assert torch.equal(kept, seen)


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [
        ({"score": 0.0, "loss": 2.0}, {}, True),
        ({"score": 0.1, "loss": 9.0}, {"score": 0.0, "loss": 2.0}, True),
        ({"score": 0.0, "loss": 1.0}, {"score": 0.1, "loss": 9.0}, False),
        ({"score": 0.2}, {"score": 0.1, "loss": 2.0}, True),
        ({"score": 0.0, "loss": 1.0}, {"score": 0.0, "loss": 2.0}, True),
        ({"score": -3.0}, {"score": -4.0}, True),  # log-likelihoods of classes are below zero
        ({"score": 0.5}, {"score": 0.5}, False),
    ],
)
def test_which_validation_is_better(one, other, better):
    assert is_better(one, other, "score") is better


def test_validation_comes_every_so_many_epochs_where_the_loss_changes_and_at_the_end(tmp_path):
    task = Line(list(range(1, 9)), steps_per_epoch=2)
    _, progress = run(task, tmp_path, epochs=12, validate_every=4, decay_epochs=10)
    assert [record["epoch"] for record in progress.history] == [4, 8, 10, 12]
    assert task.asked == [(epoch, index) for epoch in range(12) for index in range(2)]
    records = metrics(tmp_path)
    losses = [r["loss"] for r in records if "loss" in r]
    said = [r["validation"]["train_loss"] for r in records if "validation" in r]
    assert said == pytest.approx([np.mean(losses[a:b]) for a, b in ((0, 8), (8, 16), (16, 20), (20, 24))])


@pytest.mark.parametrize("fatal", range(1, 17))
def test_a_training_of_rare_validations_that_ends_anywhere_goes_on_exactly(tmp_path, monkeypatch, fatal):
    def line() -> Line:
        task = Line([], steps_per_epoch=2)
        task.validate = lambda: {"score": task.network.weight.sum().item()}
        return task

    settings = {"epochs": 6, "validate_every": 2, "decay_epochs": 5, "checkpoint_seconds": 0.0}
    undisturbed = line()
    run(undisturbed, tmp_path / "other", **settings)
    save, count = Loop._checkpoint, 0

    def fail(loop: Loop) -> None:
        nonlocal count
        count += 1
        if count == fatal:
            raise SystemExit
        save(loop)

    monkeypatch.setattr(Loop, "_checkpoint", fail)
    with pytest.raises(SystemExit):
        run(line(), tmp_path, **settings)
    again = line()
    run(again, tmp_path, resume=True, **settings)
    assert metrics(tmp_path) == metrics(tmp_path / "other")
    for one, other in zip(again.network.parameters(), undisturbed.network.parameters()):
        assert torch.equal(one, other)


@pytest.mark.parametrize("fatal", range(1, 20))
def test_patience_is_asked_at_validations_wherever_a_training_is_stopped(tmp_path, monkeypatch, fatal):
    """The best is epoch 3, and patience ends between two validations; epoch 9 is the best of all."""
    config = LoopConfig(12, validate_every=3, patience=4, checkpoint_seconds=0.0)
    scores = {3: 5.0, 6: 1.0, 9: 9.0, 12: 0.0}

    save, count = Loop._checkpoint, 0

    def fail(loop: Loop) -> None:
        nonlocal count
        count += 1
        save(loop)
        if count == fatal:
            raise SystemExit

    def trained(folder: Path, *, resume: bool) -> Progress:
        task = Line([], steps_per_epoch=2)
        loop = Loop(task, config, folder, fingerprint="same", console=CONSOLE)
        task.validate = lambda: {"score": scores[loop.progress.epoch + 1]}
        return loop.run(resume=resume)

    monkeypatch.setattr(Loop, "_checkpoint", fail)
    with contextlib.suppress(SystemExit):
        trained(tmp_path, resume=False)
    ended = trained(tmp_path, resume=True)
    assert (ended.epoch, ended.best_epoch) == (12, 9)


def test_a_task_can_end_its_training_and_says_why(tmp_path, capsys):
    task = Line([1, 2, 3, 4])
    asked = []

    def why_stop(progress: Progress) -> str:
        asked.append(progress.epoch)
        return "it is shut" if progress.epoch == 2 else ""

    task.why_stop = why_stop
    config = LoopConfig(4, learning_rate=0.1, decay_epochs=2)
    loop = Loop(task, config, tmp_path, fingerprint="", console=Console())
    assert loop.run(resume=False).epoch == 2
    assert asked == [0, 1, 2]
    assert "Ended after epoch 2 of 4: it is shut" in capsys.readouterr().err


def test_metrics_hold_every_step_and_every_validation(tmp_path):
    task = Line([0.1, 0.2, 0.3, 0.4])
    loop, _ = run(task, tmp_path)
    records = metrics(tmp_path)
    steps = [record for record in records if "loss" in record]
    assert [(r["epoch"], r["step"]) for r in steps] == [(1 + i // 3, 1 + i) for i in range(12)]
    assert steps[0]["loss"] == pytest.approx(5.0)
    assert [r["learning_rate"] for r in steps] == [learning_rate(loop.config, i, 12) for i in range(12)]
    validations = [record for record in records if "validation" in record]
    assert [r["step"] for r in validations] == [3, 6, 9, 12]
    assert [r["validation"]["score"] for r in validations] == [0.1, 0.2, 0.3, 0.4]
    assert validations[1]["validation"]["train_loss"] == pytest.approx(
        np.mean([r["loss"] for r in steps[3:6]])
    )
    assert task.asked == [(epoch, index) for epoch in range(4) for index in range(3)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_the_training(tmp_path, value):
    task = Line([1, 2, 3, 4], losses={7: value})
    with pytest.raises(ModelError, match=r"loss became (nan|inf|-inf) at step 7") as caught:
        run(task, tmp_path)
    assert "learning_rate" in caught.value.hint
    assert all(value.isfinite().all() for value in task.network.parameters())
    assert len(metrics(tmp_path)) == 7 + 2


def test_a_gradient_that_is_no_number_stops_before_it_spoils_the_weights(tmp_path):
    task = Line([1, 2, 3, 4])
    original = task.loss

    def loss(epoch, index):
        value, count = original(epoch, index)
        # The root's slope at 0 is infinite, its value is not.
        return (value + (task.network.weight * 0).sum().sqrt() if epoch == 1 else value), count

    task.loss = loss
    with pytest.raises(ModelError, match="gradient became"):
        run(task, tmp_path)
    assert all(value.isfinite().all() for value in task.network.parameters())


def test_the_gradient_is_clipped(tmp_path):
    """AdamW forgets a gradient's scale, so what is looked at is the gradient itself."""
    task, norms = Line([1], steps_per_epoch=1, losses={0: 1e6}), []
    loop = Loop(task, LoopConfig(epochs=1, clip_norm=2.0), tmp_path, fingerprint="", console=CONSOLE)
    step = loop.optimizer.step

    def spying():
        norms.append(float(torch.cat([p.grad.flatten() for p in task.network.parameters()]).norm()))
        step()

    loop.optimizer.step = spying
    loop.run(resume=False)
    assert norms == pytest.approx([2.0], rel=1e-4)


def test_another_loss_starts_at_the_last_rate_with_a_fresh_memory_of_gradients(tmp_path):
    loop, _ = run(Line([1, 2, 3, 4]), tmp_path, decay_epochs=3, final_rate=0.2)
    assert {int(state["step"]) for state in loop.optimizer.state.values()} == {3}
    rates = [record["learning_rate"] for record in metrics(tmp_path) if "loss" in record]
    assert rates[9:] == pytest.approx([0.02] * 3)
    assert rates[8] > 0.02


def test_a_restart_warms_up_and_falls_again_from_its_own_peak(tmp_path):
    settings = {"epochs": 9, "decay_epochs": 3, "restart_epochs": 4, "restart_rate": 0.5, "warmup_steps": 2}
    loop, progress = run(Line(list(range(9)), steps_per_epoch=5), tmp_path, validate_every=2, **settings)
    rates = [record["learning_rate"] for record in metrics(tmp_path) if "loss" in record]
    first, second, rest = rates[:15], rates[15:35], rates[35:]
    assert first == [learning_rate(loop.config, step, 15) for step in range(15)]
    assert second == [0.5 * learning_rate(loop.config, step, 20) for step in range(20)]
    assert second[0] < second[1] == max(second) == pytest.approx(0.05, rel=0.01)
    assert rest == pytest.approx([loop.config.learning_rate * loop.config.final_rate] * 10)
    assert [record["epoch"] for record in progress.history] == [2, 3, 4, 6, 7, 8, 9]
    # Of the last 10 steps, whose loss is another, alone.
    assert {int(state["step"]) for state in loop.optimizer.state.values()} == {10}


@pytest.mark.parametrize(("restart", "ended"), [(4, 8), (0, 6)])
def test_the_patience_begins_anew_with_a_restart(tmp_path, restart, ended):
    task = Line([1, 2, 3, 9, 4, 5, 6, 7, 8, 8, 8])
    _, progress = run(task, tmp_path, epochs=11, decay_epochs=6, restart_epochs=restart, patience=2)
    assert (progress.epoch, progress.best_epoch) == (ended, 4)


def test_only_matrices_decay(tmp_path):
    loop = Loop(Line([1]), LoopConfig(epochs=1), tmp_path, fingerprint="", console=CONSOLE)
    decays = {len(g["params"][0].shape): g["weight_decay"] for g in loop.optimizer.param_groups}
    assert decays == {2: loop.config.weight_decay, 1: 0.0}
    assert loop.config.weight_decay > 0


def test_ctrl_c_waits_for_the_step_and_leaves_a_checkpoint_of_it(tmp_path):
    task = Line([1, 2, 3, 4])
    original, asked = task.loss, []

    def loss(epoch, index):
        asked.append((epoch, index))
        if len(asked) == 5:
            signal.raise_signal(signal.SIGINT)
        return original(epoch, index)

    task.loss = loss
    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = Line([2, 3, 4])
    _, progress = run(again, tmp_path, resume=True)
    assert again.asked[0] == (1, 2)  # the fifth step was finished
    undisturbed = Line([1, 2, 3, 4])
    run(undisturbed, tmp_path / "other")
    assert progress.step == 12
    for one, other in zip(again.network.parameters(), undisturbed.network.parameters()):
        assert torch.equal(one, other)
    assert metrics(tmp_path) == metrics(tmp_path / "other")


def test_ctrl_c_in_the_first_validation_loses_no_step(tmp_path):
    task = Line([])

    def validate():
        signal.raise_signal(signal.SIGINT)

    task.validate = validate
    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path)
    again, undisturbed = Line([1, 2, 3, 4]), Line([1, 2, 3, 4])
    run(again, tmp_path, resume=True)
    run(undisturbed, tmp_path / "other")
    assert again.asked[0] == (1, 0)
    for one, other in zip(again.network.parameters(), undisturbed.network.parameters()):
        assert torch.equal(one, other)
    assert metrics(tmp_path) == metrics(tmp_path / "other")


@pytest.mark.parametrize("fatal", range(1, 17))
def test_a_training_that_ends_at_any_checkpoint_logs_everything_once(tmp_path, monkeypatch, fatal):
    """It ends before a checkpoint is written, so with everything since the one before in the log."""
    undisturbed = Line([1, 2, 3, 4])
    run(undisturbed, tmp_path / "other")
    save, count = Loop._checkpoint, 0

    def fail(loop: Loop) -> None:
        nonlocal count
        count += 1
        if count == fatal:
            with (tmp_path / "metrics.jsonl").open("a") as file:
                file.write('{"step": ')  # a line that was cut, too
            raise SystemExit
        save(loop)

    monkeypatch.setattr(Loop, "_checkpoint", fail)
    stopped = Line([1, 2, 3, 4])
    with pytest.raises(SystemExit):
        run(stopped, tmp_path, checkpoint_seconds=0.0)
    again = Line([1, 2, 3, 4][(fatal - 1) // 4 :])  # four checkpoints an epoch
    run(again, tmp_path, resume=True, checkpoint_seconds=0.0)
    assert metrics(tmp_path) == metrics(tmp_path / "other")
    for one, other in zip(again.network.parameters(), undisturbed.network.parameters()):
        assert torch.equal(one, other)


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    task = Line([1, 2, 3, 4])

    def loss(epoch, index):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    task.loss = loss
    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path)
    assert not list((tmp_path / "checkpoints").glob("*.safetensors"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
