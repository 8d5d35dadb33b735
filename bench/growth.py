"""Measure how time and memory grow with the number of images, and draw it.

    python bench/growth.py [--images 1000 3000 10000] [--records 10000 100000 1000000] [--out GROWTH.png]
    python bench/growth.py --stub --images 10000 100000 1000000 --train-up-to 100000 --records --vectors 10000

Draws small JPEGs (64 px), each with five captions, and runs `showtell extract` on them, the same again, and
`showtell train-captioner` (one epoch, a narrow decoder), each in a process of its own, with a tiny backbone
of random weights: so the network counts for little and whatever grows shows. Memory is the largest that was
seen, 100 times a second: the process's own, without the pages of the store's files that the system lends it.
Then it opens stores of many tiny records and looks keys up, and with --vectors groups near-duplicates among
that many vectors of 64 numbers, of which a tenth are planted: by comparing all up to 100,000, by a graph of
neighbours above. --stub simulates the network (`stub_engine.py`), and is meant for a million images: 5 GB.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from record import add_results, record

WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "re", "su", "to") for b in ("ban", "der", "fil", "gon", "hut")]
NETWORK = ["--backbone", "test_resnet", "--weights", "random"]
STEPS = ("extract", "extract again", "train-captioner")
TINY = {"dtype": "float32", "grid_shape": None, "pooled_dim": 16}


def draw(folder: Path, images: int) -> Path:
    """Draw images of 4x4 colours, and their captions; return the table."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "caption"])
        for number in range(images):
            colours = random.integers(0, 256, (4, 4, 3), np.uint8)
            Image.fromarray(colours).resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
            for _ in range(5):
                words = random.choice(WORDS, random.integers(6, 17))
                table.writerow([f"{number}.jpg", " ".join(words)])
    return folder / "captions.csv"


def run(arguments: list[str], *, stub: bool) -> tuple[float, float]:
    """Run a command of showtell; return its seconds and its largest own memory in MB."""
    program = [str(Path(__file__).with_name("stub_engine.py"))] if stub else ["-m", "showtell"]
    started, largest = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen([sys.executable, *program, *arguments], stdout=said, stderr=said)
        while child.poll() is None:
            largest = max(largest, own_memory(child.pid))
            time.sleep(0.01)
        if child.returncode not in (0, 3):  # one epoch teaches a narrow decoder nothing, which it says
            said.seek(0)
            sys.exit(said.read())
    return time.perf_counter() - started, largest / 1000


