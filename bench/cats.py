"""Measure the way from photos to an evaluated classifier, whole commands, against Keras and fastai.

    python bench/cats.py ../shared/data/knyang ../shared/weights/mobilenetv2_100_tf \
        [--python PEERS/bin/python]

Data are class folders below ``Train`` and ``Validation``; weights are MobileNetV2 1.0 in timm's local format,
and everybody gets them. Ours begins with an empty store. Peers (cats_peers.py) run by ``--python``, each in a
process of its own; one whose package is missing is named and left out. Everything is timed from outside:
start, evaluation and end, too. A peer's epochs may be measured in part: then those left out are added, each
as long as the mean of its phase without the first, and its accuracy is that of the short training. A run
leaves the byte code of all packages behind: take the second. Figures need a quiet machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cats_peers import WAYS
from record import add_results, record

FROZEN = {"showtell, frozen": "", "showtell, frozen, at 160 px": "image_size = 160\n"}
"""Settings of the command, in TOML; the notes use 160 px."""
TUNED = {"showtell, fine-tuned": 'fine_tune = "100"\n'}
PLANNED = {"keras": (10, 10), "fastai": (1, 5)}
"""Epochs with the network frozen, and fine-tuned: those of the notes, and ``fine_tune(5)``."""
NAMES = {"keras": "study notes (Keras)", "fastai": "fastai's vision_learner"}


def run_ours(data: Path, weights: Path, settings: str, rounds: int) -> dict[str, Any]:
    """Run the whole command into an empty store; return its median seconds and its validation accuracy."""
    times = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            run, file = Path(folder) / "run", Path(folder) / "settings.toml"
            file.write_text(settings, encoding="utf-8")
            command = [sys.executable, "-m", "showtell", "train-classifier", str(data), "--out", str(run)]
            command += ["--weights", str(weights), "--store", f"{folder}/store", "--config", str(file)]
            started = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True)
            times.append(time.perf_counter() - started)
            if done.returncode:
                raise SystemExit(done.stderr)
            accuracy = json.loads((run / "evaluation-val.json").read_text("utf-8"))["scores"]["accuracy"]
    seconds = statistics.median(times)
    return {
        "seconds": seconds,
        "measured": seconds,
        "rounds": times,
        "accuracy": accuracy,
    }


def run_peer(way: str, epochs: tuple[int, int], options: argparse.Namespace) -> dict[str, Any]:
    """Run a peer in a process of its own; add what its epochs left out would have taken."""
    program = str(Path(__file__).with_name("cats_peers.py"))
    command = [options.python or sys.executable, program, way, str(options.data), str(options.weights)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    done = subprocess.run([*command, *map(str, epochs)], capture_output=True, text=True, env=environment)
    seconds = time.perf_counter() - started
    if done.returncode:
        return {"missing": (done.stderr.strip().splitlines() or ["?"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "missing" in found:
        return found
    left_out = sum(
        (planned - len(times)) * statistics.mean(times[1:] or times)
        for times, planned in zip(found["epochs"], PLANNED[way])
    )
    return found | {"measured": seconds, "seconds": seconds + left_out}


def describe(name: str, row: dict[str, Any], own: list[float]) -> str:
    """Return a line of the table."""
    if "missing" in row:
        return f"| {name} | left out: {row['missing']} | | | | |"
    phases = [f"{len(times)} x {statistics.mean(times):.1f}" for times in row.get("epochs", [])]
    ratios = [] if name.startswith("showtell") else [f"{row['seconds'] / seconds:.1f}" for seconds in own]
    ratio = f"{' and '.join(ratios)} times" if ratios else ""
    return (
        f"| {name} | {row['measured']:.1f} | {' + '.join(phases)} | {row['seconds']:.1f} "
        f"| {row['accuracy']:.2f} | {ratio} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--keras", type=int, nargs=2, default=(2, 2), help="epochs that are measured")
    parser.add_argument("--fastai", type=int, nargs=2, default=PLANNED["fastai"], help="likewise")
    parser.add_argument("--ways", nargs="+", help="only ways whose name holds one of these")
    parser.add_argument("--rounds", type=int, default=2, help="of ours, frozen; the median counts")
    parser.add_argument("--python", help="interpreter that has the peers' packages")
    add_results(parser)
    options = parser.parse_args()
    for path in options.data.rglob("*.*"):
        path.read_bytes()  # nobody has to wait for the disk
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| way | measured, s | epochs, s | whole, s | validation accuracy | ours, frozen, is |")
    print("|---|---|---|---|---|---|")
    rows: dict[str, dict[str, Any]] = {}
    own: list[float] = []
    for name in (*FROZEN, *WAYS, *TUNED):  # the longest comes last
        title = NAMES.get(name, name)
        if options.ways and not any(part in title for part in options.ways):
            continue
        if name in WAYS:
            row = run_peer(name, getattr(options, name), options)
        else:
            rounds = options.rounds if name in FROZEN else 1
            row = run_ours(options.data, options.weights, (FROZEN | TUNED)[name], rounds)
            own.append(row["seconds"])
        rows[title] = row
        print(describe(title, row, own), flush=True)
    record("cats", rows, options)


if __name__ == "__main__":
    main()
