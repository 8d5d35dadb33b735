"""Processes of this machine carry out a plan, each with cores of its own; one that dies is started again."""

import signal
import sys
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import replace
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from showtell.backbones.backbone import Backbone
from showtell.engines.base import Engine
from showtell.extraction.executor import Status
from showtell.extraction.jobs import claim_job, parts_of, statuses_of
from showtell.extraction.plan import Plan
from showtell.extraction.threads import ThreadExecutor
from showtell.extraction.worker import Job, Rows, Worker


class ProcessExecutor:
    """Runs a plan in processes; see :class:`showtell.extraction.executor.Executor`.

    A program that uses it begins below ``if __name__ == "__main__":``, as ``multiprocessing`` wants it.

    Args:
        workers: Processes; None for one for every four threads that torch computes with.
    """

    worker: type[Worker] = Worker

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers

    def pace(self, plan: Plan, backbone: Backbone, engine: Engine) -> float:
        """Return the seconds that an image will take: as by threads on the same cores."""
        return ThreadExecutor().pace(plan, backbone, engine)

    def run(self, plan: Plan, backbone: Backbone, engine: Engine) -> Generator[Status]:
        """Yield what becomes of each image; at the end all of it is on the disk."""
        with claim_job(plan, backbone) as job, closing(self._answers(plan, job)) as answers:
            yield from statuses_of(plan, answers)

    def _answers(self, plan: Plan, job: Job) -> Generator[Rows]:
        cores = torch.get_num_threads()
        count = self._workers or max(1, cores // 4)
        job = replace(job, threads=max(1, cores // count))
        parts = parts_of(plan, count, job.device)
        children = [_Child(self.worker, job, str(number)) for number in range(count)]
        try:
            busy = [child for child in children if child.give(next(parts, None))]
            while busy:
                ready = connection.wait([child.pipe for child in busy])
                for child in [child for child in busy if child.pipe in ready]:
                    answer = child.answer()
                    if answer is not None:
                        yield answer
                        if not child.give(next(parts, None)):
                            busy.remove(child)
        finally:
            for child in children:
                child.stop()


class _Child:
    """A process, and the part that it works on."""

    def __init__(self, worker: type[Worker], job: Job, name: str) -> None:
        self._told = (worker, job, name)
        self._part: Rows | None = None
        self._start()

    def _start(self) -> None:
        # A server that has imported torch once forks each worker, where that is safe.
        context: Any = get_context("forkserver" if sys.platform == "linux" else "spawn")
        context.set_forkserver_preload([_serve.__module__])
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._told), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe

    def give(self, part: Rows | None) -> bool:
        """Send a part; return whether there was one."""
        self._part = part
        return self._send()

    def answer(self) -> Rows | None:
        """Return what became of the part; None where the process has died, and another works on it."""
        try:
            answer: Rows = self.pipe.recv()
            return answer
        except (EOFError, ConnectionResetError):
            self.stop()
            self._start()
            self._send()
            return None

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def _send(self) -> bool:
        if self._part is not None:
            with suppress(BrokenPipeError):  # it has died, as its answer will tell
                self.pipe.send(self._part)
        return self._part is not None


def _serve(pipe: Connection, worker: type[Worker], job: Job, name: str) -> None:
    """Answer parts until nobody sends any; the driver hears Ctrl-C, and ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    encode = worker(job, name)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send(encode(pipe.recv()))
