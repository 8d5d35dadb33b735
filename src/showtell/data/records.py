"""What a data set is once it has been read: pictures, their words, and what was wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture and what is known of it.

    Attributes:
        name: What the data calls it: a path with forward slashes relative to the picture folder, unique
            in its data set, Unicode NFC.
        path: The file on disk.
        captions: Its captions as written, in Unicode NFC without outer blanks, in the order of the table;
            empty for a classifier.
        label: Its class; None for a captioner.
        split: The split the data brings; None where the data brings none.
        group: What it belongs to as the data says it (a patient, a camera, a site): pictures of one group
            stay on one side of a split; None where the data says nothing.
    """

    name: str
    path: Path
    captions: tuple[str, ...] = ()
    label: str | None = None
    split: Split | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was wrong in the data and how it was handled.

    Attributes:
        kind: A short constant name, such as ``missing picture`` or ``repeated row``; problems are counted
            by it.
        where: ``file:line`` for a table, ``file:annotations[12]`` and the like for JSON, the name of the
            picture, file or folder otherwise.
        detail: The value, and what was done about it.
    """

    kind: str
    where: str
    detail: str


@dataclass(frozen=True)
class Dataset:
    """Everything a reader found.

    Attributes:
        source: The table or folder that was read.
        format: The name of the format, as ``--format`` takes it.
        pictures: All usable pictures, in a stable order.
        problems: Everything that was not usable, or was mended, one entry a place.
        classes: Class names in their order; empty for captions.
        notes: What was guessed or bridged in reading, a sentence each, with the flag that says otherwise.
    """

    source: Path
    format: str
    pictures: tuple[Picture, ...]
    problems: tuple[Problem, ...] = ()
    classes: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    def split(self, name: Split) -> tuple[Picture, ...]:
        """Return the pictures of one split, in order."""
        return tuple(picture for picture in self.pictures if picture.split == name)

    def captions(self) -> Iterator[tuple[Picture, str]]:
        """Yield every (picture, caption) pair in order."""
        for picture in self.pictures:
            for caption in picture.captions:
                yield picture, caption
