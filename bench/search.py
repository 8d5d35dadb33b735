"""Measure the search.

    python bench/search.py like DATA WEIGHTS [--store STORE]         # DATA with classes: precision at 10
    python bench/search.py speed DATA PHOTO WEIGHTS --store STORE    # among 10,000 images
    python bench/search.py text RUN FLICKR8K --store STORE           # recall at 1, 5, 10 of people's captions

Needs the package on the path. Precision and recall leave the image that is asked with out of account.
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from record import add_results, record
from showtell.console import Console
from showtell.data.neighbours import Nearest
from showtell.process import tune_process
from showtell.searching.by_image import ByImage
from showtell.searching.search import make_finder
from showtell.searching.settings import Search

QUIET = Console(quiet=True)
KEPT = 10


def features_of(data: Path, weights: str, store: Path | None) -> tuple[list, object, object]:
    """Return the readable images of a data set, their features and the network."""
    from showtell.data.readers import read_images
    from showtell.extraction.extract import extract_features
    from showtell.store.store import FeatureStore

    settings = Search(data, weights=weights, store=store, text="-")
    dataset, _ = read_images(settings)
    backbone = settings.load()
    features = extract_features(dataset.images, backbone, FeatureStore(store), console=Console())
    return [image for image in dataset.images if image.name in features.digests], features, backbone


def measure_like(data: Path, weights: str, store: Path | None) -> dict[str, float]:
    """Return the share of the ten nearest that are of the same class, and that of ten drawn at random."""
    images, features, _ = features_of(data, weights, store)
    pooled = features.pooled(images)
    places, cosines = Nearest(pooled).search(pooled, len(images))
    labels = np.array([image.label for image in images])
    near, far = [], []
    for own, (found, cosine) in enumerate(zip(places, cosines)):
        kept = found != own
        near.append((labels[found[kept][:KEPT]] == labels[own]).mean())
        other = kept & (cosine < 0.9)  # what looks like another shot of the same scene is left out
        far.append((labels[found[other][:KEPT]] == labels[own]).mean())
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return {
        "images": len(images),
        "precision_at_10": float(np.mean(near)),
        "precision_at_10_without_near_duplicates": float(np.mean(far)),
        "by_chance": float((shares**2).sum()),
    }


def measure_speed(data: Path, photo: Path, weights: str, store: Path | None) -> dict[str, float]:
    """Return the milliseconds of a search among 10,000 images, by one of them and by a new photo."""
    images, features, backbone = features_of(data, weights, store)
    images = (images * -(-10_000 // len(images)))[:10_000]
    started = time.perf_counter()
    finder = ByImage(images, features, backbone)
    figures = {"images": len(images), "loading_ms": 1000 * (time.perf_counter() - started)}
    for name, path in (("known", images[-1].path), ("new", photo)):
        finder.find(str(path), KEPT)
        taken = []
        for _ in range(30):
            started = time.perf_counter()
            finder.find(str(path), KEPT)
            taken.append(1000 * (time.perf_counter() - started))
        figures |= {f"{name}_ms": statistics.median(taken), f"{name}_slowest_ms": max(taken)}
    return figures


def measure_text(run: Path, data: Path, store: Path | None, count: int) -> dict[str, float]:
    """Return how often the image that a caption was written of is among the first, of the dev images."""
    from showtell.data.readers import read_images

    images = [image for image in read_images(Search(data, text="-"))[0].images if image.split == "val"]
    with tempfile.TemporaryDirectory() as folder:
        for image in images:
            shutil.copy(image.path, folder)
        finder, searched = make_finder(Search(Path(folder), run=run, store=store, text="-"), Console())
        asked = random.Random(0).sample([(i.path.name, c) for i in images for c in i.captions], count)
        ranks, taken = [], []
        for name, caption in asked:
            started = time.perf_counter()
            found = [match.image.name for match in finder.find(caption, 100)]
            taken.append(time.perf_counter() - started)
            ranks.append(found.index(name) if name in found else len(images))
    return {
        "images": searched,
        "captions": count,
        **{f"recall_at_{k}": float(np.mean([rank < k for rank in ranks])) for k in (1, 5, 10)},
        "by_chance_at_10": 10 / searched,
        "median_rank": float(np.median(ranks)) + 1,
        "median_s": statistics.median(taken),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("like", "speed", "text"))
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--captions", type=int, default=150)
    add_results(parser)
    options = parser.parse_args()
    tune_process()
    first, *rest = map(Path, options.paths)
    if options.what == "like":
        figures = measure_like(first, str(rest[0]), options.store)
    elif options.what == "speed":
        figures = measure_speed(first, rest[0], str(rest[1]), options.store)
    else:
        figures = measure_text(first, rest[0], options.store, options.captions)
    for name, value in figures.items():
        print(f"{name:<42} {value:.4g}")
    record("search", {options.what: figures}, options)


if __name__ == "__main__":
    main()
