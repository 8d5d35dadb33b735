"""Settings of a captioner's training, and what follows from how many images there are to learn from."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from showtell.models.config import DecoderKind
from showtell.runs.settings import FineTuningSettings
from showtell.settings import MAX_BEAMS, Maybe, Rare, above_zero, at_least, at_most
from showtell.text.lengths import LONGEST

SMALL = 600
"""Fewer training images are few: what follows is for them, and was measured on 16 to 80 (docs/log.md)."""
FEW_TO_CHOOSE = 30
"""Fewer validation images are too few to choose a checkpoint, and the last one is kept: their scores leap
by a third, and their loss is least long before captions are sentences (docs/log.md)."""
BEAM_SIZE, MEMORY_BEAM_SIZE = 3, 10
"""Width of the search by likelihood, and of one whose captions a memory chooses from (docs/log.md)."""
BATCH_SIZE, HIDDEN_DIM, DROPOUT = 32, 512, 0.5
"""Images a step, width of the decoder and share of units left out, where images are not few."""
_SMALL_BATCH_SIZE, _SMALL_HIDDEN_DIM, _SMALL_DROPOUT = 8, 256, 0.3
ON_RATE, _ON_EPOCHS = 0.3, 1 / 3
"""Peak of the learning rate and number of epochs of a training that goes on from a run, as shares of those of
one that starts from nothing."""
_STEPS = 1100
_SMALL_STEPS = 450
_MOST_EPOCHS, _MAX_WIDTH = 60, 16_384
_EPOCHS, _EPOCHS_OF_VIEWS = 6, 8
"""At least so many, without random views and with them, which keep the later ones from learning by heart."""
_SMALL_VIEWS, _VIEWS, _LARGE = 8, 4, 20_000
"""Random views of each image below `SMALL` and below `_LARGE` training images. Those of more images, and of
the values below a fine-tuned top, take long, and what they bring is not measured."""
_VALIDATIONS = 15
"""Of a training on few images: each costs about as much as a few steps."""


@dataclass(frozen=True)
class TrainCaptioner(FineTuningSettings):
    """Train a captioner on images and their captions; the result is a folder, RUN.

    Example: showtell train-captioner photos/captions.csv --out runs/mine

    Example: showtell train-captioner photos/captions.csv --tokenizer bpe --memory --out runs/korean
    """

    out: Path = Path("runs/captioner")
    tokenizer: Literal["word", "bpe"] = "word"
    """Whole words, or subwords (bpe) for languages that write words together, such as Korean."""
    batch_size: Rare[Maybe[int]] = None
    """Images per step, each with all its captions, at least 1. By default 32, or 8 below 600 images."""
    epochs: Maybe[int] = None
    """Passes over the training split, at least 1. By default 6, with random views 8, more for few images."""
    beam_size: Rare[Maybe[int]] = None
    """Width of the beam search, at least 1. By default 3, and with --memory 10 in the finished model."""
    group_column: Rare[Maybe[str]] = None
    memory: bool = False
    """Rank captions by what people said of similar training images; their captions stay in the model."""
    decoder: Rare[DecoderKind] = "lstm"
    """The decoder: lstm or gru, with additive attention, or transformer."""
    vocab_size: Rare[int] = 10_000
    """Largest vocabulary in tokens, at least 16; with --tokenizer bpe at least 261."""
    read_window: Rare[Maybe[int]] = None
    """Images that are read together, in the order of the store, and shuffled among themselves; 0 reads each
    image by itself. By default 0, or some thousands where features do not fit into memory."""
    min_count: Rare[Maybe[int]] = None
    """Occurrences from which a word is learnt; by default 5 from 20,000 captions on, fewer below."""
    max_length: Rare[Maybe[int]] = None
    """Tokens per caption, 4 to 1,000; by default as many as leave 999 of 1,000 captions whole, 40 to 250."""
    hidden_dim: Rare[Maybe[int]] = None
    """Width of the decoder, at least 16; by default 512, or 256 for few images."""
    dropout: Rare[Maybe[float]] = None
    """Share of units dropped while training, 0 to 0.9; by default 0.5, or 0.3 for few images."""
    hflip: Rare[bool] = True
    """Also learn from horizontally flipped images, unless a caption says left or right."""
    augmentations: Rare[Maybe[int]] = None
    """Random views of each training image to learn from besides the plain one, 0 to 64; by default 8 below
    600 images, 4 below 20,000 without --fine-tune, else none."""
    test_crops: Rare[Maybe[int]] = None
    """Crops of an image of which the finished model takes the mean features, 1 to 6: the whole, its centre,
    and its corners. Each costs a pass of the network; by default 6 where validation is better with them and
    the network is one of up to 10 million parameters, else 1."""
    fine_tune_epochs: Rare[Maybe[int]] = None
    """Fine-tuning: further epochs by cross-entropy, in which the top of the backbone is trained with the
    decoder, at least 1; by default as many as --epochs."""
    fine_tune_rate: Rare[float] = 0.3
    """Fine-tuning: peak of the learning rate as a share of learning_rate, above 0, at most 1."""
    top_share: Rare[float] = 0.5
    bottom_share: Rare[float] = 0.1
    scst_epochs: Rare[int] = 3
    """Further epochs of self-critical sequence training, which rewards sampled captions by CIDEr-D."""
    scst_samples: Rare[int] = 5
    """Captions sampled per image, at least 2; the others are the baseline of each."""
    scst_temperature: Rare[float] = 0.5
    """Temperature of the sampling, at least 0.01: sharper than the model, near what a beam search finds."""
    scst_max_tokens: Rare[int] = 30
    """Longest sampled caption, at least 1, where people's captions are of usual length."""
    attention_regularization: Rare[float] = 1.0
    """Weight of the doubly stochastic term, lambda of Xu et al. 2015, eq. 14, at least 0."""
    final_rate: Rare[float] = 0.02
    warmup_steps: Rare[int] = 200
    """Steps over which the learning rate rises to its peak; at most a tenth of all steps is used."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        # Subwords begin with every byte and the special tokens.
        at_least(self, vocab_size=261 if self.tokenizer == "bpe" else 16)
        at_least(self, min_count=1, hidden_dim=16, max_length=4, dropout=0, augmentations=0, test_crops=1)
        at_least(self, batch_size=1, epochs=1, beam_size=1, scst_epochs=0, scst_samples=2, scst_max_tokens=1)
        at_least(self, read_window=0, attention_regularization=0, warmup_steps=0, fine_tune_epochs=1)
        at_least(self, scst_temperature=0.01)
        at_most(self, dropout=0.9, augmentations=64, fine_tune_rate=1, max_length=LONGEST, test_crops=6)
        at_most(self, beam_size=MAX_BEAMS, hidden_dim=_MAX_WIDTH)
        above_zero(self, "fine_tune_rate")

    @property
    def final_beam_size(self) -> int:
        """Return the width of the finished model's search."""
        return self.beam_size or (MEMORY_BEAM_SIZE if self.memory else BEAM_SIZE)


