"""Several processes that train together do what one would, wherever it is stopped and whoever goes on."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import showtell
from conftest import ENDED, settings_file
from showtell import cli, process
from showtell.kinds.captioner import reading
from showtell.kinds.captioner.task import CaptionTask, caption_loss
from showtell.models import kernels
from showtell.models.batch import assemble
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.decoding import Sampling, SpecialTokens, StepOutput, sample
from showtell.models.dropout import Dropout, Part
from showtell.samples import write_captions_dataset, write_classes_dataset
from showtell.text.tokenizer import CaptionTokenizer
from showtell.training import gradient, lr_finder
from showtell.training.loop import Loop
from showtell.training.processes import Processes

CLOSE = 1e-4
TRAIN = 49
"""Training images: the last batch of 8 has one, so one of two processes has none of it."""
BACKBONE = ["--backbone", "test_resnet", "--weights", "random", "--seed", "3"]
CAPTIONER = {"hidden_dim": 32, "augmentations": 1, "learning_rate": 0.01, "batch_size": 8, "scst_epochs": 2}


def command(arguments: list[str], log: Path, place: dict[str, str], stop: tuple[int, int] | None) -> None:
    """Run a command in this process, in float32; a signal comes from within as a step begins."""
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ |= place
    torch.set_num_threads(1)
    gradient.has_fast_bfloat16 = lambda device: False
    CaptionTask.why_stop = lambda self, progress: ""
    cli._PATIENCE = 0.0
    lr_finder.STEPS = 60
    if place.get("RANK") == "1":
        reading.available_memory = lambda: 1  # how grids are read is the first one's to decide
    step = Loop._step

    def watched(self: Loop, bar: object) -> None:
        if stop is not None and self.progress.step == stop[0]:
            os.kill(os.getpid(), stop[1])
        step(self, bar)

    Loop._step = watched
    sys.exit(cli.run(arguments))


def together(context, count: int, arguments: list[str], log: Path, **stops: tuple[int, int]) -> list[int]:
    """Run a command in so many processes as torchrun does; end the others where one fails.

    ``first`` or ``second`` is the step at whose beginning this process gets a signal, and which.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        place = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1])}
    started = []
    for rank in range(count):
        several = {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)} | place
        stop = stops.get(("first", "second")[rank])
        positional = (arguments, log, several if count > 1 else {}, stop)
        started.append(context.Process(target=command, args=positional))
    for one in started:
        one.start()
    deadline = time.monotonic() + 240
    while any(one.is_alive() for one in started) and time.monotonic() < deadline:
        if any(one.exitcode for one in started):
            started[0].join(20)  # it may have more to say
            for one in started:
                one.terminate()
        time.sleep(0.05)
    for one in started:
        one.join(10)
    return [one.exitcode for one in started]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("자료")
    write_captions_dataset(folder / "captions", language="en", count=TRAIN + 12, seed=5)
    write_classes_dataset(folder / "classes", count=61, seed=5)
    return folder


def captioner(data: Path, out: Path, *more: str, epochs: int = 6, **rare: object) -> list[str]:
    places = [str(data / "captions" / "captions.json"), "--out", str(out), "--store", str(data / "store")]
    file = settings_file(**{"image_size": 64} | CAPTIONER | rare)
    return ["train-captioner", *places, *BACKBONE, "--epochs", str(epochs), *file, *more]


def classifier(data: Path, out: Path, *more: str) -> list[str]:
    places = [str(data / "classes"), "--out", str(out), "--store", str(data / "store")]
    file = settings_file(image_size=64, batch_size=7, head="mlp")
    return ["train-classifier", *places, *BACKBONE, "--epochs", "3", "--fine-tune", "0.3", *file, *more]


def metrics(run: Path) -> tuple[list[float], list[dict[str, float]]]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    steps = [record for record in records if "step" in record and "validation" not in record]
    assert [record["step"] for record in steps] == list(range(1, len(steps) + 1))
    return [one["loss"] for one in steps], [one["validation"] for one in records if "validation" in one]


def assert_alike(one: Path, other: Path, exactly: str) -> None:
    """Losses are close, and what is counted is equal."""
    (losses, validations), (others, other_validations) = metrics(one), metrics(other)
    assert others == pytest.approx(losses, abs=CLOSE)
    assert [v[exactly] for v in other_validations] == [v[exactly] for v in validations]
    for mine, theirs in zip(validations, other_validations, strict=True):
        assert theirs == pytest.approx(mine, abs=CLOSE)
    scores = [json.loads((run / "evaluation-val.json").read_text("utf-8"))["scores"] for run in (one, other)]
    assert scores[1][exactly] == scores[0][exactly]


