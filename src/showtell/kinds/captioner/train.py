"""From photos and captions to a captioner."""

from dataclasses import asdict, replace
from typing import cast

import torch

from showtell.backbones.backbone import Backbone
from showtell.backbones.grids import joint_shape, map_size
from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.data.split import sizes_for_captions
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.extraction.prepared import Prepared, features_for_inference
from showtell.kinds.captioner.cropping import choose_crops
from showtell.kinds.captioner.data import (
    CaptionData,
    caption_lengths,
    captioned,
    say_lengths,
    train_tokenizer,
    with_views,
)
from showtell.kinds.captioner.evaluation import evaluate_captions, judge_captioner, refuse_unlearnt
from showtell.kinds.captioner.fine_tune import FineTuneTask, Top
from showtell.kinds.captioner.model import NAME, CaptionerModel, CaptionerProvenance
from showtell.kinds.captioner.reading import window_for
from showtell.kinds.captioner.remembering import remember
from showtell.kinds.captioner.settings import (
    DROPOUT,
    HIDDEN_DIM,
    ON_RATE,
    Recipe,
    TrainCaptioner,
    recipe_for,
)
from showtell.kinds.captioner.task import CaptionTask
from showtell.kinds.captioner.verdict import Verdict
from showtell.kinds.fine_tune import lr_scales
from showtell.kinds.going_on import continued, corrected_texts, inherit, load_start
from showtell.kinds.kind import Question, Reported
from showtell.kinds.model_folder import save_model
from showtell.kinds.training import Session, loop_config, train_in_run
from showtell.models.captioner import LENGTH_PENALTY, Captioner
from showtell.models.config import DecoderConfig
from showtell.models.decoding import AHEAD
from showtell.runs.plan import TrainingPlan
from showtell.runs.records import JsonObject
from showtell.runs.run import Run
from showtell.runtime import environment, seed_everything
from showtell.text.lengths import USUAL_LENGTH, length_limit
from showtell.text.tokenizer import CaptionTokenizer
from showtell.training.checkpoint import Progress
from showtell.training.order import Order
from showtell.training.schedule import LoopConfig

_SHAPE = ("tokenizer", "vocab_size", "decoder", "hidden_dim", "dropout", "max_length")
"""Settings that shape words and decoder: those of the run that a training goes on from."""
_REWARD_COST = 2.2
"""What a step by reward takes in relation to one by cross-entropy, measured on two cores."""
_SCALE_SAMPLE = 1000
"""Training images from which feature statistics are taken."""


def train_captioner(settings: TrainCaptioner, console: Console | None = None) -> Run:
    """Train a captioner; leave a run with a model, its record and its validation scores.

    Args:
        settings: What to train on and how.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The run: its folder, record, scores and model.

    Raises:
        NotLearntError: The training came to its end, and the model is not known to have learnt anything; the
            run is whole.
        ShowtellError: Something the user can mend, said in its message.
    """
    settings = inherit(settings, _SHAPE)
    if settings.from_run is not None and Run(settings.from_run).settings(TrainCaptioner).memory:
        settings = replace(settings, memory=True)  # a captioner does not lose what its captions lean on
    return train_in_run(settings, console, _train)


