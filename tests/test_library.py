"""A library behaves as one: what it does to the process of its user is nothing."""

import ast
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import pytest
import torch

import showtell
from conftest import draw
from showtell.backbones.weights import load_backbone
from showtell.commands import PUBLIC
from showtell.console import Console
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.model_folder import save_model
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.heads import HeadConfig, build_head
from showtell.runtime import limit_threads
from showtell.text.tokenizer import CaptionTokenizer

STATE = """
import atexit, ctypes, faulthandler, gc, locale, logging, os, random, signal, sys, threading, warnings

class Library(ctypes.CDLL):
    def __getattr__(self, name):
        assert name != "mallopt", "the allocator of the process is tuned"
        return super().__getattr__(name)

ctypes.CDLL = Library

def loggers():
    every = {"root": logging.getLogger(), **logging.Logger.manager.loggerDict}
    found = {
        name: (one.level, [type(h).__name__ for h in one.handlers], list(one.filters), one.disabled)
        for name, one in every.items() if isinstance(one, logging.Logger)
    }
    assert found.pop("showtell", None) in (None, (0, ["NullHandler"], [], False))
    return {name: state for name, state in found.items() if state != (0, [], [], False)}

def in_a_new_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]

def state():
    found = {
        "environment": dict(os.environ),
        "filters": list(warnings.filters),
        "warnings": (warnings.showwarning, warnings.formatwarning),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "loggers": loggers(),
        "garbage": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "hooks": (sys.excepthook, threading.excepthook, sys.displayhook, faulthandler.is_enabled()),
        "path": list(sys.path),
        "folder": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "chance": hash(random.getstate()),
    }
    if "torch" in sys.modules:
        import numpy, torch
        found |= {
            "threads": (torch.get_num_threads(), in_a_new_thread(torch.get_num_threads)),
            "between": torch.get_num_interop_threads(),
            "gradients": (torch.is_grad_enabled(), torch.get_default_dtype()),
            "precision": torch.get_float32_matmul_precision(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "backends": (torch.backends.mkldnn.enabled, torch.backends.cudnn.benchmark),
            "errors": numpy.geterr(),
            "dice": hash((torch.get_rng_state().numpy().tobytes(), str(numpy.random.get_state()))),
        }
    return found

def compare(before, after, what):
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert not changed, (what, changed)
"""
USE = (
    STATE
    + """
before = state()
import showtell
compare(before, state(), "import showtell")
assert not {"torch", "numpy", "PIL", "lmdb"} & set(sys.modules)
showtell.load, showtell.predict, showtell.extract, showtell.Predict, showtell.Extract
import lmdb, numpy, PIL.Image, timm, torch, torchvision  # what they do at their import is theirs
PIL.Image.init()
torch.set_num_threads(2)
before = state()
captioner, classifier = (showtell.load(run, device="cpu") for run in sys.argv[1:3])
compare(before, state(), "load")
captioner(sys.argv[3]), classifier([sys.argv[3]] * 3)
compare(before, state(), "a call of the model")
list(showtell.predict(showtell.Predict(sys.argv[1], [sys.argv[3]])))
compare(before, state(), "predict")
network = {"backbone": "test_resnet", "weights": "random", "image_size": 64}
showtell.extract(showtell.Extract(os.path.dirname(sys.argv[3]), store=sys.argv[4], **network))
compare(before, state(), "extract")
"""
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """A captioner and a classifier that have learnt nothing."""
    folder = tmp_path_factory.mktemp("runs")
    backbone = load_backbone("test_resnet", "random", image_size=64)
    tokenizer = CaptionTokenizer.train(
        ["a red circle", "빨간 동그라미"], kind="word", vocab_size=99, min_count=1
    )
    sizes = DecoderConfig(tokenizer.vocab_size, backbone.description.grid_shape[1], 16, 16, 8)
    decoder = Captioner(sizes, tokenizer, backbone.description.grid_size).eval()
    words = CaptionerModel.of(backbone, decoder, beam_size=2)
    save_model(folder / "words" / "model", words)
    head = build_head(HeadConfig("linear", backbone.description.pooled_dim, 2)).eval()
    names = ClassifierModel.of(backbone, head, ("a", "b"), temperature=1.0)
    save_model(folder / "names" / "model", names)
    return [folder / "words", folder / "names"]


def fresh(code: str, *arguments: object) -> None:
    """Run a program in a process of its own that no tuned one has left its environment to."""
    tuned = ("OMP_", "GOMP_", "OPENCV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(tuned)}
    child = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    assert (child.stdout, child.stderr) == ("", "")


def test_import_load_and_predict_change_nothing_in_the_process(runs, tmp_path):
    (tmp_path / "사진").mkdir()
    for number in range(3):
        draw(number).save(tmp_path / "사진" / f"{number}.png")
    fresh(USE, *runs, tmp_path / "사진" / "0.png", tmp_path / "store")


@pytest.mark.parametrize(
    "change",
    [
        "os.environ['GOMP_SPINCOUNT'] = '7'",
        "warnings.filterwarnings('ignore', message='x')",
        "logging.getLogger('PIL').setLevel(40)",
        "torch.set_num_threads(1)",
        "in_a_new_thread(lambda: torch.set_num_threads(1))",
        "signal.signal(signal.SIGINT, signal.SIG_IGN)",
        "gc.freeze()",
        "torch.rand(1)",
    ],
)
def test_the_check_sees_each_change(change):
    code = f"{STATE}\nimport torch\ntorch.set_num_threads(2)\nbefore = state()\n{change}\n"
    with pytest.raises(AssertionError, match="changed by"):
        fresh(code + "compare(before, state(), 'changed by')")


def test_who_wants_it_tunes_the_process_by_a_call():
    with pytest.raises(AssertionError, match="allocator"):
        fresh(STATE + "import showtell\nshowtell.tune_process()")
    fresh("import os, showtell\nshowtell.tune_process()\nassert os.environ['GOMP_SPINCOUNT'] == '3000'")


def test_a_limit_of_threads_holds_in_its_thread_alone():
    usual = torch.get_num_threads()
    with ThreadPoolExecutor(4, initializer=limit_threads, initargs=(usual + 2,)) as limited:
        barrier = threading.Barrier(4)  # so that each of them answers

        def count(_: int) -> int:
            barrier.wait(10)
            return torch.get_num_threads()

        assert list(limited.map(count, range(4))) == [usual + 2] * 4
        assert torch.get_num_threads() == usual
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == usual


def test_a_verb_without_a_console_speaks_to_the_log(runs, tmp_path, capfd, caplog):
    draw(1).save(tmp_path / "0.png")
    config = showtell.Extract(
        tmp_path, backbone="test_resnet", weights="random", image_size=64, store=tmp_path / "store"
    )
    with caplog.at_level(logging.INFO, "showtell"):
        showtell.extract(config)
    assert {(record.name, record.levelname) for record in caplog.records} == {("showtell", "INFO")}
    assert any("Encoding 1 images" in record.getMessage() for record in caplog.records)
    logged = len(caplog.records)
    showtell.extract(config, Console(quiet=True))
    assert len(caplog.records) == logged, "who asks for silence gets it"
    assert capfd.readouterr() == ("", "")


def test_a_bar_in_a_pipe_is_plain_lines(capsys, monkeypatch):
    monkeypatch.setattr("showtell.console._SECONDS", 0)
    with Console().bar(3, "encoding", "images") as bar:
        bar.set_postfix_str("loss 1.0")
        for _ in range(3):
            bar.update(1)
    written = capsys.readouterr().err
    assert "\r" not in written and "\x1b" not in written
    assert [line.split("|")[0] for line in written.splitlines()] == [
        "encoding:  33%", "encoding:  67%", "encoding: 100%", "encoding: 100%"
    ]  # fmt: skip


def test_types_reach_the_user():
    """The stub names what the package offers, from where it is; the marker makes checkers read it."""
    package = resources.files("showtell")
    assert package.joinpath("py.typed").is_file()
    stub = ast.parse(package.joinpath("__init__.pyi").read_text(encoding="utf-8"))
    named = {
        alias.asname: f"{node.module}.{alias.name}".removeprefix("showtell.")
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert named == PUBLIC
    assert sorted(showtell.__all__) == sorted({*PUBLIC, "__version__"}) == sorted(dir(showtell))
