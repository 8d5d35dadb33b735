"""Measure how fast a finished feature space is taken over, beside a plain copy of its files.

    python bench/adopt.py --grids 4000 --folder DIR

In turn, in one run, best of a few rounds, the last flush included: a plain copy, adoption record by record,
adoption with a second name for the grid file, and a check of every record. The sources lie in the page cache
for all of them; the disk that is written to is measured. Figures need a quiet machine.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from record import add_results, record
from showtell.console import Console
from showtell.store.adopt import adopt
from showtell.store.store import FeatureStore, content_digest
from showtell.store.verify import verify_space

L, D = 49, 1280
DESCRIPTION = {"dtype": "float16", "grid_shape": [L, D], "pooled_dim": D}
BATCH = 64
QUIET = Console(quiet=True)
FIGURES: dict[str, float] = {}


def write_source(root: Path, count: int) -> Path:
    """Write a space as a worker does, in no order of its keys; return its folder."""
    space = FeatureStore(root).space(DESCRIPTION)
    grids = np.random.default_rng(0).standard_normal((BATCH, L, D)).astype(np.float16)
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        space.put((content_digest(b"%d" % n), grids[n % BATCH], grids[n % BATCH, 0]) for n in numbers)
    return space.folder


def plain_copy(source: Path, to: Path) -> None:
    for path in (path for path in source.rglob("*.mdb") if path.name == "data.mdb"):
        copy = to / path.parent.name
        shutil.copyfile(path, copy)
        with copy.open("rb+") as file:
            os.fsync(file.fileno())


def seconds_of(work: Callable[[], object]) -> float:
    os.sync()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(folder: Path, count: int, rounds: int) -> None:
    source = write_source(folder / "source", count)
    size = sum(path.stat().st_size for path in source.rglob("data.mdb"))
    times: dict[str, list[float]] = {"plain copy": [], "copied": [], "linked": [], "verify": []}
    for _ in range(rounds):
        (folder / "plain").mkdir()
        times["plain copy"].append(seconds_of(lambda: plain_copy(source, folder / "plain")))
        shutil.rmtree(folder / "plain")
        for way, link_from in (("copied", 1 << 60), ("linked", 0)):
            worker = folder / "worker" / source.name
            shutil.copytree(source, worker)
            space = FeatureStore(folder / "into").space(DESCRIPTION)
            times[way].append(seconds_of(partial(adopt, space, worker, QUIET, link_from=link_from)))
            assert len(space) == count
            if way == "copied":
                times["verify"].append(seconds_of(partial(verify_space, space, QUIET)))
            space = None
            shutil.rmtree(folder / "into")
    for way, seconds in times.items():
        FIGURES[f"{way}, MB/s"] = size / min(seconds) / 1e6
        print(f"{way}: {size / min(seconds) / 1e6:.0f} MB/s, {min(seconds):.2f} s of {size / 1e6:.0f} MB")
    FIGURES["copied over plain copy"] = FIGURES["copied, MB/s"] / FIGURES["plain copy, MB/s"]
    print(f"copied over plain copy: {FIGURES['copied over plain copy']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--grids", type=int, default=4000, help="records of 49x1280 float16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; the disk that is measured")
    add_results(parser)
    settings = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-adopt-", dir=settings.folder))
    try:
        measure(folder, settings.grids, settings.rounds)
    finally:
        shutil.rmtree(folder)
    record("adopt", FIGURES, settings)


if __name__ == "__main__":
    main()
