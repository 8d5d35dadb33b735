"""Images of many requests in one batch: while the model is busy, they gather for its next batch."""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from showtell.runtime import limit_threads

Result = TypeVar("Result")
Compute = Callable[[Tensor, Hashable], list[Result]]
_MAX_WAIT = 0.03
"""Seconds that an image waits at most for others that are being read."""


class _Waiting(NamedTuple):
    pixels: Tensor
    kind: Hashable
    answer: "Future[Any]"  # of the result


class Batcher(Generic[Result]):
    """Threads that compute whatever waits; an idle one begins as soon as no other image is being read.

    None takes more than its fraction of all that wait or are computed: the others would soon be idle.

    Args:
        compute: From pixels (B, 3, height, width), uint8, and the kind of question to one result each.
        max_batch: Most images of a batch.
        watch: Called with the size of every batch.
        cores: Batches that are computed side by side, and torch's threads for each.
    """

    def __init__(
        self, compute: Compute[Result], max_batch: int, watch: Callable[[int], None], cores: tuple[int, int]
    ) -> None:
        self._compute = compute
        self._max_batch = max_batch
        self._watch = watch
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._coming = 0
        self._under_way = 0
        workers, threads = cores
        self._threads = [
            threading.Thread(target=self._work, args=(threads,), name=f"showtell-model-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """Return how many images wait."""
        return len(self._waiting)

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """Announce an image that is being read, and is queued inside of this context."""
        with self._changed:
            self._coming += 1
        try:
            yield
        finally:
            with self._changed:
                self._coming -= 1
                if not self._coming:
                    self._changed.notify_all()

    def ask(self, pixels: Tensor, kind: Hashable = None) -> "Future[Result]":
        """Queue an image.

        Args:
            pixels: (3, height, width), uint8.
            kind: Only questions of one kind share a batch.

        Returns:
            What will hold the result; an image whose future is cancelled in time is not computed.
        """
        answer: Future[Result] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._waiting.append(_Waiting(pixels, kind, answer))
            self._changed.notify()
        return answer

    def close(self) -> None:
        """Answer what waits, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, threads: int) -> None:
        limit_threads(threads)
        batch: list[_Waiting] = []
        while batch := self._next(len(batch)):
            try:
                results = self._compute(torch.stack([item.pixels for item in batch]), batch[0].kind)
            except BaseException as error:  # whatever it is, those who wait must hear of it
                for item in batch:
                    item.answer.set_exception(error)
            else:
                for item, result in zip(batch, results, strict=True):
                    item.answer.set_result(result)

    def _next(self, done: int) -> list[_Waiting]:
        """Return the oldest images of one kind; none where all is answered and no more will come.

        Args:
            done: Images this thread has computed since it was here.
        """
        batch: list[_Waiting] = []
        with self._changed:
            self._under_way -= done
            while not batch:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._changed.wait_for(self._is_gathered, _MAX_WAIT)
                if not self._waiting:
                    if self._closed:
                        return []
                    continue  # another thread took them
                kind = self._waiting[0].kind
                others = deque[_Waiting]()
                unanswered = len(self._waiting) + self._under_way
                size = min(self._max_batch, -(-unanswered // len(self._threads)))
                while self._waiting and len(batch) < size:
                    item = self._waiting.popleft()
                    if item.kind != kind:
                        others.append(item)
                    elif item.answer.set_running_or_notify_cancel():
                        batch.append(item)
                self._waiting.extendleft(reversed(others))
            self._under_way += len(batch)
            if self._waiting:
                self._changed.notify()
        self._watch(len(batch))
        return batch

    def _is_gathered(self) -> bool:
        """Return whether to begin now: no image is being read that a larger batch could wait for."""
        return not self._coming or not self._waiting or len(self._waiting) >= self._max_batch or self._closed
