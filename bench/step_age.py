"""Time every step of a training: alone, started beside other work, and beside work that comes and goes.

    python bench/step_age.py [--steps 1500] [--images 32] [--figure step_age.png] [--scenarios quiet ...]

The loop, the decoder and the loss are the product's (hidden 512, 5 captions an image, grids 49x1280 in
memory); other work is a busy loop of Python in a session of its own, as another terminal's is:

- quiet: none.
- noisy start: before the process starts, until a third of the steps are done.
- noise that ends: for the second third of the steps.
- low priority: the same at `nice 19`. Where Linux groups processes by session (sched_autogroup), that counts
  within a session only, and is no different from normal priority.

A step costs the same at any age where the last third of each takes as long as the quiet one's; beside other
work a training keeps the share of its speed that is said. By default the training chooses its number of
threads, as it does for users; --threads N keeps that many.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import add_results, record

VOCABULARY, HIDDEN, CELLS, CHANNELS, CAPTIONS, POOL = 2540, 512, 49, 1280, 5, 256
NORMAL, LOWEST = 0, 19
SCENARIOS = {
    "quiet": None,
    "noisy start": (0, 1, NORMAL),
    "noise that ends": (1, 2, NORMAL),
    "low priority": (1, 2, LOWEST),
}
"""Of each, from which third of the steps to which there is other work, and its niceness."""
_AUTOGROUP = Path("/proc/self/autogroup")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--images", type=int, default=32, help="of a step")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--threads", type=int, help="keep so many")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--worker", action="store_true")
    add_results(parser)
    options = parser.parse_args()
    if options.worker:
        work(options.steps, options.images)
        return
    found = {name: measure(name, options) for name in options.scenarios}
    figures = {}
    for name, steps in found.items():
        thirds = [steps[i * options.steps // 3 : (i + 1) * options.steps // 3] for i in range(3)]
        means = [1000 * statistics.mean(seconds for seconds, _ in third) for third in thirds]
        threads = [statistics.mode(count for _, count in third) for third in thirds]
        figures[name] = {"mean_ms_of_thirds": means, "threads_of_thirds": threads}
        print(f"{name:<16} " + ", ".join(f"{ms:.0f} ms on {count}" for ms, count in zip(means, threads)))
    if "quiet" in figures:
        quiet = figures["quiet"]["mean_ms_of_thirds"]
        for name in [name for name in figures if name != "quiet"]:
            means = figures[name]["mean_ms_of_thirds"]
            first = SCENARIOS[name][0]
            figures[name] |= {
                "speed_beside": quiet[first] / means[first],
                "last_third": means[2] / quiet[2],
            }
            print(
                f"{name}: {quiet[first] / means[first]:.0%} of the quiet speed beside other work; "
                f"the last third takes {means[2] / quiet[2]:.2f} times the quiet one's"
            )
    if options.figure:
        draw(found, options.figure)
    series = {name: [round(1000 * seconds, 1) for seconds, _ in steps[::10]] for name, steps in found.items()}
    record("step_age", {"scenarios": figures, "every_tenth_ms": series}, options)


def measure(name: str, options: argparse.Namespace) -> list[tuple[float, int]]:
    """Train in a process of its own, with other work beside; return seconds and threads of each step."""
    environment = dict(os.environ)
    environment.pop("OMP_NUM_THREADS", None)
    if options.threads:
        environment["OMP_NUM_THREADS"] = str(options.threads)
    first, last, niceness = SCENARIOS[name] or (3, 3, NORMAL)
    noise = make_noise(niceness) if first == 0 else None
    command = [
        sys.executable,
        __file__,
        "--worker",
        "--steps",
        str(options.steps),
        "--images",
        str(options.images),
    ]
    steps = []
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            assert child.stdout
            for line in child.stdout:
                seconds, count = line.split()
                steps.append((float(seconds), int(count)))
                if noise is None and len(steps) == first * options.steps // 3:
                    noise = make_noise(niceness)
                if noise and len(steps) == last * options.steps // 3:
                    noise.kill()
    finally:
        if noise:
            noise.kill()
            noise.wait()
    return steps


def make_noise(niceness: int) -> subprocess.Popen:
    """Start a busy loop as a program of another terminal, as important as this one."""
    importance = _AUTOGROUP.read_text().split()[-1] if _AUTOGROUP.exists() else None

    def begin() -> None:
        os.setsid()
        os.nice(niceness)
        if importance not in (None, "0"):
            _AUTOGROUP.write_text(importance)

    return subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=begin)


def work(steps: int, images: int) -> None:
    """Train, and print the seconds and the threads of each step."""
    import showtell

    showtell.tune_process()
    import torch

    from showtell.console import Console
    from showtell.models import kernels
    from showtell.models.attention import AttentionDecoder
    from showtell.models.batch import assemble
    from showtell.models.config import DecoderConfig
    from showtell.training.loop import Loop
    from showtell.training.schedule import LoopConfig
    from showtell.training.task import TrainingTask

    torch.manual_seed(0)
    network = AttentionDecoder(DecoderConfig(VOCABULARY, CHANNELS, HIDDEN, HIDDEN, HIDDEN // 2))
    grids = torch.randn(POOL, CELLS, CHANNELS).relu().half()
    lengths = torch.randn(POOL, CAPTIONS).mul(3.8).add(11.5).round().clamp(5, 26).int().tolist()
    captions = [[[1, *torch.randint(4, VOCABULARY, (n,)).tolist(), 2] for n in row] for row in lengths]

    class Task(TrainingTask):
        steps_per_epoch, unit = steps, "captions"

        @property
        def network(self) -> torch.nn.Module:
            return network

        def loss(self, epoch: int, index: int) -> tuple[torch.Tensor, int]:
            generator = torch.Generator().manual_seed(index)
            chosen = torch.randperm(POOL, generator=generator)[:images]
            batch = assemble(grids[chosen], [captions[i] for i in chosen.tolist()], 0)
            packed = network.teacher_forced(batch.grid, batch.token_ids, batch.lengths)
            return kernels.smoothed_cross_entropy(
                packed.logits, batch.targets(packed.position), 0.1
            ), batch.captions

        def validate(self) -> dict[str, float]:
            return {"score": 0.0}

    class Clock:
        def begin(self, step: int, epoch: int) -> None:
            self.last = time.perf_counter()

        def step(self, step: int, epoch: int, loss: float, rate: float) -> None:
            now = time.perf_counter()
            print(
                now - self.last, loop.threads.count if loop.threads else torch.get_num_threads(), flush=True
            )
            self.last = now

        def validation(self, step: int, record: dict) -> None: ...

        def checkpoint(self) -> None: ...

    with tempfile.TemporaryDirectory() as folder:
        config = LoopConfig(1, checkpoint_seconds=float("inf"))
        loop = Loop(Task(), config, Path(folder), fingerprint="", console=Console(quiet=True))
        loop.run(resume=False, callbacks=[Clock()])


def draw(found: dict[str, list[tuple[float, int]]], file: Path) -> None:
    """Draw the time of each step, a median of 15, over the steps."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, steps in found.items():
        times = [1000 * seconds for seconds, _ in steps]
        smooth = [statistics.median(times[max(0, i - 7) : i + 8]) for i in range(len(times))]
        axes.plot(smooth, linewidth=1.2, label=name)
    axes.set(xlabel="step", ylabel="ms a step, median of 15", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
