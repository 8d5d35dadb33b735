"""From photos and captions to a captioner."""

import time
from collections.abc import Sequence
from typing import Any

import torch

from showtell.config import PreviewTokens, TrainCaptioner
from showtell.console import Console, human_time
from showtell.data.augment import MIRRORED
from showtell.data.records import Picture
from showtell.errors import DataError
from showtell.features.backbone import Backbone
from showtell.features.extract import Extraction, extract_features
from showtell.features.store import FeatureStore
from showtell.features.weights import load_backbone
from showtell.model_folder import CaptionerModel, save_captioner
from showtell.models.attention import AttentionConfig
from showtell.models.captioner import Captioner
from showtell.report.tensorboard import TensorBoardLog
from showtell.runtime import choose_device, environment, prepare_process, seed_everything
from showtell.tasks.evaluate import Evaluation, describe_split, save_evaluation, scores_table
from showtell.tasks.prepare import Prepared, as_used, prepare, read_captions
from showtell.tasks.report import report_training
from showtell.tasks.run_folder import claimed_run, record_run, training_fingerprint
from showtell.text.sides import names_a_side
from showtell.text.tokenizer import CaptionTokenizer
from showtell.training.captioner import CaptionTrainee
from showtell.training.loop import Loop, LoopConfig

BATCH_SIZE = 32
"""Photos a step, each with all its captions."""
BEAM_SIZE = 3
"""Captions searched side by side, in validation and in the finished model; measured in docs/log.md."""
_FINAL_RATE = 0.02
"""Of the learning rate's peak; what training by reward keeps, which learns the training split by heart at
more (docs/log.md)."""
_SCALE_SAMPLE = 1000
"""Training pictures from which feature statistics are taken."""


