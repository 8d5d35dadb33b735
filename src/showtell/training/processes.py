"""Several processes that train one network, as torchrun starts them; one process is the usual case.

Every process has the whole data and takes its part of each batch; the first process alone writes and speaks.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch

from showtell import process
from showtell.errors import ConfigError, ProcessesError
from showtell.models.dropout import Part
from showtell.runtime import computing_by

T = TypeVar("T")
_TIMEOUT = timedelta(days=30)
"""Others wait while the first encodes images, however long; who starts them notices if one has died."""
_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
"""How torch says that another process has gone."""


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees it.

    Attributes:
        rank: Which one it is, from 0.
        count: How many there are.
        threads: With how many each computes a step; None leaves that as it is.
    """

    rank: int = 0
    count: int = 1
    threads: int | None = None

    @property
    def is_first(self) -> bool:
        """Say whether this one writes and speaks."""
        return self.rank == 0

    def own(self, items: Sequence[T]) -> Sequence[T]:
        """Return every so-many-th item, which are this process's."""
        return items[self.rank :: self.count]

    def places(self, size: int) -> Sequence[int]:
        """Return the places of a batch that are this process's; the first where it has none: see `weight`."""
        return self.own(range(size)) or range(1)

    def share(self, batch: Sequence[T]) -> list[T]:
        """Return what is this process's of a batch, at these places."""
        return [batch[place] for place in self.places(len(batch))]

    def part(self, size: int) -> Part | None:
        """Return the places of a batch that are this process's as a part; None where it has all."""
        return None if self.count == 1 else Part(torch.tensor(list(self.places(size))), size)

    def weight(self, size: int) -> float:
        """Return how much this process's part of a batch counts: 0 where the batch has no image for it.

        All processes must go through the same steps, so it then computes one that another has, for nothing.
        """
        return float(self.rank < size)

    def gather(self, own: Sequence[T]) -> list[T]:
        """Return all items in their order, given what each process has of every so-many-th."""
        if self.count == 1:
            return list(own)
        parts: list[Any] = [None] * self.count
        # What is pickled here comes from this very program, in the group that its user has started.
        torch.distributed.all_gather_object(parts, list(own))
        found: list[Any] = [None] * sum(map(len, parts))
        for rank, part in enumerate(parts):
            found[rank :: self.count] = part
        return found

    def sum(self, value: float) -> float:
        """Add up a number of each process."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        torch.distributed.all_reduce(total)
        return total.item()

    def any(self, flag: bool) -> bool:
        """Say whether it is so in any process."""
        return self.sum(flag) > 0

    def all(self, flag: bool) -> bool:
        """Say whether it is so in all processes."""
        return self.sum(flag) == self.count

    def of_first(self, value: T) -> T:
        """Return the first process's value."""
        if self.count == 1:
            return value
        held = [value]
        torch.distributed.broadcast_object_list(held, src=0)
        return held[0]

    def sharing_cores(self) -> AbstractContextManager[None]:
        """Leave the other processes their part of the cores meanwhile."""
        return computing_by(self.threads or torch.get_num_threads())


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun, or what sets the same variables, has started with this one.

    Args:
        device: Of the settings: processes that compute with CUDA need a device each.

    Raises:
        ConfigError: There are fewer CUDA devices than processes on this machine.
        ProcessesError: They cannot find each other, or one of them has ended.
    """
    rank, count = process.place()
    if count == 1:
        yield ALONE
        return
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    threads = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, threads // here)
    on_cuda = device.partition(":")[0] in ("auto", "cuda") and torch.cuda.is_available()
    if on_cuda:
        _take_device(here)
    processes, ours = Processes(rank, count, threads), not torch.distributed.is_initialized()
    try:
        if ours:
            backends = "cpu:gloo,cuda:nccl" if on_cuda else "gloo"
            torch.distributed.init_process_group(backends, timeout=_TIMEOUT)
        with warnings.catch_warnings():
            if not processes.is_first:
                warnings.simplefilter("ignore")  # the first one says the same
            yield processes
    except RuntimeError as error:
        if any(part in str(error) for part in _LOST):
            raise ProcessesError(
                "Another process of this training has ended, and so does this one.",
                hint="What is finished is kept; once the cause is mended, --resume goes on.",
            ) from error
        if isinstance(error, torch.distributed.DistError):
            raise ProcessesError(f"The processes cannot reach each other: {error}.") from error
        raise
    finally:
        if ours and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _take_device(here: int) -> None:
    """Compute on this process's own CUDA device.

    Raises:
        ConfigError: There are fewer than processes.
    """
    there = torch.cuda.device_count()
    if here > there:
        raise ConfigError(
            f"{here} processes on this machine share {there} CUDA devices.",
            hint=f'Expected one device a process: --nproc-per-node {there}, or device = "cpu" in --config.',
        )
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
