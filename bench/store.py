"""Measure the feature store's candidates under its demands: LMDB, and safetensors shards with an index.

    python bench/store.py --grids 2000 --records 1000000 --folder DIR

The shards are what a store over safetensors would have to be: one file a batch (fsync, rename), since a batch
is what a kill may cost; and an SQLite index from key to (shard, row), since ten million keys may not become
Python objects. Cold means that the files were dropped from the page cache. Figures need a quiet machine.
"""

import argparse
import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import lmdb
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from record import add_results, record
from showtell.store.store import FeatureStore, content_digest

L, D = 64, 2048
BATCH = 64
DESCRIPTION = {"dtype": "float16", "grid_shape": [L, D], "pooled_dim": D}
TINY = {"dtype": "float32", "grid_shape": None, "pooled_dim": 16}
RECORD = (L * D + D) * 2
FIGURES: dict[str, float] = {}
"""What was measured, by name."""


def note(what: str, value: float, unit: str) -> None:
    """Print a figure and keep it."""
    FIGURES[f"{what}, {unit}"] = value
    print(f"{what}: {value:.4g} {unit}", flush=True)


def key_of(number: int) -> bytes:
    return content_digest(b"%d" % number)


class Shards:
    """Safetensors shards with an SQLite index, as far as the measurement needs it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.root.mkdir(parents=True, exist_ok=True)
        self.index = sqlite3.connect(root / "index.sqlite", timeout=60)
        self.index.execute("PRAGMA journal_mode=WAL")
        self.index.execute("PRAGMA synchronous=FULL")
        self.index.execute(
            "CREATE TABLE IF NOT EXISTS t (key BLOB PRIMARY KEY, shard TEXT, row INT) WITHOUT ROWID"
        )
        self.open: dict[str, object] = {}

    def put(self, items: list[tuple[bytes, np.ndarray, np.ndarray]]) -> None:
        """Write one shard, then its keys."""
        name = items[0][0].hex()[:24]
        temporary = self.root / f"{name}.tmp"
        data = save({"grid": np.stack([i[1] for i in items]), "pooled": np.stack([i[2] for i in items])})
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.root / f"{name}.safetensors")
        with self.index:
            rows = sorted((key, name, row) for row, (key, _, _) in enumerate(items))
            self.index.executemany("INSERT OR IGNORE INTO t VALUES (?, ?, ?)", rows)

    def get(self, key: bytes, what: str) -> np.ndarray:
        """Read one record's grid or pooled features."""
        shard, row = self.index.execute("SELECT shard, row FROM t WHERE key = ?", (key,)).fetchone()
        if shard not in self.open:
            self.open[shard] = safe_open(self.root / f"{shard}.safetensors", "numpy")
        return self.open[shard].get_slice(what)[row]  # type: ignore[attr-defined]


def batches(first: int, count: int, blocks: list[np.ndarray]) -> Iterator[list[tuple]]:
    """Yield batches of records; their numbers do not matter, since nothing here compresses."""
    for start in range(first, first + count, BATCH):
        numbers = range(start, min(start + BATCH, first + count))
        yield [(key_of(n), blocks[n % BATCH], blocks[n % BATCH][0]) for n in numbers]


def make_blocks() -> list[np.ndarray]:
    block = np.random.default_rng(0).standard_normal((L, D)).astype(np.float16)
    return [np.roll(block, shift, axis=0) for shift in range(BATCH)]


