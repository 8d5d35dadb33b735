"""A model as the server holds it: images are decoded in threads, and predicted in batches."""

import asyncio
import threading
import unicodedata
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from showtell.data.images import open_image
from showtell.errors import ImageError
from showtell.kinds.model import BATCH_SIZE, Model
from showtell.kinds.model_card import short_card
from showtell.kinds.result import Result
from showtell.report.overlay import seen_box
from showtell.runtime import limit_threads, share_cores
from showtell.serving.prometheus import Metrics

T = TypeVar("T")
Compute = Callable[[Tensor, Hashable], list[T]]
_MAX_WAIT = 0.03
"""Seconds that an image waits at most for others that are being read."""


class _Waiting(NamedTuple):
    pixels: Tensor
    kind: Hashable
    answer: "Future[Any]"  # of the result


class Batcher(Generic[T]):
    """Threads that compute whatever waits; an idle one begins as soon as no other image is being read.

    None takes more than its fraction of all that wait or are computed: the others would soon be idle.

    Args:
        compute: From pixels (B, 3, height, width), uint8, and the kind of question to one result each.
        max_batch: Most images of a batch.
        watch: Called with the size of every batch.
        cores: Batches that are computed side by side, and torch's threads for each.
    """

    def __init__(
        self, compute: Compute[T], max_batch: int, watch: Callable[[int], None], cores: tuple[int, int]
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

    def ask(self, pixels: Tensor, kind: Hashable = None) -> "Future[T]":
        """Queue an image.

        Args:
            pixels: (3, height, width), uint8.
            kind: Only questions of one kind share a batch.

        Returns:
            What will hold the result; an image whose future is cancelled in time is not computed.
        """
        answer: Future[T] = Future()
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
                pairs = list(zip(batch, results, strict=True))
            except BaseException as error:  # whatever it is, those who wait must hear of it
                for item in batch:
                    item.answer.set_exception(error)
            else:
                for item, result in pairs:
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


class Served:
    """Answers for one model.

    Args:
        name: What clients call it.
        model: What answers.
        threads: Where images are decoded.
        max_pixels: Most pixels an image may claim.
        metrics: Where to count.
    """

    def __init__(
        self, name: str, model: Model[Any], threads: Executor, max_pixels: int, metrics: Metrics
    ) -> None:
        self.name = name
        self.model = model
        self._threads = threads
        self._max_pixels = max_pixels
        self._outcomes = metrics.images
        batches = metrics.batches.labels(name)
        self._batcher: Batcher[Result] = Batcher(
            self._predict, BATCH_SIZE, batches.observe, share_cores(model.device)
        )
        metrics.watch_queue(name, self._batcher.__len__)

    async def answer(
        self, content: bytes, *, explain: bool = False, beams: int | None = None
    ) -> dict[str, object]:
        """Say what an image shows.

        Args:
            content: Of its file.
            explain: Add a classifier's Grad-CAM, and what part of the image the network saw.
            beams: Captions that a captioner searches side by side; None for its own.

        Raises:
            ImageError: It cannot be read.
        """
        loop = asyncio.get_running_loop()
        try:
            with self._batcher.expecting():
                size, pixels = await loop.run_in_executor(self._threads, self._read, content)
                asked = self._batcher.ask(pixels, None if self.model.has_scores else beams)
        except ImageError:
            self._outcomes.labels(self.name, "unreadable").inc()
            raise
        found = await asyncio.wrap_future(asked)
        record = found.record()
        if explain:
            record["seen"] = list(seen_box(self.model.backbone.preprocessing, *size))
            for label, cells in await loop.run_in_executor(self._threads, self._explain, pixels, found):
                record["grad_cam"] = {"label": label, "cells": cells}
        self._outcomes.labels(self.name, "answered").inc()
        return record

    def close(self) -> None:
        """Answer what waits, then end."""
        self._batcher.close()

    def _read(self, content: bytes) -> tuple[tuple[int, int], Tensor]:
        """Return an image's width and height, and its pixels as the network sees them."""
        wanted = self.model.backbone.preprocessing
        image = open_image(content, shrink_to=wanted, max_pixels=self._max_pixels)
        # What is decoded for one input may be too small for another.
        return image.size, self.model.pixels(image if len(self.model.backbone.inputs) == 1 else content)

    def _predict(self, pixels: Tensor, beams: Hashable) -> list[Result]:
        model = self.model.with_beam_size(beams) if isinstance(beams, int) else self.model
        return list(model.from_pixels(pixels))

    def _explain(self, pixels: Tensor, found: Result) -> list[tuple[str, list[list[float]]]]:
        """Return how much each cell speaks for what was found, as shares of the largest."""
        return [
            (label, [[round(value, 4) for value in row] for row in (heat / (heat.max() or 1.0)).tolist()])
            for label, heat in self.model.explain(pixels, found).items()
        ]

    def summary(self) -> dict[str, object]:
        """Return what a list of models says of this one."""
        config = self.model.config
        return {
            "name": self.name,
            "kind": config.kind,
            "backbone": config.backbone.architecture,
            **self.model.summary(),
            "scores": config.provenance.validation,
            "language": _language(" ".join(self.model.words())),
        }

    def card(self) -> dict[str, object]:
        """Return the model card: its config, and its README."""
        return {
            "name": self.name,
            "config": asdict(self.model.config),
            "readme": short_card(self.model),
        }


def _language(text: str) -> str:
    """Guess the language of words: ``ko`` where Hangul is half as frequent as Latin letters, else ``en``."""
    letters = [unicodedata.name(c, "").split(" ")[0] for c in text if c.isalpha()]
    return "ko" if letters.count("HANGUL") > letters.count("LATIN") / 2 else "en"
