"""A training that was killed again and again ends exactly as one that nobody disturbed."""

import functools
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from showtell import cli
from showtell.features import extract
from showtell.samples import write_captions_dataset
from showtell.tasks import train_captioner as task
from showtell.training.checkpoint import load_tensors
from showtell.training.loop import Loop

PICTURES, BATCHES_OF_EXTRACTION, EPOCHS, PATIENCE = 80, 4, 8, 99  # mirrored pictures are further batches
RESULTS = ("model/model.safetensors", "model/tokenizer.json", "metrics.jsonl", "captions-val.jsonl")


def arguments(data: Path, out: Path, store: Path, *more: str) -> list[str]:
    settings = f"--backbone test_resnet --weights random --image-size 64 --hidden-dim 16 --epochs {EPOCHS}"
    places = ["train-captioner", str(data / "captions.json"), "--out", str(out), "--store", str(store)]
    return [*places, *settings.split(), *more]


def command(
    arguments: list[str], log: Path, checkpoint_seconds: float, stop: tuple[int, float, int] | None
) -> None:
    """Run a command in this process, which ``stop`` = (work done, seconds, signal) ends from within.

    A batch of extraction and a step of training are each one piece of work.
    """
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)

    torch.set_num_threads(1)
    done = []

    def counted(work: Callable) -> Callable:
        @functools.wraps(work)
        def count(*positional, **named):
            done.append(work)
            return work(*positional, **named)

        return count

    def wait() -> None:
        assert stop is not None
        pieces, seconds, number = stop
        while len(done) < pieces:
            time.sleep(0.0005)
        time.sleep(seconds)
        os.kill(os.getpid(), number)

    extract.BATCH_SIZE = PICTURES // BATCHES_OF_EXTRACTION
    extract._Batches.add, Loop._step = counted(extract._Batches.add), counted(Loop._step)
    task.LoopConfig = functools.partial(
        task.LoopConfig, checkpoint_seconds=checkpoint_seconds, patience=PATIENCE
    )
    if stop is not None:
        threading.Thread(target=wait, daemon=True).start()
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
    return (run / "metrics.jsonl").read_text("utf-8").count('"loss"')


@pytest.fixture(scope="module")
def undisturbed(context, data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    status = run_apart(context, arguments(data, folder / "run", folder / "store"), folder / "log", 60.0, None)
    assert status == 0, (folder / "log").read_text("utf-8")
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
    ("number", "status", "checkpoint_seconds"),
    [
        (signal.SIGKILL, -signal.SIGKILL, 0.0),
        (signal.SIGKILL, -signal.SIGKILL, 0.1),
        (signal.SIGINT, 130, 60.0),
    ],
)
def test_five_stops_change_no_bit(context, data, undisturbed, tmp_path, number, status, checkpoint_seconds):
    chance = random.Random(f"{number} {checkpoint_seconds}")
    log, moments = tmp_path / "log", []
    plain = arguments(data, tmp_path / "run", tmp_path / "store")
    for attempt in range(5):
        stop = (chance.randint(3, 5), chance.uniform(0, 0.03), number)
        again = plain if attempt == 0 else [*plain, "--resume"]
        found = run_apart(context, again, log, checkpoint_seconds, stop)
        assert found == status, log.read_text("utf-8")
        assert not (tmp_path / "run/model/config.json").exists()
        moments.append("training" if (tmp_path / "run/metrics.jsonl").exists() else "extraction")
    assert set(moments) == {"training", "extraction"}
    assert run_apart(context, [*plain, "--resume"], log, checkpoint_seconds, None) == 0, log.read_text(
        "utf-8"
    )
    assert "Resuming after step" in log.read_text("utf-8")
    assert_equal_runs(tmp_path / "run", undisturbed)


@pytest.fixture
def finished(undisturbed, tmp_path, monkeypatch) -> Iterator[Path]:
    """A finished run that a test may spoil, with its store, and the number of threads that made it."""
    monkeypatch.setattr(task, "LoopConfig", functools.partial(task.LoopConfig, patience=PATIENCE))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Path(shutil.copytree(undisturbed, tmp_path / "copy"))
    torch.set_num_threads(threads)


def say(capsys, *positional) -> tuple[int, str]:
    status = cli.run(arguments(*positional))
    return status, capsys.readouterr().err


def test_resuming_a_finished_run_gives_the_same_model(data, finished, undisturbed, capsys):
    status, text = say(capsys, data, finished / "run", finished / "store", "--resume")
    assert status == 0
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
        assert say(capsys, data, finished / "run", finished / "store", "--resume")[0] == 0
        metrics = (finished / "run/metrics.jsonl").read_text("utf-8")
        assert metrics == (undisturbed / "run/metrics.jsonl").read_text("utf-8")


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--learning-rate", "0.002"], "learning_rate"),
        (["--seed", "1"], "seed"),
        (["--cell", "gru"], "cell"),
        (["--epochs", "9"], "epochs"),
    ],
)
def test_other_settings_are_refused_by_name(data, finished, undisturbed, capsys, more, named):
    status, text = say(capsys, data, finished / "run", finished / "store", *more, "--resume")
    assert status == 2
    assert f"started with another {named}." in text
    assert_equal_runs(finished / "run", undisturbed)


def test_other_words_of_the_same_pictures_are_refused(data, finished, capsys, tmp_path):
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
    assert "other settings or other data" in text
    assert "Traceback" not in text


def test_a_refused_resume_leaves_the_finished_run_as_it_was(data, finished, undisturbed, capsys):
    (finished / "run/checkpoints/last.safetensors").write_bytes(b"")
    assert say(capsys, data, finished / "run", finished / "store", "--resume")[0] == 2
    for name in (*RESULTS, "pictures.jsonl"):
        assert (finished / "run" / name).read_bytes() == (undisturbed / "run" / name).read_bytes(), name
