"""The data of a training, found again: where it was, or anywhere else by the content of its images."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from showtell.console import Console
from showtell.data.images import read_content
from showtell.data.records import AnnotatedImage, Dataset
from showtell.data.source import DataSource, source_of
from showtell.errors import ConfigError, DataError, ImageError, StoreError
from showtell.runs.corrections import Column, learnt_corrections, with_corrections
from showtell.runs.records import ImageRecord
from showtell.runs.run import Run
from showtell.runs.settings import TrainingSettings
from showtell.store.store import FeatureStore, FileStamp, content_digest

Digests = list[tuple[AnnotatedImage, str]]
"""Images, each with the SHA-256 of its content."""
Read = Callable[[DataSource, Console], Dataset]
"""How data of a kind of model is read."""
_SAME = 0.5
"""Share of the training's images in other data, and of that data in the training, from which both are one."""


@dataclass(frozen=True)
class Whereabouts:
    """Where the data of a training lies now, or other data.

    Attributes:
        advice: What to run where the data is not there any more.
        data: Where it lies; None for where it lay at the training.
        images: Folder of the images, where they do not lie beside the table.
        store: Remembers the content of files; None for that of the training.
        images_advice: What to run where only the images are not there any more; None for ``advice`` with
            ``--images``.
    """

    advice: str
    data: Path | None = None
    images: Path | None = None
    store: Path | None = None
    images_advice: str | None = None


@dataclass(frozen=True)
class Data:
    """Data, and what a run knows of it.

    Attributes:
        dataset: Of the training's own data, each image bears the name that the run recorded.
        splits: The recorded splits by name; empty for other data.
        leaks: Images of other splits that are near-duplicates of training images, with those, by name.
        groups: The recorded groups by name, of images that do not stand alone.
    """

    dataset: Dataset
    splits: dict[str, str]
    leaks: dict[str, str]
    groups: dict[str, int]

    @property
    def is_own(self) -> bool:
        """Whether it is the data of the training."""
        return bool(self.splits)


def read_again(run: Run, trained: TrainingSettings, read: Read, where: Whereabouts, console: Console) -> Data:
    """Read the data of a training again, or other data.

    Where the data lies is no matter: an image is known by its content, whatever it is called now. So a data
    set that was moved or renamed keeps the splits of the training.

    Args:
        run: Its run.
        trained: Its settings, with paths as seen from here.
        read: Reads data of its kind.
        where: Where the data lies now.
        console: Told what was found.

    Raises:
        DataError: It cannot be read, is not there any more, or holds none of the training's images.
    """
    records = run.images
    if where.data is None:
        dataset = _read_in_place(run.folder, trained, read, where, console)
    else:
        dataset = _read_other(trained, read, DataSource(where.data, where.images), console)
    store = FeatureStore(where.store or trained.store)
    digests = digests_of(dataset.images, store)
    corrected, digests = _corrected(dataset, digests, run, records, store, console)
    if where.data is None and _is_unchanged(corrected, digests, records):
        return _own(corrected, records)
    found = _recognised(corrected, digests, records)
    count = len(found.images)
    if where.data is None and not count:
        raise _moved(f"None of the images of {run.folder} is in {dataset.source} any more.", where.advice)
    if where.data is not None and count < _SAME * max(len(records), len(dataset.images)):
        return Data(dataset, {}, {}, {})
    others = len(corrected.images) - count
    left_out = f"; {others:,} other images are left out" if others else ""
    console.say(
        f"{count:,} of {len(records):,} images are those of the training by content{left_out}: "
        "its splits stand"
    )
    return _own(found, records)


def _corrected(
    dataset: Dataset,
    digests: Digests,
    run: Run,
    records: Sequence[ImageRecord],
    store: FeatureStore,
    console: Console,
) -> tuple[Dataset, Digests]:
    """Return data with the corrections that the run has learnt, as it was scored against them."""
    column: Column = "caption" if all(record.label is None for record in records) else "label"
    corrections = learnt_corrections(run, column, console)
    if not corrections:
        return dataset, digests
    known = {image.name: bytes.fromhex(digest) for image, digest in digests}
    contents = [known.get(image.name) for image in dataset.images]
    found = with_corrections(dataset, contents, corrections, column)
    now = {image.name: image for image in found.images}
    again = [(now[image.name], digest) for image, digest in digests]
    return found, [*again, *digests_of(found.images[len(contents) :], store)]


