"""Write the report of a run: at the end of its training, and again by ``showtell report``."""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path

from torch import nn

from showtell.console import Console, Log
from showtell.data.records import AnnotatedImage
from showtell.errors import DataError, ModelError, ShowtellError
from showtell.kinds.kind import Reported, find_kind
from showtell.kinds.model_folder import load_model
from showtell.kinds.settings import Report
from showtell.report.run_report import RunFacts
from showtell.runs.records import EvaluationRecord, JsonObject, as_json
from showtell.runs.run import Run
from showtell.runs.settings import TrainingSettings
from showtell.runs.trained_data import Whereabouts, read_again
from showtell.runtime import choose_device


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
    run, model = Run(config.run), load_model(config.run, choose_device(config.device))
    kind = find_kind(model.config.kind)
    settings = run.settings(kind.Settings)
    advice = f"showtell report {shlex.quote(str(config.run))} DATA"
    where = Whereabouts(advice, config.data, config.images, config.store)
    data = read_again(run, settings, kind.read, where, Console(quiet=True))
    if not data.is_own:
        raise DataError(
            f"{data.dataset.source} holds hardly any of the images that {config.run} was trained with.",
            hint="A report shows images of the training; others can be scored.",
            run=f"showtell evaluate {shlex.quote(str(config.run))} {shlex.quote(str(config.data))}",
        )
    settings = replace(settings, store=config.store or settings.store)
    split = _evaluated(config, run)
    return _write(Reported(run, model, data.dataset, split, settings), console or Log())


def report_training(reported: Reported, console: Console) -> None:
    """Write the report of a training that has just ended. Where that fails, say so: the model is finished.

    Args:
        reported: The run, with what was just evaluated.
        console: Where to say what happens.
    """
    try:
        _write(reported, console)
    except (ShowtellError, OSError) as error:
        again = f"showtell report {shlex.quote(str(reported.run.folder))}"
        console.say(f"The report was not written: {error}\nOnce that is mended: {again}")


def _write(reported: Reported, console: Console) -> Path:
    written = find_kind(reported.model.config.kind).report(reported)
    console.say(f"Look at {written}; its figures are in {written.parent / 'figures'}")
    return written


def _evaluated(config: Report, run: Run) -> str:
    """Return the split that is reported: the one asked for; by default test where it was scored, or val.

    Raises:
        ModelError: It was not scored.
    """
    found = run.evaluated(*((config.split,) if config.split else ("test", "val")))
    if found:
        return found[0]
    split = config.split or "val"
    raise ModelError(
        f"{config.run} holds no scores of its {split} split that a report could show.",
        run=f"showtell evaluate {shlex.quote(str(config.run))} --split {split}",
    )


def facts_of(reported: Reported, metrics: str = "", xe_epochs: int | None = None) -> RunFacts:
    """Return what all reports tell of a run.

    Args:
        reported: The run.
        metrics: Folder within the run of the record of its steps, where the run itself has none.
        xe_epochs: Epochs until self-critical training began; None where there was none.
    """
    run, model, record = reported.run, reported.model, reported.run.record
    images = run.images
    named = {image.name: image for image in reported.dataset.images}
    captions = Counter[str]()
    for image in images:
        captions[str(image.split)] += len(named[image.name].captions) if image.name in named else 0
    parts = {
        f"Backbone, {record.backbone.architecture}": model.backbone.network,
        model.card().made[0].partition(",")[0]: model.network,
    }
    return RunFacts(
        run=run.folder,
        record=record,
        defaults=_defaults(type(reported.settings)),
        images=images,
        captions=captions if captions.total() else {},
        parts={name: _parameters(part) for name, part in parts.items()},
        metrics=_metrics(run.folder, metrics),
        xe_epochs=xe_epochs,
    )


@dataclass(frozen=True)
class ScoreRow:
    """A score in the table of a report.

    Attributes:
        name: For people.
        value: The score.
        low: Of its 95% interval.
        high: Of its 95% interval.
        widest: The end of the axis that it is drawn on.
    """

    name: str
    value: float
    low: float
    high: float
    widest: int


def score_rows(
    evaluation: EvaluationRecord, names: Mapping[str, str], widest: Callable[[float], int]
) -> list[ScoreRow]:
    """Return scores with their intervals, in the order of their names.

    Args:
        evaluation: The scores.
        names: For people, by the score's own.
        widest: From the upper end of an interval to the end of the axis.
    """
    found = []
    for key, name in names.items():
        low, high = evaluation.intervals_95[key]
        found.append(ScoreRow(name, evaluation.scores[key], low, high, widest(high)))
    return found


def find_image(name: str, named: Mapping[str, AnnotatedImage], reported: Reported) -> AnnotatedImage:
    """Return an image that was scored.

    Raises:
        DataError: It is not in the data any more.
    """
    if name not in named:
        source = reported.dataset.source
        raise DataError(
            f"{name}, which was scored, is not in {source} any more.",
            hint="Scores of the images that are left can be reported.",
            run=f"showtell evaluate {shlex.quote(str(reported.run.folder))} {shlex.quote(str(source))}",
        )
    return named[name]


def _defaults(kind: type[TrainingSettings]) -> JsonObject:
    """Return the settings of a command that have a default, as JSON values."""
    return {field.name: as_json(field.default) for field in fields(kind) if field.default is not MISSING}


def _parameters(part: nn.Module) -> int:
    return sum(value.numel() for value in part.parameters())


def _metrics(run: Path, besides: str) -> Path | None:
    """Return the record of the steps of the run, or of the part of it that has one."""
    folders = [run, run / besides] if besides else [run]
    return next((folder / "metrics.jsonl" for folder in folders if (folder / "metrics.jsonl").exists()), None)
