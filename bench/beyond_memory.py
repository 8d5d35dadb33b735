"""Training's reads from a store four times the memory it may use: what a step waits for, in three orders.

    python bench/beyond_memory.py [--images 8000] [--step-ms 100] [--folder DIR] [--group GROUP]

Writes grids of 49x1280 float16 (125 kB an image), and takes steps of 32 images that "compute" for so many
milliseconds: everything cached; at random from the disk, at once and read ahead; and in windows of the
store's order, read ahead. With a control group that limits memory to a fourth, page cache included, the
script enters it once all that is cached is measured; as root on Linux, for 24,000 images:

    mkdir /sys/fs/cgroup/memory/showtell
    echo 770000000 > /sys/fs/cgroup/memory/showtell/memory.limit_in_bytes    # memory.max in version 2
    python bench/beyond_memory.py --images 24000 --group /sys/fs/cgroup/memory/showtell

Without one the limit is simulated: whenever a fourth of the store has been read, its files are dropped from
the page cache, all of them, which is harsher than a limit, under which the last fourth stays.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from record import add_results, record
from showtell.store.store import FeatureSpace, FeatureStore
from showtell.training.order import Order, Window
from showtell.training.read_ahead import ReadAhead
from store import bytes_read, evict, key_of

CELLS, CHANNELS, BATCH = 49, 1280, 32
DESCRIPTION = {"dtype": "float16", "grid_shape": [CELLS, CHANNELS], "pooled_dim": CHANNELS}
RECORD = 2 * CHANNELS * (CELLS + 1)


def write(root: Path, images: int) -> None:
    """Fill a store with noise."""
    space = FeatureStore(root).space(DESCRIPTION)
    noise = np.random.default_rng(0).standard_normal((64, CELLS, CHANNELS)).astype(np.float16)
    for start in range(0, images, 64):
        numbers = range(start, min(start + 64, images))
        space.put([(key_of(number), noise[number % 64], noise[number % 64, 0]) for number in numbers])


class Reads:
    """Reads grids, and forgets the files once more than the allowed bytes were read; None for no limit."""

    def __init__(self, root: Path, images: int, allowed: int | None) -> None:
        self.root, self.allowed, self.read = root, allowed, 0
        self.keys = [key_of(number) for number in range(images)]
        self._space: FeatureSpace | None = None

    def __call__(self, epoch: int, images: Sequence[int]) -> torch.Tensor:
        """Return grids, as what reads ahead asks for them."""
        self.read += len(images) * RECORD
        if self.allowed is not None and self.read > self.allowed:
            self._space = None  # files that are mapped are not dropped
            evict(self.root)
            self.read = len(images) * RECORD
        if self._space is None:
            self._space = FeatureStore(self.root).space(DESCRIPTION)
        grid, _ = self._space.get([self.keys[number] for number in images])
        return torch.from_numpy(grid)


def compute(seconds: float, rows: torch.Tensor) -> None:
    """Multiply matrices for so long, as a step of training does."""
    left, end = rows[0].float(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        left @ left.T


def epoch_of(reads: Reads, order: Order, seconds: float, *, ahead: bool) -> tuple[float, float]:
    """Take an epoch of steps; return milliseconds a step, and megabytes fetched from the disk."""
    rows = ReadAhead(reads, order).rows if ahead else lambda epoch, i: reads(epoch, order.images(epoch, i))
    before, started = bytes_read(), time.perf_counter()
    for index in range(order.steps_per_epoch):
        compute(seconds, rows(0, index))
    took = time.perf_counter() - started
    return 1e3 * took / order.steps_per_epoch, (bytes_read() - before) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--step-ms", type=float, default=100)
    parser.add_argument("--folder", type=Path, help="where to write; the disk that is measured")
    parser.add_argument("--group", type=Path, help="folder of a control group; else the limit is simulated")
    add_results(parser)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="beyond-memory-", dir=options.folder))
    images, seconds = options.images, options.step_ms / 1e3
    total = images * RECORD
    allowed = total // 4
    even = Order(images, BATCH, 0)
    window = Window(max(1, total // 32 // RECORD // BATCH), max(1, 16_000_000 // RECORD))
    windows = Order(images, BATCH, 0, window, range(images))
    figures = {}
    try:
        write(folder, images)
        print(f"{total / 1e6:.0f} MB, a step computes for {options.step_ms:g} ms; windows of "
              f"{window.steps * BATCH} images in blocks of {window.block}")  # fmt: skip
        for name, order, limit, ahead in (
            ("all cached, read at once", even, None, False),
            ("all cached, read ahead", even, None, True),
            ("limited, at random, at once", even, allowed, False),
            ("limited, at random, read ahead", even, allowed, True),
            ("limited, windows, read ahead", windows, allowed, True),
        ):
            if limit is not None:
                evict(folder)
            if limit is not None and options.group:
                (options.group / "cgroup.procs").write_text(str(os.getpid()))
                limit = None
            reads = Reads(folder, images, limit)
            if name.startswith("all cached"):
                reads(0, range(images)[:0])
                for number in range(0, images, BATCH):
                    reads(0, range(number, min(number + BATCH, images)))
            figures[name] = epoch_of(reads, order, seconds, ahead=ahead)
            del reads
            first = figures["all cached, read at once"][0]
            milliseconds, fetched = figures[name]
            print(f"{name:<32} {milliseconds:7.1f} ms a step, {first / milliseconds:5.0%} of cached, "
                  f"{fetched:7.0f} MB from the disk", flush=True)  # fmt: skip
    finally:
        shutil.rmtree(folder)
    record("beyond_memory", {n: {"step_ms": ms, "mb": mb} for n, (ms, mb) in figures.items()}, options)


if __name__ == "__main__":
    main()
