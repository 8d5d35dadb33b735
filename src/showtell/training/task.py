"""What the loop trains, and which of its validations is the better one."""

from collections.abc import Mapping
from typing import Literal, Protocol

from torch import Tensor, nn

from showtell.training.checkpoint import Progress
from showtell.training.processes import ALONE, Processes

Criterion = Literal["score", "last"]
"""What chooses the checkpoint: the validation score, or that it is the last one."""


class TrainingTask(Protocol):
    """What the loop trains: a network with its batches and its score.

    Attributes:
        steps_per_epoch: Batches of an epoch.
        unit: What a batch holds, for people.
        processes: Those that share its batches out; a task that knows of none is trained by one process.
        rests: Whether some parameters have no gradient in some steps.
    """

    steps_per_epoch: int
    unit: str
    processes: Processes = ALONE
    rests: bool = False

    @property
    def network(self) -> nn.Module:
        """Return what is optimised."""

    def loss(self, epoch: int, index: int) -> tuple[Tensor, int]:
        """Return the loss of a batch and how many units (captions, images) it holds.

        The batch must be a pure function of (seed, epoch, index): a resume asks for it again. Where processes
        share it, the loss is of this one's part, divided by what the whole batch holds, so that all add up to
        the whole batch's; the units are always the whole batch's.
        """

    def validate(self) -> dict[str, float]:
        """Return validation figures, the same in all processes; leaves random states untouched.

        A higher ``score`` is better. Where there is a ``loss`` besides, a score of zero says nothing, and the
        lower loss is better: see :func:`is_better`.
        """

    def why_stop(self, progress: Progress) -> str:
        """Return why training may not go on after a validation; empty where it may.

        It must be a pure function of the progress: a resume asks again.
        """
        return ""


def is_better(figures: Mapping[str, float], best: Mapping[str, float], criterion: Criterion) -> bool:
    """Tell whether one validation is better than another.

    By ``score``, the higher one is. Where there is a ``loss``, a score of zero is nobody's best: any score
    above zero is better, and of two validations that score nothing, the one with the lower loss. By ``last``,
    the later one is, whatever it scores.

    Args:
        figures: Of the one, which came later.
        best: Of the other; empty where there is none.
        criterion: What counts.
    """
    if not best or criterion == "last":
        return True
    if "loss" in figures and "loss" in best and max(figures["score"], best["score"]) <= 0:
        return figures["loss"] < best["loss"]
    return figures["score"] > best["score"]
