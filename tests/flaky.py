"""Workers that die, hang or find their disk full, in a file of their own since processes import them.

What is to happen once is noted by a file in the store, which all workers share.
"""

import os
import random
import signal
import sys
import time

import torch

from showtell.cli import run
from showtell.errors import StoreError
from showtell.extraction.processes import ProcessExecutor
from showtell.extraction.ray_data import RayExecutor
from showtell.extraction.worker import Job, Rows, Worker


class Marked(Worker):
    """A worker that can tell whether it is the first to come to some point."""

    def first(self, what: str) -> bool:
        try:
            (self.job.folder.parents[2] / what).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class _Engine:
    """Does something before each batch."""

    def __init__(self, engine, before):
        self.engine, self.before = engine, before

    def encode(self, pixels):
        self.before()
        return self.engine.encode(pixels)


class Troubled(Marked):
    """Hangs at the first batch of all, is killed at another, and by chance, one in ten, at any later one."""

    patience = 5.0

    def __init__(self, job: Job, name: str) -> None:
        super().__init__(job, name)
        self.engine = _Engine(self.engine, self.get_into_trouble)

    def get_into_trouble(self) -> None:
        if self.first("hung"):
            time.sleep(600)
        if self.first("killed") or random.random() < 0.1:
            os.kill(os.getpid(), signal.SIGKILL)


class Full(Marked):
    """Of the workers of a job, the disk of one is full from its second part on."""

    full = None

    def __call__(self, part: Rows) -> Rows:
        if self.full is None:
            self.full = self.first("full")
        elif self.full:
            self._space[1].put = self.refuse
        return super().__call__(part)

    def refuse(self, items) -> int:
        raise StoreError("the disk is full", hint="free some space")


class Weighed(Marked):
    """Notes before each batch how many page faults memory costs that was used and freed just now."""

    def __init__(self, job: Job, name: str) -> None:
        super().__init__(job, name)
        self.engine = _Engine(self.engine, self.weigh)

    def weigh(self) -> None:
        import resource

        torch.ones(1 << 22)  # 16 MB, 4,096 pages
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        torch.ones(1 << 22)
        faults = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before
        with (self.job.folder.parents[2] / "faults").open("a") as file:
            file.write(f"{faults}\n")


class Poisoned(Marked):
    """Dies over every batch, and is begun no more than twice."""

    tries = 2

    def __init__(self, job: Job, name: str) -> None:
        super().__init__(job, name)
        self.engine = _Engine(self.engine, lambda: os.kill(os.getpid(), signal.SIGKILL))


class Slow(Marked):
    """Takes a second for each part, and tells its process as it has written the first."""

    def __call__(self, part: Rows) -> Rows:
        answer = super().__call__(part)
        (self.job.folder.parents[2] / "written").write_text(str(os.getpid()))
        time.sleep(1)
        return answer


def run_slowly(arguments: list[str]) -> None:
    """Run a command whose workers are slow, and end with its exit status."""
    ProcessExecutor.worker = RayExecutor.worker = Slow
    sys.exit(run(arguments))
