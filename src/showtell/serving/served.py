"""A model as the server holds it: images are decoded in threads and answered in batches, as records."""

import asyncio
import unicodedata
from collections.abc import Hashable
from concurrent.futures import Executor
from dataclasses import asdict
from typing import Any

from torch import Tensor

from showtell.backbones.gradcam import grad_cam
from showtell.data.images import open_image
from showtell.errors import ImageError
from showtell.kinds.loading import BATCH_SIZE, Captions, Classes, LoadedCaptioner, LoadedClassifier
from showtell.kinds.model_card import captioner_card, classifier_card
from showtell.kinds.model_folder import ClassifierConfig
from showtell.kinds.records import caption_record, class_record
from showtell.report.overlay import seen_box
from showtell.runtime import share_cores
from showtell.serving.batcher import Batcher
from showtell.serving.prometheus import Metrics

Loaded = LoadedCaptioner | LoadedClassifier


class Served:
    """Answers for one model.

    Args:
        name: What clients call it.
        model: What answers.
        threads: Where pictures are decoded.
        max_pixels: Most pixels a picture may claim.
        metrics: Where to count.
    """

    def __init__(
        self, name: str, model: Loaded, threads: Executor, max_pixels: int, metrics: Metrics
    ) -> None:
        self.name = name
        self.model = model
        self._threads = threads
        self._max_pixels = max_pixels
        self._outcomes = metrics.pictures
        batches = metrics.batches.labels(name)
        self._batcher: Batcher[Captions | Classes] = Batcher(
            self._predict, BATCH_SIZE, batches.observe, share_cores(model.device)
        )
        metrics.watch_queue(name, self._batcher.__len__)

    async def answer(
        self, content: bytes, *, explain: bool = False, beams: int | None = None
    ) -> dict[str, Any]:
        """Say what a picture shows.

        Args:
            content: Of its file.
            explain: Add a classifier's Grad-CAM, and what part of the image the network saw.
            beams: Captions searched side by side; None for the model's own.

        Raises:
            ImageError: It cannot be read.
        """
        loop = asyncio.get_running_loop()
        kind = beams if isinstance(self.model, LoadedCaptioner) else None
        try:
            with self._batcher.expecting():
                size, pixels = await loop.run_in_executor(self._threads, self._read, content)
                asked = self._batcher.ask(pixels, kind)
        except ImageError:
            self._outcomes.labels(self.name, "unreadable").inc()
            raise
        found = await asyncio.wrap_future(asked)
        record = caption_record(found) if isinstance(found, Captions) else class_record(found)
        if explain:
            record["seen"] = list(seen_box(self.model.backbone.preprocessing, *size))
            if isinstance(found, Classes):
                cells = await loop.run_in_executor(self._threads, self._grad_cam, pixels, found.label)
                record["grad_cam"] = {"label": found.label, "cells": cells}
        self._outcomes.labels(self.name, "answered").inc()
        return record

    def close(self) -> None:
        """Answer what waits, then end."""
        self._batcher.close()

    def _read(self, content: bytes) -> tuple[tuple[int, int], Tensor]:
        """Return a picture's width and height, and its pixels as the network sees them."""
        wanted = self.model.backbone.preprocessing
        image = open_image(content, shrink_to=wanted, max_pixels=self._max_pixels)
        return image.size, self.model.pixels(image)

    def _predict(self, pixels: Tensor, beams: Hashable) -> list[Captions | Classes]:
        model = self.model
        if isinstance(model, LoadedCaptioner) and isinstance(beams, int):
            model = LoadedCaptioner(model.model, beams)
        return list(model.from_pixels(pixels))

    def _grad_cam(self, pixels: Tensor, label: str) -> list[list[float]]:
        """Return how much each cell speaks for a class, as shares of the largest."""
        assert isinstance(self.model, LoadedClassifier)
        batch, place = pixels.unsqueeze(0).to(self.model.device), self.model.classes.index(label)
        heat = grad_cam(self.model.backbone, self.model.model.head, batch, place)
        return [[round(value, 4) for value in row] for row in (heat / (heat.max().item() or 1.0)).tolist()]

    def summary(self) -> dict[str, Any]:
        """Return what a list of models says of this one."""
        model = self.model
        if isinstance(model, LoadedClassifier):
            of_kind: dict[str, Any] = {"classes": list(model.classes)}
            words = " ".join(model.classes)
        else:
            tokenizer = model.model.captioner.tokenizer
            of_kind = {"vocab_size": tokenizer.vocab_size, "beam_size": model.beam_size}
            words = " ".join(tokenizer.decode([token]) for token in range(tokenizer.vocab_size))
        config = model.model.config
        return {
            "name": self.name,
            "kind": config.kind,
            "backbone": config.backbone.architecture,
            **of_kind,
            "scores": config.provenance.get("validation", {}),
            "language": _language(words),
        }

    def card(self) -> dict[str, Any]:
        """Return the model card: its config, and its README."""
        config = self.model.model.config
        readme = classifier_card(config) if isinstance(config, ClassifierConfig) else captioner_card(config)
        return {"name": self.name, "config": asdict(config), "readme": readme}


def _language(text: str) -> str:
    """Guess the language of words: ``ko`` where Hangul is half as frequent as Latin letters, else ``en``."""
    letters = [unicodedata.name(c, "").split(" ")[0] for c in text if c.isalpha()]
    return "ko" if letters.count("HANGUL") > letters.count("LATIN") / 2 else "en"