@contextmanager
def timed(report: Callable[[float], None]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    report(time.perf_counter() - started)


def evict(folder: Path) -> None:
    """Drop a folder's files from the page cache; they must not be mapped."""
    gc.collect()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def bytes_read() -> int:
    """Return the bytes that this process had fetched from the disk, page faults included."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("read_bytes")).split()[1])


def size_of(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def rate(count: int, seconds: float) -> tuple[float, str]:
    return count * RECORD / seconds / 1e6, "MB/s"


def write_raw(folder: Path, count: int, blocks: list[np.ndarray]) -> None:
    folder.mkdir()
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT)
    for items in batches(0, count, blocks):
        os.writev(descriptor, [array.data for _, grid, pooled in items for array in (grid, pooled)])
        os.fdatasync(descriptor)
    os.close(descriptor)


def write_bare(folder: Path, count: int, blocks: list[np.ndarray], **setting: bool) -> None:
    """Write with LMDB alone, records whole, to see what durability costs."""
    with lmdb.open(str(folder), map_size=1 << 40, **setting) as env:
        for items in batches(0, count, blocks):
            with env.begin(write=True) as transaction:
                for key, grid, pooled in sorted(items, key=lambda item: item[0]):
                    transaction.put(key, grid.tobytes() + pooled.tobytes())
        env.sync(True)


def write_store(folder: Path, count: int, blocks: list[np.ndarray]) -> None:
    space = FeatureStore(folder).space(DESCRIPTION)
    for items in batches(0, count, blocks):
        space.put(items)


def write_shards(folder: Path, count: int, blocks: list[np.ndarray]) -> None:
    shards = Shards(folder)
    for items in batches(0, count, blocks):
        shards.put(items)


def measure_writes(folder: Path, count: int, blocks: list[np.ndarray], repeats: int) -> None:
    """Write the same records every way, in turns, since a disk's speed changes under other work."""
    ways = {
        "one file, fdatasync": write_raw,
        "lmdb bare, durable": write_bare,
        "lmdb bare, metasync=False": partial(write_bare, metasync=False),
        "lmdb bare, sync=False": partial(write_bare, sync=False),
        "lmdb: the store": write_store,
        "shards": write_shards,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            with timed(times[name].append):
                way(folder / "write", count, blocks)
            shutil.rmtree(folder / "write")
    for name, seconds in times.items():
        note(f"write, {BATCH} records a commit, {name}, best", *rate(count, min(seconds)))
        note(f"write, {BATCH} records a commit, {name}, median", *rate(count, float(np.median(seconds))))


def opened(name: str, root: Path) -> Callable[[list[bytes], str], object]:
    """Open a written store and return what reads a batch of it."""
    if name == "shards":
        shards = Shards(root)
        return lambda keys, what: np.stack([shards.get(key, what) for key in keys])
    space = FeatureStore(root).space(DESCRIPTION)
    return lambda keys, what: space.get_pooled(keys) if what == "pooled" else space.get(keys)


def measure_reads(name: str, root: Path, count: int, blocks: list[np.ndarray]) -> None:
    """Read at random in batches, cold and warm, then delete."""
    {"shards": write_shards, "lmdb": write_store}[name](root, count, blocks)
    note(f"{name}: disk over payload", size_of(root) / (count * RECORD), "times")
    order = [key_of(n) for n in np.random.default_rng(0).permutation(count)]
    for what in ("pooled", "grid"):
        evict(root)
        read = opened(name, root)
        for state in ("cold", "warm"):
            before, started = bytes_read(), time.perf_counter()
            for start in range(0, count, BATCH):
                read(order[start : start + BATCH], what)
            seconds, fetched = time.perf_counter() - started, bytes_read() - before
            note(f"{name}: random {what}, {state}", seconds / count * 1e6, "us a record")
            note(f"{name}: random {what}, {state}, from disk", fetched / 1e6, "MB")
        del read
    gc.collect()
    with timed(lambda s: note(f"{name}: delete", s * 1e3, "ms")):
        shutil.rmtree(root)


def measure_rivals(name: str, root: Path, count: int) -> None:
    """Write from two processes at once."""
    program = (
        "import sys, pathlib, store\n"
        "blocks = store.make_blocks()\n"
        "root, first = pathlib.Path(sys.argv[2]), int(sys.argv[3])\n"
        "put = (store.Shards(root) if sys.argv[1] == 'shards' else\n"
        "       store.FeatureStore(root).space(store.DESCRIPTION)).put\n"
        "for items in store.batches(first, int(sys.argv[4]), blocks): put(items)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    started = time.perf_counter()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, name, str(root), str(n * count // 2), str(count // 2)],
            env=environment,
        )
        for n in range(2)
    ]
    codes = [writer.wait() for writer in writers]
    assert codes == [0, 0], codes
    note(f"{name}: two writers at once", *rate(count, time.perf_counter() - started))
    shutil.rmtree(root)


def measure_many(root: Path, records: int, step: int = 500_000) -> None:
    """Open a store of very many records, and look keys up."""
    space = FeatureStore(root / "lmdb").space(TINY)
    shards = Shards(root / "shards")
    ones = np.ones(16, np.float32)
    with timed(lambda s: note(f"lmdb: write {records} tiny records", s, "s")):
        for start in range(0, records, step):
            space.put((key_of(n), None, ones) for n in range(start, min(start + step, records)))
    with timed(lambda s: note(f"shards: write an index of {records} keys", s, "s")):
        for start in range(0, records, step):
            rows = sorted((key_of(n), "00", 0) for n in range(start, min(start + step, records)))
            with shards.index:
                shards.index.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    shards.index.close()
    del space
    note("lmdb: room of a record of 64 bytes", size_of(root / "lmdb") / records, "bytes")
    note("shards: room of a key", size_of(root / "shards") / records, "bytes")
    wanted = [key_of(int(n)) for n in np.random.default_rng(1).integers(0, 2 * records, 100_000)]
    count = len(wanted)
    for state in ("cold", "warm"):
        if state == "cold":
            evict(root)
        with timed(lambda s, state=state: note(f"lmdb: open {records} records, {state}", s * 1e3, "ms")):
            space = FeatureStore(root / "lmdb").space(TINY)
            assert len(space) == records
        with timed(lambda s, state=state: note(f"lmdb: look a key up, {state}", s / count * 1e6, "us")):
            absent = len(space.missing(wanted))
        del space
        with timed(lambda s, state=state: note(f"shards: open, {state}", s * 1e3, "ms")):
            shards = Shards(root / "shards")
        with timed(lambda s, state=state: note(f"shards: look a key up, {state}", s / count * 1e6, "us")):
            query = "SELECT 1 FROM t WHERE key = ?"
            assert absent == sum(
                shards.index.execute(query, (key,)).fetchone() is None for key in sorted(wanted)
            )
        shards.index.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--grids", type=int, default=2000, help="records of 64x2048 float16")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of writing")
    parser.add_argument("--records", type=int, default=1_000_000, help="tiny records for opening and lookup")
    parser.add_argument("--folder", type=Path, help="where to write; the disk that is measured")
    add_results(parser)
    settings = parser.parse_args()
    blocks = make_blocks()
    folder = Path(tempfile.mkdtemp(prefix="bench-store-", dir=settings.folder))
    try:
        measure_writes(folder, settings.grids, blocks, settings.repeats)
        for name in ("lmdb", "shards"):
            measure_reads(name, folder / name, settings.grids, blocks)
            measure_rivals(name, folder / name, settings.grids)
        measure_many(folder / "many", settings.records)
    finally:
        shutil.rmtree(folder)
    record("store", FIGURES, settings)


if __name__ == "__main__":
    main()
