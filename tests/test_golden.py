"""Four small trainings whose every loss and score is kept: a changed constant is seen, wherever it lies.

The curves in ``golden/`` were made on one thread in float32. On the machine that made them they are equal to
the last bit; elsewhere within a tolerance that a change of label smoothing by 0.01 breaks. Where a change is
meant, make them anew and say in docs/log.md which number changed and why:

    SHOWTELL_GOLDEN=write python -m pytest tests/test_golden.py
"""

import hashlib
import json
import math
import os
from pathlib import Path

import pytest
import torch

from conftest import ENDED, settings_file
from showtell import cli
from showtell.backbones.weights import load_backbone
from showtell.data.records import AnnotatedImage
from showtell.extraction.extract import extract_features
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.task import CaptionTask
from showtell.samples import write_captions_dataset, write_classes_dataset
from showtell.store.store import FeatureStore
from showtell.training import gradient

GOLDEN = Path(__file__).parent / "golden"
WRITING = os.environ.get("SHOWTELL_GOLDEN") == "write"
TOLERANCE = 1e-3
"""Of a loss, relative: what other processors' rounding grows to in some dozens of steps is far below."""
BACKBONE = ["--backbone", "test_resnet", "--weights", "random", "--seed", "3"]
TRAININGS = {
    "captioner-reward": ("train-captioner", {"hidden_dim": 32, "epochs": 5, "scst_epochs": 2}),
    "captioner-korean-bpe": (
        "train-captioner",
        {
            "hidden_dim": 32,
            "epochs": 4,
            "scst_epochs": 0,
            "tokenizer": "bpe",
            "vocab_size": 300,
            "decoder": "gru",
        },
    ),
    "classifier-frozen": ("train-classifier", {"augmentations": 1}),
    "classifier-fine-tuned": ("train-classifier", {"fine_tune": "0.3", "epochs": 3, "batch_size": 16}),
}


def machine() -> str:
    """Name what makes floating point equal to the last bit: the processor and the arithmetic's version."""
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.exists() else []
    flags = next((line for line in lines if line.startswith("flags")), "")
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")
    return f"{model}, {hashlib.sha256(flags.encode()).hexdigest()[:8]}, torch {torch.__version__}"


def curves(name: str, folder: Path, patch: pytest.MonkeyPatch, **changed: object) -> list[str]:
    """Train; return a line for each loss, each validation and each final score."""
    patch.setattr(gradient, "has_fast_bfloat16", lambda device: False)
    patch.setattr(CaptionTask, "why_stop", lambda self, progress: "")
    command, settings = TRAININGS[name]
    language = "ko" if "korean" in name else "en"
    if command == "train-captioner":
        write_captions_dataset(folder / "data", language=language, count=60, seed=5)
        data = folder / "data" / "captions.json"
    else:
        write_classes_dataset(folder / "data", count=60, seed=5)
        data = folder / "data"
    out = folder / "run"
    arguments = [
        command,
        str(data),
        "--out",
        str(out),
        "--store",
        str(folder / "store"),
        *BACKBONE,
        *settings_file(image_size=64, **settings | changed),
    ]
    assert cli.run(arguments) in ENDED
    lines = []
    for log in sorted(out.rglob("metrics.jsonl")):
        for record in map(json.loads, log.read_text(encoding="utf-8").splitlines()):
            if "validation" in record:
                figures = {key: value for key, value in record["validation"].items() if key != "train_loss"}
                lines += [f"epoch {record['step']} {key} {value!r}" for key, value in sorted(figures.items())]
            else:
                lines.append(f"step {record['step']} loss {record['loss']!r}")
    scores = json.loads((out / "evaluation-val.json").read_text(encoding="utf-8"))["scores"]
    lines += [f"final {key} {value!r}" for key, value in sorted(scores.items())]
    return lines


def differences(found: list[str], kept: list[str]) -> list[str]:
    """Return the losses that lie further apart than the tolerance, and whatever is not on both sides."""
    apart = []
    for one, other in zip(found, kept):
        (*what, value), (*meant, wanted) = one.split(), other.split()
        if what != meant:
            return [*apart, f"{one} where {other} was"]
        if "loss" in what and not math.isclose(float(value), float(wanted), rel_tol=TOLERANCE):
            apart.append(f"{one} where {other} was")
    return apart if len(found) == len(kept) else [*apart, f"{len(found)} lines where {len(kept)} were"]


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_goes_as_it_went(name, tmp_path, monkeypatch):
    found = curves(name, tmp_path, monkeypatch)
    path = GOLDEN / f"{name}.txt"
    if WRITING:
        path.write_text("\n".join([machine(), *found]) + "\n", encoding="utf-8")
    made_on, *kept = path.read_text(encoding="utf-8").splitlines()
    assert differences(found, kept) == []
    if made_on == machine():
        assert found == kept


def test_a_changed_constant_is_seen(tmp_path, monkeypatch):
    smoothing = TrainCaptioner.label_smoothing + 0.01
    found = curves("captioner-reward", tmp_path, monkeypatch, label_smoothing=smoothing)
    _, *kept = (GOLDEN / "captioner-reward.txt").read_text(encoding="utf-8").splitlines()
    losses = [pair for pair in zip(found, kept) if " loss " in pair[0]]
    apart = [pair for pair in losses if differences([pair[0]], [pair[1]])]
    assert 2 * len(apart) > len(losses)
    assert apart[0][0].startswith("step 1 "), "the very first loss tells it"


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_features_are_what_they_were(engine, tmp_path):
    """On the machine that wrote them to the last byte, elsewhere value by value but for rounding."""
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime")
    write_captions_dataset(tmp_path, language="en", count=12, seed=5)
    files = sorted((tmp_path / "images").iterdir())
    images = [AnnotatedImage(file.name, file) for file in files]
    backbone = load_backbone("test_resnet", "random", image_size=64, seed=3, engine=engine)
    extraction = extract_features(images, backbone, FeatureStore(tmp_path / "store"))
    grids, pooled = extraction.grid(images), extraction.pooled(images)
    digest = hashlib.sha256(grids.tobytes() + pooled.tobytes()).hexdigest()
    values = [
        f"{float(value):.6g}" for part in (grids, pooled) for value in part.reshape(-1)[:: part.size // 97]
    ]
    path = GOLDEN / f"features-{engine}.txt"
    if WRITING:
        path.write_text("\n".join([machine(), digest, *values]) + "\n", encoding="utf-8")
    made_on, kept, *about = path.read_text(encoding="utf-8").splitlines()
    assert list(map(float, values)) == pytest.approx(list(map(float, about)), rel=5e-3, abs=1e-3)
    if made_on == machine():
        assert digest == kept
