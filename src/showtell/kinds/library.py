"""What a model says of a whole library: images are encoded once and answered in batches side by side."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.errors import ImageError
from showtell.extraction.extract import extract_features
from showtell.extraction.fastest import by_fastest
from showtell.extraction.features import Features
from showtell.kinds.model import Model
from showtell.kinds.result import Result
from showtell.runtime import limit_threads, share_cores
from showtell.store.store import FeatureStore

BATCH_SIZE = 64
"""Images that are answered together, and at most as many answers that a kill loses."""


def predict_library(
    model: Model[Any], images: Sequence[AnnotatedImage], store: FeatureStore, console: Console
) -> Iterator[tuple[AnnotatedImage, Result | ImageError]]:
    """Say what many images show, from their features in the store; those that are missing come into it first.

    Args:
        model: Who says it.
        images: In whose order it is said.
        store: Where features are kept.
        console: Told the forecast and the progress.

    Yields:
        Each image with what it shows, or with why it cannot be read.

    Raises:
        StoreError: The disk has no room for the features, or the store cannot be used.
    """
    backbone = by_fastest(model.backbone, images, store, console)
    features = extract_features(images, backbone, store, console=console)
    reasons = {problem.where: problem.detail for problem in features.unreadable}
    readable = [image for image in images if image.name in features.digests]
    with console.bar(len(readable), "predicting", "images") as bar:
        results = predict_features(model, features, readable)
        for image in images:
            if image.name in features.digests:
                yield image, next(results)
                bar.update(1)
            else:
                yield image, ImageError(f"{image.path}: {reasons[image.name]}")


def predict_features(
    model: Model[Any], features: Features, images: Sequence[AnnotatedImage]
) -> Iterator[Result]:
    """Yield what images show whose features are at hand, in order; batches share the processor's cores."""

    def answer(batch: Sequence[AnnotatedImage]) -> list[Result]:
        grid, pooled = (torch.from_numpy(read(batch)) for read in (features.grid, features.pooled))
        return model.predict(grid.to(model.device), pooled.to(model.device))

    batches = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
    count, cores = share_cores(model.device, len(batches)) if batches else (1, 1)
    workers = ThreadPoolExecutor(count, "predict", limit_threads, (cores,))
    under_way: deque[Future[list[Result]]] = deque()
    try:
        for batch in batches:
            under_way.append(workers.submit(answer, batch))
            if len(under_way) > count:  # one more than are answered, so that nobody waits for the next
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()
    finally:
        workers.shutdown(cancel_futures=True)
