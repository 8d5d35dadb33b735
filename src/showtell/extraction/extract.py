"""Look at every picture once: decode, run the backbone, keep the features; go on where it stopped."""

import math
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.console import Console, Log, human_bytes, human_time
from showtell.data.images import load_pixels, read_content
from showtell.data.records import Picture, Problem
from showtell.engines.onnx import Look, engine_of
from showtell.errors import ImageError, StoreError
from showtell.extraction.features import Extraction
from showtell.runtime import has_fast_bfloat16, limit_threads, share_cores
from showtell.store.store import FeatureSpace, FeatureStore, FileStamp, content_digest

if TYPE_CHECKING:  # brings torchvision's transforms, which plain pictures do not need
    from showtell.data.augment import View

BATCH_SIZE = 16
"""Pictures that a processor's core looks at together: more take memory, and no less time (docs/log.md)."""
_MORE = 4
"""How many times as many another device looks at together."""


@dataclass(frozen=True)
class _Prepared:
    """A picture that was read: its pixels, unless the store has them or there is a reason why not."""

    picture: Picture
    stamp: FileStamp
    digest: bytes = b""
    pixels: Tensor | None = None
    reason: str = ""


def extract_features(
    pictures: Sequence[Picture],
    backbone: Backbone,
    store: FeatureStore,
    *,
    view: "View | None" = None,
    console: Console | None = None,
    workers: int | None = None,
) -> Extraction:
    """Bring the features of pictures into the store.

    A picture whose size and time are known is not read again; one that was moved or renamed is read and
    recognised by its content. Stopped at any moment, it goes on with the next batch.

    Args:
        pictures: What to look at.
        backbone: The network.
        store: Where features are kept.
        view: A random view of each picture to look at instead of the plain picture.
        console: Told the forecast and the progress.
        workers: Threads that decode; None for one more than torch computes with.

    Returns:
        The digests of all readable pictures, and what could not be read.

    Raises:
        StoreError: The disk has no room for what is missing, or the store cannot be used.
    """
    console = console or Log()
    space = store.space(backbone.description.for_store())
    result = Extraction(space, view=view)
    waiting = _find_waiting(pictures, store, result)
    if waiting:
        _look_at(waiting, backbone, store, result, console, workers or torch.get_num_threads() + 1)
    known = len(pictures) - len(waiting)
    if known:
        console.say(f"{known} of {len(pictures)} pictures were in the feature store already")
    return result


def _find_waiting(
    pictures: Sequence[Picture], store: FeatureStore, result: Extraction
) -> list[tuple[Picture, FileStamp]]:
    """Note what the store has; return the pictures whose file is new, has changed, or has no record."""
    known: list[tuple[Picture, FileStamp, bytes]] = []
    waiting: list[tuple[Picture, FileStamp]] = []
    for picture in pictures:
        try:
            stamp = FileStamp.of(picture.path)
        except OSError as error:
            result.unreadable.append(Problem("unreadable picture", picture.name, str(error.strerror)))
            continue
        digest = store.digest_of(stamp)
        if digest is None:
            waiting.append((picture, stamp))
        else:
            known.append((picture, stamp, digest))
    missing = set(result.space.missing([result.key_of(digest) for _, _, digest in known]))
    for i, (picture, stamp, digest) in enumerate(known):
        if i in missing:
            waiting.append((picture, stamp))
        else:
            result.digests[picture.name] = digest
    return waiting


def _forecast(
    waiting: Sequence[tuple[Picture, FileStamp]],
    backbone: Backbone,
    seconds: float,
    space: FeatureSpace,
    store: FeatureStore,
    console: Console,
) -> None:
    """Say how long it will take and how much it will fill; refuse what cannot fit.

    Raises:
        StoreError: The disk has too little room.
    """
    size = backbone.preprocessing
    room, free = len(waiting) * space.record_bytes * 1.05, shutil.disk_usage(store.root).free
    about = f", about {human_time(seconds)}" if seconds else ""
    console.say(
        f"Looking at {len(waiting)} pictures with {backbone.description.architecture} at "
        f"{size.width}x{size.height}{about}; features take {human_bytes(room)} of {human_bytes(free)} free"
    )
    if backbone.precision == "bfloat16" and not has_fast_bfloat16(backbone.pixel_mean.device):
        console.say("This processor has no arithmetic for bfloat16: --precision float32 is faster here")
    if room > free:
        raise StoreError(
            f"The features of {len(waiting)} pictures take {human_bytes(room)}, and {store.root} has "
            f"{human_bytes(free)} free.",
            would_do="Name a larger disk by --store, or remove features that are not used any more.",
            run="showtell store",
        )


def _look_at(
    waiting: Sequence[tuple[Picture, FileStamp]],
    backbone: Backbone,
    store: FeatureStore,
    result: Extraction,
    console: Console,
    workers: int,
) -> None:
    """Decode ahead in threads, run the network in others, write behind in one."""
    look = engine_of(backbone, result.space.folder, console)
    started = time.perf_counter()
    with _Batches(backbone, look, store, result, len(waiting)) as batches:
        seconds = batches.pace() * len(waiting) if len(waiting) > 2 * BATCH_SIZE else 0.0
        _forecast(waiting, backbone, seconds, result.space, store, console)
        batch: list[_Prepared] = []
        with console.bar(len(waiting), "looking", "pictures") as bar:
            for item in _prepare_ahead(waiting, backbone, result, workers, 3 * batches.size):
                bar.update(1)
                if item.reason:
                    result.unreadable.append(Problem("unreadable picture", item.picture.name, item.reason))
                    continue
                result.digests[item.picture.name] = item.digest
                batch.append(item)
                if len(batch) == batches.size:
                    batches.add(batch)
                    batch = []
            if batch:
                batches.add(batch)
            batches.finish()
    result.seconds = time.perf_counter() - started