def _train(session: Session[TrainCaptioner]) -> None:
    given, run, console = session.settings, session.run, session.console
    start = cast("CaptionerModel", load_start(given)) if given.from_run else None
    backbone, top, prepared = _extract_all(session, start)
    data = CaptionData(prepared.features, captioned(prepared, "train"), captioned(prepared, "val"))
    recipe = recipe_for(given, len(data.train), len(data.validation))
    if start is not None:
        shape = start.config.captioner
        recipe = replace(recipe, hidden_dim=shape.hidden_dim, dropout=shape.dropout)
    _say_recipe(recipe, len(data.train), len(data.validation), console)
    settings = recipe.applied(given)
    data = with_views(data, settings, backbone, session.store, console)
    below = top.extract_below(data, settings, session.store, console) if top else None
    captioner, settings = _captioner_to_train(settings, data, start, backbone.device, console)
    window = window_for(settings, data, session.started_with, console)
    if top and below:
        task: CaptionTask = FineTuneTask(captioner, data, settings, top, below, session.processes, window)
    else:
        task = CaptionTask(captioner, data, settings, session.processes, window)
    if start is None:
        captioner.decoder.fit_word_bias(task.token_counts())
    loop = _loop_config(settings, recipe, task)
    session.show(data.validation, lambda: task.generated)
    resolved = _resolved(recipe, captioner, loop, task.order)
    fingerprint = session.start(TrainingPlan(given, NAME, prepared, backbone.description, resolved))
    progress = session.loop(task, loop, fingerprint)
    used, features = _features_as_trained(session, prepared, backbone, task, progress)
    if given.memory:
        captioner.memory = remember(
            extract_features(data.train, session.by_engine(used, data.train), session.store, console=console),
            data.train,
            console,
        )
    used, features = choose_crops(session, used, features, task, progress)
    validation = replace(prepared, images=tuple(data.validation), features=features)
    question = Question("val", validation, training=tuple(data.train))
    evaluation = evaluate_captions(captioner, question, beam_size=given.final_beam_size)
    verdict = judge_captioner(captioner, data, task.features, evaluation)
    evaluation = replace(evaluation, verdict=verdict)
    run.save_evaluation(evaluation.record(), evaluation.lines())
    console.say(evaluation.table())
    provenance = CaptionerProvenance(
        train_images=len(data.train),
        val_images=len(data.validation),
        data=prepared.fingerprint,
        validation=evaluation.figures(),
        environment=environment(),
        recipe=recipe,
        best_epoch=progress.best_epoch,
        xe_epochs=int(task.xe_epochs) if progress.epoch > task.xe_epochs else None,
        verdict=verdict.line,
        fault=verdict.fault,
    )
    model = CaptionerModel.of(used, captioner, beam_size=given.final_beam_size, provenance=provenance)
    model = save_model(run.model, model)
    _say_trained(session, recipe, progress, verdict)
    session.report(Reported(run, model, prepared.dataset, "val", given, features))
    refuse_unlearnt(given, recipe, verdict, len(prepared.images))
    session.say_how_to_use()


def _captioner_to_train(
    settings: TrainCaptioner,
    data: CaptionData,
    start: CaptionerModel | None,
    device: torch.device,
    console: Console,
) -> tuple[Captioner, TrainCaptioner]:
    """Learn the words, and build a captioner of them, or let that of a run grow by new ones.

    Returns:
        The captioner, and the settings with the longest caption filled in.
    """
    seed_everything(settings.seed)
    tokenizer = train_tokenizer(
        data.train,
        console,
        kind=settings.tokenizer,
        vocab_size=settings.vocab_size,
        min_count=settings.min_count,
        known=None if start is None else start.captioner.tokenizer,
        corrected=corrected_texts(settings, "caption"),
    )
    lengths = caption_lengths(tokenizer, data.train)
    settings = replace(settings, max_length=settings.max_length or length_limit(lengths))
    captioner = start.captioner.grown(tokenizer) if start else build_captioner(settings, tokenizer, data)
    say_lengths(lengths, captioner.decoder.config.max_length, console)
    return captioner.to(device), settings


def _say_trained(
    session: Session[TrainCaptioner], recipe: Recipe, progress: Progress, verdict: Verdict
) -> None:
    """Say which model is kept, where, and whether it has learnt anything."""
    chosen = "the last" if recipe.criterion == "last" else "the best by validation"
    session.console.say(
        f"{'Ended after' if verdict.fault else 'Trained in'} {session.took}; the model, of epoch "
        f"{progress.best_epoch} ({chosen}), is in {session.run.model}"
    )
    session.console.say(f"Validation: {verdict.line}")


def _features_as_trained(
    session: Session[TrainCaptioner],
    prepared: Prepared,
    backbone: Backbone,
    task: CaptionTask,
    progress: Progress,
) -> tuple[Backbone, Features]:
    """Return what the trained model encodes with, and its features of validation."""
    store, console, validation = session.store, session.console, task.data.validation
    tuned = task.best_backbone(progress, console) if isinstance(task, FineTuneTask) else None
    if tuned is None:
        return features_for_inference(
            prepared, backbone, validation, store, console, session.settings.build_executor()
        )
    return tuned, extract_features(validation, tuned, store, console=console)