def _is_unchanged(dataset: Dataset, digests: Digests, records: Sequence[ImageRecord]) -> bool:
    """Say whether every recorded image is there under its name, with its content as far as it can be read.

    Where files were numbered anew, a name of a test image may be that of a training image now.
    """
    now = {image.name: "" for image in dataset.images} | {image.name: digest for image, digest in digests}
    return all(now.get(record.name) in ("", record.sha256) for record in records)


def _own(dataset: Dataset, records: Sequence[ImageRecord]) -> Data:
    return Data(
        dataset,
        {record.name: record.split for record in records if record.split is not None},
        {record.name: record.leak for record in records if record.leak is not None},
        {record.name: record.group for record in records if record.group is not None},
    )


def _read_in_place(
    run: Path, trained: TrainingSettings, read: Read, where: Whereabouts, console: Console
) -> Dataset:
    source = source_of(trained, images=where.images)
    if not source.data.exists():
        raise _moved(f"The data of {run} was at {source.data}, and is not there any more.", where.advice)
    if where.images is None and source.images is not None and not source.images.exists():
        what = f"The images of {run} were in {source.images}, and are not there any more."
        advice = where.images_advice or f"{where.advice} --images DIR"
        raise _moved(what, advice.replace("DATA", shlex.quote(str(source.data))))
    try:
        return read(source, console)
    except DataError as error:
        what = f"The data of {run}, at {source.data}, cannot be read any more: {error.what}"
        raise _moved(what, where.advice) from error


def _read_other(trained: TrainingSettings, read: Read, other: DataSource, console: Console) -> Dataset:
    """Read data in the form of the training's, such as its columns; else as it is recognised."""
    try:
        return read(replace(source_of(trained), data=other.data, images=other.images), console)
    except (DataError, ConfigError):
        return read(other, console)


def _moved(what: str, advice: str) -> DataError:
    hint = "Name where it lies now: its images are known by their content, whatever they are called."
    return DataError(what, hint=hint, run=advice)


def _recognised(dataset: Dataset, digests: Digests, records: Sequence[ImageRecord]) -> Dataset:
    """Return the images that a run recorded, known by their content, under the names it recorded."""
    by_content: defaultdict[str, list[AnnotatedImage]] = defaultdict(list)
    for image, digest in digests:
        by_content[digest].append(image)
    recorded: defaultdict[str, dict[str, ImageRecord]] = defaultdict(dict)
    for record in records:
        recorded[record.sha256][record.name] = record
    labels = {record.label for record in records}
    known: dict[str, AnnotatedImage] = {}  # by the name that it has now
    for digest, named in recorded.items():
        same = by_content[digest]
        # Of copies, those that kept their names are taken for what they were.
        left = iter([image for image in same if image.name not in named])
        kept = {image.name: image for image in same}
        for name, record in named.items():
            now = kept.get(name) or next(left, None)
            if now is not None:
                # A class folder of another name is still of the class that was learnt.
                label = now.label if now.label in labels else record.label
                known[now.name] = replace(now, name=name, label=label)
    images = tuple(known[image.name] for image in dataset.images if image.name in known)
    return replace(dataset, images=images)


def digests_of(images: Sequence[AnnotatedImage], store: FeatureStore) -> Digests:
    """Return the SHA-256 of the images that can be read, each with its image."""
    found: Digests = []
    fresh = []
    for image in images:
        digest: bytes | None = None
        try:
            stamp = FileStamp.of(image.path)
            with suppress(StoreError):  # of a store that may not be written, too, images are known
                digest = store.digest_of(stamp)
            if digest is None:
                digest = content_digest(read_content(image.path))
                fresh.append((stamp, digest))
        except (OSError, ImageError):
            continue  # named by the extraction where it is asked for
        found.append((image, digest.hex()))
    with suppress(StoreError):
        store.remember_digests(fresh)
    return found
