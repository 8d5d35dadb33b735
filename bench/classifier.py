"""Measure a classifier: memory and time over many tiny images, and the time of one prediction.

    python bench/classifier.py table --classes 120 --images 10000
    python bench/classifier.py predict RUN PHOTO...

Needs the package on the path; draws its own images.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from record import add_results, record

SIDE = 64
"""Of a drawn image, pixels: ten thousand of them, decoded, are 123 MB."""


def draw_table(folder: Path, classes: int, images: int) -> Path:
    """Draw images whose class is a pattern of 4x4 colours, shaded at random, with ``labels.csv``."""
    random = np.random.default_rng(0)
    patterns = random.integers(40, 216, (classes, 4, 4, 3))
    (folder / "images").mkdir(parents=True)
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "breed", "split"])
        for number in range(images):
            label = number % classes
            shaded = patterns[label] * random.uniform(0.6, 1.0, (4, 4, 1))
            noisy = shaded.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1).astype(np.uint8)
            Image.fromarray(noisy).save(folder / "images" / f"{number:05d}.jpg", quality=90)
            split = {8: "val", 9: "test"}.get(number // classes % 10, "train")
            table.writerow([f"{number:05d}", f"품종 {label:03d}", split])
    return folder / "labels.csv"


def peak_memory(command: list[str]) -> float:
    """Run a command of showtell in a process of its own; return its peak memory in MB."""
    code = "import sys, resource; from showtell.cli import run; status = run(sys.argv[1:]); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(status)"
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return int(done.stdout.split()[-1]) / 1000


def measure_table(classes: int, images: int) -> dict[str, object]:
    """Train and evaluate in a process of their own; print and return time and peak memory of each."""
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = draw_table(folder, classes, images)
        small = draw_table(folder / "small", classes, 10 * classes)
        os.environ["SHOWTELL_STORE"] = str(folder / "store")
        file = folder / "settings.toml"
        file.write_text(f"image_size = {SIDE}\n", encoding="utf-8")
        settings = ["--backbone", "test_resnet", "--weights", "random", "--config", str(file)]
        for what, command in (
            ("train, few", ["train-classifier", str(small), "--out", str(folder / "few"), *settings]),
            ("train", ["train-classifier", str(table), "--out", str(folder / "run"), *settings]),
            ("evaluate", ["evaluate", str(folder / "run")]),
        ):
            started = time.perf_counter()
            peak = peak_memory(command)
            seconds = time.perf_counter() - started
            figures[what] = {"s": seconds, "peak_mb": peak}
            print(f"{what:<10}  {seconds:6.1f} s   peak {peak:6.0f} MB", flush=True)
        found = json.loads((folder / "run" / "evaluation-test.json").read_text("utf-8"))
        print(f"test accuracy {found['scores']['accuracy']:.3f} of {found['images']} images")
    return figures | {"test_accuracy": found["scores"]["accuracy"]}


def measure_prediction(run: str, photos: list[str], rounds: int = 30) -> dict[str, object]:
    """Print and return the median time from a file to its classes, the model loaded."""
    from showtell.data.images import load_pixels
    from showtell.kinds.model_folder import load_model
    from showtell.process import tune_process

    tune_process()
    model = load_model(Path(run))
    medians = []
    for photo in photos:
        times = []
        for _ in range(rounds + 3):
            started = time.perf_counter()
            pixels = load_pixels(Path(photo), model.backbone.preprocessing)
            model.from_pixels(pixels.unsqueeze(0))
            times.append(1000 * (time.perf_counter() - started))
        kept = sorted(times[3:])
        medians.append(statistics.median(kept))
        print(f"{medians[-1]:6.1f} ms median, {kept[0]:6.1f} ms least: {Path(photo).name}")
    return {"median_ms": medians}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table")
    table.add_argument("--classes", type=int, default=120)
    table.add_argument("--images", type=int, default=10_000)
    predict = commands.add_parser("predict")
    predict.add_argument("run")
    predict.add_argument("photos", nargs="+")
    add_results(table)
    add_results(predict)
    arguments = parser.parse_args()
    if arguments.command == "table":
        found = measure_table(arguments.classes, arguments.images)
    else:
        found = measure_prediction(arguments.run, arguments.photos)
        arguments.photos = len(arguments.photos)
    record("classifier", found, arguments)
