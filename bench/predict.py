"""Measure `showtell predict` over a folder, whole commands, against its parts measured apart.

    python bench/predict.py RUN PHOTOS [--count 2000]

RUN is a captioner or a classifier, trained. The parts are the encoding of all images into an empty store,
with decoding, by the engine that is fastest, and the answers from their features, both in this process,
without a start. Each round has its turn of the parts, of `predict --out`, and of `predict` that prints, each
with an empty store. The share is what the parts take of what the command takes: by the clock, and of
processor time, which tells more on a busy machine.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from record import add_results, record
from showtell.console import Console
from showtell.process import tune_process

QUIET = Console(quiet=True)
SUFFIXES = {".jpg", ".jpeg", ".png"}


def timed(work: Callable[[], object], who: int = resource.RUSAGE_SELF) -> tuple[float, float]:
    """Do some work; return what it took by the clock and of the processor, seconds."""
    before, started = resource.getrusage(who), time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, resource.getrusage(who)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def command(*typed: str) -> tuple[float, float]:
    """Run a whole command."""

    def run() -> None:
        done = subprocess.run([sys.executable, "-m", "showtell", *typed], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)

    return timed(run, resource.RUSAGE_CHILDREN)


def measure(run: Path, folder: Path, scratch: Path) -> dict[str, tuple[float, float]]:
    """Return what each part and each command takes."""
    from showtell.extraction.extract import extract_features
    from showtell.extraction.fastest import by_fastest
    from showtell.kinds.asked import named_images
    from showtell.kinds.library import predict_features
    from showtell.kinds.model_folder import load
    from showtell.store.store import FeatureStore

    model, images = load(run), named_images([str(folder)], QUIET)
    store, found = FeatureStore(scratch / "apart"), []

    def encode() -> None:
        backbone = by_fastest(model.backbone, images, store, QUIET)
        found.append(extract_features(images, backbone, store, console=QUIET))

    taken = {
        "encode": timed(encode),
        "answer": timed(lambda: list(predict_features(model, found[0], images))),
    }
    out = ["--out", str(scratch / "out.csv")]
    for name, how in ("predict --out", out), ("predict", ["--json"]):
        store = str(scratch / name)
        taken[name] = command("predict", str(run), str(folder), *how, "--store", store)
    return taken


def main() -> None:
    """Measure in rounds, and show medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    add_results(parser)
    options = parser.parse_args()
    tune_process()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-predict-") as name:
        folder = Path(name) / "photos"
        folder.mkdir()
        files = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in SUFFIXES)
        for number, path in enumerate(files[: options.count]):
            shutil.copyfile(path, folder / f"{number:05d}{path.suffix}")
        count = len(list(folder.iterdir()))
        for turn in range(options.rounds):
            scratch = Path(name) / str(turn)
            scratch.mkdir()
            taken = measure(options.run, folder, scratch)
            for what, (wall, processor) in taken.items():
                figures.setdefault(f"{what}: images/s", []).append(count / wall)
                figures.setdefault(f"{what}: images/s of processor", []).append(count / processor)
            apart = [taken["encode"][i] + taken["answer"][i] for i in (0, 1)]
            for what in ("predict --out", "predict"):
                for i, of in enumerate(("", " of processor")):
                    figures.setdefault(f"{what}: share{of}", []).append(apart[i] / taken[what][i])
    print(f"{count} images")
    for what, values in figures.items():
        print(f"{what:<44} {statistics.median(values):8.3f}  ({min(values):.3f} to {max(values):.3f})")
    record("predict", {"images": count, **figures}, options)


if __name__ == "__main__":
    main()
