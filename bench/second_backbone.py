"""Measure a second backbone over photos whose decoded images are kept, whole commands, against the first.

    python bench/second_backbone.py ../shared/data/phone --count 1000 --engine openvino --precision bfloat16

Each round writes new copies of the photos, every one another content, and extracts them with the first
network, keeping decoded images and not; then with each other network into either store. The features of both
must be the same bytes. Weights are random: they change no time. An engine's graph is written before, for one
image. Beside images a second stand images a processor second: on a machine that is busy, compare those.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from extract import copy_phone
from record import add_results, record

NETWORKS = ["mobilenetv2_100", "tf_efficientnet_lite0", "inception_v3"]


class Done(NamedTuple):
    """What a command took, seconds, and its feature space."""

    wall: float
    processor: float
    space: str


def extract(network: str, images: Path, store: Path, how: list[str]) -> Done:
    """Run the whole command."""
    command = [sys.executable, "-m", "showtell", "extract", str(images), "--backbone", network, "--json"]
    command += ["--weights", "random", "--store", str(store), *how]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Done(wall, processor, json.loads(done.stdout)["space"])


def bytes_of(store: Path, space: str) -> list[bytes]:
    """Return all features of a space."""
    from showtell.store.store import FeatureStore

    features = FeatureStore(store)
    [info] = [info for info in features.spaces() if info.id == space]
    opened = features.space(info.description)
    return [array.tobytes() for array in opened.get(list(opened)) if array is not None]


def measure(options: argparse.Namespace, scratch: Path) -> dict[str, float]:
    """Return the images a second of each command, and what the kept images take."""
    images, one = scratch / "photos", scratch / "one"
    copy_phone(options.photos, images, options.count)
    copy_phone(options.photos, one, 1)
    for path in images.iterdir():  # the store reads fresher ones again, since they may still be written
        os.utime(path, (time.time() - 3600,) * 2)
    how = ["--engine", options.engine, "--precision", options.precision]
    kept, plain = scratch / "kept", scratch / "plain"
    for network in options.networks:
        extract(network, one, plain, how)
    shutil.copytree(plain, kept)
    first, *others = options.networks
    done = {first: extract(first, images, plain, how)}
    done[f"{first}, keeping"] = extract(first, images, kept, [*how, "--keep-images"])
    for network in others:
        done[network] = extract(network, images, plain, how)
        done[f"{network}, kept"] = extract(network, images, kept, how)
        same = bytes_of(plain, done[network].space) == bytes_of(kept, done[f"{network}, kept"].space)
        assert same, network
    from showtell.store.store import FeatureStore

    info = FeatureStore(kept).kept_info()
    figures = {"MB a photo": statistics.mean(path.stat().st_size for path in images.iterdir()) / 1e6}
    figures["MB a kept image"] = info.bytes / info.records / 1e6
    for name, taken in done.items():
        figures[f"{name}: images/s"] = options.count / taken.wall
        figures[f"{name}: images/s of processor"] = options.count / taken.processor
    for network in others:
        taken = done[f"{network}, kept"]
        figures[f"{network}, kept: times the first"] = done[first].wall / taken.wall
        figures[f"{network}, kept: times the first of processor"] = done[first].processor / taken.processor
    return figures


def main() -> None:
    """Measure in rounds, and show medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a folder of JPEGs as a phone wrote them")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="the first one, and others")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--folder", type=Path, help="where to write images and features")
    add_results(parser)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    rounds = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="bench-second-", dir=options.folder) as scratch:
            rounds.append(measure(options, Path(scratch)))
    figures = {name: [one[name] for one in rounds] for name in rounds[0]}
    for name, values in figures.items():
        print(f"{name:<64} {statistics.median(values):8.2f}  ({min(values):.2f} to {max(values):.2f})")
    record("second_backbone", figures, options)


if __name__ == "__main__":
    main()
