"""Threads of this process carry out a plan: some decode ahead, others encode, and one writes behind."""

import math
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.engines.base import Engine
from showtell.extraction import executor
from showtell.extraction.executor import ReadImage, Status, batch_size_on, encode, read_image
from showtell.extraction.plan import Plan, Waiting
from showtell.runtime import in_order, limit_threads, share_cores


class ThreadExecutor:
    """Runs a plan in this process; see :class:`showtell.extraction.executor.Executor`.

    Args:
        workers: Threads that decode; None for one more than torch computes with.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers

    def pace(self, plan: Plan, backbone: Backbone, engine: Engine) -> float:
        """Return the seconds that the network takes for an image; 0 for a handful of images."""
        if len(plan.waiting) <= 2 * executor.BATCH_SIZE:
            return 0.0
        size, count = backbone.preprocessing, 4
        pixels = torch.zeros(count, 3, size.height, size.width, dtype=torch.uint8)
        with _encoders(plan, backbone) as (encoders, number):
            for _ in range(2):  # the first pass pays for memory and code paths
                start = time.perf_counter()
                list(encoders.map(engine.encode, [pixels] * number))
            return (time.perf_counter() - start) / (count * number)

    def run(self, plan: Plan, backbone: Backbone, engine: Engine) -> Generator[Status]:
        """Yield what becomes of each image; at the end everything is committed."""
        with _encoders(plan, backbone) as encoders, ThreadPoolExecutor(1, "write") as writer:
            batches = _Batches(plan, engine, batch_size_on(backbone.device), encoders, writer)
            batch: list[ReadImage] = []
            for item in self._read_ahead(plan, backbone, 3 * batches.size):
                if item.reason:
                    yield Status(item.image, reason=item.reason)
                    continue
                batch.append(item)
                if len(batch) == batches.size:
                    yield from batches.add(batch)
                    batch = []
            if batch:
                yield from batches.add(batch)
            batches.finish()

    def _read_ahead(self, plan: Plan, backbone: Backbone, count: int) -> Iterator[ReadImage]:
        """Yield images in order, at most so many of them being read and decoded ahead."""

        def read(waiting: Waiting) -> ReadImage:
            return read_image(waiting, plan, backbone.preprocessing)

        workers = self._workers or torch.get_num_threads() + 1
        with ThreadPoolExecutor(workers, "decode", limit_threads, (1,)) as decoders:
            yield from in_order(decoders, read, plan.waiting, count)


@contextmanager
def _encoders(plan: Plan, backbone: Backbone) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Lend threads that encode side by side, each with cores of its own, and say how many they are."""
    batches = math.ceil(len(plan.waiting) / batch_size_on(backbone.device))
    number, cores = share_cores(backbone.device, batches)
    encoders = ThreadPoolExecutor(number, "encode", limit_threads, (cores,))
    try:
        yield encoders, number
    finally:
        encoders.shutdown(cancel_futures=True)


class _Batches:
    """Batches under way: encoded side by side, written one after another in their order.

    Attributes:
        size: Images of a batch.
    """

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        size: int,
        encoders: tuple[ThreadPoolExecutor, int],
        writer: ThreadPoolExecutor,
    ) -> None:
        self.size = size
        self._plan, self._engine = plan, engine
        self._encoders, self._max_encoding = encoders
        self._writer = writer
        self._writing: Future[None] = writer.submit(lambda: None)
        self._under_way: set[bytes] = set()
        self._encoding: deque[tuple[list[ReadImage], list[bytes], Future[tuple[Tensor, Tensor]]]] = deque()

    def add(self, batch: list[ReadImage]) -> Iterator[Status]:
        """Encode what the store lacks, once a batch before has been; yield what becomes of each image."""
        # A copy of an image, in this batch or before, is encoded once.
        pixels = {self._plan.key_of(item.digest): item.pixels for item in batch if item.pixels is not None}
        candidates = [key for key in pixels if key not in self._under_way]
        keys = [candidates[i] for i in self._plan.missing(candidates)]
        self._under_way.update(keys)
        found = self._encoders.submit(encode, self._engine, [pixels[key] for key in keys], self.size)
        self._encoding.append((batch, keys, found))
        if (
            len(self._encoding) > self._max_encoding
        ):  # one more than are encoded, so that nobody waits for the next
            self._write_oldest()
        fresh = set(keys)
        for item in batch:
            key = self._plan.key_of(item.digest)
            yield Status(item.image, item.digest, encoded=key in fresh)
            fresh.discard(key)

    def finish(self) -> None:
        """Wait until everything is written."""
        while self._encoding:
            self._write_oldest()
        self._writing.result()

    def _write_oldest(self) -> None:
        batch, keys, found = self._encoding.popleft()
        grid, pooled = found.result()
        self._writing.result()  # at most one batch is being written, and its error surfaces here
        self._writing = self._writer.submit(self._write, batch, keys, grid, pooled)

    def _write(self, batch: list[ReadImage], keys: list[bytes], grid: Tensor, pooled: Tensor) -> None:
        files = [(item.stamp, item.digest) for item in batch]
        self._plan.commit(keys, grid.numpy(), pooled.numpy(), files)
        self._under_way.difference_update(keys)
