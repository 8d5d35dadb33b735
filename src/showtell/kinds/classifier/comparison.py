"""Two classifiers on the same images."""

from collections.abc import Sequence

import numpy as np

from showtell.evaluation.class_scores import class_counts, macro_f1
from showtell.evaluation.intervals import Ints, Scores
from showtell.evaluation.paired import Paired, PairedImage, check_same_truths, paired_scores
from showtell.runs.records import JsonObject

_NAMES = ("accuracy", "macro_f1", "log_likelihood")
_LIMITS = np.array([(0.0, 1.0), (0.0, 1.0), (-np.inf, 0.0)])


def compare_classes(first: Sequence[JsonObject], second: Sequence[JsonObject], groups: Ints | None) -> Paired:
    """Score the classes that two runs name; an image is won by the run that alone is right.

    Args:
        first: Lines of ``predictions-SPLIT.jsonl``, N, in the order of the images' names.
        second: The other run's, of the same images with the same labels.
        groups: Each image's group, (N,); None where each stands alone.

    Raises:
        DataError: Labels differ.
    """
    truths = [(one["image"], one["label"], other["label"]) for one, other in zip(first, second)]
    check_same_truths(truths, "labels")
    named = [[next(iter(line["classes"])) for line in lines] for lines in (first, second)]
    labels = [line["label"] for line in first]
    places = {name: place for place, name in enumerate(sorted({*labels, *named[0], *named[1]}))}
    right = np.array([places[label] for label in labels])

    def statistics(lines: Sequence[JsonObject], said: Sequence[str]) -> Scores:
        """Return log-likelihood, one, and counts by class of each image: (N, 2 + 3C)."""
        likelihood = [line["log_likelihood"] for line in lines]
        counts = class_counts(right, np.array([places[name] for name in said]), len(places))
        return np.column_stack([likelihood, np.ones(len(lines)), counts])

    def score(sums: Scores) -> Scores:
        """Return accuracy, macro-F1 and mean log-likelihood, (..., 3)."""
        images, counts = sums[..., 1], sums[..., 2:]
        correct = counts[..., : len(places)].sum(-1)
        return np.stack([correct / images, macro_f1(counts), sums[..., 0] / images], axis=-1)

    ours, theirs = statistics(first, named[0]), statistics(second, named[1])
    images = tuple(
        PairedImage(
            one["image"],
            (one["label"],),
            said,
            (float(said[0] == one["label"]), float(said[1] == one["label"])),
            (one["log_likelihood"], other["log_likelihood"]),
        )
        for one, other, said in zip(first, second, zip(*named))
    )
    return Paired(
        "accuracy",
        paired_scores(_NAMES, ours, theirs, score, limits=_LIMITS, groups=groups),
        images,
        len(images) if groups is None else len(set(groups.tolist())),
    )
