"""Write the report of a run: at the end of its training, and again by ``showtell report``."""

import json
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from torch import nn

from showtell.console import Console, Log
from showtell.data.records import Dataset, Picture
from showtell.errors import DataError, ModelError, ShowtellError
from showtell.extraction.extract import extract_features
from showtell.kinds.captioner.faithfulness import measure_faithfulness
from showtell.kinds.captioner.report import write_captioner_report
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.trainee import read_grids
from showtell.kinds.classifier.report import write_classifier_report
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.loading import LoadedCaptioner, LoadedClassifier, load
from showtell.kinds.model_folder import CaptionerModel, ClassifierModel
from showtell.kinds.settings import Report
from showtell.models.captioner import Caption, Word
from showtell.report.cards import PageItem
from showtell.report.run_report import RunFacts
from showtell.runs.picture_record import load_pictures
from showtell.runs.run_folder import load_training
from showtell.runs.trained_data import read_again
from showtell.store.store import FeatureStore

_SHOWN = 6
"""Best captions that are shown, and as many worst ones."""
_MISTAKES = 8
_CLASSES = 3
"""Likeliest classes of a mistake that are explained, besides the right one."""
_ALTERED = 150
"""Validation pictures that the faithfulness of attention is measured on, at most."""

Line = Mapping[str, Any]


