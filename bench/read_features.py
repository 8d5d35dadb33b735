"""Measure reading features in random order for training: the store against other ways to keep them.

    python bench/read_features.py [--python PEERS/bin/python] [--figure reading.png]

Every way gives all records once an epoch, shuffled, in batches of 32 that are arrays of their own: grids of
64x2048, or pooled vectors of 2048. The study notes' ways keep float32, as their files do, the others float16,
as the store does. Each runs in a process of its own. Its first epoch begins with the files dropped from the
page cache, and fills tf.data's own caches; the others are warm. A way whose package is missing is named and
left out. Figures need a quiet machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from record import add_results, record

SHAPES = {"grid": (64, 2048), "pooled": (2048,)}
BATCH, EPOCHS = 32, 4
Epoch = Callable[[np.ndarray], Iterator[np.ndarray]]
"""Batches of record numbers (N, BATCH) to batches of records; the first number of a record names it."""


def records(what: str, count: int) -> Iterator[np.ndarray]:
    """Yield records of noise in float16, each named by its number modulo 2048 in its first place."""
    noise = np.random.default_rng(0).standard_normal((64, *SHAPES[what])).astype(np.float16)
    for index in range(count):
        one = noise[index % 64].copy()
        one.flat[0] = index % 2048
        yield one


def write_files(folder: Path, what: str, count: int, dtype: str) -> None:
    for index, one in enumerate(records(what, count)):
        np.save(folder / f"{index}.npy", one.astype(dtype))


def write_array(folder: Path, what: str, count: int) -> None:
    shape = (count, *SHAPES[what])
    array = np.lib.format.open_memmap(folder / "all.npy", "w+", np.float16, shape)
    for index, one in enumerate(records(what, count)):
        array[index] = one
    array.flush()


def write_hdf5(folder: Path, what: str, count: int) -> None:
    import h5py

    shape = SHAPES[what]
    with h5py.File(folder / "all.h5", "w") as file:
        data = file.create_dataset("features", (count, *shape), np.float16, chunks=(1, *shape))
        for index, one in enumerate(records(what, count)):
            data[index] = one


def write_store(folder: Path, what: str, count: int) -> None:
    space = _space(folder)
    waiting = []
    for index, one in enumerate(records(what, count)):
        pair = (one, one[0]) if what == "grid" else (np.zeros(SHAPES["grid"], np.float16), one)
        waiting.append((_key(index), *pair))
        if len(waiting) == 64:
            space.put(waiting)
            waiting = []
    space.put(waiting)


def _space(folder: Path) -> Any:
    from showtell.store.store import FeatureStore

    return FeatureStore(folder).space({"dtype": "float16", "grid_shape": SHAPES["grid"], "pooled_dim": 2048})


def _key(index: int) -> bytes:
    from showtell.store.store import content_digest

    return content_digest(b"%d" % index)


def open_files(folder: Path, what: str, count: int) -> Epoch:
    return lambda order: (np.stack([np.load(folder / f"{i}.npy") for i in part]) for part in order)


def open_array(folder: Path, what: str, count: int) -> Epoch:
    array = np.load(folder / "all.npy", mmap_mode="r")
    return lambda order: (array[part] for part in order)


def open_hdf5(folder: Path, what: str, count: int) -> Epoch:
    import h5py

    data = h5py.File(folder / "all.h5")["features"]

    def batch(part: np.ndarray) -> np.ndarray:
        out = np.empty((len(part), *SHAPES[what]), np.float16)
        for place, index in enumerate(part):  # three times as fast as a sorted selection of h5py's
            data.read_direct(out, np.s_[index], np.s_[place])
        return out

    return lambda order: (batch(part) for part in order)


def open_store(folder: Path, what: str, count: int) -> Epoch:
    space, keys = _space(folder), [_key(index) for index in range(count)]
    read = space.get_pooled if what == "pooled" else lambda keys: space.get(keys)[0]
    return lambda order: (read([keys[i] for i in part]) for part in order)


def open_notes(folder: Path, what: str, count: int, cache: str = "") -> Epoch:
    """Read the notes' files with tf.data, as the notes do: mapped over numpy.load, then shuffled."""
    import tensorflow as tf

    names = [str(folder / f"{index}.npy") for index in range(count)]
    data = tf.data.Dataset.from_tensor_slices(names).map(
        lambda name: tf.numpy_function(lambda path: np.load(path.decode()), [name], tf.float32),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    if cache:
        data = data.cache(str(folder / "cache") if cache == "file" else "")
    data = data.shuffle(1000).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    return lambda order: (batch.numpy() for batch in data)


NOTES, OURS, MAPPED = "notes: .npy an image, float32", "the store (LMDB)", "one memory-mapped array"
WAYS: dict[str, tuple[Callable[..., None], Callable[..., Epoch], str]] = {
    NOTES: (partial(write_files, dtype="float32"), open_files, "float32"),
    "notes: the same through tf.data": (partial(write_files, dtype="float32"), open_notes, "float32"),
    "notes: tf.data, file cache": (
        partial(write_files, dtype="float32"),
        partial(open_notes, cache="file"),
        "float32",
    ),
    "notes: tf.data, cache in memory": (
        partial(write_files, dtype="float32"),
        partial(open_notes, cache="memory"),
        "float32",
    ),
    ".npy an image, float16": (partial(write_files, dtype="float16"), open_files, "float16"),
    "HDF5, a chunk an image": (write_hdf5, open_hdf5, "float16"),
    MAPPED: (write_array, open_array, "float16"),
    OURS: (write_store, open_store, "float16"),
}


def drop_from_cache(folder: Path) -> None:
    """Have the system forget what it holds of the files."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def work(way: str, what: str, count: int, folder: Path) -> dict[str, list[float]]:
    """Write the records one way, then time epochs of reading them."""
    from showtell.process import tune_process

    tune_process()  # as every command of showtell does; it spares all ways the page faults of new arrays
    write, open_way, _ = WAYS[way]
    write(folder, what, count)
    drop_from_cache(folder)
    epoch = open_way(folder, what, count)
    random, seconds = np.random.default_rng(1), []
    wanted = sum(index % 2048 for index in range(count))
    for _ in range(EPOCHS):
        order = random.permutation(count).reshape(-1, BATCH)
        found, started = 0, time.perf_counter()
        for batch in epoch(order):
            found += int(batch.reshape(len(batch), -1)[:, 0].astype(np.int64).sum())
        seconds.append(time.perf_counter() - started)
        assert found == wanted, (found, wanted)
    return {"seconds": seconds}


def run(options: argparse.Namespace, way: str, what: str) -> dict[str, Any]:
    """Run one way in a process of its own."""
    peer = way.startswith(("notes: t", "HDF5"))
    python = options.python if peer and options.python else sys.executable
    with tempfile.TemporaryDirectory(prefix="bench-read-", dir=options.folder) as folder:
        command = [python, __file__, "--work", way, what, str(options.count), folder]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"missing": (done.stderr.strip().splitlines() or ["?"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def show(what: str, rows: dict[str, dict[str, Any]], count: int) -> None:
    """Print a table in microseconds a record, and how the store compares."""
    print(f"\n{what}, {count} records, microseconds a record\n")
    print("| kept and read as | dtype | first epoch, cold | warm | lowest to highest | the store is |")
    print("|---|---|---|---|---|---|")
    own = statistics.median(rows[OURS]["warm"]) if OURS in rows else None
    for way, row in rows.items():
        if "missing" in row:
            print(f"| {way} | left out: {row['missing']} | | | | |")
            continue
        warm, dtype = row["warm"], WAYS[way][2]
        first, middle = statistics.median(row["first"]), statistics.median(warm)
        ratio = f"{middle / own:.2f} times as fast" if own and way != OURS else ""
        print(
            f"| {way} | {dtype} | {first:.1f} | {middle:.1f} | {min(warm):.1f} to {max(warm):.1f} | {ratio} |"
        )


def draw(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw the notes' comparison: what an epoch's reading takes, first and later."""
    from matplotlib.figure import Figure

    found = {way: row for way, row in rows.items() if "missing" not in row}
    first, later = ([statistics.median(row[part]) for row in found.values()] for part in ("first", "warm"))
    figure = Figure(figsize=(7.2, 0.4 * len(found) + 1.2), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(found))[::-1]
    axes.hlines(places, later, first, color="#d5dbe1", linewidth=3, zorder=1)
    axes.scatter(first, places, color="#8d9aa7", zorder=2, label="first epoch, files on the disk")
    axes.scatter(later, places, color="#2c6e9b", zorder=2, label="every later epoch, files in memory")
    for values, left in ((first, False), (later, True)):
        for place, value in zip(places, values):
            shift, side = (-8, "right") if left else (8, "left")
            axes.annotate(
                f"{value:,.0f}", (value, place), (shift, 0), textcoords="offset points", ha=side, va="center"
            )
    axes.set_yticks(places, list(found))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("microseconds to read one image's grid (logarithmic)")
    axes.margins(x=0.15)
    axes.grid(axis="x", color="#eceff2")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure every way; every way has its turn in each round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2048, help=f"records, a multiple of {BATCH}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", help="interpreter that has tensorflow and h5py")
    parser.add_argument("--folder", type=Path, help="where to write; the disk that is measured")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    add_results(parser)
    options = parser.parse_args()
    if options.work:
        way, what, count, folder = options.work
        try:
            print(json.dumps(work(way, what, int(count), Path(folder))))
        except ModuleNotFoundError as error:
            print(json.dumps({"missing": error.name}))
        return
    if options.count % BATCH:
        parser.error(f"--count must be a multiple of {BATCH}")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    tables: dict[str, dict[str, dict[str, Any]]] = {}
    for what in SHAPES:
        rows = tables.setdefault(what, {})
        for _ in range(options.rounds):
            for way in WAYS:
                found = {} if "missing" in rows.get(way, {}) else run(options, way, what)
                if "missing" in found:
                    rows[way] = found
                elif found:
                    row = rows.setdefault(way, {"first": [], "warm": []})
                    each = [1e6 * seconds / options.count for seconds in found["seconds"]]
                    row["first"].append(each[0])
                    row["warm"].extend(each[1:])
        show(what, rows, options.count)
    record("read_features", {f"{what}_us": rows for what, rows in tables.items()}, options)
    if options.figure:
        draw(tables["grid"], options.figure)


if __name__ == "__main__":
    main()
