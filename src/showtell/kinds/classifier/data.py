"""What a classifier learns from: its classes, the images of each, and their pooled features."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from showtell.console import Console
from showtell.data.annotated import report_problems
from showtell.data.groups import Groups
from showtell.data.records import AnnotatedImage, Problem
from showtell.data.split import classes_without
from showtell.errors import DataError
from showtell.extraction.features import Features
from showtell.extraction.prepared import Prepared

Ints = npt.NDArray[np.int64]

_UNBALANCED = 10
"""A class with as many times fewer training images than the largest is worth a word."""
FEW_GROUPS = 10
"""Fewer groups in validation say too little of a score."""
_SMALL = 300
"""Up to as many groups in all, a class without any in validation is scored by cross-validation, too."""


@dataclass(frozen=True)
class Examples:
    """Pooled features with their classes.

    Attributes:
        pooled: (N, D), as stored.
        labels: Positions in the model's classes, (N,), int64.
    """

    pooled: Tensor
    labels: Tensor


@dataclass(frozen=True)
class HeadData:
    """What a head is fitted to and chosen by.

    Attributes:
        train: What it is fitted to.
        validation: What chooses its settings.
        classes: How many classes there are, C.
    """

    train: Examples
    validation: Examples
    classes: int


def read_examples(
    sources: Sequence[Features], images: Sequence[AnnotatedImage], classes: Sequence[str]
) -> Examples:
    """Read pooled features, and nothing else, of images with known classes.

    Args:
        sources: One for the plain images, and one for each kind of view: N is their number times that
            of the images.
        images: Images with labels among ``classes``.
        classes: The model's, in order.
    """
    pooled = [torch.from_numpy(features.pooled(images)) for features in sources]
    return Examples(torch.cat(pooled), label_numbers(images, classes).repeat(len(sources)))


def label_numbers(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> Tensor:
    """Return the place of each image's label among the classes, (N,), int64; labels among them."""
    place = {name: number for number, name in enumerate(classes)}
    return torch.tensor([place[image.label] for image in images if image.label is not None])


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
        Problem("class with one training image", str(name), "it is learnt from one image alone")
        for name, count in sorted(counts.items(), key=str)
        if count == 1
    ]
    most, largest = max((count, str(name)) for name, count in counts.items())
    problems += [
        Problem("small class", str(name), f"{count} training images; {largest} has {most}")
        for name, count in sorted(counts.items(), key=str)
        if count > 1 and count * _UNBALANCED <= most
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


def wants_folds(train: Sequence[AnnotatedImage], val: Sequence[AnnotatedImage], groups: Groups) -> bool:
    """Tell whether validation holds too few groups, or too few classes, to score by."""
    of = groups.of
    if len({of[image.name] for image in val}) < FEW_GROUPS:
        return True
    missing = {image.label for image in train} - {image.label for image in val}
    return bool(missing) and groups.count <= _SMALL