def train_captioner(config: TrainCaptioner, console: Console | None = None) -> dict[str, Any]:
    """Train a captioner; leave a run with a model, its record and its validation scores.

    Args:
        config: What to train on and how.
        console: Where to say what happens; None for silence.

    Returns:
        The validation scores.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    boards = [TensorBoardLog(config.out / "tensorboard")] if config.tensorboard else []
    with claimed_run(config):
        return _train(config, console or Console(quiet=True), boards)


def _train(config: TrainCaptioner, console: Console, boards: Sequence[TensorBoardLog]) -> dict[str, Any]:
    started = time.perf_counter()
    prepare_process()
    store = FeatureStore(config.store)
    backbone, prepared = _look_at_all(config, store, console)
    train = captioned(prepared, "train")
    mirrored = _look_at_mirrored(train, backbone, store, console) if config.mirror else None
    seed_everything(config.seed)
    tokenizer = train_tokenizer(config, train, console)
    captioner = build_captioner(config, tokenizer, prepared, train).to(backbone.pixel_mean.device)
    record_run(config, "train-captioner", prepared, backbone.description.for_store())
    epochs = config.epochs or _enough_epochs(-(-len(train) // BATCH_SIZE))
    trainee = CaptionTrainee(
        captioner,
        prepared.extraction,
        train,
        captioned(prepared, "val"),
        batch_size=BATCH_SIZE,
        seed=config.seed,
        beam_size=BEAM_SIZE,
        likelihood_epochs=epochs if config.reward_epochs else None,
        mirrored=mirrored,
    )
    loop = LoopConfig(
        epochs=epochs + config.reward_epochs,
        learning_rate=config.learning_rate,
        final_rate=_FINAL_RATE,
        decay_epochs=epochs,
    )
    fingerprint = training_fingerprint(config, prepared, backbone.description.for_store())
    for board in boards:
        board.show(trainee.validation, lambda: trainee.described)
    Loop(trainee, loop, config.out, fingerprint=fingerprint, console=console, watchers=boards).run(
        resume=config.resume
    )
    evaluation, model = _finish(config, trainee, backbone, prepared, store, console)
    console.say(
        f"Trained in {human_time(time.perf_counter() - started)}; the model is in {config.out / 'model'}"
    )
    console.say(scores_table(evaluation, "val"))
    report_training(config, model, prepared.dataset, console)
    console.say(f"Try it: showtell predict {config.out} PICTURE --picture why.png")
    return evaluation.figures()


def _finish(
    config: TrainCaptioner,
    trainee: CaptionTrainee,
    backbone: Backbone,
    prepared: Prepared,
    store: FeatureStore,
    console: Console,
) -> tuple[Evaluation, CaptionerModel]:
    """Score the finished captioner as it will be used, and keep both."""
    eye, extraction = as_used(prepared, backbone, trainee.validation, store, console)
    evaluation = describe_split(
        trainee.captioner, extraction, trainee.validation, beam_size=BEAM_SIZE, training=trainee.train
    )
    save_evaluation(config.out, "val", evaluation)
    provenance = {
        "train_pictures": len(trainee.train),
        "val_pictures": len(trainee.validation),
        "data": prepared.fingerprint,
        "likelihood_epochs": trainee.likelihood_epochs if config.reward_epochs else None,
        "validation": evaluation.figures(),
        "environment": environment(),
    }
    return evaluation, save_captioner(
        config.out / "model", eye, trainee.captioner.eval(), beam_size=BEAM_SIZE, provenance=provenance
    )


def _look_at_all(config: TrainCaptioner, store: FeatureStore, console: Console) -> tuple[Backbone, Prepared]:
    """Read the data, load the backbone, and look at every picture that has not been looked at."""
    dataset = read_captions(config, console)
    backbone = load_backbone(
        config.backbone,
        config.weights,
        image_size=config.image_size,
        seed=config.seed,
        precision=config.precision,
        engine=config.engine,
        console=console,
    ).to(choose_device())
    return backbone, prepare(dataset, backbone, store, console, seed=config.seed)


def captioned(prepared: Prepared, split: str) -> tuple[Picture, ...]:
    """Return the pictures of a split that have captions.

    Raises:
        DataError: There are none.
    """
    pictures = tuple(picture for picture in prepared.split(split) if picture.captions)
    if not pictures:
        raise DataError(
            f"No picture of the {split} split has a caption ({len(prepared.pictures)} pictures in all).",
            would_do="Both train and val need some; about 100 captioned pictures are a beginning.",
        )
    return pictures


def _look_at_mirrored(
    train: Sequence[Picture], backbone: Backbone, store: FeatureStore, console: Console
) -> Extraction:
    """Bring the features of mirrored pictures into the store, but where that makes a caption wrong."""
    chosen = [picture for picture in train if not any(map(names_a_side, picture.captions))]
    sided = len(train) - len(chosen)
    aside = f"; {sided:,} more stay as they are, since a caption says left or right" if sided else ""
    console.say(f"Mirrored: {len(chosen):,} pictures of train{aside} (--no-mirror leaves them out)")
    return extract_features(chosen, backbone, store, view=MIRRORED, console=console)


def train_tokenizer(
    config: TrainCaptioner | PreviewTokens, train: Sequence[Picture], console: Console
) -> CaptionTokenizer:
    """Learn the vocabulary of the training captions, and say how much of them it covers."""
    captions = [caption for picture in train for caption in picture.captions]
    min_count = config.min_count or (5 if len(captions) >= 20_000 else 2 if len(captions) >= 2_000 else 1)
    tokenizer = CaptionTokenizer.train(
        captions, kind=config.tokenizer, vocab_size=config.vocab_size, min_count=min_count
    )
    kind = "words" if config.tokenizer == "word" else "pieces of words"
    console.say(
        f"Vocabulary: {tokenizer.vocab_size:,} {kind} (seen {min_count} times or more), which cover "
        f"{tokenizer.coverage(captions):.1%} of the training captions"
    )
    return tokenizer


def build_captioner(
    config: TrainCaptioner, tokenizer: CaptionTokenizer, prepared: Prepared, train: Sequence[Picture]
) -> Captioner:
    """Build an untrained captioner for the features of the training pictures, scaled by some of them."""
    space = prepared.extraction.space
    description = space.description
    sizes = AttentionConfig(
        vocab_size=tokenizer.vocab_size,
        feature_dim=description["grid_shape"][1],
        hidden_dim=config.hidden_dim,
        embed_dim=config.hidden_dim,
        attention_dim=config.hidden_dim // 2,
        cell=config.cell,
        dropout=config.dropout,
    )
    rows, columns = description["grid_size"]
    captioner = Captioner(sizes, tokenizer, (rows, columns))
    sample = [prepared.extraction.key(picture.name) for picture in train[:_SCALE_SAMPLE]]
    captioner.decoder.fit_feature_scale(torch.from_numpy(space.get(sample)[0]))
    return captioner


def _enough_epochs(steps_per_epoch: int) -> int:
    """Return 6 epochs, or as many as make 1,100 steps, but never more than 60."""
    return max(6, min(60, -(-1100 // steps_per_epoch)))