def _loop_config(settings: TrainCaptioner, recipe: Recipe, task: CaptionTask) -> LoopConfig:
    epochs = recipe.epochs + recipe.fine_tune_epochs + settings.scst_epochs
    shared = loop_config(settings, epochs, warmup_steps=settings.warmup_steps)
    shares = {"top": settings.top_share, "bottom": settings.bottom_share}
    return replace(
        shared,
        learning_rate=shared.learning_rate * (1 if settings.from_run is None else ON_RATE),
        decay_epochs=recipe.epochs,
        restart_epochs=recipe.fine_tune_epochs,
        restart_rate=settings.fine_tune_rate,
        lr_scale=lr_scales(task.network, **shares) if isinstance(task, FineTuneTask) else {},
        patience=recipe.patience,
        criterion=recipe.criterion,
        validate_every=recipe.validate_every,
        late_cost=_REWARD_COST if settings.scst_epochs else 1.0,
    )


def _resolved(recipe: Recipe, captioner: Captioner, loop: LoopConfig, order: Order) -> JsonObject:
    """Return every number that shapes the model besides the settings."""
    parts = {
        "recipe": asdict(recipe),
        "decoder": asdict(captioner.decoder.config),
        "loop": asdict(loop),
        "search": {"length_penalty": LENGTH_PENALTY, "ahead": AHEAD},
        "features": {"scale_sample": _SCALE_SAMPLE},
        "reading": order.record(),
    }
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}


def _say_recipe(recipe: Recipe, train: int, val: int, console: Console) -> None:
    """Say what follows from how many images there are."""
    few = f"{val:,} validation images are too few to choose a checkpoint, so the last one is kept"
    many = f"the CIDEr-D of {val:,} validation images chooses the checkpoint"
    views = f"{recipe.augmentations} random views of each" if recipe.augmentations else "no random views"
    console.say(
        f"For {train:,} images: {views} (augmentations), a decoder {recipe.hidden_dim} wide "
        f"(hidden_dim), dropout {recipe.dropout:g} (dropout), {recipe.epochs} epochs (--epochs), "
        f"{recipe.batch_size} images a step; {few if recipe.criterion == 'last' else many}"
    )


def _extract_all(
    session: Session[TrainCaptioner], start: CaptionerModel | None
) -> tuple[Backbone, Top | None, Prepared]:
    """Read the data, load the backbone, find what is tuned of it, and encode every image."""
    settings, console = session.settings, session.console
    dataset = read_annotated(settings, "captions", console)
    dataset = continued(dataset, settings, "caption", session.store, console)
    backbone = (
        settings.load(seed=settings.seed, console=console) if start is None else start.backbone.with_crops(1)
    )
    backbone = session.by_engine(backbone, dataset.images)
    # A wrong layer is better told now than after an hour.
    top = None if settings.fine_tune is None else Top.of(backbone, settings.fine_tune)
    sizes = sizes_for_captions(dataset, settings.val_size, settings.test_size, console)
    return backbone, top, session.prepare(dataset, backbone, *sizes)


def build_captioner(settings: TrainCaptioner, tokenizer: CaptionTokenizer, data: CaptionData) -> Captioner:
    """Build an untrained captioner for the features of the training images, scaled by some of them.

    Sizes that the settings leave open are the usual ones.
    """
    grids = data.features.grids
    width = settings.hidden_dim or HIDDEN_DIM
    sizes = DecoderConfig(
        vocab_size=tokenizer.vocab_size,
        feature_dim=joint_shape(grids)[1],
        hidden_dim=width,
        embed_dim=width,
        attention_dim=width // 2,
        kind=settings.decoder,
        dropout=DROPOUT if settings.dropout is None else settings.dropout,
        max_length=settings.max_length or USUAL_LENGTH,
        grids=grids if len(grids) > 1 else (),
    )
    captioner = Captioner(sizes, tokenizer, map_size(grids))
    sample = data.features.grid(data.train[:_SCALE_SAMPLE])
    captioner.decoder.fit_feature_scale(torch.from_numpy(sample))
    return captioner
