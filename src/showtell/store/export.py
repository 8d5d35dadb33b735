"""Features written for other tools: the images of a data set with their words, or every record of a space."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from showtell.console import Console, human_bytes, many
from showtell.data.annotated import report_problems
from showtell.data.images import read_content
from showtell.data.readers import read_images
from showtell.data.records import AnnotatedImage, Problem
from showtell.data.source import DataSource
from showtell.errors import ImageError, StoreError
from showtell.files import nearest_existing, new_folder, write_atomic
from showtell.store.export_formats import WRITERS, Row, Writer
from showtell.store.record import content_digest, record_key
from showtell.store.settings import ExportFormat
from showtell.store.space import FeatureSpace
from showtell.store.store import FeatureStore, FileStamp

_BATCH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported.

    Attributes:
        rows: Number of images.
        bytes: Of all files.
        missing: Names of images that have no features, or cannot be read.
    """

    rows: int
    bytes: int
    missing: tuple[str, ...]


def export_features(
    store: FeatureStore,
    space: FeatureSpace,
    folder: Path,
    format: ExportFormat,
    data: DataSource | None,
    console: Console,
) -> Exported:
    """Write the features of a space into a new folder, with ``space.json``, which says what shaped them.

    Args:
        store: Knows which content a file has.
        space: Which features.
        folder: Where to; new or empty. It stands there whole or not at all.
        format: See `showtell.store.export_formats`.
        data: Images whose features are wanted, in their order; None for every record, by its key.
        console: Told the forecast, the progress and the result.

    Raises:
        StoreError: The folder is not empty, the disk has no room, or nothing is there to be exported.
        DataError: The data cannot be read.
        MissingExtraError: The format needs a package that is not installed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder} is there already.", hint="Expected a new folder.")
    missing: tuple[str, ...] = ()
    rows = [Row(key, key.hex()) for key in space] if data is None else []
    if data is not None:
        rows, missing = _rows_of(data, store, space, console)
    if not rows:
        raise StoreError(f"Feature space {space.id} has none of these images.", run="showtell extract DATA")
    _forecast(space, len(rows), folder, console)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(folder) as partial:
            _write(rows, space, WRITERS[format](partial, space.form, len(rows)), console)
            description = json.dumps(dict(space.description), ensure_ascii=False, indent=1)
            write_atomic(partial / "space.json", description)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written: {error}.", hint="Free some space, or name another folder."
        ) from error
    size = sum(path.stat().st_size for path in folder.iterdir())
    console.say(f"Exported {many(len(rows), 'image', 'images')}, {human_bytes(size)}, to {folder}")
    return Exported(len(rows), size, missing)


def _write(rows: Sequence[Row], space: FeatureSpace, writer: Writer, console: Console) -> None:
    try:
        with console.bar(len(rows), "exporting", "images") as bar:
            for batch in _batches(rows, max(1, _BATCH_BYTES // space.record_bytes)):
                writer.write(batch, *space.get([row.key for row in batch]))
                bar.update(len(batch))
    finally:
        writer.close()


def _rows_of(
    data: DataSource, store: FeatureStore, space: FeatureSpace, console: Console
) -> tuple[list[Row], tuple[str, ...]]:
    """Return the images that have features, and the names of the others, which are said."""
    dataset, _ = read_images(data)
    problems, found = [], []
    with console.bar(len(dataset.images), "looking up", "images") as bar:
        for image in dataset.images:
            try:
                found.append((image, record_key(_digest(image, store))))
            except (OSError, ImageError) as error:
                problems.append(Problem("unreadable image", image.name, str(error)))
            bar.update(1)
    absent = set(space.missing([key for _, key in found]))
    problems += [
        Problem(
            "image without features", found[i][0].name, "run showtell extract first, or name another --space"
        )
        for i in sorted(absent)
    ]
    report_problems(problems, console)
    rows = [
        Row(key, image.name, image.label, image.captions, image.split)
        for i, (image, key) in enumerate(found)
        if i not in absent
    ]
    return rows, tuple(problem.where for problem in problems)


def _digest(image: AnnotatedImage, store: FeatureStore) -> bytes:
    return store.digest_of(FileStamp.of(image.path)) or content_digest(read_content(image.path))


def _forecast(space: FeatureSpace, count: int, folder: Path, console: Console) -> None:
    """Say how much will be written.

    Raises:
        StoreError: The disk has too little room.
    """
    there = nearest_existing(folder)
    size, free = count * space.record_bytes, shutil.disk_usage(there).free
    console.say(
        f"Exporting {many(count, 'image', 'images')}: {human_bytes(size)} of {human_bytes(free)} free"
    )
    if size > free:
        raise StoreError(
            f"The features of {count} images take {human_bytes(size)}; {there} has {human_bytes(free)} free.",
            hint="Name a folder on a larger disk.",
        )


def _batches(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
