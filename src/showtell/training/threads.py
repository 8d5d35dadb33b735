"""How many threads compute a gradient: as many as are fastest beside whatever else the machine does.

A gradient is thousands of parallel parts, each of which waits for the last of its threads. Where another
program holds a core, that thread must win its core back before a part can end, and one thread fewer is
faster. Where two cores are two hardware threads of one, one may always be. Neither can be known beforehand,
nor does it stay so: it is measured again and again.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from showtell.runtime import computing_by
from showtell.training.task import TrainingTask

T = TypeVar("T")
_ROUNDS = 4
"""Batches of a trial; each number of threads begins with half of them, since who begins waits for data."""
_BEGIN = 5.0
"""Seconds until the first trial: memory is touched for the first time, and kernels are made, before."""
_PAUSE = 20.0
"""Seconds at least from a trial to the next."""
_SHARE = 40.0
"""By how much longer than a trial the pause after it is: trials take a fortieth of the time."""
_CLEARLY = 0.95
"""Share of the time that a number of threads must take at most to replace another."""


class ThreadChoice:
    """Computes gradients with the number of threads that was the fastest when it was last tried.

    In a trial a batch's gradient is computed twice, with two numbers of threads, from the same random state.
    The results must be equal to the last bit, so that a training does not depend on what else ran on the
    machine; once they are not, as in float32 on some processors, the usual number stays for good.

    Args:
        network: Whose gradient it is.
        usual: How many threads everything else has.

    Attributes:
        count: How many it takes now.
    """

    def __init__(self, network: nn.Module, usual: int) -> None:
        self._parameters = list(network.parameters())
        self._usual = self.count = usual
        self._candidates = sorted({max(1, usual // 2), max(1, usual - 1), usual})
        self._times: dict[int, float] = {}
        self._rounds = self._turn = 0
        self._next = time.perf_counter() + _BEGIN

    @classmethod
    def of(cls, task: TrainingTask) -> "ThreadChoice | None":
        """Return the choice for a task; None where there is none.

        There is none on other devices than the CPU, where several processes wait for one another anyway, and
        where the user has set ``OMP_NUM_THREADS``.
        """
        usual = torch.get_num_threads()
        device = next(task.network.parameters()).device
        alone = task.processes.count == 1 and device.type == "cpu"
        return (
            cls(task.network, usual) if alone and usual > 1 and "OMP_NUM_THREADS" not in os.environ else None
        )

    def compute(self, gradient: Callable[[], T]) -> T:
        """Compute a gradient; try another number of threads, too, where a trial is due.

        Args:
            gradient: Adds the gradient of a batch to the network's, which has none, and returns what is equal
                wherever the gradient is. It may be called twice.
        """
        if len(self._candidates) == 1 or time.perf_counter() < self._next:
            with computing_by(self.count):
                return gradient()
        other = self._other()
        order = (self.count, other) if self._rounds % 2 else (other, self.count)
        state = torch.get_rng_state()
        found, first = self._timed(gradient, order[0])
        torch.set_rng_state(state)
        again, second = self._timed(gradient, order[1])
        if found != again or not all(map(_equal, first, second)):
            self._candidates, self.count = [self._usual], self._usual
            if order[0] == self._usual:  # its gradient it shall be
                self._put(first)
                return found
            return again
        self._rounds += 1
        if self._rounds == _ROUNDS:
            self._decide(other)
        return again

    def _other(self) -> int:
        """Return which number of threads is tried beside the present one."""
        others = [count for count in self._candidates if count != self.count]
        return others[self._turn % len(others)]

    def _timed(self, gradient: Callable[[], T], count: int) -> tuple[T, list[Tensor | None]]:
        """Compute a gradient and note its time; return what it returns and the gradient."""
        self._put([None] * len(self._parameters))
        started = time.perf_counter()
        with computing_by(count):
            found = gradient()
        self._times[count] = self._times.get(count, 0.0) + time.perf_counter() - started
        return found, [parameter.grad for parameter in self._parameters]

    def _put(self, gradients: list[Tensor] | list[None] | list[Tensor | None]) -> None:
        for parameter, gradient in zip(self._parameters, gradients):
            parameter.grad = gradient

    def _decide(self, other: int) -> None:
        """End a trial: keep the faster number of threads."""
        spent = sum(self._times.values())
        if self._times[other] < _CLEARLY * self._times[self.count]:
            self.count = other
        self._times, self._rounds, self._turn = {}, 0, self._turn + 1
        self._next = time.perf_counter() + max(_PAUSE, _SHARE * spent / 2)


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other if one is None or other is None else torch.equal(one, other)
