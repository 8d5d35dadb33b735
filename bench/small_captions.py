"""Train captioners on few images, and see on others whether they are what their trainings say.

    python bench/small_captions.py ../shared/data/flickr8k ../shared/weights/mobilenetv2_100_tf \
        [--kinds word bpe drawn] [--sizes 20 30 40 50 60] [--seeds 0 1 2] [--json small.json]

Each size and seed is a table of so many photos of Flickr8k's training list with their five captions, without
splits, as people bring them; drawn scenes likewise. `showtell train-captioner` runs on it as it comes, in a
process of its own. Then the model and its two rivals (the most frequent caption and the nearest image's, of
its own training images) caption 200 images that it has nothing to do with: photos of the dev list, or
other scenes. "Untrained" is a model that on those scores no more than the most frequent caption, says nothing
or the same of all; the last line counts those that were called trained. With --json, trainings that it holds
already are not made again.
"""

import argparse
import csv
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import add_results, record
from showtell.data.readers import read_dataset
from showtell.data.records import AnnotatedImage
from showtell.data.source import DataSource
from showtell.extraction.extract import extract_features
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.captioner.task import generate_captions
from showtell.kinds.captioner.verdict import Verdict, commonest_captions, judge, nearest_captions
from showtell.kinds.model_folder import load_model
from showtell.samples import write_captions_dataset
from showtell.store.store import FeatureStore

UNSEEN = 200
"""Images that judge every model."""
HEAD = ("what", "images", "seed", "status", "said", "CIDEr-D", "most frequent", "nearest", "words", "s")


def photos(data: Path) -> dict[str, list[AnnotatedImage]]:
    """Return the photos of Flickr8k's training and dev lists."""
    by_name = {image.name: image for image in read_dataset(DataSource(data)).images}
    lists = {"train": "Flickr_8k.trainImages.txt", "dev": "Flickr_8k.devImages.txt"}
    names = {split: (data / name).read_text("utf-8").split() for split, name in lists.items()}
    return {
        split: [by_name[name] for name in sorted(found) if name in by_name] for split, found in names.items()
    }


def scenes(folder: Path, count: int, seed: int) -> list[AnnotatedImage]:
    """Draw scenes; their images are not split."""
    write_captions_dataset(folder, language="en", count=count, seed=seed)
    table = json.loads((folder / "captions.json").read_text("utf-8"))
    return [
        AnnotatedImage(
            one["filename"],
            folder / "images" / one["filename"],
            tuple(sentence["raw"] for sentence in one["sentences"]),
        )
        for one in table["images"]
    ]


def write_table(folder: Path, images: list[AnnotatedImage]) -> Path:
    """Write a table of images beside copies of them."""
    folder.mkdir(parents=True)
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "caption"])
        for image in images:
            name = Path(image.name).name
            shutil.copy(image.path, folder / name)
            table.writerows([name, caption] for caption in image.captions)
    return folder / "captions.csv"


def train(table: Path, run: Path, store: Path, weights: Path, seed: int, kind: str) -> tuple[int, float, str]:
    """Run the command; return its exit status, its seconds and what it said."""
    command = [sys.executable, "-m", "showtell", "train-captioner", str(table), "--out", str(run)]
    command += ["--weights", str(weights), "--store", str(store), "--seed", str(seed)]
    command += ["--tokenizer", "bpe"] if kind == "bpe" else []
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return done.returncode, time.perf_counter() - started, done.stderr


def judge_on(
    run: Path, images: list[AnnotatedImage], unseen: list[AnnotatedImage], store: Path
) -> tuple[Verdict, float]:
    """Judge a run's model on images that it never saw; return the words of a caption, too."""
    model = load_model(run)
    assert isinstance(model, CaptionerModel)
    lines = [json.loads(line) for line in (run / "images.jsonl").read_text("utf-8").splitlines()]
    learnt = {line["name"] for line in lines if line["split"] == "train"}
    known = [image for image in images if Path(image.name).name in learnt]
    extraction = extract_features([*known, *unseen], model.backbone, FeatureStore(store))
    said = generate_captions(model.captioner, extraction, unseen, beam_size=model.config.beam_size)
    rivals = {
        "the most frequent caption": dict.fromkeys(said, commonest_captions(known)),
        "the nearest image's": nearest_captions(extraction, known, unseen),
    }
    verdict = judge({image.name: image.captions for image in unseen}, said, (0.0, 0.0), rivals)
    return verdict, statistics.mean(len(caption.split()) for caption in said.values())


def one_row(options: argparse.Namespace, kind: str, size: int, seed: int, folder: Path) -> dict[str, Any]:
    """Train once and judge the model."""
    store = options.store or folder / "store"
    if kind == "drawn":
        images = scenes(folder / "scenes", size, seed + 1)
        unseen = scenes(folder / "unseen", UNSEEN, 1000)
    else:
        pool = photos(options.data)
        images = random.Random(1000 * seed + size).sample(pool["train"], size)
        unseen = random.Random(7).sample(pool["dev"], UNSEEN)
    table = write_table(folder / "data", images)
    status, seconds, said = train(table, folder / "run", store, options.weights, seed, kind)
    verdict, words = judge_on(folder / "run", images, unseen, store)
    blind, nearest = verdict.rivals
    return {
        "kind": kind,
        "size": size,
        "seed": seed,
        "status": status,
        "said": next(line for line in said.splitlines() if line.startswith("Validation: ")),
        "cider_d": verdict.cider_d,
        "blind": blind.cider_d,
        "blind_interval": blind.interval,
        "nearest": nearest.cider_d,
        "nearest_interval": nearest.interval,
        "fault": verdict.fault,
        "words": words,
        "seconds": seconds,
    }


def line_of(row: dict[str, Any]) -> str:
    """Return a line of the table."""
    called = "trained" if row["status"] == 0 else "not learnt"
    names = {"word": "photos, words", "bpe": "photos, BPE", "drawn": "drawn scenes"}
    shown = [names[row["kind"]], row["size"], row["seed"], row["status"], called]
    shown += [f"{row[name]:.3f}" for name in ("cider_d", "blind", "nearest")]
    return "| " + " | ".join(map(str, [*shown, f"{row['words']:.1f}", f"{row['seconds']:.0f}"])) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--kinds", nargs="+", default=["word", "bpe", "drawn"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 30, 40, 50, 60])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--store", type=Path, help="features to share between runs; seconds leave them out then"
    )
    parser.add_argument("--json", type=Path, help="trainings made so far, not made again")
    add_results(parser)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if options.json and options.json.exists():
        rows = json.loads(options.json.read_text("utf-8"))
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    for kind in options.kinds:
        for size in options.sizes:
            for seed in options.seeds:
                made = [row for row in rows if (row["kind"], row["size"], row["seed"]) == (kind, size, seed)]
                if not made:
                    with tempfile.TemporaryDirectory() as folder:
                        made = [one_row(options, kind, size, seed, Path(folder))]
                    rows += made
                    if options.json:
                        options.json.write_text(json.dumps(rows, indent=1))
                print(line_of(made[0]), flush=True)
    false = [row for row in rows if row["fault"] and row["status"] == 0]
    refused = [row for row in rows if not row["fault"] and row["status"] == 3]
    print(
        f"\nOf {len(rows)} trainings {sum(row['status'] == 0 for row in rows)} were called trained, "
        f"{len(false)} of them untrained; {len(refused)} were refused that on unseen images beat the most "
        "frequent caption."
    )
    record("small_captions", rows, options)


if __name__ == "__main__":
    main()
