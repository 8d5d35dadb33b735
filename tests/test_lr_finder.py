"""The range test: what it suggests, what it leaves as it was, and what it leaves in a run."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from conftest import ENDED, draw, settings_file
from showtell import cli
from showtell.console import Console
from showtell.errors import ConfigError, ModelError
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.report.curves import draw_range_test
from showtell.runs.records import RangeTestRecord, load_record
from showtell.training import lr_finder
from showtell.training.lr_finder import run_range_test
from showtell.training.schedule import LoopConfig, adamw
from showtell.training.task import TrainingTask

CONSOLE = Console(quiet=True)
FILES = ["learning-rate.json", "learning-rate.png"]


class Bowl(TrainingTask):
    """A quadratic around 0, from a distance in each direction, with dropout and noise that draw at random."""

    unit = "points"
    steps_per_epoch = 7

    def __init__(self, distance: float = 1.0, curvature: float = 1.0, noise: float = 0.0, fails: int = -1):
        self.bowl = nn.Sequential(nn.Linear(1, 4, bias=False), nn.Dropout(0.0))
        nn.init.constant_(self.bowl[0].weight, distance)
        self.curvature, self.noise, self.fails = curvature, noise, fails
        self.asked: list[tuple[int, int]] = []

    @property
    def network(self) -> nn.Module:
        return self.bowl

    def loss(self, epoch: int, index: int) -> tuple[torch.Tensor, int]:
        assert self.network.training
        self.asked.append((epoch, index))
        value = 0.5 * self.curvature * self.bowl[0].weight.square().sum() + self.noise * torch.randn(())
        return value * (float("nan") if len(self.asked) - 1 == self.fails else 1.0), 1


def found(task: Bowl, **settings) -> RangeTestRecord:
    return run_range_test(task, LoopConfig(epochs=2, weight_decay=0.0, **settings), CONSOLE)


@pytest.mark.parametrize("curvature", [0.01, 1.0, 100.0])
def test_the_suggestion_is_where_a_quadratic_falls_and_below_where_it_diverges(curvature):
    test = found(Bowl(0.01, curvature))
    assert test.diverged is not None and test.suggested is not None and test.valley is not None
    assert test.suggested <= test.valley < test.diverged
    # Adam moves by at most about the rate a step: far below the distance, a hundred steps lead nowhere, and
    # a single step of ten times the distance leads past it.
    assert 0.01 / 100 < test.suggested < 0.01


def test_the_suggestion_grows_with_the_distance_and_not_with_the_loss():
    """Adam's steps have the size of the rate, whatever the scale of the gradient."""
    near, far = found(Bowl(0.003)), found(Bowl(0.03))
    assert far.suggested / near.suggested == pytest.approx(10, rel=0.3)
    steep = found(Bowl(0.003, curvature=50.0), clip_norm=1e9)
    assert steep.suggested == pytest.approx(found(Bowl(0.003), clip_norm=1e9).suggested, rel=0.15)


def test_training_at_the_suggestion_lowers_the_loss_and_further_than_at_a_tenth_of_it():
    rate = found(Bowl(0.02)).suggested

    def reached(rate: float) -> float:
        task = Bowl(0.02)
        optimizer = adamw(task.network.train(), LoopConfig(epochs=1, learning_rate=rate, weight_decay=0.0))
        for step in range(40):
            optimizer.zero_grad()
            task.loss(0, step)[0].backward()
            optimizer.step()
        return task.loss(0, 0)[0].item()

    assert reached(rate) < reached(rate / 10) < reached(0)


def test_noise_alone_suggests_nothing():
    suggestions = []
    for seed in range(20):
        torch.manual_seed(seed)
        suggestions.append(found(Bowl(0.0, noise=0.1)).suggested)
    assert suggestions.count(None) >= 18


def test_a_fall_is_seen_through_noise():
    torch.manual_seed(0)
    quiet, loud = found(Bowl(0.01, 1e4)), found(Bowl(0.01, 1e4, noise=0.1))
    assert loud.suggested == pytest.approx(quiet.suggested, rel=0.6)


def test_network_and_random_states_are_as_before_to_the_bit():
    task = Bowl(0.5, noise=0.1)
    task.network.eval()
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    pointers = [value.data_ptr() for value in task.network.parameters()]
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    test = found(task)
    assert np.ptp(test.losses) > 1  # it was trained
    assert all(torch.equal(value, before[name]) for name, value in task.network.state_dict().items())
    assert [value.data_ptr() for value in task.network.parameters()] == pointers
    assert all(value.grad is None for value in task.network.parameters())
    assert not any(module.training for module in task.network.modules())
    assert random.getstate() == states[0] and np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_a_loss_that_is_not_finite_stops_it_and_is_not_recorded():
    task = Bowl(0.5, fails=60)
    before = task.bowl[0].weight.clone()
    test = found(task)
    assert (len(task.asked), len(test.losses)) == (61, 60)
    assert np.isfinite(test.losses).all() and np.isfinite(test.smoothed).all()
    assert test.diverged == pytest.approx(test.rates[-1])
    assert torch.equal(task.bowl[0].weight, before)
    with pytest.raises(ModelError, match="not a finite number"):
        found(Bowl(fails=0))


