"""What the loop trains, and which of its validations is the better one."""

from collections.abc import Mapping
from typing import Literal, Protocol

from torch import Tensor, nn

Criterion = Literal["score", "loss"]
"""Which figure of the validations chooses the checkpoint."""


class Trainee(Protocol):
    """What the loop trains: a network with its batches and its score."""

    steps_per_epoch: int
    unit: str

    @property
    def network(self) -> nn.Module:
        """Return what is optimised."""

    def loss(self, epoch: int, index: int) -> tuple[Tensor, int]:
        """Return the loss of a batch and how many units (captions, pictures) it holds.

        The batch must be a pure function of (seed, epoch, index): a resume asks for it again.
        """

    def validate(self) -> dict[str, float]:
        """Return validation figures; leaves random states untouched.

        A higher ``score`` is better. Where there is a ``loss`` besides, a score of zero says nothing, and the
        lower loss is better: see :func:`is_better`.
        """


def is_better(figures: Mapping[str, float], best: Mapping[str, float], criterion: Criterion) -> bool:
    """Tell whether one validation is better than another.

    By ``score``, the higher one is. Where there is a ``loss``, a score of zero is nobody's best: any score
    above zero is better, and of two validations that score nothing, the one with the lower loss. By ``loss``,
    the lower one is, whatever the score.

    Args:
        figures: Of the one; ``score``, and ``loss`` where the criterion is the loss.
        best: Of the other; empty where there is none.
        criterion: Which figure counts.
    """
    if not best:
        return True
    if criterion == "loss":
        return figures["loss"] < best["loss"]
    if "loss" in figures and "loss" in best and max(figures["score"], best["score"]) <= 0:
        return figures["loss"] < best["loss"]
    return figures["score"] > best["score"]
