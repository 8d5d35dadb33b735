"""From class folders or a labels table to a classifier."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from showtell.config import TrainClassifier, save_config, to_json
from showtell.console import Console, human_time
from showtell.data.augment import View
from showtell.data.records import Picture, Problem
from showtell.data.split import classes_without
from showtell.errors import DataError
from showtell.features.backbone import Backbone
from showtell.features.extract import Extraction, extract_features
from showtell.features.imagenet import pretraining_warning
from showtell.features.store import FeatureStore
from showtell.features.weights import load_backbone
from showtell.model_folder import ClassifierModel, load_model, save_classifier
from showtell.runtime import choose_device, environment, prepare_process, seed_everything
from showtell.tasks.evaluate_classifier import (
    class_table,
    name_split,
    save_class_evaluation,
    say_mistakes,
)
from showtell.tasks.prepare import Prepared, prepare, read_labels, report_problems, save_pictures
from showtell.tasks.run_folder import claim_run, training_fingerprint
from showtell.training.classifier import (
    Candidate,
    Examples,
    best_of,
    candidates_table,
    fit_linear,
    fit_mlp,
    fit_neighbours,
    fit_temperature,
    read_examples,
)

_UNBALANCED = 10
"""A class with as many times fewer training pictures than the largest is worth a word."""


def train_classifier(config: TrainClassifier, console: Console | None = None) -> dict[str, Any]:
    """Train a classifier; leave a run with a model, its record and its validation scores.

    Args:
        config: What to train on and how.
        console: Where to say what happens; None for silence.

    Returns:
        The validation scores.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Console(quiet=True)
    started = time.perf_counter()
    claim_run(config)
    prepare_process()
    device = choose_device()
    dataset = read_labels(
        config.data,
        console,
        images=config.images,
        format=config.format,
        image_column=config.image_column,
        text_column=config.text_column,
    )
    backbone = load_backbone(
        config.backbone,
        config.weights,
        image_size=config.image_size,
        fit=config.fit,
        seed=config.seed,
        console=console,
    ).to(device)
    store = FeatureStore(config.store)
    prepared = prepare(dataset, backbone, store, console, seed=config.seed)
    classes, train, val = _learnable(prepared, console)
    seed_everything(config.seed)
    save_config(
        config.out / "config.json",
        {
            "command": "train-classifier",
            "config": to_json(config) | {"resume": False},
            "backbone": backbone.description.for_store(),
            "data": {"fingerprint": prepared.fingerprint, "format": dataset.format},
            "environment": environment(),
        },
    )
    save_pictures(config.out / "pictures.jsonl", prepared)
    views = _look_at_views(config, backbone, store, train, console)
    learn = read_examples([prepared.extraction, *views], train, classes)
    check = read_examples([prepared.extraction], val, classes)
    fingerprint = training_fingerprint(config, prepared, backbone.description.for_store())
    candidates = fit_heads(config, learn, check, len(classes), fingerprint)
    chosen = best_of(candidates)
    console.say(candidates_table(candidates, chosen))
    warning = pretraining_warning(classes, backbone.description.weights_source)
    provenance = {
        "train_pictures": len(train),
        "val_pictures": len(val),
        "views": config.views,
        "setting": chosen.setting,
        "data": prepared.fingerprint,
        "warning": warning,
        "environment": environment(),
    }
    temperature = fit_temperature(chosen.head(check.pooled), check.labels)
    save_classifier(
        config.out / "model", backbone, chosen.head, classes, temperature=temperature, provenance=provenance
    )
    model = load_model(config.out)
    assert isinstance(model, ClassifierModel)
    evaluation = name_split(model, prepared, val, train=train, console=console, what="val")
    save_class_evaluation(config.out, "val", evaluation)
    console.say(
        f"Trained in {human_time(time.perf_counter() - started)}; the model is in {config.out / 'model'}"
    )
    if warning:
        console.say(f"Warning: {warning}")
    console.say(class_table(evaluation, "val"))
    say_mistakes(evaluation, console)
    console.say(f"Try it: showtell predict {config.out} PICTURE --picture why.png")
    return evaluation.figures()


def fit_heads(
    config: TrainClassifier, learn: Examples, check: Examples, classes: int, fingerprint: str
) -> list[Candidate]:
    """Fit the heads that the config asks for."""
    wanted = ("linear", "mlp", "knn") if config.head == "auto" else (config.head,)
    candidates: list[Candidate] = []
    if "linear" in wanted:
        candidates.append(fit_linear(learn, check, classes))
    if "mlp" in wanted:
        folder = config.out / "heads" / "mlp"
        candidates.append(
            fit_mlp(learn, check, classes, folder=folder, seed=config.seed, fingerprint=fingerprint)
        )
    if "knn" in wanted:
        candidates.append(fit_neighbours(learn, check, classes))
    return candidates


def _learnable(
    prepared: Prepared, console: Console
) -> tuple[tuple[str, ...], tuple[Picture, ...], tuple[Picture, ...]]:
    """Return the classes that can be learnt, and the training and validation pictures of them.

    Raises:
        DataError: Fewer than two classes have training pictures, or there is nothing to validate on.
    """
    counts = Counter(picture.label for picture in prepared.split("train"))
    classes = tuple(name for name in prepared.dataset.classes if counts[name])
    if len(classes) < 2:
        raise DataError(
            f"Only {len(classes)} class of {prepared.dataset.source} has training pictures.",
            would_do="At least two classes with a few pictures each would do.",
        )
    report_problems(_imbalances(prepared, counts), console)
    val = tuple(picture for picture in prepared.split("val") if picture.label in classes)
    if not val:
        raise DataError(
            f"{prepared.dataset.source} has no validation picture ({len(prepared.pictures)} in all), so no "
            "head can be chosen.",
            would_do="A few more pictures would do, or a folder val beside train.",
        )
    return classes, prepared.split("train"), val


def _imbalances(prepared: Prepared, counts: Counter[str | None]) -> list[Problem]:
    everywhere = Counter(picture.label for picture in prepared.pictures)
    problems = [
        Problem(
            "class without training pictures",
            str(name),
            f"{everywhere[name]} pictures, none of them in train; it cannot be learnt, and is left out",
        )
        for name in prepared.dataset.classes
        if not counts[name]
    ]
    problems += [
        Problem("class with one training picture", str(name), "it is learnt, but hardly known")
        for name, count in sorted(counts.items(), key=str)
        if count == 1
    ]
    most, largest = max((count, str(name)) for name, count in counts.items())
    problems += [
        Problem("small class", str(name), f"{count} training pictures; {largest} has {most}")
        for name, count in sorted(counts.items(), key=str)
        if 1 < count * _UNBALANCED <= most and count > 1
    ]
    unvalidated = [name for name in classes_without(prepared.pictures, "val") if counts[name]]
    problems += [
        Problem("class without validation pictures", name, "its score is not known") for name in unvalidated
    ]
    return problems


def _look_at_views(
    config: TrainClassifier,
    backbone: Backbone,
    store: FeatureStore,
    train: Sequence[Picture],
    console: Console,
) -> list[Extraction]:
    found = []
    for number in range(1, config.views + 1):
        console.say(f"View {number} of {config.views}")
        found.append(extract_features(train, backbone, store, view=View(number), console=console))
    return found
