"""A training that was killed again and again ends exactly as one that nobody disturbed."""

import itertools
import json
import math
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from conftest import ENDED, settings_file
from showtell import cli
from showtell.console import Bar
from showtell.extraction import executor, threads
from showtell.kinds.captioner.task import CaptionTask
from showtell.samples import write_captions_dataset
from showtell.training.checkpoint import load_tensors
from showtell.training.loop import Loop

PICTURES, BATCHES_OF_EXTRACTION, EPOCHS, PATIENCE = 80, 4, 8, 99  # mirrored images are further batches
NEVER = 0
RESULTS = ("model/model.safetensors", "model/tokenizer.json", "metrics.jsonl", "predictions-val.jsonl")


def arguments(data: Path, out: Path, store: Path, *more: str, **rare: object) -> list[str]:
    settings = f"--backbone test_resnet --weights random --epochs {rare.pop('epochs', EPOCHS)}"
    places = ["train-captioner", str(data / "captions.json"), "--out", str(out), "--store", str(store)]
    file = settings_file(
        **{"image_size": 64, "hidden_dim": 16, "augmentations": 1, "patience": PATIENCE} | rare
    )
    return [*places, *settings.split(), *file, *more]


class Stop(NamedTuple):
    """A signal that a command gets from within, so long after a batch or a step of this number has begun."""

    batch: int
    step: int
    seconds: float
    number: int


def command(arguments: list[str], log: Path, steps_between: int | None, stop: Stop | None) -> None:
    """Run a command in this process, with a checkpoint every so many steps, however fast they are."""
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)

    torch.set_num_threads(1)
    add, step = threads._Batches.add, Loop._step
    batches, steps, begun = itertools.count(1), itertools.count(1), threading.Event()

    def counted_add(self: threads._Batches, batch: list) -> Iterator:
        if stop is not None and next(batches) == stop.batch:
            begun.set()
        return add(self, batch)

    def counted_step(self: Loop, bar: Bar) -> None:
        number = next(steps)
        if stop is not None and number == stop.step:
            begun.set()
        step(self, bar)
        if steps_between is not None and number % steps_between == 0:
            self._saved = -math.inf

    def wait(stop: Stop) -> None:
        begun.wait()
        time.sleep(stop.seconds)
        os.kill(os.getpid(), stop.number)

    executor.BATCH_SIZE = PICTURES // BATCHES_OF_EXTRACTION
    threads._Batches.add, Loop._step = counted_add, counted_step
    CaptionTask.why_stop = lambda self, progress: ""  # what is learnt by reward is made again, too
    if stop is not None:
        threading.Thread(target=wait, args=(stop,), daemon=True).start()
    sys.exit(cli.run(arguments))


def run_apart(context, *positional) -> int:
    process = context.Process(target=command, args=positional)
    process.start()
    process.join(120)
    return process.exitcode


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("자료")
    write_captions_dataset(folder, language="ko", count=PICTURES, seed=0)
    return folder


def steps_of(run: Path) -> int:
    return (run / "metrics.jsonl").read_text("utf-8").count('"learning_rate"')


@pytest.fixture(scope="module")
def undisturbed(context, data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    status = run_apart(context, arguments(data, folder / "run", folder / "store"), folder / "log", None, None)
    assert status in ENDED, (folder / "log").read_text("utf-8")
    assert steps_of(folder / "run") >= 2 * EPOCHS
    return folder


def assert_equal_runs(run: Path, undisturbed: Path) -> None:
    for name in RESULTS:
        assert (run / name).read_bytes() == (undisturbed / "run" / name).read_bytes(), name
    for name in ("last", "best"):
        tensors, metadata = load_tensors(run / f"checkpoints/{name}.safetensors")
        expected, expected_metadata = load_tensors(undisturbed / f"run/checkpoints/{name}.safetensors")
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in tensors.items())
        assert metadata == expected_metadata
    leftovers = [path.name for path in run.rglob("*.partial")]
    assert leftovers == []


@pytest.mark.parametrize(
    ("number", "status", "steps_between"),
    [(signal.SIGKILL, -signal.SIGKILL, 1), (signal.SIGKILL, -signal.SIGKILL, 2), (signal.SIGINT, 130, None)],
)
def test_five_stops_change_no_bit(context, data, undisturbed, tmp_path, number, status, steps_between):
    chance = random.Random(f"{number} {steps_between}")
    log, moments = tmp_path / "log", []
    plain = arguments(data, tmp_path / "run", tmp_path / "store")
    for attempt in range(5):
        # Looking is stopped twice, training three times; where a fast machine has looked already, training.
        batch, step = (chance.randint(2, 3), 1) if attempt < 2 else (NEVER, chance.randint(3, 5))
        stop = Stop(batch, step, chance.uniform(0, 0.01), number)
        again = plain if attempt == 0 else [*plain, "--resume"]
        found = run_apart(context, again, log, steps_between, stop)
        assert found == status, log.read_text("utf-8")
        assert not (tmp_path / "run/model/config.json").exists()
        moments.append("training" if (tmp_path / "run/metrics.jsonl").exists() else "extraction")
    assert set(moments) == {"training", "extraction"}
    whole = [*plain, "--resume"]
    assert run_apart(context, whole, log, steps_between, None) in ENDED, log.read_text("utf-8")
    assert log.read_text("utf-8").count("Resuming after step") >= 3
    assert_equal_runs(tmp_path / "run", undisturbed)


