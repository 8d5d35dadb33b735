"""Labels by coin on bursts: how often the interval of a classifier's accuracy holds one half.

Draws scenes of coloured fields with shapes, each in frames with a little shift, light and noise, as a phone
takes them. Features are extracted once; each run takes some scenes, throws a coin for each, and trains and
scores as `showtell train-classifier` does.

Usage: python bench/bursts.py [--weights FOLDER] [--head linear|auto] [--runs 40] [--sizes 5 10 16 20 40]
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from record import add_results, record
from showtell.backbones.backbone import Backbone
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.records import AnnotatedImage, Dataset
from showtell.errors import DataError
from showtell.extraction.prepared import prepare
from showtell.kinds.classifier.data import learnable
from showtell.kinds.classifier.evaluation import ClassEvaluation
from showtell.kinds.classifier.folds import score_by_folds, why_unscored
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.process import tune_process
from showtell.store.store import FeatureStore

SIZES = (5, 10, 16, 20, 40)
SCENES, FRAMES, SIDE = 120, 12, 224
COLOURS = ("#c0392b", "#27ae60", "#2980b9", "#f1c40f", "#8e44ad", "#e67e22", "#2c3e50", "#ecf0f1")


def draw_scene(number: int, folder: Path) -> None:
    """Draw the frames of a scene: four fields, each with a shape, shifted, lit and grained anew."""
    random = np.random.default_rng((7, number))
    fields = random.choice(COLOURS, 4)
    shapes = [(random.choice(COLOURS), random.integers(3), *random.uniform(0.2, 0.8, 3)) for _ in range(4)]
    for frame in range(FRAMES):
        image = Image.new("RGB", (SIDE, SIDE))
        pen = ImageDraw.Draw(image)
        shift = random.normal(0, 4, 2)
        for place, (row, column) in enumerate(itertools.product(range(2), repeat=2)):
            left, top = column * SIDE / 2 + shift[0], row * SIDE / 2 + shift[1]
            pen.rectangle((left - 9, top - 9, left + SIDE, top + SIDE), fill=fields[place])
            colour, kind, x, y, size = shapes[place]
            radius = SIDE / 12 + SIDE / 12 * size
            middle = (left + x * SIDE / 2, top + y * SIDE / 2)
            box = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
            if kind == 2:
                pen.regular_polygon((*middle, radius), 3, fill=colour)
            else:
                (pen.ellipse if kind else pen.rectangle)(box, fill=colour)
        grained = np.asarray(image) * random.uniform(0.85, 1.15) + random.normal(0, 6, (SIDE, SIDE, 3))
        Image.fromarray(grained.clip(0, 255).astype(np.uint8)).save(
            folder / f"{number:03d}_{frame:02d}.jpg", quality=90
        )


def run(
    seed: int, scenes: int, folder: Path, backbone: Backbone, store: FeatureStore, head: str
) -> ClassEvaluation | str:
    """Train on scenes labelled by coin; return the scores, or why there are none."""
    random = np.random.default_rng((11, seed, scenes))
    chosen = random.choice(SCENES, scenes, replace=False)
    coins = random.integers(0, 2, scenes)
    images = tuple(
        AnnotatedImage(
            f"{n:03d}_{f:02d}.jpg", folder / f"{n:03d}_{f:02d}.jpg", label=("heads", "tails")[coin]
        )
        for n, coin in zip(chosen, coins)
        for f in range(FRAMES)
    )
    classes = tuple(sorted({str(image.label) for image in images}))
    dataset = Dataset(folder, "classes", images, classes=classes)
    quiet = Console(quiet=True)
    prepared = prepare(dataset, backbone, store, quiet, seed=seed)
    try:
        classes, train, val = learnable(prepared, quiet)
    except DataError:
        return "one class"
    if doubt := why_unscored(prepared, train, val, classes):
        return doubt
    config = TrainClassifier(folder, out=folder / "run", head=head, seed=seed)  # type: ignore[arg-type]
    found = score_by_folds(config, prepared, classes, quiet)
    assert found is not None, "so few scenes are scored by cross-validation"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="../shared/weights/mobilenetv2_100_tf")
    parser.add_argument("--backbone")
    parser.add_argument("--head", default="linear")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="scenes a run")
    add_results(parser)
    given = parser.parse_args()
    tune_process()
    figures: dict[int, dict[str, Any]] = {}
    print("| scenes | runs with a score | hold 1/2 | accuracy | width | groups | s a run |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        folder.mkdir()
        for number in range(SCENES):
            draw_scene(number, folder)
        store = FeatureStore(Path(place) / "store")
        weights = given.weights if given.weights == "random" else Path(given.weights)
        backbone = load_backbone(
            given.backbone,
            weights,
            image_size=None,
            fit="stretch",
            seed=0,
            precision="float32",
            engine="torch",
            console=Console(quiet=True),
        )
        for scenes in given.sizes:
            started = time.perf_counter()
            found = [run(seed, scenes, folder, backbone, store, given.head) for seed in range(given.runs)]
            scored = [one.scores for one in found if isinstance(one, ClassEvaluation)]
            seconds = (time.perf_counter() - started) / given.runs
            figures[scenes] = row = {"runs": len(found), "scored": len(scored), "s_a_run": seconds}
            line = f"| {scenes} | {len(scored)} of {len(found)} "
            if scored:
                bounds = np.array([one.intervals["accuracy"] for one in scored])
                row["held"] = int(((bounds[:, 0] <= 0.5) & (bounds[:, 1] >= 0.5)).sum())
                row["accuracy"] = float(np.mean([one.accuracy for one in scored]))
                row["width"] = float((bounds[:, 1] - bounds[:, 0]).mean())
                row["groups"] = [pick(one.groups for one in scored) for pick in (min, max)]
                line += f"| {row['held']} of {len(scored)} | {row['accuracy']:.3f} | {row['width']:.2f} "
                line += "| {} to {} ".format(*row["groups"])
            else:
                line += "| | | | "
            print(f"{line}| {seconds:.1f} |", flush=True)
    record("bursts", figures, given)


if __name__ == "__main__":
    main()
