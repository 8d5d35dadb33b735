"""What people corrected of what a run's model said: a data set of its own in the run's folder.

``RUN/corrections/`` holds the images and a table, ``captions.csv`` or ``labels.csv``: what was said, what is
right, who says so, and when. A training that goes on from the run learns it; it can be trained on alone, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from showtell.console import Console
from showtell.data.answers import MACHINE, Answer, AnswerTable
from showtell.data.images import read_content
from showtell.data.names import is_image_name
from showtell.data.records import AnnotatedImage, Dataset
from showtell.errors import DataError, ImageError
from showtell.files import write_atomic
from showtell.runs.run import Run
from showtell.store.store import content_digest

Column = Literal["caption", "label"]
FOLDER = "corrections"
_SAID, _SOURCE = "said", "source"
_NAME = 20
"""Digits of an image's SHA-256 that name its copy."""


@dataclass(frozen=True)
class Correction:
    """What is right of an image, beside what a model said.

    Attributes:
        image: The copy of the image in the run's folder, or the name of one of the run's data.
        digest: Of its content.
        right: The caption or the label.
        said: What the model said.
    """

    image: Path
    digest: bytes
    right: str
    said: str


class Corrections:
    """The corrections of a run.

    Args:
        run: Whose model was corrected.
        column: What is corrected.
    """

    def __init__(self, run: Run, column: Column) -> None:
        self._run = run
        self.folder = run.folder / FOLDER
        self.column: Column = column
        self.table = AnswerTable(self.folder / f"{column}s.csv", column, (_SAID, _SOURCE))

    def add(self, content: bytes, right: str, *, said: str, source: str = "") -> None:
        """Keep a correction, and a copy of its image; both are on the disk when this returns.

        Args:
            content: Of the image's file.
            right: What the model should have said.
            said: What it said.
            source: Name of the image where it was found.

        Raises:
            DataError: There is nothing to keep, or it cannot be kept.
        """
        if not right.strip():
            raise DataError("The correction has no words.", hint=f"Expected the right {self.column}.")
        suffix = Path(source).suffix.lower() if is_image_name(source) else ".jpg"
        name = content_digest(content).hex()[:_NAME] + suffix
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / name).exists():
                write_atomic(self.folder / name, content, durable=True)
        except OSError as error:
            raise DataError(
                f"{self.folder} cannot be written, and the correction is not kept: {error.strerror}."
            ) from error
        self.table.add([Answer(name, right, more={_SAID: said, _SOURCE: source})])

    def read(self) -> list[Correction]:
        """Return all corrections that a person gave or accepted; of a label, the last one of each image.

        A row names a copy beside the table; or, written by hand, an image of the run's data.

        Raises:
            DataError: The table cannot be read, or an image is neither, such as a file elsewhere.
        """
        found: list[Correction] = []
        answers = [answer for answer in self.table.read() if answer.who != MACHINE]
        recorded = {one.name: one.sha256 for one in self._run.images} if answers else {}
        for answer in answers:
            path = self.folder / answer.image
            beside = path.resolve().is_relative_to(self.folder.resolve())
            known = None if beside and path.exists() else recorded.get(answer.image)
            if not beside and known is None:
                raise DataError(
                    f"{self.table.path} names {answer.image}, which lies outside its folder.",
                    hint="Copy the image beside the table, or name an image of the run's data.",
                )
            try:
                digest = bytes.fromhex(known) if known else content_digest(read_content(path))
            except ImageError as error:
                raise DataError(f"{self.table.path} names {answer.image}: {error.what}") from error
            found.append(Correction(path, digest, answer.text, answer.more.get(_SAID, "")))
        return found if self.column == "caption" else list({one.digest: one for one in found}.values())


def learnt_corrections(run: Run, column: Column, console: Console) -> list[Correction]:
    """Return the corrections that a run has learnt, the oldest first: of those that it went on from.

    Args:
        run: The run; what was corrected of it is not among them.
        column: What was corrected.
        console: Told of a run that was removed, and its corrections with it.

    Raises:
        DataError: A table cannot be read, or names no image.
    """
    found: list[Correction] = []
    seen = {run.folder.resolve()}  # a run that was renamed may seem to have gone on from itself
    while (before := run.before) is not None and before.has_images and before.folder.resolve() not in seen:
        found = [*Corrections(before, column).read(), *found]
        seen.add(before.folder.resolve())
        run = before
    if before is not None and not before.has_images:
        console.say(
            f"Warning: {run.folder} went on from {before.folder}, which is not there any more; what was "
            "corrected of it and before is not known, and the data counts as it stands"
        )
    return found


def with_corrections(
    dataset: Dataset, digests: Sequence[bytes | None], corrections: Sequence[Correction], column: Column
) -> Dataset:
    """Return data with corrections in it.

    A caption is one more of its image; a label takes the place of another.

    An image that the data does not have joins train.

    Args:
        dataset: As read.
        digests: Content digest of each image; None of one that cannot be read.
        corrections: Of images in the data, or of others.
        column: What is corrected.
    """
    images = list(dataset.images)
    places: dict[bytes, list[int]] = {}
    for place, digest in enumerate(digests):
        if digest is not None:
            places.setdefault(digest, []).append(place)
    for one in corrections:
        if one.digest not in places:
            places[one.digest] = [len(images)]
            images.append(AnnotatedImage(f"{FOLDER}/{one.image.name}", one.image, split="train"))
        for place in places[one.digest]:
            image = images[place]
            if column == "label":
                images[place] = replace(image, label=one.right)
            elif one.right not in image.captions:
                images[place] = replace(image, captions=(*image.captions, one.right))
    classes = tuple(sorted({image.label for image in images if image.label is not None}))
    return replace(dataset, images=tuple(images), classes=classes)
