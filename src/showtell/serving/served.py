"""A model as the server holds it: images are decoded in threads and answered in batches, as records."""

import asyncio
import unicodedata
from collections.abc import Hashable
from concurrent.futures import Executor
from dataclasses import asdict
from typing import Any

from torch import Tensor

from showtell.data.images import open_image
from showtell.errors import ImageError
from showtell.kinds.base import BATCH_SIZE, Model, Result
from showtell.kinds.model_card import short_card
from showtell.report.overlay import seen_box
from showtell.runtime import share_cores
from showtell.serving.batcher import Batcher
from showtell.serving.prometheus import Metrics


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
    ) -> dict[str, Any]:
        """Say what an image shows.

        Args:
            content: Of its file.
            explain: Add a classifier's Grad-CAM, and what part of the image the network saw.
            beams: Captions searched side by side; None for the model's own.

        Raises:
            ImageError: It cannot be read.
        """
        loop = asyncio.get_running_loop()
        try:
            with self._batcher.expecting():
                size, pixels = await loop.run_in_executor(self._threads, self._read, content)
                asked = self._batcher.ask(pixels, beams)
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
        return image.size, self.model.pixels(image)

    def _predict(self, pixels: Tensor, beams: Hashable) -> list[Result]:
        model = self.model.with_beam_size(beams) if isinstance(beams, int) else self.model
        return list(model.from_pixels(pixels))

    def _explain(self, pixels: Tensor, found: Result) -> list[tuple[str, list[list[float]]]]:
        """Return how much each cell speaks for what was found, as shares of the largest."""
        return [
            (label, [[round(value, 4) for value in row] for row in (heat / (heat.max() or 1.0)).tolist()])
            for label, heat in self.model.explain(pixels, found).items()
        ]

    def summary(self) -> dict[str, Any]:
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

    def card(self) -> dict[str, Any]:
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