@pytest.fixture(scope="module")
def alone(context, data, tmp_path_factory) -> Path:
    """Return the run of a captioner that one process has trained."""
    folder = tmp_path_factory.mktemp("alone")
    statuses = together(context, 1, captioner(data, folder / "run"), folder / "log")
    assert statuses[0] in ENDED, (folder / "log").read_text("utf-8")
    return folder / "run"


def test_a_captioner_of_two_processes_is_that_of_one(context, data, alone, tmp_path):
    statuses = together(context, 2, captioner(data, tmp_path / "run"), tmp_path / "log")
    log = (tmp_path / "log").read_text("utf-8")
    assert statuses[0] in ENDED and statuses[1] == 0, log
    losses, validations = metrics(alone)
    assert len(losses) >= 50 and validations[-1]["cider_d"] > 0.1, "something is learnt, and by reward, too"
    assert_alike(alone, tmp_path / "run", "cider_d")
    assert log.count("Split: ") == 1, "one process speaks"
    kept = [sorted(path.name for path in run.rglob("*")) for run in (alone, tmp_path / "run")]
    assert kept[0] == kept[1]


def test_a_fine_tuned_classifier_of_two_processes_is_that_of_one(context, data, tmp_path):
    for count, name in ((1, "one"), (2, "two")):
        log = tmp_path / f"{name}.log"
        assert together(context, count, classifier(data, tmp_path / name), log) == [0] * count, (
            log.read_text()
        )
    assert len(metrics(tmp_path / "one")[0]) >= 20
    assert_alike(tmp_path / "one", tmp_path / "two", "accuracy")


def test_a_captioner_is_fine_tuned_by_two_processes_as_by_one(context, data, tmp_path):
    more = {"epochs": 2, "scst_epochs": 1, "fine_tune_epochs": 2, "augmentations": 0, "hflip": False}
    for count, name in ((1, "one"), (2, "two")):
        arguments = captioner(data, tmp_path / name, "--fine-tune", "0.3", **more)
        statuses = together(context, count, arguments, tmp_path / f"{name}.log")
        assert statuses[0] in ENDED and not any(statuses[1:]), (tmp_path / f"{name}.log").read_text("utf-8")
    assert_alike(tmp_path / "one", tmp_path / "two", "cider_d")


def test_a_learning_rate_is_found_by_two_processes_as_by_one(context, data, tmp_path):
    found = []
    for count, name in ((1, "one"), (2, "two")):
        statuses = together(
            context, count, captioner(data, tmp_path / name, "--find-lr"), tmp_path / f"{name}.log"
        )
        assert statuses == [0] * count, (tmp_path / f"{name}.log").read_text("utf-8")
        found.append(json.loads((tmp_path / name / "learning-rate.json").read_text("utf-8")))
    assert found[1]["losses"][:40] == pytest.approx(found[0]["losses"][:40], abs=CLOSE)
    assert found[1]["suggested"] == found[0]["suggested"]


@pytest.mark.parametrize("first, then", [(2, 1), (1, 2)])
def test_ctrl_c_in_one_ends_all_and_another_number_goes_on(context, data, alone, tmp_path, first, then):
    arguments, log = captioner(data, tmp_path / "run"), tmp_path / "log"
    pressed = {("first", "second")[first - 1]: (24, signal.SIGINT)}  # within an epoch
    assert together(context, first, arguments, log, **pressed) == [130] * first
    assert len(metrics(tmp_path / "run")[0]) == 25, "the step is finished, by all"
    assert log.read_text("utf-8").count("--resume goes on") == 1
    statuses = together(context, then, [*arguments, "--resume"], log)
    assert statuses[0] in ENDED and not any(statuses[1:]), log.read_text("utf-8")
    assert "Resuming after step 25 of 56" in log.read_text("utf-8")
    assert_alike(alone, tmp_path / "run", "cider_d")


def test_where_one_process_is_killed_the_other_ends_and_says_how_to_go_on(context, data, tmp_path):
    arguments, log = captioner(data, tmp_path / "run", epochs=2), tmp_path / "log"
    statuses = together(context, 2, arguments, log, second=(10, signal.SIGKILL))
    assert statuses == [2, -signal.SIGKILL]
    said = log.read_text("utf-8")
    assert said.count("Another process of this training has ended") == 1
    assert "Traceback" not in said and "fault of showtell" not in said
    statuses = together(context, 2, [*arguments, "--resume"], log)
    assert statuses[0] in ENDED and statuses[1] == 0, log.read_text("utf-8")
    assert len(metrics(tmp_path / "run")[0]) == 28


def test_heads_alone_are_fitted_by_one_process(context, data, tmp_path):
    places = [str(data / "classes"), "--out", str(tmp_path / "run"), "--store", str(data / "store")]
    arguments = ["train-classifier", *places, *BACKBONE, *settings_file(image_size=64, head="mlp")]
    assert together(context, 2, arguments, tmp_path / "log") == [0, 0], (tmp_path / "log").read_text("utf-8")
    assert (tmp_path / "log").read_text("utf-8").count("only --fine-tune is shared") == 1


