"""Read a data set for what is to be learnt of it, and say what was found and what is wrong with it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from showtell.console import Console
from showtell.data.readers import read_dataset
from showtell.data.readers.reading import Annotation
from showtell.data.records import Dataset, Problem
from showtell.data.source import DataSource
from showtell.errors import DataError

_MOST_NOTES = 10


def read_annotated(
    source: DataSource, annotation: Annotation, console: Console, *, to_learn: bool = False
) -> Dataset:
    """Read the images that have captions, or a label each; say what was found, and refuse data with none.

    Args:
        source: Where the data is.
        annotation: Which of the two.
        console: Told what was found.
        to_learn: Whether a single class is refused, too: it can be scored, but not learnt.

    Raises:
        DataError: It cannot be read, or holds the other of the two, or a single class to learn.
    """
    dataset = read_dataset(source, annotation)
    if annotation == "captions":
        images = tuple(image for image in dataset.images if image.captions)
        if not images:
            raise DataError(
                f"{source.data} was read as {dataset.format}, which holds no captions.{_notes(dataset)}",
                hint="A captioner needs a table with an image and a caption in each row.",
            )
        what = f"with {sum(len(image.captions) for image in images):,} captions"
    else:
        if not dataset.classes:
            raise DataError(
                f"{source.data} was read as {dataset.format}, which holds captions and no labels."
                f"{_notes(dataset)}",
                hint="A classifier needs class folders, or a table with an image and a label in each row.",
            )
        if to_learn and len(dataset.classes) == 1:
            raise _one_class(dataset)
        images = tuple(image for image in dataset.images if image.label is not None)
        what = f"of {len(dataset.classes):,} classes"
    dataset = replace(dataset, images=images)
    say_reading(dataset, f"{len(images):,} images {what}", console)
    return dataset


def _notes(dataset: Dataset) -> str:
    """Return what was guessed and left out: the table that the user means may be among it."""
    return "".join(f"\n  {note}" for note in dataset.notes[:_MOST_NOTES])


def _one_class(dataset: Dataset) -> DataError:
    """Explain that a single class leaves nothing to tell apart."""
    return DataError(
        f"{dataset.source} has a single class, {dataset.classes[0]!r}, with {len(dataset.images):,} "
        f"images: there is nothing to tell apart.{_notes(dataset)}",
        hint="Expected two classes or more: put images of something else into a folder beside it.",
    )


def say_reading(dataset: Dataset, what: str, console: Console) -> None:
    """Say how data was read, what was guessed, and what is wrong with it."""
    console.say(f"{dataset.source} is {dataset.format}: {what}")
    for note in dataset.notes:
        console.say(f"  {note}")
    report_problems(dataset.problems, console)


def report_problems(problems: Sequence[Problem], console: Console) -> None:
    """Say how many problems of each kind there are, with an example."""
    counts = Counter(problem.kind for problem in problems)
    for kind, count in counts.most_common():
        example = next(problem for problem in problems if problem.kind == kind)
        more = "" if count == 1 else ", for example"
        console.say(f"  {count:,} x {kind}{more}: {example.where}: {example.detail}")
