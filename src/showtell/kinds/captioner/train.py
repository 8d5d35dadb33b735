"""From photos and captions to a captioner."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

import torch

from showtell.backbones.backbone import Backbone
from showtell.console import Console, Log, human_time
from showtell.data.reading import read_annotated
from showtell.data.records import AnnotatedImage
from showtell.data.split import sizes_for_captions
from showtell.errors import DataError
from showtell.evaluation.verdict import commonest_captions
from showtell.extraction.prepared import Prepared, features_for_inference, prepare
from showtell.kinds.captioner.evaluation import CaptionEvaluation, evaluate_captions
from showtell.kinds.captioner.learnt import judge_captioner, refuse_unlearnt
from showtell.kinds.captioner.model import NAME, CaptionerModel
from showtell.kinds.captioner.recipe import DROPOUT, HIDDEN_DIM, Recipe, recipe_for
from showtell.kinds.captioner.reward import Sampling
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.trainee import CaptionTrainee
from showtell.kinds.captioner.views import look_at_mirrored, look_at_views
from showtell.kinds.kind import Reported
from showtell.kinds.model_folder import save_model
from showtell.kinds.report import report_training
from showtell.models.captioner import LENGTH_PENALTY, Captioner
from showtell.models.config import DecoderConfig
from showtell.runs.run import Run
from showtell.runtime import environment, seed_everything
from showtell.store.store import FeatureStore
from showtell.text.lengths import USUAL_LENGTH, length_limit
from showtell.text.tokenizer import CaptionTokenizer
from showtell.training.checkpoint import Progress
from showtell.training.loop import Loop, LoopConfig
from showtell.training.tensorboard import TensorBoardLog

_SCALE_SAMPLE = 1000
"""Training images from which feature statistics are taken."""


def train_captioner(config: TrainCaptioner, console: Console | None = None) -> Run:
    """Train a captioner; leave a run with a model, its record and its validation scores.

    Args:
        config: What to train on and how.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The run: its folder, record, scores and model.

    Raises:
        NotLearntError: The training came to its end, and the model is not known to have learnt anything; the
            run is whole.
        ShowtellError: Something the user can mend, said in its message.
    """
    boards = [TensorBoardLog(config.out / "tensorboard")] if config.tensorboard else []
    run = Run(config.out)
    with run.claim(config):
        _train(config, run, console or Log(), boards)
    return run


def _train(config: TrainCaptioner, run: Run, console: Console, boards: Sequence[TensorBoardLog]) -> None:
    started = time.perf_counter()
    store = FeatureStore(config.store)
    backbone, prepared = _look_at_all(config, store, console)
    train, val = captioned(prepared, "train"), captioned(prepared, "val")
    recipe = recipe_for(
        len(train),
        len(val),
        batch_size=config.batch_size,
        epochs=config.epochs,
        augmentations=config.augmentations,
        hidden_dim=config.hidden_dim,
        dropout=config.dropout,
    )
    _say_recipe(recipe, len(train), len(val), console)
    mirrored = look_at_mirrored(train, backbone, store, console) if config.hflip else None
    views = look_at_views(train, recipe.augmentations, config.hflip, backbone, store, console)
    seed_everything(config.seed)
    tokenizer = train_tokenizer(
        train, console, kind=config.tokenizer, vocab_size=config.vocab_size, min_count=config.min_count
    )
    lengths = caption_lengths(tokenizer, train)
    max_length = config.max_length or length_limit(lengths)
    sized = replace(config, hidden_dim=recipe.hidden_dim, dropout=recipe.dropout, max_length=max_length)
    captioner = build_captioner(sized, tokenizer, prepared, train).to(backbone.pixel_mean.device)
    say_lengths(lengths, max_length, console)
    trainee = CaptionTrainee(
        captioner,
        prepared.extraction,
        train,
        val,
        batch_size=recipe.batch_size,
        seed=config.seed,
        beam_size=config.beam_size,
        label_smoothing=config.label_smoothing,
        attention_regularization=config.attention_regularization,
        likelihood_epochs=recipe.epochs if config.scst_epochs else None,
        sampling=Sampling(config.scst_samples, config.scst_temperature, config.scst_max_tokens),
        mirrored=mirrored,
        views=views,
        baseline=commonest_captions(train),
    )
    captioner.decoder.fit_word_bias(trainee.token_counts())
    loop = LoopConfig(
        epochs=recipe.epochs + config.scst_epochs,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        final_rate=config.final_rate,
        decay_epochs=recipe.epochs,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        average=config.ema_decay,
        patience=config.patience,
        patience_steps=recipe.patience_steps,
        criterion=recipe.criterion,
        validate_every=recipe.validate_every,
    )
    for board in boards:
        board.show(trainee.validation, lambda: trainee.described)
    resolved = _resolved(recipe, captioner, loop)
    progress = Loop(
        trainee,
        loop,
        config.out,
        fingerprint=run.start(
            config, NAME, prepared, backbone.description, resolved=resolved, console=console
        ),
        console=console,
        watchers=boards,
        gate=trainee.why_no_reward,
    ).run(resume=config.resume)
    used, features = features_for_inference(prepared, backbone, trainee.validation, store, console)
    evaluation = evaluate_captions(
        captioner,
        features,
        trainee.validation,
        split="val",
        beam_size=config.beam_size,
        training=trainee.train,
    )
    evaluation = replace(evaluation, verdict=judge_captioner(trainee, prepared.extraction, evaluation))
    run.save_evaluation(evaluation.record(), evaluation.lines())
    console.say(evaluation.table())
    provenance = _provenance(config, recipe, trainee, progress, prepared, evaluation)
    model = save_model(
        run.model,
        CaptionerModel.of(used, captioner, beam_size=config.beam_size, provenance=provenance),
    )
    verdict = evaluation.verdict
    assert verdict is not None
    took, out = human_time(time.perf_counter() - started), config.out
    chosen = "the last" if recipe.criterion == "last" else "the best by validation"
    console.say(
        f"{'Ended after' if verdict.fault else 'Trained in'} {took}; the model, of epoch "
        f"{progress.best_epoch} ({chosen}), is in {out / 'model'}"
    )
    console.say(f"Validation: {verdict.line}")
    reported = Reported(run, model, prepared.dataset, "val", config, evaluation, features)
    report_training(reported, console)
    refuse_unlearnt(config, recipe, verdict, len(prepared.images))
    console.say(f"Try it: showtell predict {out} PICTURE --save-plot why.png")


def _resolved(recipe: Recipe, captioner: Captioner, loop: LoopConfig) -> dict[str, Any]:
    """Return every number that shapes the model besides the settings."""
    parts = {
        "recipe": asdict(recipe),
        "decoder": asdict(captioner.decoder.config),
        "loop": asdict(loop),
        "search": {"length_penalty": LENGTH_PENALTY},
        "features": {"scale_sample": _SCALE_SAMPLE},
    }
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}


def _provenance(
    config: TrainCaptioner,
    recipe: Recipe,
    trainee: CaptionTrainee,
    progress: Progress,
    prepared: Prepared,
    evaluation: CaptionEvaluation,
) -> dict[str, Any]:
    """Return what the model tells people of its making."""
    verdict = evaluation.verdict
    return {
        "train_images": len(trainee.train),
        "val_images": len(trainee.validation),
        "data": prepared.fingerprint,
        "recipe": asdict(recipe),
        "best_epoch": progress.best_epoch,
        "xe_epochs": trainee.likelihood_epochs if config.scst_epochs else None,
        "validation": evaluation.figures(),
        "verdict": verdict.line if verdict else "",
        "fault": verdict.fault if verdict else "",
        "environment": environment(),
    }


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


def _look_at_all(config: TrainCaptioner, store: FeatureStore, console: Console) -> tuple[Backbone, Prepared]:
    """Read the data, load the backbone, and look at every image that has not been looked at."""
    dataset = read_annotated(config, "captions", console)
    backbone = config.load(seed=config.seed, console=console)
    val_size, test_size = sizes_for_captions(dataset, config.val_size, config.test_size, console)
    return backbone, prepare(
        dataset,
        backbone,
        store,
        console,
        seed=config.seed,
        val_size=val_size,
        test_size=test_size,
    )


def captioned(prepared: Prepared, split: str) -> tuple[AnnotatedImage, ...]:
    """Return the images of a split that have captions.

    Raises:
        DataError: There are none.
    """
    images = tuple(image for image in prepared.split(split) if image.captions)
    if not images:
        raise DataError(
            f"No image of the {split} split has a caption ({len(prepared.images)} images in all).",
            hint="Both train and val need some; about 100 captioned images are a beginning.",
        )
    return images


def train_tokenizer(
    train: Sequence[AnnotatedImage],
    console: Console,
    *,
    kind: Literal["word", "bpe"],
    vocab_size: int,
    min_count: int | None,
) -> CaptionTokenizer:
    """Learn the vocabulary of the training captions, and say how much of them it covers."""
    captions = [caption for image in train for caption in image.captions]
    min_count = min_count or (5 if len(captions) >= 20_000 else 2 if len(captions) >= 2_000 else 1)
    tokenizer = CaptionTokenizer.train(captions, kind=kind, vocab_size=vocab_size, min_count=min_count)
    pieces = "words" if kind == "word" else "pieces of words"
    console.say(
        f"Vocabulary: {tokenizer.vocab_size:,} {pieces} (seen {min_count} times or more), which cover "
        f"{tokenizer.coverage(captions):.1%} of the training captions"
    )
    return tokenizer


def caption_lengths(tokenizer: CaptionTokenizer, train: Sequence[AnnotatedImage]) -> list[int]:
    """Return the tokens of each training caption."""
    return [len(ids) for ids in tokenizer.encode_batch([text for one in train for text in one.captions])]


def say_lengths(lengths: Sequence[int], most: int, console: Console) -> None:
    """Say up to where captions are learnt, where some are longer than usual or are cut.

    Args:
        lengths: Tokens of each training caption.
        most: Tokens of a caption that are learnt.
        console: Told so.
    """
    cut = sum(length > most for length in lengths)
    if cut:
        console.say(
            f"Captions: {cut:,} of {len(lengths):,} are longer than {most} tokens (longest: {max(lengths)}) "
            "and are learnt up to there; max_length sets the limit"
        )
    elif most > USUAL_LENGTH:
        console.say(f"Captions: up to {max(lengths)} tokens long; the model writes up to {most} (max_length)")


def build_captioner(
    config: TrainCaptioner, tokenizer: CaptionTokenizer, prepared: Prepared, train: Sequence[AnnotatedImage]
) -> Captioner:
    """Build an untrained captioner for the features of the training images, scaled by some of them.

    Sizes that the settings leave open are the usual ones.
    """
    description = prepared.extraction.space.description
    width = config.hidden_dim or HIDDEN_DIM
    sizes = DecoderConfig(
        vocab_size=tokenizer.vocab_size,
        feature_dim=description["grid_shape"][1],
        hidden_dim=width,
        embed_dim=width,
        attention_dim=width // 2,
        kind=config.decoder,
        dropout=DROPOUT if config.dropout is None else config.dropout,
        max_length=config.max_length or USUAL_LENGTH,
    )
    rows, columns = description["grid_size"]
    captioner = Captioner(sizes, tokenizer, (rows, columns))
    sample = prepared.extraction.grid(train[:_SCALE_SAMPLE])
    captioner.decoder.fit_feature_scale(torch.from_numpy(sample))
    return captioner