def test_kills_in_each_part_of_a_fine_tuning_change_no_bit(context, data, tmp_path):
    """Cross-entropy on cached grids, then with the top of the backbone, then by reward: 8 steps an epoch."""
    whole, cut, log = tmp_path / "whole", tmp_path / "cut", tmp_path / "log"
    parts = {"fine_tune": "layer4", "epochs": 1, "fine_tune_epochs": 2, "scst_epochs": 1}
    undisturbed = arguments(data, whole / "run", tmp_path / "store", **parts)
    assert run_apart(context, undisturbed, log, None, None) in ENDED, log.read_text("utf-8")
    total = steps_of(whole / "run")
    assert total % 4 == 0

    plain, reached = arguments(data, cut / "run", tmp_path / "store", **parts), [0]
    for number, step in enumerate((5, total // 4, total // 4 + 1, total // 4)):
        stop = Stop(NEVER, step, random.Random(number).uniform(0, 0.01), signal.SIGKILL)
        again = [*plain, *(["--resume"] if number else [])]
        assert run_apart(context, again, log, 1, stop) == -signal.SIGKILL, log.read_text("utf-8")
        assert not (cut / "run/model/config.json").exists()
        reached.append(steps_of(cut / "run"))
    epochs = [4 * steps // total for steps in reached[1:]]
    assert epochs == [0, 1, 2, 3], "each part of the training was stopped once, and the top's twice"
    assert run_apart(context, [*plain, "--resume"], log, 1, None) in ENDED, log.read_text("utf-8")
    assert_equal_runs(cut / "run", whole)


@pytest.fixture
def finished(undisturbed, tmp_path, monkeypatch) -> Iterator[Path]:
    """A finished run that a test may spoil, with its store, and the number of threads that made it."""
    monkeypatch.setattr(CaptionTask, "why_stop", lambda self, progress: "")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Path(shutil.copytree(undisturbed, tmp_path / "copy"))
    torch.set_num_threads(threads)


def say(capsys, *positional, **rare) -> tuple[int, str]:
    status = cli.run(arguments(*positional, **rare))
    return status, capsys.readouterr().err


def test_resuming_a_finished_run_gives_the_same_model(data, finished, undisturbed, capsys):
    status, text = say(capsys, data, finished / "run", finished / "store", "--resume")
    assert status in ENDED
    steps = steps_of(undisturbed / "run")
    assert f"Resuming after step {steps} of {steps}" in text
    assert "epoch 1/" not in text
    assert_equal_runs(finished / "run", undisturbed)


def test_a_folder_with_a_training_is_not_written_over(data, finished, undisturbed, capsys):
    status, text = say(capsys, data, finished / "run", finished / "store")
    assert status == 2
    assert "holds a training already" in text
    assert "--resume" in text
    assert_equal_runs(finished / "run", undisturbed)


def test_there_must_be_something_to_go_on_with(data, tmp_path, capsys):
    status, text = say(capsys, data, tmp_path / "never", tmp_path / "store", "--resume")
    assert status == 2
    assert "never holds no training to go on with" in text
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_checkpoint_is_named_and_can_be_deleted(data, finished, undisturbed, capsys, share):
    last = finished / "run/checkpoints/last.safetensors"
    last.write_bytes(last.read_bytes()[: int(last.stat().st_size * share)])
    status, text = say(capsys, data, finished / "run", finished / "store", "--resume")
    assert status == 2
    assert f"{last} cannot be read" in text
    assert "Delete this file" in text
    assert "Traceback" not in text
    if share == 0.5:
        last.unlink()
        assert say(capsys, data, finished / "run", finished / "store", "--resume")[0] in ENDED
        metrics = (finished / "run/metrics.jsonl").read_text("utf-8")
        assert metrics == (undisturbed / "run/metrics.jsonl").read_text("utf-8")


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"learning_rate": 0.002}, "learning_rate 0.001, not learning_rate 0.002"),
        ({"seed": 1}, "--seed 0, not --seed 1"),
        ({"decoder": "gru"}, "decoder lstm, not decoder gru"),
        ({"label_smoothing": 0.2}, "label_smoothing 0.1, not label_smoothing 0.2"),
        ({"hflip": False}, "hflip True, not hflip False"),
        ({"min_count": 2}, "min_count unset, not min_count 2"),
    ],
)
def test_other_settings_are_refused_by_name(data, finished, undisturbed, capsys, more, named):
    status, text = say(capsys, data, finished / "run", finished / "store", "--resume", **more)
    assert status == 2
    assert f"was started with {named}." in text
    assert_equal_runs(finished / "run", undisturbed)


def test_other_words_of_the_same_images_are_refused(data, finished, capsys, tmp_path):
    table = json.loads((data / "captions.json").read_text("utf-8"))
    table["images"][0]["sentences"][0]["raw"] = "다른 말"
    changed = tmp_path / "changed"
    shutil.copytree(data, changed)
    (changed / "captions.json").write_text(json.dumps(table), "utf-8")
    record = finished / "run/config.json"
    record.write_text(
        record.read_text("utf-8").replace(str(data / "captions.json"), str(changed / "captions.json")),
        "utf-8",
    )
    status, text = say(capsys, changed, finished / "run", finished / "store", "--resume")
    assert status == 2
    assert "was started with" in text and "with the same data" in text
    assert "Traceback" not in text


def test_a_refused_resume_leaves_the_finished_run_as_it_was(data, finished, undisturbed, capsys):
    (finished / "run/checkpoints/last.safetensors").write_bytes(b"")
    assert say(capsys, data, finished / "run", finished / "store", "--resume")[0] == 2
    for name in (*RESULTS, "images.jsonl"):
        assert (finished / "run" / name).read_bytes() == (undisturbed / "run" / name).read_bytes(), name
