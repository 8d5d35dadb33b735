"""Where predictions of many images are written, so that a kill at any moment repeats none and loses few.

What is there is kept: by an earlier run that was stopped, or by a person. A table grows at its end; a file
beside an image is whole or absent.
"""

import csv
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError, DataError
from showtell.files import parse_json, take_lock, write_atomic
from showtell.kinds.result import Result
from showtell.kinds.xmp import read_description, write_description, xmp_beside
from showtell.runs.records import JsonObject


class Written(ABC):
    """Where predictions are written."""

    @abstractmethod
    def has(self, image: AnnotatedImage) -> bool:
        """Say whether an image's is written already."""

    @abstractmethod
    def add(self, image: AnnotatedImage, result: Result) -> None:
        """Write what an image shows."""


@contextmanager
def written_to(
    out: Path, images: Sequence[AnnotatedImage], *, has_scores: bool, overwrite: bool, console: Console
) -> Iterator[Written]:
    """Open where predictions are written.

    Args:
        out: A table ``.csv``, JSON lines ``.jsonl``, or ``sidecar`` or ``xmp`` for files beside the images.
        images: Of all that is to be written.
        has_scores: Whether results are classes rather than sentences.
        overwrite: Write anew what is there.
        console: Told what is left as it is.

    Raises:
        ConfigError: The file is something else, another process writes it, or images share a sidecar.
    """
    if str(out) == "xmp":
        yield _Xmp(overwrite, console)
    elif str(out) == "sidecar":
        yield _Texts(images, overwrite)
    else:
        columns = ("image", "class", "probability") if has_scores else ("image", "caption")
        with _locked(out) as descriptor:
            yield (_Csv if out.suffix.lower() == ".csv" else _JsonLines)(
                out, descriptor, columns, overwrite, console
            )


def caption_of(result: Result) -> str:
    """Return what is written of an image: its caption, or its likeliest class."""
    return next(iter(result.scores), result.text)


@contextmanager
def _locked(out: Path) -> Iterator[int]:
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = take_lock(out, needed=False)
    except BlockingIOError as error:
        raise ConfigError(
            f"Another process is writing {out}.", hint="Wait until it has ended, or name another file."
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Table(Written):
    """A file with a line for each image.

    Args:
        out: The file, made where it is missing.
        descriptor: Of the same file, open for reading and writing.
        columns: Of the table.
        overwrite: Begin with an empty file.
        console: Told of a line that was cut off.

    Raises:
        ConfigError: The file is something else.
    """

    def __init__(
        self, out: Path, descriptor: int, columns: tuple[str, ...], overwrite: bool, console: Console
    ) -> None:
        self.out, self.columns, self._descriptor = out, columns, descriptor
        content = b"" if overwrite else out.read_bytes()
        whole = content[: self._whole(content)]
        if len(whole) < len(content) and not overwrite:
            cut = content[len(whole) :].decode("utf-8", "replace").strip()
            console.say(f"{out}: the last line was cut off and is written again: {cut[:100]}")
        self._names = self._read(whole.decode("utf-8-sig", "surrogateescape")) if whole else set()
        os.ftruncate(descriptor, len(whole))
        os.lseek(descriptor, 0, os.SEEK_END)
        if not whole and (head := self._head()):
            self._write(head)

    def has(self, image: AnnotatedImage) -> bool:
        return image.name in self._names

    def add(self, image: AnnotatedImage, result: Result) -> None:
        self._write(self._line(image.name, result))
        self._names.add(image.name)

    def _write(self, text: str) -> None:
        content = text.encode("utf-8", "surrogateescape")
        while content:
            content = content[os.write(self._descriptor, content) :]

    def _whole(self, content: bytes) -> int:
        """Return how much of a file is whole lines: a kill or a full disk may cut off the last one."""
        return content.rfind(b"\n") + 1

    def _head(self) -> str:
        return ""

    @abstractmethod
    def _read(self, text: str) -> set[str]:
        """Return the names of the images that are there."""

    @abstractmethod
    def _line(self, name: str, result: Result) -> str:
        """Return an image's line."""


class _Csv(_Table):
    """A table of images and captions, or of images, classes and probabilities, as every reader takes it."""

    def _whole(self, content: bytes) -> int:
        end = super()._whole(content)
        while content[:end].count(b'"') % 2:  # within a quoted name that has a line break
            end = content.rfind(b"\n", 0, end - 1) + 1
        return end

    def _head(self) -> str:
        return _csv_line(self.columns)

    def _read(self, text: str) -> set[str]:
        try:
            head, *rows = csv.reader(io.StringIO(text, newline=""))
        except csv.Error:
            head, rows = [], []
        if tuple(head[: len(self.columns)]) != self.columns:
            raise ConfigError(
                f"{self.out} has the columns {', '.join(head)[:80]}; expected {', '.join(self.columns)}.",
                hint="Name another file, or --overwrite replaces this one.",
            )
        return {row[0] for row in rows if row}

    def _line(self, name: str, result: Result) -> str:
        probability = [f"{value:.4f}" for value in list(result.scores.values())[:1]]
        return _csv_line([name, caption_of(result), *probability])


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


class _JsonLines(_Table):
    """A record of each image: caption with the probability of each word, or the likeliest classes."""

    def _read(self, text: str) -> set[str]:
        try:
            return {parse_json(line)["image"] for line in text.split("\n") if line.strip()}
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f"{self.out} holds no lines of predictions: {type(error).__name__} {error}.",
                hint="Name another file, or --overwrite replaces this one.",
            ) from error

    def _line(self, name: str, result: Result) -> str:
        record: JsonObject = {"image": name} | result.record(attention=False)
        return json.dumps(record, ensure_ascii=False) + "\n"


class _Texts(Written):
    """``photo.txt`` beside ``photo.jpg``, as trainers of image generators take it."""

    def __init__(self, images: Sequence[AnnotatedImage], overwrite: bool) -> None:
        self._overwrite = overwrite
        first: dict[Path, AnnotatedImage] = {}
        for image in images:
            other = first.setdefault(_text_beside(image), image)
            if other is not image:
                raise ConfigError(
                    f"{other.path} and {image.path} would share {_text_beside(image)}.",
                    hint="Move or rename one of them, or write a table: --out captions.csv",
                )

    def has(self, image: AnnotatedImage) -> bool:
        return not self._overwrite and _text_beside(image).exists()

    def add(self, image: AnnotatedImage, result: Result) -> None:
        write_atomic(_text_beside(image), caption_of(result) + "\n")


def _text_beside(image: AnnotatedImage) -> Path:
    return image.path.with_suffix(".txt")


class _Xmp(Written):
    """``photo.jpg.xmp`` beside ``photo.jpg``, as photo managers take it."""

    def __init__(self, overwrite: bool, console: Console) -> None:
        self._overwrite, self._console = overwrite, console

    def has(self, image: AnnotatedImage) -> bool:
        path = xmp_beside(image.path)
        try:
            described = path.exists() and read_description(path) is not None
        except DataError as error:  # somebody's file, which is not ours to replace
            self._console.say(f"{error.what} It is left as it is")
            return True
        return described and not self._overwrite

    def add(self, image: AnnotatedImage, result: Result) -> None:
        write_description(xmp_beside(image.path), result.text, tuple(result.scores)[:1])
