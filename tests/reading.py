"""What tests of readers share: files that are there, a table beside them, and what a data set holds."""

import csv
import io
import tarfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from showtell.data.readers import read_dataset
from showtell.data.readers.reading import Annotation
from showtell.data.records import Dataset
from showtell.data.source import DataSource
from showtell.errors import ShowtellError

FILES = [f"{number:02}.jpg" for number in range(12)]
WORDS = [f"a dog near tree {number}" for number in range(12)]


def read(data: Path, *, wanted: Annotation | None = None, **known: Any) -> Dataset:
    return read_dataset(DataSource(data, **known), wanted)


def read_or_refused(data: Path, names: Collection[str]) -> Dataset | None:
    """Read whatever is there; it ends in images of these names, or (None) in a message."""
    try:
        dataset = read(data)
    except ShowtellError as error:
        assert error.what
        return None
    assert {image.name for image in dataset.images} <= set(names)
    return dataset


def touch(root: Path, *names: str) -> Path:
    """Make empty files, which is enough where a name is read and no pixels are."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def write(path: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def written(header: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ",") -> str:
    """Return a table as the csv module writes it."""
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    return buffer.getvalue()


def tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a tar of files by their names."""
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def table(root: Path, header: str, *columns: Sequence[object]) -> Path:
    """Write a table by its columns, and the images of `FILES`."""
    touch(root, *(f"images/{name}" for name in FILES))
    return write(root / "t.csv", written(header.split(","), zip(*columns)))


def captions(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {image.name: image.captions for image in dataset.images}


def labels(dataset: Dataset) -> dict[str, str | None]:
    return {image.name: image.label for image in dataset.images}


def splits(dataset: Dataset) -> dict[str, str | None]:
    return {image.name: image.split for image in dataset.images}


def problems(dataset: Dataset) -> list[tuple[str, str]]:
    """Return the kind of each problem, and the last part of its place."""
    return [(problem.kind, problem.where.rpartition("/")[2]) for problem in dataset.problems]


def messages(dataset: Dataset) -> str:
    """Return all that is said of a data set."""
    return "\n".join([*dataset.notes, *(f"{one.kind} {one.where} {one.detail}" for one in dataset.problems)])


def said(dataset: Dataset, *parts: str) -> bool:
    """Tell whether one note holds all parts."""
    return any(all(part in note for part in parts) for note in dataset.notes)
