"""Pictures of many requests, looked at together: while the model is busy, they gather for its next look."""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from showtell.runtime import limit_threads

Result = TypeVar("Result")
Compute = Callable[[Tensor, Hashable], list[Result]]
_PATIENCE = 0.03
"""Seconds that a picture waits for others that are being read, at most."""


class _Waiting(NamedTuple):
    pixels: Tensor
    kind: Hashable
    answer: Future  # of the result


class Batcher(Generic[Result]):
    """Threads that look at whatever waits; an idle one looks as soon as no other picture is being read.

    None takes more than its share of all that wait or are looked at: the others would soon be idle.

    Args:
        compute: From pixels (B, 3, height, width), uint8, and the kind of question to one result each.
        most: Most pictures of a batch.
        watch: Told the size of every batch.
        cores: Batches that are looked at side by side, and torch's threads for each.
    """

    def __init__(
        self, compute: Compute[Result], most: int, watch: Callable[[int], None], cores: tuple[int, int]
    ) -> None:
        self._compute = compute
        self._most = most
        self._watch = watch
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._coming = 0
        self._under_way = 0
        looks, threads = cores
        self._threads = [
            threading.Thread(target=self._work, args=(threads,), name=f"showtell-model-{number}", daemon=True)
            for number in range(looks)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """Return how many pictures wait."""
        return len(self._waiting)

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """Announce a picture that is being read, and will be asked about inside of this context."""
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
        """Queue a picture.

        Args:
            pixels: (3, height, width), uint8.
            kind: Only questions of one kind share a batch.

        Returns:
            What will hold the result; a picture whose future is cancelled in time is not looked at.
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
        """Return the oldest pictures of one kind; none where all is answered and no more will come.

        Args:
            done: Pictures this thread has looked at since it was here.
        """
        batch: list[_Waiting] = []
        with self._changed:
            self._under_way -= done
            while not batch:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._changed.wait_for(self._is_gathered, _PATIENCE)
                if not self._waiting:
                    if self._closed:
                        return []
                    continue  # another thread took them
                kind = self._waiting[0].kind
                others = deque[_Waiting]()
                all_of_them = len(self._waiting) + self._under_way
                share = min(self._most, -(-all_of_them // len(self._threads)))
                while self._waiting and len(batch) < share:
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
        """Say whether nothing is gained by waiting: small batches take more time a picture."""
        return not self._coming or not self._waiting or len(self._waiting) >= self._most or self._closed
