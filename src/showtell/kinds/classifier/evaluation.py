"""What a classifier says of a set of pictures, and what that scores."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from showtell.console import Console, many
from showtell.data.records import Picture
from showtell.errors import DataError
from showtell.evaluation.class_scores import (
    SCORE_NAMES,
    Bin,
    ClassScores,
    class_scores,
    expected_calibration_error,
    reliability,
)
from showtell.extraction.features import Features
from showtell.kinds.classifier.baselines import Margin, Trivial
from showtell.kinds.classifier.heads import read_examples
from showtell.kinds.classifier.verdict import group_numbers, margins, verdict
from showtell.kinds.model_folder import ClassifierModel


@dataclass(frozen=True)
class ClassEvaluation:
    """Predictions for a split and what they score.

    Attributes:
        classes: Their names in the order of the columns.
        pictures: The pictures, N.
        probabilities: (N, C), float32, after temperature scaling.
        labels: Positions of the right classes, (N,).
        scores: Figures with intervals.
        uncalibrated: Expected calibration error without temperature scaling.
        reliability: Pictures by how sure the prediction is, ``before`` and ``after`` temperature scaling.
        groups: Group by name; a picture without one stands alone.
        twins: Pictures that are near-duplicates of training pictures, by name.
        fresh: Scores without those; None where there are none, or nothing else.
        folds: Of cross-validation; 0 where one model was scored.
        margins: Against what needs no training, by its name; empty where that was not asked.
        doubt: Why this is not a score that says anything; empty where it does.
    """

    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    scores: ClassScores
    uncalibrated: float
    reliability: dict[str, list[Bin]]
    groups: Mapping[str, int] = field(default_factory=dict)
    twins: tuple[str, ...] = ()
    fresh: ClassScores | None = None
    folds: int = 0
    margins: Mapping[str, Margin] = field(default_factory=dict)
    doubt: str = ""

    @property
    def scored(self) -> str:
        """Say on how many pictures of how many groups, and how, the scores were made."""
        scores = self.scores
        text = f"{scores.count:,} pictures"
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
        groups = group_numbers(self.pictures, self.groups)
        return replace(self, margins=margins(right, trivial, groups), doubt=doubt, folds=folds)

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


def name_split(
    model: ClassifierModel,
    extraction: Features,
    pictures: Sequence[Picture],
    *,
    twins: Collection[str],
    groups: Mapping[str, int],
    console: Console,
    what: str,
) -> ClassEvaluation:
    """Name pictures from their cached features, and score that.

    Args:
        model: The classifier.
        extraction: Holds the features.
        pictures: What to name; those of classes that the model does not know are reported and left out.
        twins: Names of pictures that are near-duplicates of training pictures.
        groups: Group by name of those that do not stand alone.
        console: Told what is left out.
        what: What the pictures are, for messages.

    Raises:
        DataError: None of the pictures is of a class that the model knows.
    """
    classes = model.config.classes
    known = tuple(picture for picture in pictures if picture.label in classes)
    if not known:
        raise DataError(
            f"None of the {len(pictures):,} pictures ({what}) is of a class that the model knows: "
            f"{', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}.",
        )
    if len(known) < len(pictures):
        strange = sorted({str(picture.label) for picture in pictures} - set(classes))
        console.say(
            f"{len(pictures) - len(known):,} pictures of {len(strange):,} classes that the model does not "
            f"know are left out: {', '.join(strange[:10])}"
        )
    examples = read_examples([extraction], known, classes)
    with torch.inference_mode():
        logits = model.head(examples.pooled.to(model.head.feature_mean.device)).cpu()
        probabilities = (logits / model.config.temperature).softmax(1).numpy()
        plain = logits.softmax(1).numpy()
    return judged(classes, known, probabilities, examples.labels.numpy(), plain, groups=groups, twins=twins)


def judged(
    classes: tuple[str, ...],
    pictures: tuple[Picture, ...],
    probabilities: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    plain: npt.NDArray[np.float32] | None = None,
    *,
    groups: Mapping[str, int],
    twins: Collection[str] = (),
) -> ClassEvaluation:
    """Score predictions.

    Args:
        classes: Their names in the order of the columns.
        pictures: The pictures, N.
        probabilities: (N, C), each row sums to 1.
        labels: Positions of the right classes, (N,).
        plain: The same as ``probabilities`` before temperature scaling; None where it is not known.
        groups: Group by name; a picture without one stands alone.
        twins: Names of pictures that are near-duplicates of training pictures.
    """
    plain = probabilities if plain is None else plain
    numbers = group_numbers(pictures, groups)
    leaked = tuple(picture.name for picture in pictures if picture.name in twins)
    fresh = np.array([picture.name not in twins for picture in pictures])
    return ClassEvaluation(
        classes,
        pictures,
        probabilities,
        labels,
        class_scores(probabilities, labels, numbers),
        expected_calibration_error(plain.max(1), plain.argmax(1) == labels),
        {
            when: reliability(shares.max(1), shares.argmax(1) == labels)
            for when, shares in (("before", plain), ("after", probabilities))
        },
        groups,
        leaked,
        class_scores(probabilities[fresh], labels[fresh], numbers[fresh]) if leaked and fresh.any() else None,
    )