@dataclass(frozen=True)
class Recipe:
    """What a training does.

    Attributes:
        batch_size: Images a step, each with all its captions.
        epochs: Passes over the training split by likelihood.
        fine_tune_epochs: Further ones, in which the top of the backbone is trained, too; 0 for none.
        validate_every: Epochs from one validation to the next.
        patience: Epochs without improvement after which it ends; of few images, at least half of all.
        criterion: What chooses the checkpoint.
        augmentations: Random views of each training image to learn from besides the plain one.
        hidden_dim: Width of the decoder.
        dropout: Share of units left out at random.
    """

    batch_size: int
    epochs: int
    fine_tune_epochs: int
    validate_every: int
    patience: int
    criterion: Literal["score", "last"]
    augmentations: int
    hidden_dim: int
    dropout: float

    def applied(self, settings: TrainCaptioner) -> TrainCaptioner:
        """Return settings with all that was left open filled in."""
        return replace(
            settings,
            batch_size=self.batch_size,
            epochs=self.epochs,
            fine_tune_epochs=self.fine_tune_epochs or None,
            augmentations=self.augmentations,
            hidden_dim=self.hidden_dim,
            dropout=self.dropout,
        )


def recipe_for(settings: TrainCaptioner, train: int, validation: int) -> Recipe:
    """Return how to train on so many images; what the settings fix stays as it is.

    Args:
        settings: As given.
        train: Training images, at least 1.
        validation: Validation images, at least 1.
    """
    small = train < SMALL
    batch_size = settings.batch_size or (_SMALL_BATCH_SIZE if small else BATCH_SIZE)
    steps = -(-train // batch_size)
    epochs, augmentations = settings.epochs, settings.augmentations
    hidden_dim, dropout = settings.hidden_dim, settings.dropout
    if augmentations is None:
        augmentations = _SMALL_VIEWS if small else _VIEWS if train < _LARGE and not settings.fine_tune else 0
    if epochs is None:
        least = _EPOCHS_OF_VIEWS if augmentations else _EPOCHS
        whole = -(-_SMALL_STEPS // steps) if small else max(least, min(_MOST_EPOCHS, -(-_STEPS // steps)))
        epochs = whole if settings.from_run is None else math.ceil(whole * _ON_EPOCHS)
    return Recipe(
        batch_size=batch_size,
        epochs=epochs,
        fine_tune_epochs=0 if settings.fine_tune is None else settings.fine_tune_epochs or epochs,
        validate_every=max(1, epochs // _VALIDATIONS) if small else 1,
        patience=max(settings.patience, -(-epochs // 2)) if small else settings.patience,
        criterion="last" if validation < FEW_TO_CHOOSE else "score",
        augmentations=augmentations,
        hidden_dim=(_SMALL_HIDDEN_DIM if small else HIDDEN_DIM) if hidden_dim is None else hidden_dim,
        dropout=(_SMALL_DROPOUT if small else DROPOUT) if dropout is None else dropout,
    )
