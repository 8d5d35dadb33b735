"""Time a training step of a captioner on real features: one process with all cores, against several.

All make the same steps, on the same batches with the same dropout; their losses must agree. Runs are made in
turn, since a machine's other work comes and goes.

    python bench/processes.py DATA WEIGHTS --store STORE [--processes 2] [--steps 30] [--rounds 3] [--reward]

With ``--reward`` the steps are those of self-critical training, from untrained weights.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import add_results, record

_WARM = 5
"""Steps before time is taken."""


_STARTED = time.perf_counter()


def main() -> None:
    """Run one process and several in turn, and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reward", action="store_true", help="steps of self-critical training")
    add_results(parser)
    options = parser.parse_args()
    if "RANK" in os.environ:
        _train(options)
        return
    rounds = []
    for number in range(options.rounds):
        found = {str(count): _start(count) for count in (1, options.processes)}
        apart = max(abs(a - b) for a, b in zip(*(one.pop("losses") for one in found.values())))
        rounds.append(found | {"losses_apart": apart})
        said = ", ".join(
            f"{count} processes {one['step_ms']:.0f} ms a step, the first after {one['prepared_s']:.0f} s"
            for count, one in found.items()
        )
        print(f"round {number + 1}: {said}; losses at most {apart:.1e} apart", flush=True)
    counts = ("1", str(options.processes))
    medians = [statistics.median(one[count]["step_ms"] for one in rounds) for count in counts]
    print(f"median {medians[0]:.0f} and {medians[1]:.0f} ms, ratio {medians[0] / medians[1]:.2f}")
    record("processes", {"rounds": rounds, "ratio": medians[0] / medians[1]}, options)


def _start(count: int) -> dict:
    """Start so many processes, which share the cores."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    threads = {"OMP_NUM_THREADS": str(max(1, os.cpu_count() // count))}
    ended = subprocess.run([*torchrun, *sys.argv], env=os.environ | threads, capture_output=True, text=True)
    line = next((line for line in ended.stdout.splitlines() if line.startswith("{")), None)
    if line is None:
        sys.exit(ended.stderr)
    return json.loads(line)


def _train(options: argparse.Namespace) -> None:
    """Make a few steps, and print how long they took and their losses."""
    from showtell.process import speaks, tune_process

    tune_process()
    from showtell.kinds.captioner.settings import TrainCaptioner
    from showtell.kinds.captioner.task import CaptionTask
    from showtell.kinds.captioner.train import train_captioner
    from showtell.training.loop import Loop

    step, seconds, losses, prepared = Loop._step, [], [], []
    if options.reward:
        CaptionTask.loss = lambda self, epoch, index, loss=CaptionTask.loss: _by_reward(
            self, loss, epoch, index
        )

    def timed(self, bar):
        before, summed = time.perf_counter(), self.progress.loss_sum
        prepared.append(before - _STARTED)
        step(self, bar)
        seconds.append(time.perf_counter() - before)
        losses.append(self.progress.loss_sum - summed)
        if len(seconds) == _WARM + options.steps:
            raise KeyboardInterrupt

    Loop._step = timed
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainCaptioner(
            data=options.data,
            weights=str(options.weights),
            store=options.store,
            out=Path(folder) / "run",
            hflip=False,
            epochs=2,
        )
        with contextlib.suppress(KeyboardInterrupt):
            train_captioner(settings)
    if speaks():
        step_ms = 1000 * statistics.median(seconds[_WARM:])
        print(json.dumps({"step_ms": step_ms, "prepared_s": prepared[0], "losses": losses}), flush=True)


def _by_reward(task, loss, epoch, index):
    task.xe_epochs = 0
    return loss(task, epoch, index)


if __name__ == "__main__":
    main()
