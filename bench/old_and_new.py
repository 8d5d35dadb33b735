"""Measure two source trees in turn: is the new one as fast as the old one?

    python bench/old_and_new.py OLD NEW [--pairs 5] --photos FOLDER [--only train_step decode ...]

OLD and NEW are checkouts, each with ``src/`` and ``bench/``. Every pair measures both, one right after the
other, and begins with the other one than the pair before it; the figure is the median of the pairs' ratios,
new over old, so that below 1 is faster. One thread each, and the processor's time, which other work on the
machine disturbs least. ``train_step`` and ``decode`` are each tree's own scripts, ``serve`` too (needs hey);
``extract`` and ``start`` are whole commands, as those scripts time them. The run that is predicted with and
served is trained for one epoch by each tree, since formats may differ; the backbone is random unless
--weights names one.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from extract import make_photos
from record import add_results, code_version, record

Figures = dict[str, float]
"""What a measurement found, by name; less is better."""
CLOCK = """
import os, runpy, sys, time
os.cpu_count = lambda: 1
time.perf_counter = time.process_time
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script of bench/ on one core, by the processor's clock."""


class Tree:
    """A checkout with a run of its own.

    Args:
        root: With ``src/`` and ``bench/``.
        folder: Where its run and its stores go.
        photos: Folder of JPEGs.
        weights: For ``--weights``.
    """

    def __init__(self, root: Path, folder: Path, photos: Path, weights: str) -> None:
        self.root, self.folder, self.photos = root, folder, photos
        self.backbone = ["--backbone", "mobilenetv2_100", "--weights", weights]
        self.environment = os.environ | {
            "PYTHONPATH": str(root / "src"),
            "OMP_NUM_THREADS": "1",
            "SHOWTELL_STORE": str(folder / "store"),
        }
        folder.mkdir()

    def python(self, *arguments: str, accepted: tuple[int, ...] = (0,)) -> tuple[str, float]:
        """Run Python on this tree; return what it printed, and its processor seconds."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in accepted:
            raise SystemExit(f"{self.root}: {' '.join(arguments)}\n{done.stderr}")
        return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def script(self, name: str, *arguments: str) -> Figures:
        """Run a worker of one of the tree's scripts; return the JSON that it prints."""
        printed, _ = self.python("-c", CLOCK, str(self.root / "bench" / name), *arguments)
        found: Figures = json.loads(printed.splitlines()[-1])
        return found

    def train(self, table: Path) -> None:
        """Train the run; one epoch may well teach it nothing, which exit status 3 says."""
        command = ["-m", "showtell", "train-captioner", str(table), "--epochs", "1"]
        self.python(*command, *self.backbone, "--out", str(self.run), accepted=(0, 3))

    @property
    def run(self) -> Path:
        """Folder of the run."""
        return self.folder / "run"


def train_step(tree: Tree) -> Figures:
    found = tree.script("train_step.py", "--worker", "own", "--steps", "12")
    return {"ms a step": found["step_ms"]}


def decode(tree: Tree) -> Figures:
    found = tree.script("decode.py", "--worker", "ours", "49", "1280")
    return {f"ms for {batch}": found[batch] for batch in ("1", "64")}


def extract(tree: Tree) -> Figures:
    with tempfile.TemporaryDirectory(dir=tree.folder) as store:
        command = ["-m", "showtell", "extract", str(tree.photos), *tree.backbone, "--store", store]
        return {"s, whole command": tree.python(*command)[1]}


def start(tree: Tree) -> Figures:
    photo = str(sorted(tree.photos.iterdir())[0])
    return {
        "s, --help": statistics.median(tree.python("-m", "showtell", "--help")[1] for _ in range(5)),
        "s, predict": tree.python("-m", "showtell", "predict", str(tree.run), photo)[1],
    }


def serve(tree: Tree) -> Figures:
    script = str(tree.root / "bench" / "serve.py")
    printed, _ = tree.python(script, str(tree.run), "--seconds", "12")
    found = re.findall(r"CPU ([\d.]+) ms.*library before and after [\d.]+, ([\d.]+) ms", printed)
    server, library = (statistics.median(map(float, column)) for column in zip(*found))
    p99 = re.search(r"at half of that load: p99 ([\d.]+) s", printed)
    assert p99, printed
    return {"ms an image, server": server, "ms an image, library": library, "s, p99": float(p99[1])}


CASES: dict[str, Callable[[Tree], Figures]] = {
    "train_step": train_step,
    "decode": decode,
    "extract": extract,
    "start": start,
    "serve": serve,
}


def write_captions(photos: Path, table: Path) -> None:
    """Write captions of two words each, drawn by number: enough to train a run that is only timed."""
    words = ("red", "green", "blue", "large", "small"), ("dog", "tree", "house", "boat")
    rows = ["image,caption"]
    for number, path in enumerate(sorted(photos.iterdir())):
        first, second = (part[number // step % len(part)] for part, step in zip(words, (1, 3)))
        rows += [f"{path},a {first} {second} stands here", f"{path},here is a {first} {second}"]
    table.write_text("\n".join(rows) + "\n", "utf-8")


def compare(trees: dict[str, Tree], names: list[str], pairs: int) -> dict[str, list[tuple[float, float]]]:
    """Measure in turn; return the pairs (old, new) of every figure."""
    found: dict[str, list[tuple[float, float]]] = {}
    for pair in range(pairs):
        order = list(trees) if pair % 2 == 0 else list(trees)[::-1]
        for name in names:
            started = time.perf_counter()
            figures = {which: CASES[name](trees[which]) for which in order}
            for what in figures["new"]:
                found.setdefault(f"{name}, {what}", []).append((figures["old"][what], figures["new"][what]))
            print(f"pair {pair + 1}: {name} {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of JPEGs, however deep")
    parser.add_argument("--count", type=int, default=200, help="photos to extract")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    add_results(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="old-and-new-") as name:
        folder = Path(name)
        make_photos(options.photos, folder / "photos", options.count)
        write_captions(folder / "photos", folder / "captions.csv")
        trees = {
            which: Tree(getattr(options, which).resolve(), folder / which, folder / "photos", options.weights)
            for which in ("old", "new")
        }
        for tree in trees.values():
            tree.train(folder / "captions.csv")
        found = compare(trees, options.only, options.pairs)
    print("| | old | new | new / old, median | lowest to highest |")
    print("|---|---|---|---|---|")
    figures = {}
    for what, pairs in found.items():
        old, new = (statistics.median(column) for column in zip(*pairs))
        ratios = sorted(new / old for old, new in pairs)
        ratio = statistics.median(ratios)
        print(f"| {what} | {old:.4g} | {new:.4g} | {ratio:.3f} | {ratios[0]:.3f} to {ratios[-1]:.3f} |")
        figures[what] = {"old": old, "new": new, "ratio": ratio, "ratios": ratios}
    versions = {which: code_version(tree.root) for which, tree in trees.items()}
    record("old_and_new", {"versions": versions, "figures": figures}, options)


if __name__ == "__main__":
    main()
