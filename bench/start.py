"""Time whole commands from nothing to their end, and say where the seconds of a prediction go.

    python bench/start.py RUN IMAGE [--repeats 5]

`showtell --help`, and `showtell predict RUN IMAGE`: a new process each time, its files in the system's
cache after the first. The parts are what importing takes by Python's own clock (-X importtime, which slows it
down), by who has to be imported.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter

from record import add_results, record

PARTS = {
    "torch._dynamo": "torch's compiler, asked for by torchvision and timm",
    "torch._inductor": "torch's compiler, asked for by torchvision and timm",
    "sympy": "torch's compiler, asked for by torchvision and timm",
    "mpmath": "torch's compiler, asked for by torchvision and timm",
    "triton": "torch's compiler, asked for by torchvision and timm",
    "torch": "torch",
    "cuda": "torch",
    "numpy": "numpy, Pillow, tokenizers",
    "PIL": "numpy, Pillow, tokenizers",
    "tokenizers": "numpy, Pillow, tokenizers",
    "torchvision": "torchvision",
    "timm": "timm and the hub's client",
    "huggingface_hub": "timm and the hub's client",
    "showtell": "showtell and its command line",
    "tyro": "showtell and its command line",
    "msgspec": "showtell and its command line",
}


def run(arguments: list[str], *flags: str) -> tuple[float, float, str]:
    """Run showtell; return seconds of the wall's clock and of the processor's, and what it said of errors."""
    before, started = os.times(), time.perf_counter()
    child = subprocess.run(
        [sys.executable, *flags, "-m", "showtell", *arguments], capture_output=True, text=True, check=False
    )
    seconds, after = time.perf_counter() - started, os.times()
    if child.returncode:
        sys.exit(child.stderr)
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, processor, child.stderr


def parts_of(said: str) -> Counter[str]:
    """Sum the milliseconds of imports by who is to blame for them."""
    found: Counter[str] = Counter()
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)", said):
        names = name.split(".")
        part = PARTS.get(".".join(names[:2])) or PARTS.get(names[0], "others")
        found[part] += int(own)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("image")
    parser.add_argument("--repeats", type=int, default=5)
    add_results(parser)
    options = parser.parse_args()
    figures: dict[str, object] = {}
    predict = ["predict", options.run, options.image]
    for name, arguments in (("--help", ["--help"]), ("predict", predict)):
        found = [run(arguments)[:2] for _ in range(options.repeats)]
        walls, processors = zip(*found)
        figures[name] = {"wall_s": walls, "processor_s": processors}
        print(
            f"showtell {name}: {statistics.median(walls):.2f} s median of {len(walls)} "
            f"({min(walls):.2f} to {max(walls):.2f}), processor {statistics.median(processors):.2f} s"
        )
    parts = parts_of(run(predict, "-X", "importtime")[2])
    for part, microseconds in parts.most_common():
        print(f"  {microseconds / 1e6:5.2f} s  {part}")
    figures["imports_s"] = {part: microseconds / 1e6 for part, microseconds in parts.items()}
    record("start", figures, options)


if __name__ == "__main__":
    main()
