"""Score a run on its test split, or on other data."""

import shlex
from dataclasses import replace

from showtell.console import Console, Log
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError, DataError, ModelError
from showtell.extraction.fastest import by_fastest
from showtell.extraction.prepared import prepare
from showtell.kinds.captioner.coco import references_beside
from showtell.kinds.kind import Evaluation, Kind, Question, find_kind
from showtell.kinds.model_folder import load_model
from showtell.kinds.settings import Evaluate
from showtell.runs.records import EvaluationRecord
from showtell.runs.run import Run
from showtell.runs.trained_data import Data, Whereabouts, read_again
from showtell.runtime import choose_device
from showtell.store.store import FeatureStore


def evaluate(config: Evaluate, console: Console | None = None) -> Evaluation:
    """Score a run.

    Args:
        config: Which run, data and split.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        What the model said and what that scores; ``evaluation-SPLIT.json`` and ``predictions-SPLIT.jsonl``
        are written beside.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    _check_out(config)
    model = load_model(config.run, choose_device(config.device)).with_beam_size(config.beam_size)
    kind, run = find_kind(model.config.kind), Run(config.run)
    _check_export(config, kind)
    trained = run.settings(kind.Settings)
    advice = f"showtell evaluate {shlex.quote(str(config.run))} DATA"
    where = Whereabouts(advice, config.data, config.images, config.store)
    data = read_again(run, trained, kind.read, where, console)
    written = [] if config.export is None else [config.export, references_beside(config.export)]
    if data.dataset.source.resolve() in [path.resolve() for path in written]:
        raise ConfigError(
            f"--export {config.export} would write over the captions themselves.", hint="Name another file."
        )
    split, images = _chosen(config, data, advice)
    if data.is_own and split != "test":
        done = {"train": "which was trained on", "val": "which training was validated on"}[split]
        console.say(f"Scoring the {split} split, {done}: a fresh test set may score lower")
    # Nothing else needs to be encoded: a fine-tuned backbone has encoded none of them.
    store = FeatureStore(config.store or trained.store)
    prepared = prepare(
        replace(data.dataset, images=images),
        by_fastest(model.backbone, images, store, console),
        store,
        console,
        seed=trained.seed,
        splits=data.splits,
        groups=data.groups if data.is_own else None,
    )
    known = None if data.is_own else run.names_of(prepared)
    if known is not None:
        run.warn_of_learnt(prepared, console)
    training = tuple(p for p in data.dataset.images if data.splits.get(p.name) == "train")
    evaluation = kind.evaluate(
        model, Question(split, prepared, training, data.leaks, config.beam_size, console, known)
    )
    console.say(evaluation.table())
    _save(evaluation, config, data, run, console)
    if config.export is not None:
        references = kind.export_results(evaluation.lines(), config.export)
        console.say(f"COCO results: {config.export}; their references: {references}")
    if examples := evaluation.examples():
        console.say(examples)
    return evaluation


def _save(evaluation: Evaluation, config: Evaluate, data: Data, run: Run, console: Console) -> None:
    """Write scores and predictions, but not over those that the training found; say what they replace."""
    if found := _found_in_training(config, data, evaluation.split, run):
        console.say(
            f"{config.run} keeps what its training found of val, {found}; --out FOLDER writes these scores"
        )
        return
    if others := _scored_before(config, data, evaluation, run):
        console.say(
            f"These scores take the place of those of {others:,} other images in {config.run}; "
            "--out FOLDER keeps both"
        )
    run.save_evaluation(evaluation.record(), evaluation.lines(), config.out)


def _check_export(config: Evaluate, kind: Kind) -> None:
    """Refuse to export what a kind of model does not say.

    Raises:
        ConfigError: It is no captioner.
    """
    if config.export is not None and not kind.exports:
        raise ConfigError(
            f"--export writes captions, and {config.run} is a {kind.name}.",
            hint=f"Its predictions are in predictions-SPLIT.jsonl of {config.out or config.run}.",
        )


def _check_out(config: Evaluate) -> None:
    """Refuse a folder for the scores that cannot be one, or that keeps scores of its own.

    Raises:
        ConfigError: It is a file, or a run: compared, reported or pushed, these would pass for its own.
    """
    if config.out is None:
        return
    if config.out.exists() and not config.out.is_dir():
        raise ConfigError(f"--out {config.out} is a file.", hint="Expected a folder.")
    if Run(config.out).has_images:
        raise ConfigError(
            f"--out {config.out} is a run, which keeps the scores of its own model and data.",
            hint=f"Name another folder; without --out they are those of {config.run}.",
        )


def _found_in_training(config: Evaluate, data: Data, split: str, run: Run) -> str:
    """Return what training found of validation that one score may not replace; empty for nothing."""
    if not (data.is_own and split == "val" and config.out is None and run.evaluated("val")):
        return ""
    record = run.evaluation("val", EvaluationRecord)
    doubt = f"and that it is no score: {record.doubt}" if record.doubt else ""
    return f"cross-validation in {record.folds} folds" if record.folds else doubt


def _scored_before(config: Evaluate, data: Data, evaluation: Evaluation, run: Run) -> int:
    """Return how many images other data had that was scored last, none of which is asked about now."""
    if data.is_own or config.out is not None or not run.evaluated("all"):
        return 0
    try:
        before = {line["image"] for line in run.predictions("all")}
    except ModelError:  # of a damaged record nothing is lost
        return 0
    return 0 if any(line["image"] in before for line in evaluation.lines()) else len(before)


def _chosen(config: Evaluate, data: Data, advice: str) -> tuple[str, tuple[AnnotatedImage, ...]]:
    """Return the split that is asked for, and its images.

    Raises:
        ConfigError: It is one of other data, and there is no other place for its scores.
        DataError: It has none.
    """
    images = data.dataset.images
    if data.is_own:
        split: str = config.split or ("test" if "test" in data.splits.values() else "val")
        chosen = tuple(image for image in images if data.splits.get(image.name) == split)
    else:
        if config.split and config.out is None:
            raise ConfigError(
                f"The scores of {data.dataset.source}, which is other data, would take the place of those of "
                f"the training's own {config.split} split in {config.run}.",
                hint="Name a folder for them by --out, or score all of the data without --split.",
            )
        split = config.split or "all"
        chosen = tuple(image for image in images if config.split in (None, image.split))
    if not chosen:
        raise DataError(
            f"The {split} split of {data.dataset.source} has no image.",
            hint="Expected other images with their words, of scenes that were not trained on.",
            run=advice,
        )
    return split, chosen
