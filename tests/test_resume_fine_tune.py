"""A fine-tuning that was killed again and again ends exactly as one that nobody disturbed."""

import functools
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from PIL import ImageDraw

from conftest import draw, settings_file
from showtell import cli
from showtell.backbones.weights import load_backbone
from showtell.kinds import training
from showtell.kinds.classifier import train as task
from showtell.kinds.classifier.fine_tune import FineTuneTask
from showtell.kinds.model_folder import load_model
from showtell.training.checkpoint import load_tensors
from showtell.training.loop import Loop

EPOCHS, STEPS = 3, 5
"""Of fine-tuning, and of each epoch."""
BATCH = 5
NETWORK = "test_efficientnet"
RESULTS = ("model/model.safetensors", "metrics.jsonl", "evaluation-val.json", "predictions-val.jsonl")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("고양이들")
    for part, count in (("train", BATCH * STEPS - 1), ("val", 8)):
        for number in range(count):
            colour = ("red", "blue")[number % 2]
            path = folder / part / colour / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = draw(number + 100 * (part == "val"), 64)
            ImageDraw.Draw(image).rectangle((0, 0, 40, 40), fill=colour)
            image.save(path)
    return folder


def command(data: Path, folder: Path, stop: tuple[int, float] | None, *more: str) -> None:
    """Fine-tune in this process, which ``stop`` = (steps, seconds) kills from within.

    The MLP has dropout, so that a resume needs the random state, too. The tuned network is kept in any case.
    """
    descriptor = os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    torch.set_num_threads(1)
    step, done = Loop._step, []

    @functools.wraps(step)
    def counted(self: Loop, bar: object) -> None:
        step(self, bar)
        if isinstance(self.task, FineTuneTask):
            done.append(step)

    def kill() -> None:
        assert stop is not None
        steps, seconds = stop
        while len(done) < steps:
            time.sleep(0.0005)
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    Loop._step = counted  # type: ignore[method-assign]
    training.LoopConfig = functools.partial(training.LoopConfig, checkpoint_seconds=0.0)
    task.best_of = lambda found: found[0]
    if stop is not None:
        threading.Thread(target=kill, daemon=True).start()
    settings = f"--backbone {NETWORK} --weights random --head mlp --fine-tune 0.4"
    settings += f" --epochs {EPOCHS}"
    places = [str(data), "--out", str(folder / "run"), "--store", str(folder / "store")]
    sys.exit(
        cli.run(
            [
                "train-classifier",
                *places,
                *settings.split(),
                *settings_file(image_size=64, batch_size=BATCH),
                *more,
            ]
        )
    )


def run_apart(context, data: Path, folder: Path, stop: tuple[int, float] | None, *more: str) -> int:
    process = context.Process(target=command, args=(data, folder, stop, *more))
    process.start()
    process.join(120)
    return process.exitcode


def steps_of(folder: Path) -> int:
    return (folder / "run/metrics.jsonl").read_text("utf-8").count('"loss"')


def test_kills_in_the_middle_of_fine_tuning_change_no_bit(context, data, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    assert run_apart(context, data, whole, None) == 0, (whole / "log").read_text("utf-8")
    assert steps_of(whole) == EPOCHS * STEPS

    chance, reached = random.Random(3), []
    for attempt in range(4):
        stop = chance.randint(2, 4), chance.uniform(0, 0.005)
        status = run_apart(context, data, cut, stop, *(["--resume"] if attempt else []))
        assert status == -signal.SIGKILL, (cut / "log").read_text("utf-8")
        assert not (cut / "run/model/config.json").exists()
        reached.append(steps_of(cut))
    assert 0 < reached[0] < reached[-1] < EPOCHS * STEPS
    assert run_apart(context, data, cut, None, "--resume") == 0, (cut / "log").read_text("utf-8")
    assert (cut / "log").read_text("utf-8").count("Resuming after step") == 4

    for name in RESULTS:
        assert (cut / "run" / name).read_bytes() == (whole / "run" / name).read_bytes(), name
    for name in ("last", "best"):
        (tensors, about), (expected, expected_about) = (
            load_tensors(folder / f"run/checkpoints/{name}.safetensors") for folder in (cut, whole)
        )
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in tensors.items())
        assert about == expected_about
    assert [path.name for path in (cut / "run").rglob("*.partial")] == []
    # What is equal is a network that has learnt, not the frozen one beside its head.
    tuned = load_model(cut / "run").backbone.description
    assert "fine-tuned from" in tuned.weights_source
    assert tuned.weights != load_backbone(NETWORK, "random", image_size=64).description.weights
    losses = [json.loads(line) for line in (cut / "run/metrics.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in losses if "loss" in line] == list(range(1, EPOCHS * STEPS + 1))
