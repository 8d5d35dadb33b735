"""Score a classifier on a split, with intervals, and keep every prediction."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from showtell.backbones.imagenet import pretraining_warning
from showtell.console import Console
from showtell.errors import DataError
from showtell.evaluation.class_scores import SCORE_NAMES
from showtell.extraction.prepared import prepare
from showtell.kinds.classifier.evaluation import ClassEvaluation, name_split
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.model_folder import ClassifierModel
from showtell.kinds.settings import Evaluate
from showtell.runs.picture_record import warn_of_learnt
from showtell.runs.run_folder import load_training
from showtell.runs.trained_data import read_again
from showtell.store.store import FeatureStore

_WIDE = 12
"""Up to as many classes, the confusion matrix is printed."""


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
        raise DataError(
            f"The {split} split of {dataset.source} has no picture.",
            would_do="Other images with their classes would do, of scenes that were not trained on.",
            run=f"showtell evaluate {shlex.quote(str(config.run))} DATA",
        )
    # Nothing else needs to be looked at: a fine-tuned backbone has seen none of them.
    store = FeatureStore(config.store or trained.store)
    asked = replace(dataset, pictures=pictures)
    groups = data.groups if own else None
    prepared = prepare(asked, model.backbone, store, console, seed=trained.seed, splits=splits, groups=groups)
    if not own:
        warn_of_learnt(config.run, prepared, console)
    evaluation = name_split(
        model,
        prepared.extraction,
        prepared.pictures,
        twins=twins,
        groups=prepared.groups.of,
        console=console,
        what=split,
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


def save_class_evaluation(folder: Path, split: str, evaluation: ClassEvaluation) -> dict[str, Any]:
    """Write ``evaluation-SPLIT.json`` and ``predictions-SPLIT.jsonl``; return the former's content."""
    folder.mkdir(parents=True, exist_ok=True)
    scores, classes = evaluation.scores, evaluation.classes
    record: dict[str, Any] = {
        "split": split,
        "pictures": scores.count,
        "groups": scores.groups,
        "folds": evaluation.folds,
        "doubt": evaluation.doubt,
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
        "against": {
            name: {"accuracy": one.accuracy, "by": one.by, "interval_95": list(one.interval)}
            for name, one in evaluation.margins.items()
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
    grouped = f" in {scores.groups:,} groups" if scores.groups < scores.count else ""
    what = f"cross-validation in {evaluation.folds} folds" if evaluation.folds else split
    lines = [f"{what}, {scores.count:,} pictures of {len(classes):,} classes{grouped}      95% interval"]
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