def test_an_interruption_leaves_the_network_as_it_was(monkeypatch):
    task = Bowl(0.5)
    before = task.bowl[0].weight.clone()
    ask = task.loss

    def interrupted(epoch: int, index: int) -> tuple[torch.Tensor, int]:
        if len(task.asked) == 80:
            raise KeyboardInterrupt
        return ask(epoch, index)

    monkeypatch.setattr(task, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found(task)
    assert torch.equal(task.bowl[0].weight, before)


def test_batches_are_those_of_epochs_with_the_first_loss():
    task = Bowl(1e-9)
    run_range_test(task, LoopConfig(epochs=5, decay_epochs=2), CONSOLE)
    assert task.asked[:15] == [(0, i) for i in range(7)] + [(1, i) for i in range(7)] + [(0, 0)]


def test_the_drawing_marks_what_is_suggested_and_what_is_set():
    figure = draw_range_test(found(Bowl(0.01), learning_rate=0.2))
    assert figure.axes[0].get_xscale() == "log"
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert any(text.startswith("suggested ") for text in shown) and "set 0.2" in shown
    nothing = RangeTestRecord(
        rates=[1e-6], losses=[1.0], smoothed=[1.0], suggested=None, valley=None, diverged=None, present=0.1
    )
    assert [text.get_text() for text in draw_range_test(nothing).axes[0].texts] == ["set 0.1"]


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> dict[str, list[str]]:
    """Trainings of both kinds on drawn images, but for --out."""
    folder = tmp_path_factory.mktemp("drawn")
    rows = []
    for number in range(24):
        colour = ("red", "blue")[number % 2]
        path = folder / "classes" / colour / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = draw(number, 64)
        image.paste(colour, (0, 0, 40, 40))
        image.save(path)
        rows.append({"file_name": f"{colour}/{number}.png", "text": f"a {colour} square and more"})
    table = folder / "classes" / "metadata.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    classes = folder / "folders"
    for colour in ("red", "blue"):
        shutil.copytree(folder / "classes" / colour, classes / colour)
    network = ["--backbone", "test_efficientnet", "--weights", "random", "--epochs", "1"]
    captions = settings_file(image_size=64, hidden_dim=16, augmentations=0, scst_epochs=1)
    tuned = ["--fine-tune", "0.3", "--head", "linear", *settings_file(image_size=64, batch_size=4)]
    return {
        "captioner": ["train-captioner", str(table), *network, *captions],
        "classifier": ["train-classifier", str(classes), *network, *tuned],
    }


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", ["captioner", "classifier"])
def test_the_command_leaves_a_record_and_a_drawing_and_no_model(commands, kind, tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.run([*commands[kind], "--out", str(out), "--find-lr"]) == 0
    said = capsys.readouterr().err
    assert contents(out) == FILES
    assert (out / "learning-rate.png").read_bytes().startswith(b"\x89PNG")
    test = load_record(out / "learning-rate.json", RangeTestRecord)
    assert len(test.rates) == len(test.losses) == len(test.smoothed) > 20
    assert test.present == (TrainCaptioner if kind == "captioner" else TrainClassifier).learning_rate
    assert "no model was trained" in said
    if test.suggested is not None:
        assert f"write the line learning_rate = {test.suggested:.2g} into settings.toml" in said
    # The same command without the flag trains as if nothing had been there.
    assert cli.run([*commands[kind], "--out", str(out)]) in ENDED
    assert (out / "model").is_dir() and set(FILES) < set(contents(out))
    # And a run that holds a training is left as it is, but for these two.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert cli.run([*commands[kind], "--out", str(out), "--find-lr"]) == 0
    changed = {
        path.name for path in out.rglob("*") if path.is_file() and path.stat().st_mtime_ns != before.get(path)
    }
    assert changed <= set(FILES)
    assert load_record(out / "learning-rate.json", RangeTestRecord).losses == test.losses


def test_ctrl_c_leaves_nothing(commands, tmp_path, capsys, monkeypatch):
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lr_finder, "compute_gradient", pressed)
    assert cli.run([*commands["classifier"], "--out", str(tmp_path / "run"), "--find-lr"]) == 130
    assert not (tmp_path / "run").exists()
    assert "run it again" in capsys.readouterr().err


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(ConfigError, match="there is none without --fine-tune"):
        TrainClassifier(Path("x"), find_lr=True)
    with pytest.raises(ConfigError, match="starts from untrained weights"):
        TrainCaptioner(Path("x"), find_lr=True, resume=True)
