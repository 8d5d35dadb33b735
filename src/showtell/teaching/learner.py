"""The model that learns while it is taught: a linear head, fitted again after every answer.

Letters: N images with features, L of them with a label, D features, C classes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from showtell.evaluation.intervals import wilson
from showtell.kinds.classifier.heads import fit_logistic, fit_temperature
from showtell.models.heads import HeadConfig, LinearHead
from showtell.teaching.doubts import doubted
from showtell.teaching.order import Floats, random_place, random_sample

L2 = 1.0
"""Penalty of the head's weights: strong, since labels are few and some are wrong (docs/log.md)."""
FOLDS, ALL = 5, -1
"""Heads of cross-validation are 0 to 4; the one that is fitted to everything is -1."""
_LEAST = 5
"""Images of a random sample that say anything."""
_BETWEEN = 10
"""Labels between two models that are compared to see whether more labels still change anything."""
_STABLE, _WINDOW = 0.99, 3
"""Agreement, as Cohen's kappa, that the last so many pairs of models must have on average."""


@dataclass(frozen=True)
class Lesson:
    """What is learnt from, at one moment.

    Attributes:
        names: Images whose features are there, N.
        pooled: Their features, (N, D).
        labels: Label of each image that has one, whether its features are there or not.
        skipped: Images that were put off.
        waiting: Images whose features are not there yet.
    """

    names: Sequence[str]
    pooled: Tensor
    labels: Mapping[str, str]
    skipped: frozenset[str] = frozenset()
    waiting: Sequence[str] = ()

    def examples(self) -> tuple[tuple[str, ...], Tensor, Tensor]:
        """Return the classes that have images, their rows (L,) and the numbers of their classes (L,)."""
        rows = [row for row, name in enumerate(self.names) if name in self.labels]
        labels = [self.labels[self.names[row]] for row in rows]
        classes = tuple(sorted(set(labels)))
        number = {name: place for place, name in enumerate(classes)}
        return classes, torch.tensor(rows), torch.tensor([number[label] for label in labels])


@dataclass(frozen=True)
class Fitted:
    """What a head says of all images.

    Attributes:
        head: The head.
        classes: Its classes: those that have images; C.
        probabilities: Of the images of the lesson, (N, C).
        temperature: What its logits were divided by.
    """

    head: LinearHead
    classes: tuple[str, ...]
    probabilities: Floats
    temperature: float


@dataclass(frozen=True)
class Scored:
    """What heads say of labels that they have not seen.

    Attributes:
        labelled: How many images have a label, L.
        sample: How many of them are the random sample.
        right: How many of the sample are said as they are labelled.
        interval: 95%, of the share that is right; None where the sample is too small to tell anything.
        confused: Label, what was said instead, and how often, the most frequent first.
        doubted: Images whose label is doubted, the most doubtful first, with what is said instead.
        temperature: What logits are divided by, so that probabilities mean what they say.
    """

    labelled: int
    sample: int
    right: int
    interval: tuple[float, float] | None
    confused: tuple[tuple[str, str, int], ...]
    doubted: tuple[tuple[str, str], ...]
    temperature: float

    @classmethod
    def of(
        cls,
        lesson: Lesson,
        classes: tuple[str, ...],
        labels: Tensor,
        shares: Tensor,
        temperature: float,
        names: Sequence[str],
    ) -> "Scored":
        """Score probabilities out of fold, (L, C), of labels (L,) and images, by name."""
        probabilities, given = shares.numpy(), labels.numpy()
        said = probabilities.argmax(1)
        right = dict(zip(names, (said == given).tolist()))
        sample = random_sample([*lesson.names, *lesson.waiting], right, lesson.skipped)
        count, good = len(sample), sum(right[name] for name in sample)
        pairs = Counter((classes[a], classes[b]) for a, b in zip(given, said) if a != b)
        instead = probabilities.copy()
        instead[np.arange(len(given)), given] = -1
        return cls(
            len(names),
            count,
            good,
            wilson(good / count, count) if count >= _LEAST else None,
            tuple((*pair, times) for pair, times in pairs.most_common(5)),
            tuple(
                (names[row], classes[instead[row].argmax()]) for row in doubted(probabilities, given).tolist()
            ),
            temperature,
        )