def _prepare_ahead(
    waiting: Sequence[tuple[Picture, FileStamp]],
    backbone: Backbone,
    result: Extraction,
    workers: int,
    most: int,
) -> Iterator[_Prepared]:
    """Yield pictures in order, at most so many of them being read and decoded ahead."""
    rest = iter(waiting)
    with ThreadPoolExecutor(workers, "decode", limit_threads, (1,)) as decoders:
        ahead: deque[Future[_Prepared]] = deque()
        try:
            while True:
                for picture, stamp in islice(rest, most - len(ahead)):
                    ahead.append(decoders.submit(_prepare, picture, stamp, backbone, result))
                if not ahead:
                    return
                yield ahead.popleft().result()
        finally:
            decoders.shutdown(cancel_futures=True)


def _prepare(picture: Picture, stamp: FileStamp, backbone: Backbone, result: Extraction) -> _Prepared:
    try:
        content = read_content(picture.path)
        digest = content_digest(content)
        if result.key_of(digest) in result.space:
            return _Prepared(picture, stamp, digest)
        pixels = load_pixels(content, backbone.preprocessing)
    except ImageError as error:
        return _Prepared(picture, stamp, reason=error.what)
    if result.view is not None:
        pixels = result.view.apply(pixels, digest)
    return _Prepared(picture, stamp, digest, pixels)


class _Batches:
    """Batches under way: looked at side by side, written one after another in their order.

    Features are the same to the last bit, however many there are.

    Attributes:
        size: Pictures of a batch.
    """

    def __init__(
        self, backbone: Backbone, look: Look, store: FeatureStore, result: Extraction, pictures: int
    ) -> None:
        self._look, self._store, self._result = look, store, result
        self._size, device = backbone.preprocessing, backbone.pixel_mean.device
        self.size = BATCH_SIZE if device.type == "cpu" else _MORE * BATCH_SIZE
        self._looks, cores = share_cores(device, most=math.ceil(pictures / self.size))
        self._lookers = ThreadPoolExecutor(self._looks, "look", limit_threads, (cores,))
        self._writer = ThreadPoolExecutor(1, "write")
        self._writing: Future[None] = self._writer.submit(lambda: None)
        self._under_way: set[bytes] = set()
        self._looking: deque[tuple[list[_Prepared], list[bytes], Future[tuple[Tensor, Tensor]]]] = deque()

    def __enter__(self) -> "_Batches":
        return self

    def __exit__(self, *exception: object) -> None:
        self._lookers.shutdown(cancel_futures=True)
        self._writer.shutdown()

    def pace(self) -> float:
        """Return the seconds that the network takes for a picture, while all look."""
        size, count = self._size, 4
        pixels = torch.zeros(count, 3, size.height, size.width, dtype=torch.uint8)
        for _ in range(2):  # the first pass pays for memory and code paths
            start = time.perf_counter()
            list(self._lookers.map(self._look, [pixels] * self._looks))
        return (time.perf_counter() - start) / (count * self._looks)

    def add(self, batch: list[_Prepared]) -> None:
        """Look at what the store lacks, once one of the batches before has been."""
        # A copy of a picture, in this batch or before, is looked at once.
        pixels = {self._result.key_of(item.digest): item.pixels for item in batch if item.pixels is not None}
        candidates = [key for key in pixels if key not in self._under_way]
        keys = [candidates[i] for i in self._result.space.missing(candidates)]
        self._under_way.update(keys)
        look = self._lookers.submit(self._look_at, [pixels[key] for key in keys])
        self._looking.append((batch, keys, look))
        if len(self._looking) > self._looks:  # one more than are looked at, so that nobody waits for the next
            self._write_oldest()

    def finish(self) -> None:
        """Wait until everything is written."""
        while self._looking:
            self._write_oldest()
        self._writing.result()

    def _look_at(self, pixels: list[Tensor]) -> tuple[Tensor, Tensor]:
        if not pixels:
            return torch.empty(0), torch.empty(0)
        # Kernels depend on the size of the batch. Filled up to one size, it gives a picture the same features
        # to the last bit, whatever company it came in and wherever an earlier run was stopped.
        filled = torch.stack(pixels + pixels[:1] * (self.size - len(pixels)))
        grid, pooled = self._look(filled)
        return grid[: len(pixels)].cpu(), pooled[: len(pixels)].cpu()

    def _write_oldest(self) -> None:
        batch, keys, look = self._looking.popleft()
        grid, pooled = look.result()
        self._writing.result()  # at most one batch is being written, and its error surfaces here
        self._result.computed += len(keys)
        self._writing = self._writer.submit(self._keep, batch, keys, grid, pooled)

    def _keep(self, batch: list[_Prepared], keys: list[bytes], grid: Tensor, pooled: Tensor) -> None:
        self._result.space.put(zip(keys, grid.numpy(), pooled.numpy()))
        self._store.remember_digests([(item.stamp, item.digest) for item in batch])
        self._under_way.difference_update(keys)