def own_memory(process: int) -> int:
    """Return a process's anonymous memory in KB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def measure_images(folder: Path, images: int, *, stub: bool, train: bool) -> dict[str, tuple[float, float]]:
    """Extract twice and, where asked to, train; return seconds and MB of each."""
    table = str(draw(folder / "images", images))
    store = ["--store", str(folder / "store")]
    settings = folder / "settings.toml"
    settings.write_text("image_size = 96\nhidden_dim = 64\nscst_epochs = 0\n")
    training = ["--epochs", "1", "--config", str(settings), "--out", str(folder / "run")]
    commands = (
        ["extract", table, *NETWORK, "--image-size", "96", *store],
        ["extract", table, *NETWORK, "--image-size", "96", *store],
        ["train-captioner", table, *NETWORK, *store, *training],
    )
    found = {}
    for name, command in zip(STEPS, commands if train else commands[:2]):
        found[name] = run(command, stub=stub)
        seconds, megabytes = found[name]
        rate = f"{1e6 * seconds / images:9.0f} us an image"
        print(f"{images:>8} images  {name:<16} {seconds:7.1f} s  {rate}  {megabytes:6.0f} MB", flush=True)
    return found


def measure_records(folder: Path, records: int) -> tuple[float, float]:
    """Fill a store with tiny records; return milliseconds to open it and microseconds to look a key up."""
    from showtell.store.store import FeatureStore, content_digest

    ones, step = np.ones(16, np.float32), 100_000
    space = FeatureStore(folder).space(TINY)
    for start in range(0, records, step):
        numbers = range(start, min(start + step, records))
        space.put([(content_digest(b"%d" % number), None, ones) for number in numbers])
    del space
    wanted = np.random.default_rng(1).integers(0, 2 * records, 100_000)
    keys = [content_digest(b"%d" % number) for number in wanted]
    started = time.perf_counter()
    space = FeatureStore(folder).space(TINY)
    assert len(space) == records
    opened = time.perf_counter()
    assert len(space.missing(keys)) == (wanted >= records).sum()
    looked = time.perf_counter()
    found = 1e3 * (opened - started), 1e6 * (looked - opened) / len(keys)
    print(f"{records:>8} records   open {found[0]:.1f} ms, look up {found[1]:.2f} us", flush=True)
    return found


def measure_vectors(count: int) -> tuple[float, float]:
    """Group near-duplicates of which a tenth are planted; return seconds, and the share that is found."""
    from showtell.data.near_duplicates import near_duplicate_groups

    random = np.random.default_rng(0)
    vectors = random.standard_normal((count, 64)).astype(np.float32)
    planted = count // 10
    noise = random.standard_normal((planted, 64)).astype(np.float32)
    vectors[planted : 2 * planted] = vectors[:planted] + 0.1 * noise
    started = time.perf_counter()
    groups = near_duplicate_groups([str(number) for number in range(count)], vectors, threshold=0.95)
    seconds = time.perf_counter() - started
    found = {tuple(group) for group in groups}
    share = sum((str(n), str(n + planted)) in found for n in range(planted)) / planted
    print(
        f"{count:>8} vectors   near-duplicates in {seconds:.1f} s, {share:.2%} of those planted", flush=True
    )
    return seconds, share


def draw_growth(images: dict[int, dict[str, tuple[float, float]]], out: Path) -> None:
    """Draw seconds and memory against images."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from showtell.report.figures import ACCENT, FAINT, GRID, INK, PAPER, RIGHT

    figure = Figure((8.4, 3.4), facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    counts = sorted(images)
    colours = dict(zip(STEPS, (ACCENT, FAINT, RIGHT)))
    titles = ("Seconds of the whole command", "Memory of its own, MB")
    for which, (axes, title) in enumerate(zip(figure.subplots(1, 2), titles)):
        for name, colour in colours.items():
            measured = [count for count in counts if name in images[count]]
            values = [images[count][name][which] for count in measured]
            axes.plot(measured, values, "o-", color=colour, label=name)
        axes.set_xscale("log")
        axes.set_xticks(counts, [f"{count:,}" for count in counts])
        axes.minorticks_off()
        axes.set_xlabel("images", color=INK)
        axes.set_title(title, color=INK, fontsize=11, loc="left")
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if which == 0:
            first = max(seconds for seconds, _ in images[counts[0]].values())
            steady = [first * count / counts[0] for count in counts]
            axes.plot(counts, steady, "--", color=INK, lw=0.8, label="in proportion")
            axes.set_yscale("log")
        else:
            axes.set_ylim(0)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(out, dpi=150, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="*", default=[1000, 3000, 10_000])
    parser.add_argument("--train-up-to", type=int, default=100_000, help="images; more are only extracted")
    parser.add_argument("--records", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--vectors", type=int, nargs="*", default=[])
    parser.add_argument("--stub", action="store_true", help="simulate the network")
    parser.add_argument("--out", type=Path, default=Path("growth.png"))
    parser.add_argument("--figures", type=Path, help="keep the figures here, and draw what is there already")
    add_results(parser)
    options = parser.parse_args()
    known: dict[int, dict[str, tuple[float, float]]] = {}
    if options.figures and options.figures.exists():
        known = {int(count): found for count, found in json.loads(options.figures.read_text()).items()}
    for count in options.images:
        if count not in known:
            with tempfile.TemporaryDirectory() as folder:
                known[count] = measure_images(
                    Path(folder), count, stub=options.stub, train=count <= options.train_up_to
                )
            if options.figures:
                options.figures.write_text(json.dumps(known))
    stores = {}
    for records in options.records:
        with tempfile.TemporaryDirectory() as folder:
            stores[records] = measure_records(Path(folder), records)
    vectors = {count: measure_vectors(count) for count in options.vectors}
    figures = {
        "vectors": {n: {"s": seconds, "found": share} for n, (seconds, share) in vectors.items()},
        "images": {
            n: {step: {"s": s, "mb": mb} for step, (s, mb) in found.items()} for n, found in known.items()
        },
        "records": {n: {"open_ms": ms, "look_up_us": us} for n, (ms, us) in stores.items()},
    }
    record("growth", figures, options)
    if known:
        draw_growth(known, options.out)


if __name__ == "__main__":
    os.environ.pop("SHOWTELL_STORE", None)
    main()
