"""Time whole commands from nothing to their end, and one answer of a loaded model.

    python bench/start.py RUN IMAGE [--repeats 5]

In turn, each in a new process, its files in the system's cache after the first: a bare interpreter and
`showtell --help`; `import torch, timm` and `showtell predict RUN IMAGE`. The goals are ratios within a turn,
of the wall's clock and of the processor's. Then RUN is loaded and asked again and again (--threads, default
all cores). The parts are what importing takes by Python's own clock (-X importtime, which slows it down), by
who has to be imported. Python may write bytecode, as it does for users, whatever PYTHONDONTWRITEBYTECODE
says here.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter

from record import add_results, record

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ANSWERS = 40
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


def run(*arguments: str) -> tuple[float, float, subprocess.CompletedProcess[str]]:
    """Run Python; return seconds of the wall's clock and of the processor's, and what it said."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, *arguments]
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode:
        sys.exit(child.stderr)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, child


def answer(run_folder: str, image: str) -> dict[str, list[float]]:
    """Load a model and ask it; return milliseconds of each answer by both clocks."""
    import showtell

    showtell.tune_process()
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = showtell.load(run_folder)
    found: dict[str, list[float]] = {"wall_ms": [], "processor_ms": []}
    for _ in range(ANSWERS):
        wall, processor = time.perf_counter(), time.process_time()
        model(image)
        found["wall_ms"].append(1000 * (time.perf_counter() - wall))
        found["processor_ms"].append(1000 * (time.process_time() - processor))
    return {clock: times[5:] for clock, times in found.items()}  # the first ones fill torch's caches


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
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the loaded model")
    parser.add_argument("--answer", action="store_true", help="load the model and ask it, nothing else")
    add_results(parser)
    options = parser.parse_args()
    if options.answer:
        print(json.dumps(answer(options.run, options.image)))
        return
    predict = ["-m", "showtell", "predict", options.run, options.image]
    cases = {
        "a bare interpreter": ["-c", "pass"],
        "--help": ["-m", "showtell", "--help"],
        "import torch, timm": ["-c", "import torch, timm"],
        "predict": predict,
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(options.repeats):
        for name, arguments in cases.items():
            times[name].append(run(*arguments)[:2])
    figures: dict[str, object] = {}
    for name, found in times.items():
        walls, processors = zip(*found)
        figures[name] = {"wall_s": walls, "processor_s": processors}
        print(
            f"{name:<20} {statistics.median(walls):.3f} s median of {len(walls)} "
            f"({min(walls):.3f} to {max(walls):.3f}), processor {statistics.median(processors):.3f} s"
        )
    for name, base in (("--help", "a bare interpreter"), ("predict", "import torch, timm")):
        ratios = [
            statistics.median(ours[clock] / theirs[clock] for ours, theirs in zip(times[name], times[base]))
            for clock in (0, 1)
        ]
        figures[f"{name} / {base}"] = dict(zip(("wall", "processor"), ratios))
        print(f"{name} takes {ratios[0]:.2f} times {base}, {ratios[1]:.2f} times by the processor's clock")
    ENVIRONMENT["OMP_NUM_THREADS"] = str(options.threads)
    answers = json.loads(run(__file__, options.run, options.image, "--answer")[2].stdout)
    figures["answer"] = answers
    print(
        f"an answer of the loaded model: {statistics.median(answers['wall_ms']):.1f} ms median "
        f"({min(answers['wall_ms']):.1f} to {max(answers['wall_ms']):.1f}), "
        f"processor {statistics.median(answers['processor_ms']):.1f} ms, {options.threads} threads"
    )
    parts = parts_of(run("-X", "importtime", *predict)[2].stderr)
    for part, microseconds in parts.most_common():
        print(f"  {microseconds / 1e6:5.2f} s  {part}")
    figures["imports_s"] = {part: microseconds / 1e6 for part, microseconds in parts.items()}
    record("start", figures, options)


if __name__ == "__main__":
    main()
