"""Who carries out a plan: the protocol of an executor, and the steps that every one of them takes.

Read, encode in batches of one size, and commit by :meth:`Plan.commit`. What is shared here is what makes
features the same to the last bit, whoever carries out the plan.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.data.images import Preprocessing, read_content
from showtell.data.records import AnnotatedImage
from showtell.engines.base import Engine
from showtell.errors import ImageError
from showtell.extraction.decoded import decoded_pixels, kept_pixels
from showtell.extraction.plan import Plan, Waiting
from showtell.store.store import FileStamp, content_digest

BATCH_SIZE = 16
"""Images that a processor's core encodes together: more take memory, and no less time (docs/log.md)."""
_MORE = 4
"""How many times as many another device encodes together."""


@dataclass(frozen=True, slots=True)
class Status:
    """What became of an image that waited.

    Attributes:
        image: The image.
        digest: Of its content; empty where it cannot be read.
        encoded: Whether it was encoded; the store may have had its content already.
        reason: Why it cannot be read.
    """

    image: AnnotatedImage
    digest: bytes = b""
    encoded: bool = False
    reason: str = ""


class Executor(Protocol):
    """Carries out a plan with a backbone: by threads of this process, or on other machines.

    Workers of another process build the backbone from ``backbone.spec``; see ``worker.Worker``.
    """

    def pace(self, plan: Plan, backbone: Backbone, engine: Engine) -> float:
        """Return the seconds that an image will take, from a short trial; 0 where that is not worth it."""
        ...

    def run(self, plan: Plan, backbone: Backbone, engine: Engine) -> Generator[Status]:
        """Yield what becomes of each image; at the end all of it is on the disk, in the space or in a job.

        Closed early or killed, it keeps what was committed, and nothing half.

        Raises:
            StoreError: The store cannot be written.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReadImage:
    """An image that was read: its pixels, unless the store has them or there is a reason why not."""

    image: AnnotatedImage
    stamp: FileStamp
    digest: bytes = b""
    pixels: Tensor | None = None
    reason: str = ""


def read_image(waiting: Waiting, plan: Plan, preprocessing: Preprocessing) -> ReadImage:
    """Read an image; decode it where the store lacks its features, and no decoded one is kept."""
    image, stamp, digest = waiting
    kept = plan.store.kept
    try:
        pixels = kept_pixels(digest, preprocessing, kept) if digest else None
        if pixels is None:
            content = read_content(image.path)
            digest = content_digest(content)
            if not plan.missing([plan.key_of(digest)]):
                return ReadImage(image, stamp, digest)
            pixels = kept_pixels(digest, preprocessing, kept)
            if pixels is None:
                pixels = decoded_pixels(content, digest, preprocessing, kept)
    except ImageError as error:
        return ReadImage(image, stamp, reason=error.what)
    if plan.view is not None:
        pixels = plan.view.apply(pixels, digest)
    return ReadImage(image, stamp, digest, pixels)


def batch_size_on(device: torch.device) -> int:
    """Return how many images are encoded together."""
    return BATCH_SIZE if device.type == "cpu" else _MORE * BATCH_SIZE


def encode(engine: Engine, pixels: list[Tensor], size: int) -> tuple[Tensor, Tensor]:
    """Encode up to ``size`` images, each (3, height, width): grid (N, L, D) and pooled (N, D)."""
    if not pixels:
        return torch.empty(0), torch.empty(0)
    # Kernels depend on the size of the batch. Filled up to one size, it gives an image the same features
    # to the last bit, whatever company it came in and wherever an earlier run was stopped.
    filled = torch.stack(pixels + pixels[:1] * (size - len(pixels)))
    grid, pooled = engine.encode(filled)
    return grid[: len(pixels)].cpu(), pooled[: len(pixels)].cpu()
