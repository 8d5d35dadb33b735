"""Fit the heads of a classifier, and score that by cross-validation where there are few groups of images."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from showtell.console import Console, many
from showtell.data.records import AnnotatedImage
from showtell.extraction.prepared import Prepared
from showtell.kinds.classifier.evaluation import ClassEvaluation, judged
from showtell.kinds.classifier.folds import cross_validate
from showtell.kinds.classifier.heads import (
    Candidate,
    Examples,
    choose_head,
    fit_linear,
    fit_neighbours,
    read_examples,
)
from showtell.kinds.classifier.mlp import MlpTraining, fit_mlp
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.classifier.verdict import group_numbers, wants_folds, why_no_score
from showtell.models.heads import Head


def fit_heads(
    config: TrainClassifier,
    learn: Examples,
    check: Examples,
    classes: int,
    *,
    folder: Path,
    fingerprint: str,
) -> list[Candidate]:
    """Fit the heads that the config asks for.

    Args:
        config: Which heads, and the seed.
        learn: What to fit to.
        check: What to choose settings by.
        classes: How many there are.
        folder: For checkpoints.
        fingerprint: Of the data; checkpoints of another one are no use.
    """
    wanted = ("linear", "mlp", "knn") if config.head == "auto" else (config.head,)
    candidates: list[Candidate] = []
    if "linear" in wanted:
        candidates.append(fit_linear(learn, check, classes, strengths=config.l2_strengths))
    if "mlp" in wanted:
        candidates.append(
            fit_mlp(
                learn,
                check,
                classes,
                folder=folder / "mlp",
                seed=config.seed,
                fingerprint=fingerprint,
                how=_mlp_training(config),
            )
        )
    if "knn" in wanted:
        candidates.append(fit_neighbours(learn, check, classes, neighbours=config.neighbours))
    return candidates


def _mlp_training(config: TrainClassifier) -> MlpTraining:
    return MlpTraining(
        steps=config.mlp_steps,
        batch_size=config.mlp_batch_size,
        learning_rate=config.mlp_learning_rate,
        warmup_steps=config.mlp_warmup_steps,
        ema_decay=config.mlp_ema_decay,
        patience=config.mlp_patience,
        label_smoothing=config.mlp_label_smoothing,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        final_rate=config.final_rate,
    )


def why_unscored(
    prepared: Prepared, train: Sequence[AnnotatedImage], val: Sequence[AnnotatedImage], classes: Sequence[str]
) -> str:
    """Return why neither validation nor cross-validation can score; empty where one can."""
    pool = [*train, *val]
    place = {name: number for number, name in enumerate(classes)}
    labels = np.array([place[image.label] for image in pool if image.label is not None])
    if prepared.brought and val:
        count = len({prepared.groups.of[image.name] for image in val})
        return "" if count > 1 else f"its {len(val):,} validation images are a single group"
    if val and not wants_folds(train, val, prepared.groups):
        return ""
    return why_no_score(labels, group_numbers(pool, prepared.groups.of), classes)


def score_by_folds(
    config: TrainClassifier, prepared: Prepared, classes: tuple[str, ...], console: Console
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
    pool = tuple(image for image in prepared.images if image in {*train, *val})
    examples = read_examples([prepared.extraction], pool, classes)
    groups = group_numbers(pool, prepared.groups.of)

    def fit(learn: Examples, check: Examples, count: int) -> Head:
        with TemporaryDirectory() as folder:
            found = fit_heads(config, learn, check, len(classes), folder=Path(folder), fingerprint="")
        return choose_head(found, count).head

    folds = cross_validate(examples, groups, len(classes), fit, seed=config.seed)
    scored = tuple(pool[row] for row in folds.rows)
    of = prepared.groups.of
    held = many(len({of[image.name] for image in val}), "group", "groups")
    console.say(
        f"Validation is {held}, too little for a score: cross-validation in {folds.folds} folds over the "
        f"{len({of[image.name] for image in scored}):,} groups of train and val scores how it is made"
    )
    evaluation = judged(classes, scored, folds.probabilities, examples.labels.numpy()[folds.rows], groups=of)
    return evaluation.against(folds.trivial, folds=folds.folds)
