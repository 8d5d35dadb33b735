"""Cross-validation, where validation has few groups: each group is scored by heads that saw none of it.

Letters: N images, D features, C classes.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch

from showtell.console import Console, many
from showtell.data.groups import group_numbers
from showtell.data.names import few
from showtell.data.records import AnnotatedImage
from showtell.extraction.prepared import Prepared
from showtell.kinds.classifier.data import (
    Examples,
    HeadData,
    Ints,
    label_numbers,
    read_examples,
    wants_folds,
)
from showtell.kinds.classifier.evaluation import ClassEvaluation
from showtell.kinds.classifier.heads import choose_head, fit_heads, fit_temperature
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.classifier.verdict import Trivial, trivial_answers
from showtell.models.heads import Head

Fit = Callable[[Examples, Examples, int], Head]

_MOST, _LEAST = 10, 3
"""Folds, at most and where the groups allow, at least."""
_ASIDE = 4
"""One group of a class in so many is set aside, within a fold, to choose the head by."""


@dataclass(frozen=True)
class OutOfFold:
    """What heads say of images whose group they have not seen.

    Attributes:
        rows: The images that were scored, in order: those of classes that have two groups or more.
        probabilities: Of each of them, (rows, C), float32, after temperature scaling.
        trivial: What the trivial classifiers of the same folds say of them.
        folds: How many there were.
    """

    rows: Ints
    probabilities: npt.NDArray[np.float32]
    trivial: Trivial
    folds: int


def groups_by_class(labels: Ints, groups: Ints) -> dict[int, Ints]:
    """Return by class the groups that hold images of it."""
    return {int(label): np.unique(groups[labels == label]) for label in np.unique(labels)}


def cross_validate(examples: Examples, groups: Ints, classes: int, fit: Fit, *, seed: int) -> OutOfFold:
    """Score a way of training, nested: what chooses a head has not seen what scores it.

    Args:
        examples: Plain features of the images, N.
        groups: Each image's group, (N,); two classes or more must have two groups or more.
        classes: C.
        fit: Trains on the first and chooses by the second, which is so many groups.
        seed: Of the folds.
    """
    labels = examples.labels.numpy()
    folds = _deal(labels, groups, seed)
    probabilities = np.zeros((len(labels), classes), np.float32)
    trivial = Trivial.empty(len(labels))
    for fold in np.unique(folds[folds >= 0]):
        out = folds == fold
        rest = np.flatnonzero(~out)
        aside = _set_aside(labels[rest], groups[rest], seed)
        learn = _part(examples, rest[~aside])
        check = _part(examples, rest[aside]) if aside.any() else learn
        head = fit(learn, check, len(np.unique(groups[rest[aside]])) if aside.any() else 1)
        with torch.inference_mode():
            temperature = fit_temperature(head(check.pooled), check.labels)
            found = (head(examples.pooled[torch.from_numpy(out)]) / temperature).softmax(1)
        probabilities[out] = found.numpy()
        trivial.fill(out, trivial_answers(_part(examples, rest), _part(examples, np.flatnonzero(out))))
    rows = np.flatnonzero(folds >= 0)
    return OutOfFold(rows, probabilities[rows], trivial.of(rows), int(folds.max()) + 1)


def _deal(labels: Ints, groups: Ints, seed: int) -> Ints:
    """Return each image's fold, (N,): groups stay whole, each class is spread; -1 is only learnt from.

    As many folds as the classes have groups in the middle of their order, so that most folds hold one of
    each class: without one group, its class would be the rarer one, and the head would lean the other way.
    """
    of_class = {label: found for label, found in groups_by_class(labels, groups).items() if len(found) > 1}
    count = int(np.clip(np.median([len(found) for found in of_class.values()]), _LEAST, _MOST))
    fold_of: dict[int, int] = {}
    random = np.random.default_rng(seed)
    dealt = 0
    for label in sorted(of_class, key=lambda label: (len(of_class[label]), label)):
        for group in random.permutation(of_class[label]).tolist():
            if group not in fold_of:
                fold_of[group] = dealt % count
                dealt += 1
    scored = np.isin(labels, list(of_class))
    folds = np.array([fold_of.get(group, -1) for group in groups.tolist()])
    return np.where(scored, folds, -1)


def _set_aside(labels: Ints, groups: Ints, seed: int) -> npt.NDArray[np.bool_]:
    """Return which images choose the head, (N,): of each class one group in four, but never its only one."""
    random = np.random.default_rng(seed)
    chosen: set[int] = set()
    left: defaultdict[int, set[int]] = defaultdict(set)
    by_class = groups_by_class(labels, groups)
    for label, found in by_class.items():
        left[label] = set(found.tolist())
    for found in by_class.values():
        for group in random.permutation(found)[: -(-len(found) // _ASIDE)].tolist():
            holding = [other for other in left if group in left[other]]
            if all(len(left[other]) > 1 for other in holding):
                chosen.add(group)
                for other in holding:
                    left[other].discard(group)
    return np.isin(groups, list(chosen))


def _part(examples: Examples, rows: Ints) -> Examples:
    places = torch.from_numpy(rows)
    return Examples(examples.pooled[places], examples.labels[places])


def why_unscored(
    prepared: Prepared, train: Sequence[AnnotatedImage], val: Sequence[AnnotatedImage], classes: Sequence[str]
) -> str:
    """Return why neither validation nor cross-validation can score; empty where one can."""
    pool = [*train, *val]
    labels = label_numbers(pool, classes).numpy()
    if prepared.brought and not val:
        return "none of its validation images can be read and is of a class that is learnt"
    if prepared.brought:
        count = len({prepared.groups.of[image.name] for image in val})
        return "" if count > 1 else f"its {len(val):,} validation images are a single group"
    if val and not wants_folds(train, val, prepared.groups):
        return ""
    return _why_no_folds(labels, group_numbers([image.name for image in pool], prepared.groups.of), classes)


def _why_no_folds(labels: Ints, groups: Ints, classes: Sequence[str]) -> str:
    """Return why images cannot be scored by cross-validation over groups; empty where they can.

    Args:
        labels: Of training and validation, (N,).
        groups: Each image's group, (N,).
        classes: Their names.
    """
    of_class = groups_by_class(labels, groups)
    if sum(len(found) > 1 for found in of_class.values()) >= 2:
        return ""
    single = [repr(classes[label]) for label, found in of_class.items() if len(found) == 1]
    return (
        f"{len(labels):,} images are {len(np.unique(groups)):,} groups, and {few(single, 5)} "
        f"{'has' if len(single) == 1 else 'have'} only one, so that no other "
        "group of it is left to be scored"
    )


def score_by_folds(
    settings: TrainClassifier, prepared: Prepared, classes: tuple[str, ...], console: Console
) -> ClassEvaluation | None:
    """Score the whole way of training by cross-validation over the groups of train and val.

    Within each fold the head and its settings are chosen anew, by groups that the fold learns from.

    Returns:
        The scores; None where validation has enough groups itself, or the data brought it.
    """
    train = [image for image in prepared.split("train") if image.label in classes]
    val = [image for image in prepared.split("val") if image.label in classes]
    if prepared.brought or not wants_folds(train, val, prepared.groups):
        return None
    known = {*train, *val}
    pool = tuple(image for image in prepared.images if image in known)
    examples = read_examples([prepared.features], pool, classes)
    groups = group_numbers([image.name for image in pool], prepared.groups.of)

    def fit(learn: Examples, check: Examples, count: int) -> Head:
        with TemporaryDirectory() as folder:
            found = fit_heads(HeadData(learn, check, len(classes)), settings, Path(folder))
        return choose_head(found, count).head

    folds = cross_validate(examples, groups, len(classes), fit, seed=settings.seed)
    scored = tuple(pool[row] for row in folds.rows)
    of = prepared.groups.of
    held = many(len({of[image.name] for image in val}), "group", "groups")
    console.say(
        f"Validation is {held}, too little for a score: cross-validation in {folds.folds} folds over the "
        f"{len({of[image.name] for image in scored}):,} groups of train and val scores how it is made"
    )
    evaluation = ClassEvaluation(
        split="val",
        classes=classes,
        images=scored,
        probabilities=folds.probabilities,
        labels=examples.labels.numpy()[folds.rows],
        uncalibrated_probabilities=folds.probabilities,
        groups=of,
    )
    return evaluation.against(folds.trivial, folds=folds.folds)