class Learner:
    """Fits heads one after another, each from where the last one ended."""

    def __init__(self) -> None:
        self._heads: dict[int, tuple[tuple[str, ...], LinearHead]] = {}
        self._said: list[tuple[int, list[str]]] = []
        self._known: tuple[int, LinearHead, Tensor] | None = None

    def fit(self, lesson: Lesson, temperature: float = 1.0) -> Fitted | None:
        """Fit a head to all labels; None while fewer than two classes have images."""
        classes, rows, labels = lesson.examples()
        if len(classes) < 2:
            return None
        standardised = self._standardised(lesson)
        head = self._fit(ALL, classes, standardised[rows], labels)
        with torch.inference_mode():
            found = (head.logits(standardised) / temperature).softmax(1).numpy()
        if not self._said or len(rows) >= self._said[-1][0] + _BETWEEN:
            self._said.append((len(rows), [classes[said] for said in found.argmax(1).tolist()]))
        return Fitted(head, classes, found, temperature)

    def score(self, lesson: Lesson) -> Scored | None:
        """Score by cross-validation over the labels; None while too few say anything.

        Each label is held against a head that was fitted to about four fifths of them, but not to it: every
        answer is learnt from, and none is scored by what learnt it. The accuracy is that of the random sample
        alone: images that were asked because they are hard would make it too low.
        """
        classes, rows, labels = lesson.examples()
        if len(classes) < 2:
            return None
        names = [lesson.names[row] for row in rows.tolist()]
        folds = torch.tensor([random_place(name)[-1] % FOLDS for name in names])
        standardised = self._standardised(lesson)
        logits = torch.zeros(len(rows), len(classes))
        for fold in folds.unique().tolist():
            out = folds == fold
            if len(labels[~out].unique()) < 2:
                return None
            head = self._fit(fold, classes, standardised[rows[~out]], labels[~out])
            with torch.inference_mode():
                logits[out] = head.logits(standardised[rows[out]])
        temperature = fit_temperature(logits, labels)
        return Scored.of(lesson, classes, labels, (logits / temperature).softmax(1), temperature, names)

    def is_stable(self) -> bool:
        """Say whether more labels have stopped changing what is said of the images.

        Source: Bloodgood & Vijay-Shanker 2009: the mean kappa of three successive models is at least 0.99.
        """
        last = [said for _, said in self._said[-_WINDOW - 1 :]]
        if len(last) <= _WINDOW:
            return False
        return sum(kappa(*pair) for pair in pairwise(last)) / _WINDOW >= _STABLE

    def _standardised(self, lesson: Lesson) -> Tensor:
        """Return features on the scale of all images, labelled or not, (N, D)."""
        if self._known is None or self._known[0] != len(lesson.names):
            scale = LinearHead(HeadConfig("linear", lesson.pooled.shape[1], 1))
            scale.fit_scale(lesson.pooled)
            self._known = len(lesson.names), scale, scale.standardise(lesson.pooled)
        return self._known[2]

    def _fit(self, which: int, classes: tuple[str, ...], standardised: Tensor, labels: Tensor) -> LinearHead:
        """Fit a head from where its last fit ended; a class that is new begins at zero."""
        assert self._known is not None
        head = LinearHead(HeadConfig("linear", standardised.shape[1], len(classes)))
        head.feature_mean.copy_(self._known[1].feature_mean)
        head.feature_scale.copy_(self._known[1].feature_scale)
        before, last = self._heads.get(which, ((), None))
        with torch.no_grad():
            head.linear.weight.zero_()
            head.linear.bias.zero_()
            for place, name in enumerate(classes):
                if last is not None and name in before:
                    head.linear.weight[place] = last.linear.weight[before.index(name)]
                    head.linear.bias[place] = last.linear.bias[before.index(name)]
        fit_logistic(standardised, labels, head, L2)
        head.requires_grad_(False).eval()
        self._heads[which] = classes, head
        return head


def kappa(one: Sequence[str], other: Sequence[str]) -> float:
    """Return how far two models agree beyond chance, over the images that both have seen.

    Source: Cohen 1960.
    """
    pairs = list(zip(one, other))
    agreed = sum(a == b for a, b in pairs) / len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[name] * second[name] for name in first) / len(pairs) ** 2
    return 1.0 if chance == 1 else (agreed - chance) / (1 - chance)
