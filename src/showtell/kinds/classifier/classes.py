"""Which classes can be learnt from prepared data, and what is wrong with the others."""

from collections import Counter
from collections.abc import Sequence

from showtell.console import Console
from showtell.data.reading import report_problems
from showtell.data.records import AnnotatedImage, Problem
from showtell.data.split import classes_without
from showtell.errors import DataError
from showtell.extraction.prepared import Prepared
from showtell.kinds.classifier.verdict import wants_folds

_UNBALANCED = 10
"""A class with as many times fewer training images than the largest is worth a word."""


def learnable(
    prepared: Prepared, console: Console
) -> tuple[tuple[str, ...], tuple[AnnotatedImage, ...], tuple[AnnotatedImage, ...]]:
    """Return the classes that can be learnt, and the training and validation images of them.

    There may be none of the latter: where each class is a single group.

    Raises:
        DataError: Fewer than two classes have training images.
    """
    counts = Counter(image.label for image in prepared.split("train"))
    classes = tuple(name for name in prepared.dataset.classes if counts[name])
    if len(classes) < 2:
        raise DataError(
            f"Only {len(classes)} class of {prepared.dataset.source} has training images.",
            hint="Expected at least two classes with a few images each.",
        )
    report_problems(_imbalances(prepared, counts), console)
    val = tuple(image for image in prepared.split("val") if image.label in classes)
    return classes, prepared.split("train"), val


def _imbalances(prepared: Prepared, counts: Counter[str | None]) -> list[Problem]:
    everywhere = Counter(image.label for image in prepared.images)
    problems = [
        Problem(
            "class without training images",
            str(name),
            f"{everywhere[name]} images, none of them in train; it cannot be learnt, and is left out",
        )
        for name in prepared.dataset.classes
        if not counts[name]
    ]
    problems += [
        Problem("class with one training image", str(name), "it learned, but from one image")
        for name, count in sorted(counts.items(), key=str)
        if count == 1
    ]
    most, largest = max((count, str(name)) for name, count in counts.items())
    problems += [
        Problem("small class", str(name), f"{count} training images; {largest} has {most}")
        for name, count in sorted(counts.items(), key=str)
        if 1 < count * _UNBALANCED <= most and count > 1
    ]
    unvalidated = []
    if not wants_folds(prepared.split("train"), prepared.split("val"), prepared.groups):
        unvalidated = [name for name in classes_without(prepared.images, "val") if counts[name]]
    problems += [
        Problem("class without validation images", name, "its score is not known") for name in unvalidated
    ]
    return problems


def set_aside(
    train: Sequence[AnnotatedImage],
) -> tuple[tuple[AnnotatedImage, ...], tuple[AnnotatedImage, ...]]:
    """Part training images where there are no others to choose a head by: each fourth of a class chooses.

    They are of the scenes that are learnt from, so what they say is no score.
    """
    seen: Counter[str | None] = Counter()
    learnt: list[AnnotatedImage] = []
    chosen: list[AnnotatedImage] = []
    for image in train:
        seen[image.label] += 1
        (chosen if seen[image.label] % 4 == 0 else learnt).append(image)
    return tuple(learnt), tuple(chosen or learnt)
