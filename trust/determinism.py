"""The same seed on one thread gives the same bytes: in another process, folder, order of files, while busy.

python trust/determinism.py --rounds 8
TRUST_PYTHONS=PYTHON:PYTHON python trust/determinism.py --only interpreter   # such as have showtell

A training is a digest of everything that it made: weights, tokenizer, scores, features; and its losses.
"""

import json
import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path

from campaign import Attempt, Figures, Finding, Line, NotHere, run

TOLERANCE = 1e-3
"""Relative, of losses by another Python or another release of torch."""
PYTHONS = "TRUST_PYTHONS"
TRAIN = """
import hashlib, json, sys
from pathlib import Path
from showtell import cli
import showtell, torch
kind, data, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
torch.set_num_threads(1)
status = cli.run([f"train-{kind}", data, "--out", str(out), "--store", str(out) + "-store", "--backbone",
    "test_resnet", "--weights", "random", "--seed", "3", "--config", sys.argv[4]])
assert status in (0, 3), status
lines = [line for path in sorted(out.rglob("metrics.jsonl")) for line in path.open(encoding="utf-8")]
log = [json.loads(line) for line in lines]
losses = [line["loss"] for line in log if "loss" in line]
scores = json.loads((out / "evaluation-val.json").read_text("utf-8"))["scores"]
model = hashlib.sha256()
for file in sorted((out / "model").iterdir()):
    if file.suffix in (".safetensors", ".txt") or file.name == "tokenizer.json":
        model.update(file.name.encode() + file.read_bytes())
print(json.dumps({"model": model.hexdigest(), "losses": losses, "scores": scores,
    "python": sys.version.split()[0], "torch": torch.__version__}))
"""
SETTINGS = {
    "captioner": "image_size = 64\nhidden_dim = 32\nepochs = 3\nscst_epochs = 1\n",
    "classifier": "image_size = 64\naugmentations = 1\n",
}


def write_data(kind: str, folder: Path) -> Path:
    """Draw the images that a kind learns from; return what is given as its data."""
    from showtell.samples import write_captions_dataset, write_classes_dataset

    if kind == "captioner":
        write_captions_dataset(folder, language="ko", count=50, seed=5)
        return folder / "captions.json"
    write_classes_dataset(folder, count=50, seed=5)
    return folder


def train(kind: str, data: Path, out: Path, python: str = sys.executable) -> dict[str, object]:
    """Train in a process of its own; return what came of it."""
    settings = out.with_suffix(".toml")
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(SETTINGS[kind], "utf-8")
    command = [python, "-c", TRAIN, kind, str(data), str(out), str(settings)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": str(hash(out) % 1000)}
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)  # that one has a showtell of its own
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise Finding(f"the training ends with {done.returncode}: {done.stderr[-500:]}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def rewritten(data: Path, to: Path, chance: random.Random) -> Path:
    """Copy a folder file by file in another order, which is the one that many file systems list them in."""
    root = data if data.is_dir() else data.parent
    files = [path for path in root.rglob("*") if path.is_file()]
    for path in chance.sample(files, len(files)):
        copy = to / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    return to if data.is_dir() else to / data.name


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep the machine busy with other work."""
    with ExitStack() as stack:
        for _ in range(processes):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield


@contextmanager
def again(folder: Path) -> Iterator[Attempt]:
    """Train the same again under other circumstances; all of it is equal to the last bit."""
    ways = (("folder", "order", "busy"), (), ("folder",), ("order",), ("busy",))
    rounds = count()

    @cache
    def first(kind: str) -> tuple[Path, dict[str, object]]:
        data = write_data(kind, folder / f"data-{kind}")
        return data, train(kind, data, folder / f"first-{kind}")

    def attempt(chance: random.Random) -> Figures:
        number = next(rounds)
        kind, way = list(SETTINGS)[number % 2], ways[number // 2 % len(ways)]
        data, made = first(kind)
        place = folder / ("아주 긴 이름의 폴더/" + "x" * 60 if "folder" in way else "") / str(number)
        if "order" in way:
            data = rewritten(data, place / "images of mine", chance)
        with busy(2 if "busy" in way else 0):
            found = train(kind, data, place / "run")
        if differing := [name for name, value in found.items() if value != made[name]]:
            raise Finding(f"{kind}, {way or 'another process'}: {', '.join(differing)} differ")
        return {"equal": 1}

    yield attempt


def apart(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the largest relative difference of losses; infinite where their number differs."""
    if len(one) != len(other):
        return math.inf
    return max((abs(a - b) / max(abs(a), 1e-12) for a, b in zip(one, other)), default=0.0)


@contextmanager
def interpreters(folder: Path) -> Iterator[Attempt]:
    """Train by other interpreters, of another Python or another torch; losses are alike."""
    others = [name for name in os.environ.get(PYTHONS, "").split(os.pathsep) if name]
    if not others:
        raise NotHere(f"{PYTHONS} names no interpreters with showtell")
    made = {}
    for kind in SETTINGS:
        data = write_data(kind, folder / f"data-{kind}")
        made[kind] = data, train(kind, data, folder / f"first-{kind}")

    def attempt(chance: random.Random) -> Figures:
        highest, equal = 0.0, 0
        for number, python in enumerate(others):
            for kind, (data, first) in made.items():
                place = folder / f"{number}-{kind}-{chance.getrandbits(32)}"
                found = train(kind, data, place, python)
                highest = max(highest, apart(first["losses"], found["losses"]))  # type: ignore[arg-type]
                equal += all(found[name] == first[name] for name in ("model", "losses", "scores"))
                what = f"{kind}, Python {found['python']}, torch {found['torch']}"
                print(f"{what}: losses at most {highest:.1e} apart")
                if highest > TOLERANCE:
                    raise Finding(f"{what}: losses are {highest:.1e} apart")
        return {"trainings": len(others) * len(made), "bit-equal": equal, "highest difference": highest}

    yield attempt


LINES = (
    Line("the same seed again", again, share=3, short=1),
    Line("another interpreter", interpreters, most=1, short=0),
)

if __name__ == "__main__":
    sys.exit(run("determinism", __doc__, LINES))
