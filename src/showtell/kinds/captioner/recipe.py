"""How a captioner is trained, as far as that follows from how many images there are to learn from."""

from dataclasses import dataclass, replace

from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.training.task import Criterion

SMALL = 600
"""Fewer training images are few: what follows is for them, and was measured on 16 to 80 (docs/log.md)."""
FEW_TO_CHOOSE = 30
"""Fewer validation images are too few to choose a checkpoint, and the last one is kept: their scores leap
by a third, and their loss is least long before captions are sentences (docs/log.md)."""
BATCH_SIZE, HIDDEN_DIM, DROPOUT = 32, 512, 0.5
"""Images a step, width of the decoder and share of units left out, where images are not few."""
_SMALL_BATCH_SIZE, _SMALL_HIDDEN_DIM, _SMALL_DROPOUT = 8, 256, 0.3
_STEPS = 1100
_SMALL_STEPS = 450
_MOST_EPOCHS = 60
_VALIDATIONS = 15
"""Of a training on few images: each costs about as much as a few steps."""


@dataclass(frozen=True)
class Recipe:
    """What a training does.

    Attributes:
        batch_size: Images a step, each with all its captions.
        epochs: Passes over the training split by likelihood.
        validate_every: Epochs from one validation to the next.
        patience_steps: Least steps without improvement after which it ends.
        criterion: What chooses the checkpoint.
        augmentations: Random views of each training image to learn from besides the plain one.
        hidden_dim: Width of the decoder.
        dropout: Share of units left out at random.
    """

    batch_size: int
    epochs: int
    validate_every: int
    patience_steps: int
    criterion: Criterion
    augmentations: int
    hidden_dim: int
    dropout: float

    def applied(self, settings: TrainCaptioner) -> TrainCaptioner:
        """Return settings with all that was left open filled in."""
        return replace(
            settings,
            batch_size=self.batch_size,
            epochs=self.epochs,
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
    epochs = settings.epochs
    if epochs is None:
        epochs = -(-_SMALL_STEPS // steps) if small else max(6, min(_MOST_EPOCHS, -(-_STEPS // steps)))
    augmentations, hidden_dim, dropout = settings.augmentations, settings.hidden_dim, settings.dropout
    return Recipe(
        batch_size=batch_size,
        epochs=epochs,
        validate_every=max(1, epochs // _VALIDATIONS) if small else 1,
        patience_steps=steps * epochs // 2 if small else 0,
        criterion="last" if validation < FEW_TO_CHOOSE else "score",
        augmentations=(8 if small else 0) if augmentations is None else augmentations,
        hidden_dim=(_SMALL_HIDDEN_DIM if small else HIDDEN_DIM) if hidden_dim is None else hidden_dim,
        dropout=(_SMALL_DROPOUT if small else DROPOUT) if dropout is None else dropout,
    )