def write_report(config: Report, console: Console | None = None) -> Path:
    """Write ``report.html`` and the figures of a run.

    Args:
        config: Which run.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The report.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    model = load(config.run)
    trained: TrainCaptioner | TrainClassifier
    if isinstance(model, LoadedCaptioner):
        trained, _ = load_training(config.run, TrainCaptioner)
    else:
        trained, _ = load_training(config.run, TrainClassifier)
    return _write(config, model, _data(config, trained), console or Log())


def report_training(
    config: TrainCaptioner | TrainClassifier,
    model: CaptionerModel | ClassifierModel,
    dataset: Dataset,
    console: Console,
) -> None:
    """Write the report of a training that has just ended. Where that fails, say so: the model is finished.

    Args:
        config: Of the training.
        model: What it made.
        dataset: What it was made from.
        console: Where to say what happens.
    """
    loaded = LoadedCaptioner(model) if isinstance(model, CaptionerModel) else LoadedClassifier(model)
    try:
        _write(Report(run=config.out, store=config.store), loaded, dataset, console)
    except (ShowtellError, OSError) as error:
        again = f"showtell report {shlex.quote(str(config.out))}"
        console.say(f"The report was not written: {error}\nOnce that is mended: {again}")


def _write(
    config: Report, model: LoadedCaptioner | LoadedClassifier, dataset: Dataset, console: Console
) -> Path:
    if isinstance(model, LoadedCaptioner):
        written = _report_captioner(config, model, dataset)
    else:
        written = _report_classifier(config, model, dataset)
    console.say(f"Look at {written}; its figures are in {written.parent / 'figures'}")
    return written


def _report_captioner(config: Report, model: LoadedCaptioner, dataset: Dataset) -> Path:
    trained, record = load_training(config.run, TrainCaptioner)
    evaluation = _evaluation(config, "teacher_forced")
    named = {picture.name: picture for picture in dataset.pictures}
    lines = _lines(config.run, "captions", evaluation["split"])
    half = min(_SHOWN, len(lines) // 2) or len(lines)
    chosen = [*lines[:half], *lines[half:][::-1][:half]]
    shown = [_find(line["picture"], named, dataset, config.run) for line in chosen]
    texts = {line["picture"]: line["caption"] for line in _lines(config.run, "captions", "val")}
    checked = [named[name] for name in sorted(texts) if name in named]
    checked = checked[:: -(-len(checked) // _ALTERED) or 1]
    asked = list({picture.name: picture for picture in (*shown, *checked)}.values())
    extraction = extract_features(asked, model.backbone, FeatureStore(config.store or trained.store))
    captioner = model.model.captioner
    grids = read_grids(captioner, extraction, shown)
    items = [
        PageItem(
            image=picture.path,
            caption=said[0],
            preprocessing=model.backbone.preprocessing,
            name=picture.name,
            references=tuple(line["references"]),
            score=f"CIDEr-D {line['cider_d']:.2f}",
        )
        for picture, line, said in zip(
            shown, chosen, captioner.describe(grids, beam_size=evaluation["beam_size"])
        )
    ]
    records = load_pictures(config.run / "pictures.jsonl")
    captions = Counter[str]()
    for one in records:
        captions[one["split"]] += len(named[one["name"]].captions) if one["name"] in named else 0
    decoder = f"{trained.cell.upper()} with attention, {captioner.tokenizer.vocab_size:,} tokens"
    return write_captioner_report(
        RunFacts(
            run=config.run,
            record=record,
            defaults=_defaults(TrainCaptioner),
            pictures=records,
            captions=captions,
            parts=_parts(model.backbone.network, record, decoder, captioner.decoder),
            metrics=_metrics(config.run),
            likelihood_epochs=model.model.config.provenance.get("likelihood_epochs"),
        ),
        evaluation,
        best=items[:half],
        worst=items[half:],
        faithfulness=measure_faithfulness(captioner, extraction, checked, texts),
    )


def _report_classifier(config: Report, model: LoadedClassifier, dataset: Dataset) -> Path:
    _, record = load_training(config.run, TrainClassifier)
    evaluation = _evaluation(config, "reliability")
    named = {picture.name: picture for picture in dataset.pictures}
    lines = _lines(config.run, "predictions", evaluation["split"])
    mistakes = [line for line in lines if next(iter(line["classes"])) != line["label"]]
    # The most confident mistakes; where there is none, what was least clear.
    sure = sorted(mistakes or lines, key=lambda line: -max(line["classes"].values()))
    chosen = sure[:_MISTAKES] if mistakes else sure[::-1][:_MISTAKES]
    items = [_explained(model, _find(line["picture"], named, dataset, config.run), line) for line in chosen]
    head = model.model.config.head
    return write_classifier_report(
        RunFacts(
            run=config.run,
            record=record,
            defaults=_defaults(TrainClassifier),
            pictures=load_pictures(config.run / "pictures.jsonl"),
            captions={},
            parts=_parts(model.backbone.network, record, f"Head, {head.kind}", model.model.head),
            metrics=_metrics(config.run, "heads/mlp" if head.kind == "mlp" else None),
        ),
        evaluation,
        heads=model.model.config.provenance.get("heads", []),
        mistakes=len(mistakes),
        shown=items,
    )


def _explained(model: LoadedClassifier, picture: Picture, line: Line) -> PageItem:
    """Return a picture whose words are classes and whose attention is Grad-CAM for each, on one scale."""
    likely: dict[str, float] = dict(list(line["classes"].items())[:_CLASSES])
    if line["label"] not in likely:  # the record has the likeliest classes only
        likely[line["label"]] = model(picture.path).probabilities[line["label"]]
    heats = {name: model.look(picture.path, name) for name in likely}
    top = max(float(heat.max()) for heat in heats.values()) or 1.0
    words = tuple(Word(name, share, heats[name] / top) for name, share in likely.items())
    return PageItem(
        image=picture.path,
        caption=Caption(words[0].text, words, 0.0),
        preprocessing=model.backbone.preprocessing,
        name=picture.name,
        references=(line["label"],),
    )


def _evaluation(config: Report, needed: str) -> dict[str, Any]:
    """Read the scores of the split that is asked for; by default of test where it was scored.

    Raises:
        ModelError: It was not scored, or by an earlier version that left out what a report needs.
    """
    for split in (config.split,) if config.split else ("test", "val"):
        path = config.run / f"evaluation-{split}.json"
        if not path.exists():
            continue
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read: {error}.") from error
        if needed in record:
            return record
    split = config.split or "val"
    raise ModelError(
        f"{config.run} holds no scores of its {split} split that a report could show.",
        would_do="Scores of an earlier showtell lack some figures; they are made anew in a minute.",
        run=f"showtell evaluate {shlex.quote(str(config.run))} --split {split}",
    )


def _lines(run: Path, what: str, split: str) -> list[dict[str, Any]]:
    """Read what was said of each picture of a split.

    Raises:
        ModelError: The record is missing or damaged.
    """
    path = run / f"{what}-{split}.jsonl"
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}.",
            would_do="Score the split again.",
            run=f"showtell evaluate {shlex.quote(str(run))} --split {split}",
        ) from error


def _data(config: Report, trained: TrainCaptioner | TrainClassifier) -> Dataset:
    """Read the data of the training, whose pictures are shown.

    Raises:
        DataError: It is not there any more, or is something else.
    """
    advice = f"showtell report {shlex.quote(str(config.run))} DATA"
    data = read_again(
        config.run,
        trained,
        Console(quiet=True),
        advice=advice,
        data=config.data,
        images=config.images,
        store=config.store,
    )
    if not data.is_own:
        raise DataError(
            f"{data.dataset.source} holds hardly any of the images that {config.run} was trained with.",
            would_do="A report shows images of the training; others can be scored.",
            run=f"showtell evaluate {shlex.quote(str(config.run))} {shlex.quote(str(config.data))}",
        )
    return data.dataset


def _find(name: str, named: Mapping[str, Picture], dataset: Dataset, run: Path) -> Picture:
    if name not in named:
        raise DataError(
            f"{name}, which was scored, is not in {dataset.source} any more.",
            would_do="Scores of the images that are left can be reported.",
            run=f"showtell evaluate {shlex.quote(str(run))} {shlex.quote(str(dataset.source))}",
        )
    return named[name]


def _defaults(kind: type) -> dict[str, Any]:
    """Return the settings of a command that have a default, as JSON values."""
    return {
        field.name: str(field.default) if isinstance(field.default, Path) else field.default
        for field in fields(kind)
        if field.default is not MISSING
    }


def _parts(backbone: nn.Module, record: Line, name: str, head: nn.Module) -> dict[str, int]:
    parts = {f"Backbone, {record['backbone']['architecture']}": backbone, name: head}
    return {name: sum(value.numel() for value in part.parameters()) for name, part in parts.items()}


def _metrics(run: Path, besides: str | None = None) -> Path | None:
    """Return the record of the steps of the run, or of the part of it that has one."""
    folders = [run, run / besides] if besides else [run]
    return next((folder / "metrics.jsonl" for folder in folders if (folder / "metrics.jsonl").exists()), None)
