"""Predictions of a split and what they score, with 95% intervals."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from showtell.console import many
from showtell.data.groups import group_numbers
from showtell.data.names import few
from showtell.data.records import AnnotatedImage
from showtell.errors import DataError
from showtell.evaluation.class_scores import (
    SCORE_NAMES,
    Bin,
    ClassScores,
    class_scores,
    expected_calibration_error,
    reliability,
)
from showtell.kinds.classifier.data import Ints, read_examples
from showtell.kinds.classifier.model import SHOWN, ClassifierModel
from showtell.kinds.classifier.verdict import Margin, Trivial, margins, verdict
from showtell.kinds.kind import Question
from showtell.runs.records import EvaluationRecord, JsonObject

Floats = npt.NDArray[np.float32]

_WIDE = 12
"""Up to as many classes, the confusion matrix is printed."""
_MISTAKES = 5
"""Most confident mistakes that are named."""
_LEAST = 1e-12
"""A probability of the right class below it counts as it."""


class ClassRecord(msgspec.Struct):
    """How well one class is told; None where a figure is not defined."""

    images: int
    precision: float | None
    recall: float | None
    f1: float | None


class SubsetRecord(msgspec.Struct):
    """Accuracy on some of the images."""

    images: int
    accuracy: float
    interval_95: tuple[float, float]


class ClassEvaluationRecord(EvaluationRecord, kw_only=True):
    """``evaluation-SPLIT.json`` of a classifier.

    Attributes:
        groups: How many groups the images are of.
        classes: Figures by class, in the order of the confusion matrix.
        confusion: Counts by right class and predicted class.
        reliability: Images by how sure the prediction is, before and after temperature scaling.
        against: Margins over what needs no training, by its name.
        near_duplicates_of_training: Names of images that are.
        without_near_duplicates: Scores of the others; None where there are none, or nothing else.
    """

    groups: int
    classes: dict[str, ClassRecord]
    confusion: list[list[int]]
    reliability: dict[str, list[Bin]]
    against: dict[str, Margin]
    near_duplicates_of_training: list[str]
    without_near_duplicates: SubsetRecord | None = None


@dataclass(frozen=True)
class ClassEvaluation:
    """Predictions for a split and what they score; each score is computed once, where it is asked for.

    Attributes:
        split: Which split, or ``all`` of other data.
        classes: Their names in the order of the columns.
        images: The images, N.
        probabilities: (N, C), float32, after temperature scaling; each row sums to 1.
        labels: Positions of the right classes, (N,).
        uncalibrated_probabilities: (N, C), before temperature scaling; the others where that is not known.
        groups: Group by name; an image without one stands alone.
        leaks: Images that are near-duplicates of training images, by name.
        folds: Of cross-validation; 0 where one model was scored.
        margins: Against what needs no training, by its name; empty where that was not asked.
        doubt: Why this is not a score that says anything; empty where it does.
    """

    split: str
    classes: tuple[str, ...]
    images: tuple[AnnotatedImage, ...]
    probabilities: Floats
    labels: Ints
    uncalibrated_probabilities: Floats
    groups: Mapping[str, int] = field(default_factory=dict)
    leaks: tuple[str, ...] = ()
    folds: int = 0
    margins: Mapping[str, Margin] = field(default_factory=dict)
    doubt: str = ""

    def _repr_html_(self) -> str:
        from showtell.kinds.classifier.showing import class_evaluation_html

        return class_evaluation_html(self)

    @cached_property
    def scores(self) -> ClassScores:
        """Return the figures with intervals."""
        return self._scores_of(np.ones(len(self.images), bool))

    @cached_property
    def fresh(self) -> ClassScores | None:
        """Return the figures without near-duplicates of training images; None where that is none or all."""
        fresh = np.array([image.name not in self.leaks for image in self.images])
        return self._scores_of(fresh) if self.leaks and fresh.any() else None

    def _scores_of(self, rows: npt.NDArray[np.bool_]) -> ClassScores:
        groups = group_numbers([image.name for image in self.images], self.groups)
        return class_scores(self.probabilities[rows], self.labels[rows], groups[rows], folded=self.folds > 0)

    @cached_property
    def uncalibrated(self) -> float:
        """Return the expected calibration error without temperature scaling."""
        plain = self.uncalibrated_probabilities
        return expected_calibration_error(plain.max(1), plain.argmax(1) == self.labels)

    @cached_property
    def reliability(self) -> dict[str, list[Bin]]:
        """Return images by how sure the prediction is, ``before`` and ``after`` temperature scaling."""
        return {
            when: reliability(values.max(1), values.argmax(1) == self.labels)
            for when, values in (
                ("before", self.uncalibrated_probabilities),
                ("after", self.probabilities),
            )
        }

    @property
    def scored(self) -> str:
        """Say on how many images of how many groups, and how, the scores were made."""
        scores = self.scores
        text = f"{scores.count:,} images"
        if scores.groups < scores.count:
            text += f" in {many(scores.groups, 'group', 'groups')}"
        return text + (f", {self.folds}-fold cross-validation" if self.folds else "")

    @property
    def verdict(self) -> str:
        """Say in one line whether the model is better than what needs no training."""
        interval = self.scores.intervals["accuracy"]
        return verdict(self.scores.accuracy, interval, self.margins, self.scored)

    def against(self, trivial: Trivial, doubt: str = "", folds: int = 0) -> "ClassEvaluation":
        """Return the same, held against what needs no training."""
        right = self.probabilities.argmax(1) == self.labels
        groups = group_numbers([image.name for image in self.images], self.groups)
        beside = margins(right, trivial, groups, folded=folds > 0)
        return replace(self, margins=beside, doubt=doubt, folds=folds)

    def figures(self) -> dict[str, float]:
        """Return the figures by name, without intervals."""
        return {name: float(getattr(self.scores, name)) for name in SCORE_NAMES} | {
            "calibration_error": self.scores.calibration_error,
            "calibration_error_before_scaling": self.uncalibrated,
        }

    def mistakes(self) -> list[int]:
        """Return the rows that are wrong, the most confident first."""
        wrong = np.flatnonzero(self.probabilities.argmax(1) != self.labels)
        order = np.argsort(-self.probabilities[wrong].max(1), kind="stable")
        return [int(row) for row in wrong[order]]

    def record(self) -> ClassEvaluationRecord:
        """Return what is kept in ``evaluation-SPLIT.json``."""
        scores, fresh = self.scores, self.fresh
        return ClassEvaluationRecord(
            split=self.split,
            images=scores.count,
            scores=self.figures(),
            intervals_95=dict(scores.intervals),
            groups=scores.groups,
            folds=self.folds,
            doubt=self.doubt,
            classes={
                name: ClassRecord(
                    int(scores.confusion[i].sum()),
                    *(_number(values[i]) for values in (scores.precision, scores.recall, scores.f1)),
                )
                for i, name in enumerate(self.classes)
            },
            confusion=scores.confusion.tolist(),
            reliability=self.reliability,
            against=dict(self.margins),
            near_duplicates_of_training=list(self.leaks),
            without_near_duplicates=None
            if fresh is None
            else SubsetRecord(fresh.count, fresh.accuracy, fresh.intervals["accuracy"]),
        )

    def lines(self) -> Iterator[JsonObject]:
        """Return what is kept of each image: its label, how likely that was, and the likeliest classes."""
        for image, label, row in zip(self.images, self.labels, self.probabilities):
            order = np.argsort(-row, kind="stable")[:SHOWN]
            likely = {self.classes[i]: round(float(row[i]), 6) for i in order}
            log_likelihood = math.log(max(float(row[label]), _LEAST))
            yield {
                "image": image.name,
                "label": image.label,
                "log_likelihood": round(log_likelihood, 6),
                "classes": likely,
            }

    def table(self) -> str:
        """Return the scores as a table with 95% intervals, by class, with the confusion matrix if small."""
        scores, classes = self.scores, self.classes
        grouped = f" in {scores.groups:,} groups" if scores.groups < scores.count else ""
        what = f"cross-validation in {self.folds} folds" if self.folds else self.split
        lines = [f"{what}, {scores.count:,} images of {len(classes):,} classes{grouped}      95% interval"]
        for name in SCORE_NAMES:
            low, high = scores.intervals[name]
            lines.append(f"  {name:<18} {getattr(scores, name):7.4f}   {low:.4f} to {high:.4f}")
        lines.append(
            f"  calibration error  {scores.calibration_error:7.4f}   "
            f"({self.uncalibrated:.4f} before temperature scaling)"
        )
        if self.leaks:
            rest = ""
            if self.fresh:
                rest = f"; without them accuracy is {self.fresh.accuracy:.4f} of {self.fresh.count:,}"
            lines.append(f"  {len(self.leaks):,} are near-duplicates of training images{rest}")
        return "\n".join([*lines, *self._by_class()])

    def _by_class(self) -> list[str]:
        scores, classes = self.scores, self.classes
        lines = ["  precision   recall   images   class"]
        worst = np.argsort(np.nan_to_num(scores.f1, nan=2.0), kind="stable")
        for i in range(len(classes)) if len(classes) <= _WIDE else worst[:_WIDE]:
            precision, recall = (_shown(values[i]) for values in (scores.precision, scores.recall))
            lines.append(f"  {precision:>9}   {recall:>6}   {scores.confusion[i].sum():8,}   {classes[i]}")
        if len(classes) > _WIDE:
            return [
                *lines,
                f"  (the {_WIDE} worst of {len(classes):,}; all are in evaluation-{self.split}.json)",
            ]
        lines.append("  right class by row, named class by column, in the order above:")
        return lines + ["    " + "".join(f"{count:6,}" for count in row) for row in scores.confusion]

    def examples(self) -> str:
        """Return the most confident mistakes."""
        mistakes = self.mistakes()
        lines = [f"Most confident of {len(mistakes):,} mistakes:"] * bool(mistakes)
        for row in mistakes[:_MISTAKES]:
            named = int(self.probabilities[row].argmax())
            lines.append(
                f"  {self.images[row].name}: {self.classes[named]} "
                f"({self.probabilities[row, named]:.0%}); it is {self.images[row].label}"
            )
        return "\n".join(lines)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _shown(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def evaluate_classes(model: ClassifierModel, question: Question) -> ClassEvaluation:
    """Classify images from their cached features, and score that.

    Args:
        model: The classifier.
        question: The images; those of classes that the model does not know are reported and left out.

    Raises:
        DataError: None of the images is of a class that the model knows.
    """
    prepared, split, classes = question.prepared, question.split, model.classes
    images = prepared.images
    known = tuple(image for image in images if image.label in classes)
    if not known:
        raise DataError(
            f"None of the {len(images):,} images ({split}) is of a class that the model knows: "
            f"{few(classes)}."
        )
    if len(known) < len(images):
        strange = sorted({str(image.label) for image in images} - set(classes))
        question.console.say(
            f"{len(images) - len(known):,} images of {len(strange):,} classes that the model does not "
            f"know are left out: {few(strange)}"
        )
    examples = read_examples([prepared.features], known, classes)
    with torch.inference_mode():
        logits = model.head(examples.pooled.to(model.head.feature_mean.device)).cpu()
        probabilities = (logits / model.config.temperature).softmax(1).numpy()
    return ClassEvaluation(
        split=split,
        classes=classes,
        images=known,
        probabilities=probabilities,
        labels=examples.labels.numpy(),
        uncalibrated_probabilities=logits.softmax(1).numpy(),
        groups=prepared.groups.of,
        leaks=tuple(image.name for image in known if image.name in question.leaks),
    )
