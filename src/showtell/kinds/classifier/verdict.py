"""What the score of a classifier is worth: of how many groups it is, and whether it beats trivial ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from showtell.data.groups import Groups
from showtell.data.records import AnnotatedImage
from showtell.kinds.classifier.baselines import Margin, Trivial, margin
from showtell.kinds.classifier.folds import groups_by_class

Ints = npt.NDArray[np.int64]

FEW_GROUPS = 10
"""Fewer groups in validation say too little of a score."""
_SMALL = 300
"""Up to as many groups in all, a class without any in validation is scored by cross-validation, too."""
FREQUENT, NEAREST = "the most frequent class", "the nearest neighbour's class"


def group_numbers(images: Sequence[AnnotatedImage], of: Mapping[str, int]) -> Ints:
    """Return each image's group, (N,); one of its own where none is known."""
    return np.array([of.get(image.name, -1 - place) for place, image in enumerate(images)], np.int64)


def wants_folds(train: Sequence[AnnotatedImage], val: Sequence[AnnotatedImage], groups: Groups) -> bool:
    """Tell whether validation holds too few groups, or too few classes, to score by."""
    of = groups.of
    if len({of[image.name] for image in val}) < FEW_GROUPS:
        return True
    missing = {image.label for image in train} - {image.label for image in val}
    return bool(missing) and groups.count <= _SMALL


def why_no_score(labels: Ints, groups: Ints, classes: Sequence[str]) -> str:
    """Return why images cannot be scored by cross-validation over groups; empty where they can.

    Args:
        labels: Of training and validation, (N,).
        groups: Each image's group, (N,).
        classes: Their names.
    """
    of_class = groups_by_class(labels, groups)
    if sum(len(found) > 1 for found in of_class.values()) >= 2:
        return ""
    single = [classes[label] for label, found in of_class.items() if len(found) == 1]
    return (
        f"{len(labels):,} images are {len(np.unique(groups)):,} groups, and "
        f"{', '.join(map(repr, single[:5]))}{', ...' if len(single) > 5 else ''} "
        f"{'has' if len(single) == 1 else 'have'} only one, so that no other "
        "group of it is left to be scored"
    )


def margins(right: npt.NDArray[np.bool_], trivial: Trivial, groups: Ints) -> dict[str, Margin]:
    """Compare a model with what needs no training, on the same images."""
    return {
        FREQUENT: margin(right, trivial.frequent, groups),
        NEAREST: margin(right, trivial.nearest, groups),
    }


def verdict(accuracy: float, interval: tuple[float, float], found: Mapping[str, Margin], scored: str) -> str:
    """Say in one line whether a model is better than what needs no training.

    Args:
        accuracy: The model's.
        interval: Its 95% interval.
        found: Against each trivial classifier, by its name.
        scored: On what, such as ``120 images in 10 groups``.
    """
    parts = []
    for name, one in found.items():
        by = f"{one.accuracy:.2f}; by {one.by:+.2f}, {one.interval[0]:+.2f} to {one.interval[1]:+.2f}"
        if one.beaten:
            parts.append(f"better than {name} ({by})")
        elif one.interval[1] < 0:
            parts.append(f"worse than {name} ({by})")
        else:
            parts.append(f"not shown to be better than {name} ({by})")
    low, high = interval
    return f"Accuracy {accuracy:.2f} ({low:.2f} to {high:.2f}) on {scored}: {', '.join(parts)}"