def test_torchrun_tells_a_mistake_once(tmp_path):
    started = (
        "-m torch.distributed.run --standalone --nproc-per-node 2 -m showtell train-captioner nowhere.json"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(showtell.__file__).parents[1])}
    ended = subprocess.run(
        [sys.executable, *started.split()], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ended.returncode
    assert ended.stderr.count("There is no file or folder nowhere.json") == 1
    assert "exitcode  : 2" in ended.stderr


def test_a_process_of_several_computes_with_its_part_of_the_cores(monkeypatch):
    """What torchrun sets where its user has set nothing is no wish of the user's."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    process.tune_process()
    assert os.environ["OMP_NUM_THREADS"] == "1", "of one process it is"
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    process.tune_process()
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    process.tune_process()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    before = torch.get_num_threads()
    with Processes(1, 4, threads=3).sharing_cores():
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


CAPTIONS = [
    [[1, 5, 6, 7, 2], [1, 6, 5, 2]],
    [[1, 8, 2]],
    [[1, 5, 6, 2], [1, 9, 7, 6, 5, 8, 2], [1, 7, 2]],
    [[1, 4, 9, 2], [1, 4, 2]],
]


@pytest.mark.parametrize("kind", ["lstm", "gru", "transformer"])
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("count", [2, 3])
def test_parts_of_a_batch_add_up_to_the_whole_with_its_dropout(kind, plain, count, monkeypatch):
    """Loss, gradient and random numbers: what processes compute of a batch is what one computes."""
    if plain:
        monkeypatch.setattr(kernels, "are_faster_on", lambda device: False)
    torch.manual_seed(0)
    tokenizer = CaptionTokenizer.train(["a b c d e f"], min_count=1)
    sizes = DecoderConfig(12, 8, 16, 16, 8, kind=kind, dropout=0.5)
    model = Captioner(sizes, tokenizer, (2, 2)).train()
    grid = torch.randn(len(CAPTIONS), 4, 8)

    def compute(parts: list) -> tuple[float, list, list]:
        model.zero_grad()
        total, states = 0.0, []
        for own in parts:
            torch.manual_seed(3)
            some = grid if own is None else grid[list(own)]
            loss = caption_loss(model, assemble(some, CAPTIONS, 0, own))
            loss.backward()
            total += loss.item()
            states.append(torch.get_rng_state())
        grads = [one.grad.clone() for one in model.parameters() if one.grad is not None]
        return total, grads, states

    ranks = [Processes(rank, count).places(len(CAPTIONS)) for rank in range(count)]
    whole, parts = compute([None]), compute(ranks)
    assert parts[0] == pytest.approx(whole[0], abs=1e-5)
    for mine, theirs in zip(whole[1], parts[1], strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)
    assert all(torch.equal(state, whole[2][0]) for state in parts[2])


def test_who_has_no_image_of_a_batch_counts_for_nothing():
    places = [list(Processes(rank, 3).places(2)) for rank in range(3)]
    assert places == [[0], [1], [0]]
    assert [Processes(rank, 3).weight(2) for rank in range(3)] == [1, 1, 0]


def test_drawn_words_do_not_depend_on_who_has_the_image():
    words = torch.randn(5, 1, 9).log_softmax(-1)

    def draw(own: list[int] | None) -> torch.Tensor:
        rows = list(range(5)) if own is None else own

        def step(state: tuple, token_ids: torch.Tensor) -> StepOutput:
            return StepOutput(words[rows].expand(-1, token_ids.shape[1], -1), state, torch.zeros(1))

        torch.manual_seed(1)
        part = None if own is None else Part(torch.tensor(own), 5)
        state = (torch.zeros(len(rows), 1, 1),)
        return sample(
            step, state, SpecialTokens(1, 2), Sampling(3, max_tokens=6), None, part, lambda done: False
        )

    whole = draw(None)
    for own in ([0, 3], [1, 4], [2]):
        assert torch.equal(draw(own), whole[own])


def test_dropout_of_a_part_is_that_of_the_whole():
    layer, values = Dropout(0.5), torch.randn(6, 40)
    torch.manual_seed(2)
    whole = layer(values)
    layer.part = Part(torch.tensor([1, 4]), 6)
    torch.manual_seed(2)
    assert torch.equal(layer(values[[1, 4]]), whole[[1, 4]])
    assert (whole == 0).any() and layer.eval()(values).eq(values).all()


def test_what_is_no_training_is_refused_where_every_process_would_do_it(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.run(["store"]) == 2
    assert "without torchrun" in capsys.readouterr().err
