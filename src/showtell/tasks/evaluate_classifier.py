"""Score a classifier on a split, with intervals, and keep every prediction."""

import json
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from showtell.config import Evaluate, TrainClassifier
from showtell.console import Console
from showtell.data.records import Picture
from showtell.errors import DataError
from showtell.features.extract import Extraction
from showtell.features.imagenet import pretraining_warning
from showtell.features.store import FeatureStore
from showtell.model_folder import ClassifierModel
from showtell.tasks.prepare import prepare, warn_of_learnt
from showtell.tasks.run_folder import load_training
from showtell.tasks.trained_data import read_again
from showtell.training.class_scores import (
    SCORE_NAMES,
    Bin,
    ClassScores,
    class_scores,
    expected_calibration_error,
    reliability,
)
from showtell.training.classifier import read_examples

_WIDE = 12
"""Up to as many classes, the confusion matrix is printed."""


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
        twins: Pictures that are near-duplicates of training pictures, by name.
        fresh: Scores without those; None where there are none, or nothing else.
    """

    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    scores: ClassScores
    uncalibrated: float
    reliability: dict[str, list[Bin]]
    twins: tuple[str, ...] = ()
    fresh: ClassScores | None = None

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


def evaluate_classifier(config: Evaluate, model: ClassifierModel, console: Console) -> dict[str, Any]:
    """Score a classifier; the arguments and errors are those of ``evaluate``."""
    trained, _ = load_training(config.run, TrainClassifier)
    data = read_again(
        config.run,
        trained,
        console,
        advice=f"showtell evaluate {shlex.quote(str(config.run))} DATA",
        data=config.data,
        images=config.images,
        store=config.store,
    )
    dataset, splits, twins, own = data.dataset, data.splits, data.twins, data.is_own
    if own:
        split: str = config.split or ("test" if "test" in splits.values() else "val")
        pictures = tuple(p for p in dataset.pictures if splits.get(p.name) == split)
    else:
        split = config.split or "all"
        pictures = tuple(p for p in dataset.pictures if config.split in (None, p.split))
    if not pictures:
        raise DataError(f"The {split} split of {dataset.source} has no picture.")
    # Nothing else needs to be looked at: a fine-tuned backbone has seen none of them.
    store = FeatureStore(config.store or trained.store)
    asked = replace(dataset, pictures=pictures)
    prepared = prepare(asked, model.backbone, store, console, seed=trained.seed, splits=splits)
    if not own:
        warn_of_learnt(config.run, prepared, console)
    evaluation = name_split(
        model, prepared.extraction, prepared.pictures, twins=twins, console=console, what=split
    )
    if own and split != "test":
        console.say(f"Scoring the {split} split, which also chose the model: a fresh test set scores lower")
    warning = pretraining_warning(model.config.classes, model.backbone.description.weights_source)
    if warning:
        console.say(f"Warning: {warning}")
    record = save_class_evaluation(config.out or config.run, split, evaluation)
    console.say(class_table(evaluation, split))
    say_mistakes(evaluation, console)
    return record


def name_split(
    model: ClassifierModel,
    extraction: Extraction,
    pictures: Sequence[Picture],
    *,
    twins: Collection[str],
    console: Console,
    what: str,
) -> ClassEvaluation:
    """Name pictures from their cached features, and score that.

    Args:
        model: The classifier.
        extraction: Holds the features.
        pictures: What to name; those of classes that the model does not know are reported and left out.
        twins: Names of pictures that are near-duplicates of training pictures.
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
    labels = examples.labels.numpy()
    leaked = tuple(picture.name for picture in known if picture.name in twins)
    fresh = np.array([picture.name not in twins for picture in known])
    return ClassEvaluation(
        classes,
        known,
        probabilities,
        labels,
        class_scores(probabilities, labels),
        expected_calibration_error(plain.max(1), plain.argmax(1) == labels),
        {
            when: reliability(shares.max(1), shares.argmax(1) == labels)
            for when, shares in (("before", plain), ("after", probabilities))
        },
        leaked,
        class_scores(probabilities[fresh], labels[fresh]) if leaked and fresh.any() else None,
    )


