"""The images that are taught: listed at once, encoded meanwhile, and joined by those that are dropped in."""

import os
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.console import Console
from showtell.data.listing import Listing
from showtell.data.names import PICTURE_EXTENSIONS
from showtell.data.pixels.opening import decode
from showtell.data.readers import read_images
from showtell.data.records import AnnotatedImage
from showtell.data.source import DataSource
from showtell.errors import DataError, ShowtellError
from showtell.extraction.extract import extract_features
from showtell.files import numbered
from showtell.store.store import FeatureStore
from showtell.teaching.order import random_place

TABLE = "labels.csv"
_CHUNK = 64
"""Images that are encoded before the next ones are asked for: teaching begins after so many."""
_UNFIT = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
"""What some systems allow in no file's name."""


def read_pool(source: DataSource) -> tuple[Path, dict[str, AnnotatedImage]]:
    """List the images to teach, with the labels that the data brings.

    A folder is taken whole; of a table, the images that it names. The table that teaching itself writes
    brings no labels here, as it is read by who writes it.

    Returns:
        The folder of the images, beside which answers are kept; and the images by name.

    Raises:
        DataError: There are none.
        ConfigError: Columns or a format do not fit.
    """
    data = source.data
    if data.name == TABLE and data.is_file() and source.images is None:
        data = data.parent
    if data.is_dir():
        listed = Listing(data)
        images = {name: AnnotatedImage(name, Path(listed.files[name])) for name in listed.images}
        if (data / TABLE).exists():
            return data, images
        with suppress(ShowtellError):  # photos without words are what this is for
            dataset, _ = read_images(source)
            root = _root_of(dataset.images[0])
            if root.resolve() == data.resolve():
                images |= {image.name: image for image in dataset.images if image.label is not None}
    else:
        dataset, _ = read_images(source)
        data, images = _root_of(dataset.images[0]), {image.name: image for image in dataset.images}
    if not images:
        raise DataError(f"{data} holds no image.", hint="Expected a folder of photos, or a table of them.")
    return data, images


def _root_of(image: AnnotatedImage) -> Path:
    return image.path.parents[image.name.count("/")]


class Pool:
    """Images with their features, as far as these are there.

    Args:
        root: Folder of the images.
        images: By name.
        backbone: What encodes them.
        store: Where features are kept.

    Attributes:
        images: All of them, by name; replaced, never changed.
        unreadable: Why some cannot be used, by name.
        trouble: Why encoding has ended before its end; empty where it has not.
    """

    def __init__(
        self,
        root: Path,
        images: dict[str, AnnotatedImage],
        backbone: Backbone,
        store: FeatureStore,
    ) -> None:
        self.root, self.images, self.backbone, self.store = root, images, backbone, store
        self.unreadable: dict[str, str] = {}
        self.trouble = ""
        self._names: list[str] = []
        self._pooled = torch.zeros(0, 0)
        self._lock, self._more, self._closed = threading.Lock(), threading.Event(), False

    def start(self, changed: Callable[[], None]) -> None:
        """Begin to encode, in the random order: what is there first is a fair part of the folder.

        Args:
            changed: Called whenever there are more features.
        """
        self._more.set()
        threading.Thread(target=self._encode, args=(changed,), name="showtell-encode", daemon=True).start()

    def close(self) -> None:
        """End after what is being encoded."""
        self._closed = True
        self._more.set()

    def encoded(self) -> tuple[Sequence[str], Tensor]:
        """Return the names of encoded images, N, and their features (N, D)."""
        with self._lock:
            return self._names, self._pooled

    def add(self, content: bytes, name: str, folder: str, max_pixels: int) -> AnnotatedImage:
        """Keep an image that was dropped in, under a name that no file has.

        Args:
            content: Of the file; it is kept as it is.
            name: Of the file, as whoever sent it called it.
            folder: Below the image folder; made where it is missing.
            max_pixels: Most pixels that it may claim.

        Raises:
            ImageError: It cannot be read as an image.
            DataError: It cannot be kept.
        """
        found = decode(content, max_pixels=max_pixels)
        stem, suffix = os.path.splitext(_UNFIT.sub("_", unicodedata.normalize("NFC", name)))  # noqa: PTH122
        if suffix.lower() not in PICTURE_EXTENSIONS:
            suffix = f".{found.format.lower()}"
        stem = stem.strip(". ")[:60] or "image"
        place = self.root / folder
        try:
            if not place.resolve().is_relative_to(self.root.resolve()):
                raise DataError(f"{place} leads out of {self.root}.", hint="Expected a folder in it.")
            place.mkdir(exist_ok=True)
            path = _keep(content, (place / f"{name}{suffix}" for name in numbered(stem)))
        except OSError as error:
            raise DataError(
                f"{name} could not be kept in {place}: {error.strerror}.",
                hint="Make room on the disk, or leave to write into the folder.",
            ) from error
        image = AnnotatedImage(f"{folder}/{path.name}", path)
        with self._lock:
            self.images = self.images | {image.name: image}
        self._more.set()
        return image

    def _encode(self, changed: Callable[[], None]) -> None:
        done: set[str] = set()
        while not self._closed:
            self._more.wait()
            self._more.clear()
            waiting = sorted((name for name in self.images if name not in done), key=random_place)
            for start in range(0, len(waiting), _CHUNK):
                if self._closed:
                    return
                chunk = waiting[start : start + _CHUNK]
                try:
                    self._encode_some([self.images[name] for name in chunk])
                except ShowtellError as error:  # such as a full disk
                    self.trouble = str(error)
                    changed()
                    return
                done.update(chunk)
                changed()

    def _encode_some(self, images: Sequence[AnnotatedImage]) -> None:
        features = extract_features(images, self.backbone, self.store, console=Console(quiet=True))
        pooled = torch.from_numpy(features.pooled()).float() if len(features) else None
        with self._lock:
            self.unreadable |= {problem.where: problem.detail for problem in features.unreadable}
            if pooled is not None:
                self._names = [*self._names, *features.names]
                self._pooled = torch.cat([self._pooled, pooled]) if len(self._pooled) else pooled


def _keep(content: bytes, paths: Iterator[Path]) -> Path:
    """Write a new file, whole or not at all, at the first path that is free."""
    for path in paths:
        try:
            file = path.open("xb")
        except FileExistsError:
            continue
        try:
            with file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path
    raise AssertionError("there is always another number")
