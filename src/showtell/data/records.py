"""What a data set is once it has been read: images, their words, and what was wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image and what is known of it."""

    # what the data calls it: a path with forward slashes relative to the image folder, unique in its data
    # set, Unicode NFC
    name: str
    path: Path  # the file on disk
    # its captions as written, in Unicode NFC without outer blanks, in the order of the table; empty for a
    # classifier
    captions: tuple[str, ...] = ()
    label: str | None = None  # its class; None for a captioner
    split: Split | None = None  # the split the data brings; None where the data brings none
    # what it belongs to as the data says it (a patient, a camera, a site): images of one group stay on one
    # side of a split; None where the data says nothing
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was wrong in the data and how it was handled."""

    # a short constant name, such as `missing image` or `repeated row`; problems are counted by it
    kind: str
    # `file:line` for a table, `file:annotations[12]` and the like for JSON, the name of the image, file or
    # folder otherwise
    where: str
    detail: str  # the value, and what was done about it


@dataclass(frozen=True)
class Dataset:
    """Everything a reader found."""

    source: Path  # the table or folder that was read
    format: str  # the name of the format, as `--format` takes it
    images: tuple[AnnotatedImage, ...]  # all usable images, in a stable order
    problems: tuple[Problem, ...] = ()  # everything that was not usable, or was mended, one entry a place
    classes: tuple[str, ...] = field(default=())  # class names in their order; empty for captions
    # what was guessed or bridged in reading, a sentence each, with the flag that says otherwise
    notes: tuple[str, ...] = field(default=())

    def split(self, name: Split) -> tuple[AnnotatedImage, ...]:
        """Return the images of one split, in order."""
        return tuple(image for image in self.images if image.split == name)

    def _repr_html_(self) -> str:
        from showtell.data.showing import dataset_html  # decoders are not needed to read a table

        return dataset_html(self)

    def captions(self) -> Iterator[tuple[AnnotatedImage, str]]:
        """Yield every (image, caption) pair in order."""
        for image in self.images:
            for caption in image.captions:
                yield image, caption


def strictest(earlier: Split | None, split: Split) -> Split:
    """Return what an image of two splits is in: what may be trained on must not be tested on."""
    return min(earlier or split, split, key=SPLITS.index)