def save_class_evaluation(folder: Path, split: str, evaluation: ClassEvaluation) -> dict[str, Any]:
    """Write ``evaluation-SPLIT.json`` and ``predictions-SPLIT.jsonl``; return the former's content."""
    folder.mkdir(parents=True, exist_ok=True)
    scores, classes = evaluation.scores, evaluation.classes
    record: dict[str, Any] = {
        "split": split,
        "pictures": scores.count,
        "scores": evaluation.figures(),
        "intervals_95": {name: list(interval) for name, interval in scores.intervals.items()},
        "classes": {
            name: {
                "pictures": int(scores.confusion[i].sum()),
                "precision": _number(scores.precision[i]),
                "recall": _number(scores.recall[i]),
                "f1": _number(scores.f1[i]),
            }
            for i, name in enumerate(classes)
        },
        "confusion": scores.confusion.tolist(),
        "reliability": {
            when: [one._asdict() for one in bins] for when, bins in evaluation.reliability.items()
        },
        "near_duplicates_of_training": list(evaluation.twins),
    }
    if evaluation.fresh is not None:
        record["without_near_duplicates"] = {
            "pictures": evaluation.fresh.count,
            "accuracy": evaluation.fresh.accuracy,
            "interval_95": list(evaluation.fresh.intervals["accuracy"]),
        }
    text = json.dumps(record, ensure_ascii=False, indent=1)
    (folder / f"evaluation-{split}.json").write_text(text + "\n", encoding="utf-8")
    with (folder / f"predictions-{split}.jsonl").open("w", encoding="utf-8") as file:
        for picture, row in zip(evaluation.pictures, evaluation.probabilities):
            line = {"picture": picture.name, "label": picture.label, "classes": ranked(row, classes)}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return record


def ranked(
    probabilities: npt.NDArray[np.floating], classes: Sequence[str], count: int = 5
) -> dict[str, float]:
    """Return the most likely classes with their probabilities, most likely first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return {classes[i]: round(float(probabilities[i]), 6) for i in order}


def class_table(evaluation: ClassEvaluation, split: str) -> str:
    """Return the scores as a table with 95% intervals, class by class, with the confusion matrix if small."""
    scores, classes = evaluation.scores, evaluation.classes
    lines = [f"{split}, {scores.count:,} pictures of {len(classes):,} classes      95% interval"]
    for name in SCORE_NAMES:
        low, high = scores.intervals[name]
        lines.append(f"  {name:<18} {getattr(scores, name):7.4f}   {low:.4f} to {high:.4f}")
    lines.append(
        f"  calibration error  {scores.calibration_error:7.4f}   "
        f"({evaluation.uncalibrated:.4f} before temperature scaling)"
    )
    if evaluation.twins:
        leaked = len(evaluation.twins)
        without = evaluation.fresh
        rest = f"; without them accuracy is {without.accuracy:.4f} of {without.count:,}" if without else ""
        lines.append(f"  {leaked:,} are near-duplicates of training pictures{rest}")
    lines.append("  precision   recall   pictures   class")
    worst = np.argsort(np.nan_to_num(scores.f1, nan=2.0), kind="stable")
    order = range(len(classes)) if len(classes) <= _WIDE else worst[:_WIDE]
    for i in order:
        precision, recall = (_shown(values[i]) for values in (scores.precision, scores.recall))
        lines.append(f"  {precision:>9}   {recall:>6}   {scores.confusion[i].sum():8,}   {classes[i]}")
    if len(classes) > _WIDE:
        lines.append(f"  (the {_WIDE} worst of {len(classes):,}; all are in evaluation-{split}.json)")
    else:
        lines.append("  right class by row, named class by column, in the order above:")
        lines += ["    " + "".join(f"{count:6,}" for count in row) for row in scores.confusion]
    return "\n".join(lines)


def say_mistakes(evaluation: ClassEvaluation, console: Console, count: int = 5) -> None:
    """Name the most confident mistakes."""
    mistakes = evaluation.mistakes()
    if mistakes:
        console.say(f"Most confident of {len(mistakes):,} mistakes:")
    for row in mistakes[:count]:
        named = int(evaluation.probabilities[row].argmax())
        console.say(
            f"  {evaluation.pictures[row].name}: {evaluation.classes[named]} "
            f"({evaluation.probabilities[row, named]:.0%}); it is {evaluation.pictures[row].label}"
        )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _shown(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
