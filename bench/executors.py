"""Measure `extract` through Ray Data and by processes against threads, on the same cores in one run.

    python bench/executors.py --photos PHOTOS --weights WEIGHTS

The ways take turns, each in a process of its own with a store of its own. What is compared is the rate from
the 256th image to the last: start aside, the slowest worker's end included. Then Ray's workers are killed
with a probability of 0.1 before each batch, and Ray's driver is killed and started again. Every store must be
that of the threads, byte for byte. Figures need a quiet machine.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from record import add_results, record
from showtell.extraction.worker import Job, Worker

FIRST = 256
"""Images until every worker is at work."""


class Dying(Worker):
    """A worker that is killed before one batch in ten."""

    def __init__(self, job: Job, name: str) -> None:
        super().__init__(job, name)
        encode = self.engine.encode

        def encode_or_die(pixels: Any) -> Any:
            if random.random() < 0.1:
                with (job.folder.parents[2] / "deaths").open("a") as file:
                    file.write(".")
                os.kill(os.getpid(), signal.SIGKILL)
            return encode(pixels)

        self.engine.encode = encode_or_die  # type: ignore[method-assign]


def run_one(options: argparse.Namespace) -> dict[str, Any]:
    """Encode all images in this process; return the rate, and what the store holds."""
    from showtell.backbones.weights import load_backbone
    from showtell.data.records import AnnotatedImage
    from showtell.extraction.extract import extract_features
    from showtell.extraction.settings import ExecutorSettings
    from showtell.process import tune_process
    from showtell.store.store import FeatureStore

    tune_process()
    name, _, trouble = options.one.partition(", ")
    executor: Any = ExecutorSettings(
        executor=name, workers=None if name == "threads" else options.workers
    ).build_executor()
    if trouble == "workers killed":
        executor.worker = Dying
    times: list[float] = []
    run = executor.run

    def timed(*given: Any) -> Any:
        for status in run(*given):
            times.append(time.perf_counter())
            yield status
        times.append(time.perf_counter())

    executor.run = timed
    files = sorted(options.photos.glob("*.jpg"))[: options.count]
    images = [AnnotatedImage(path.name, path) for path in files]
    backbone = load_backbone(weights=str(options.weights))
    started = time.perf_counter()
    found = extract_features(images, backbone, FeatureStore(options.folder), executor=executor)
    seconds = time.perf_counter() - started
    digest = hashlib.sha256()
    keys = iter(found.space)
    while some := list(islice(keys, 64)):
        grid, pooled = found.space.get(some)
        assert grid is not None
        digest.update(b"".join(some) + grid.tobytes() + pooled.tobytes())
    deaths = options.folder / "deaths"
    return {
        "rate": (len(times) - 1 - FIRST) / (times[-2] - times[FIRST - 1]) if len(times) > FIRST + 1 else None,
        "seconds": seconds,
        "to the first image": times[0] - started,
        "adoption": times[-1] - times[-2],
        "computed": found.computed,
        "deaths": len(deaths.read_bytes()) if deaths.exists() else 0,
        "store": digest.hexdigest(),
    }


def run_apart(options: argparse.Namespace, way: str, folder: Path, kill_after: float = 0) -> dict[str, Any]:
    """Run one way in a process of its own; or kill that, so many seconds after workers began to write."""
    command = [
        sys.executable,
        __file__,
        "--one",
        way,
        "--photos",
        str(options.photos),
        "--folder",
        str(folder),
    ]
    command += ["--weights", str(options.weights), "--count", str(options.count)]
    command += ["--workers", str(options.workers)]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.workers)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    if kill_after:
        while process.poll() is None and not list(folder.glob("jobs/*/*/*/*/pooled")):
            time.sleep(0.1)
        time.sleep(kill_after)
        process.kill()
    said = process.communicate()[0]
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(process.returncode)
    return {"way": way, **json.loads(said.splitlines()[-1] if said else "{}")}


def main() -> None:
    """Let the ways take turns, then make trouble."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="a folder of JPEGs")
    parser.add_argument("--weights", type=Path, required=True, help="a folder in timm's local format")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2, help="and cores")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ways", nargs="+", default=["threads", "ray", "processes"])
    parser.add_argument("--trouble", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--folder", type=Path, help="where to write the stores")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    add_results(parser)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_one(options)))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-executors-", dir=options.folder) as scratch:
        for number in range(options.rounds):
            for way in options.ways:
                rows.append(run_apart(options, way, Path(scratch) / f"{way}-{number}"))
                print(rows[-1], flush=True)
        if options.trouble:
            rows.append(run_apart(options, "ray, workers killed", Path(scratch) / "dying"))
            print(rows[-1], flush=True)
            run_apart(options, "ray", Path(scratch) / "killed", kill_after=10)
            rows.append(run_apart(options, "ray", Path(scratch) / "killed") | {"way": "ray, driver killed"})
            print(rows[-1], flush=True)
    assert len({row["store"] for row in rows}) == 1, "the stores differ"
    print("all stores are equal byte for byte")
    rates = {way: [row["rate"] for row in rows if row["way"] == way] for way in options.ways}
    for way, found in rates.items():
        ratio = statistics.median(found) / statistics.median(rates["threads"])
        print(f"{way}: {statistics.median(found):.1f} images/s, {ratio:.0%} of threads")
    record("executors", [{key: row[key] for key in row if key != "store"} for row in rows], options)


if __name__ == "__main__":
    main()
