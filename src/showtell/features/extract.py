"""Look at every picture once: decode, run the backbone, keep the features; go on where it stopped."""

import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from showtell.console import Console, human_bytes, human_time
from showtell.data.images import load_pixels, read_content
from showtell.data.records import Picture, Problem
from showtell.errors import ImageError, StoreError
from showtell.features.backbone import Backbone
from showtell.features.store import FeatureSpace, FeatureStore, FileStamp, content_digest, record_key

if TYPE_CHECKING:  # brings torchvision's transforms, which plain pictures do not need
    from showtell.data.augment import View

BATCH_SIZE = 32


@dataclass
class Extraction:
    """What an extraction found.

    Attributes:
        space: Where the features are.
        digests: Content digest of each readable picture, by name.
        unreadable: Pictures that were left out, with the reason.
        computed: How many pictures were looked at this time; the others were in the store.
        seconds: How long that took.
        view: The view of the pictures that was looked at; None for the plain pictures.
    """

    space: FeatureSpace
    digests: dict[str, bytes] = field(default_factory=dict)
    unreadable: list[Problem] = field(default_factory=list)
    computed: int = 0
    seconds: float = 0.0
    view: "View | None" = None

    def key(self, name: str) -> bytes:
        """Return the record key of a picture."""
        return self.key_of(self.digests[name])

    def key_of(self, digest: bytes) -> bytes:
        """Return the record key of a content."""
        return record_key(digest, self.view.name if self.view else "")


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
    console = console or Console(quiet=True)
    space = store.space(backbone.description.for_store())
    result = Extraction(space, view=view)
    started = time.perf_counter()
    waiting = _find_waiting(pictures, store, result)
    if waiting:
        _forecast(waiting, backbone, space, store, console)
        _look_at(waiting, backbone, store, result, console, workers or torch.get_num_threads() + 1)
    result.seconds = time.perf_counter() - started
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
    space: FeatureSpace,
    store: FeatureStore,
    console: Console,
) -> None:
    """Say how long it will take and how much it will fill; refuse what cannot fit.

    Raises:
        StoreError: The disk has too little room.
    """
    size = backbone.preprocessing
    count = min(BATCH_SIZE, len(waiting))
    pixels = torch.zeros(count, 3, size.height, size.width, dtype=torch.uint8)
    seconds = 0.0
    if len(waiting) > 2 * BATCH_SIZE:
        for _ in range(2):  # the first pass pays for memory and code paths
            start = time.perf_counter()
            backbone(pixels)
            seconds = (time.perf_counter() - start) / count * len(waiting)
    room, free = len(waiting) * space.record_bytes * 1.05, shutil.disk_usage(store.root).free
    about = f", about {human_time(seconds)}" if seconds else ""
    console.say(
        f"Looking at {len(waiting)} pictures with {backbone.description.architecture} at "
        f"{size.width}x{size.height}{about}; features take {human_bytes(room)} of {human_bytes(free)} free"
    )
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
    """Decode ahead in threads, run the network here, write behind in one thread."""
    with (
        ThreadPoolExecutor(1, "write") as writer,
        console.bar(len(waiting), "looking", "pictures") as bar,
    ):
        writing: Future[None] = writer.submit(lambda: None)
        batch: list[_Prepared] = []
        for item in _prepare_ahead(waiting, backbone, result, workers):
            bar.update(1)
            if item.reason:
                result.unreadable.append(Problem("unreadable picture", item.picture.name, item.reason))
                continue
            result.digests[item.picture.name] = item.digest
            batch.append(item)
            if len(batch) == BATCH_SIZE:
                writing.result()  # at most one batch in flight, and its error surfaces here
                writing = _see(batch, backbone, store, result, writer)
                batch = []
        writing.result()
        if batch:
            _see(batch, backbone, store, result, writer).result()


def _prepare_ahead(
    waiting: Sequence[tuple[Picture, FileStamp]], backbone: Backbone, result: Extraction, workers: int
) -> Iterator[_Prepared]:
    """Yield pictures in order, a few batches of them being read and decoded ahead."""
    rest = iter(waiting)
    with ThreadPoolExecutor(workers, "decode") as decoders:
        ahead: deque[Future[_Prepared]] = deque()
        try:
            while True:
                for picture, stamp in islice(rest, 3 * BATCH_SIZE - len(ahead)):
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


def _see(
    batch: list[_Prepared],
    backbone: Backbone,
    store: FeatureStore,
    result: Extraction,
    writer: ThreadPoolExecutor,
) -> Future[None]:
    """Run the network over what the store lacks, and hand everything to the writer."""
    # Earlier batches are committed by now: a copy of a picture, in this batch or before, is looked at once.
    prepared = {result.key_of(item.digest): item.pixels for item in batch if item.pixels is not None}
    candidates = list(prepared)
    keys = [candidates[i] for i in result.space.missing(candidates)]
    records = []
    if keys:
        # Kernels depend on the size of the batch. Filled up to one size, it gives a picture the same features
        # to the last bit, whatever company it came in and wherever an earlier run was stopped.
        pixels = torch.stack([prepared[key] for key in keys])
        filling = pixels[:1].expand(BATCH_SIZE - len(keys), -1, -1, -1)
        grid, pooled = (part[: len(keys)].cpu().numpy() for part in backbone(torch.cat([pixels, filling])))
        records = list(zip(keys, grid, pooled))
        result.computed += len(keys)

    def keep() -> None:
        result.space.put(records)
        store.remember_digests([(item.stamp, item.digest) for item in batch])

    return writer.submit(keep)
