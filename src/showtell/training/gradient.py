"""The gradient of a batch, which the processes of a training share.

PyTorch's DistributedDataParallel adds up what each process computes of its part, so that all take the step
that one process would, and their weights stay equal.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from showtell.runtime import has_fast_bfloat16
from showtell.training.task import TrainingTask
from showtell.training.threads import ThreadChoice

Loss = Callable[[int, int], tuple[Tensor, int]]
"""From epoch and index to the loss of a batch and its units: :meth:`TrainingTask.loss`."""


def join(task: TrainingTask) -> Loss:
    """Give all processes of a task the weights and random numbers of the first one, and share its gradient.

    Returns:
        The task's loss, whose backward pass leaves the mean over processes of the gradients.
    """
    processes = task.processes
    if processes.count == 1:
        return task.loss
    with warnings.catch_warnings():
        # Of another name for buffers, which torch 2.8 does not know.
        warnings.simplefilter("ignore", FutureWarning)
        shared = nn.parallel.DistributedDataParallel(
            _Loss(task),
            broadcast_buffers=False,
            find_unused_parameters=task.rests,
            gradient_as_bucket_view=True,
        )
    torch.set_rng_state(processes.of_first(torch.get_rng_state()))
    if torch.cuda.is_available():
        torch.cuda.set_rng_state(processes.of_first(torch.cuda.get_rng_state()))
    return shared


class _Loss(nn.Module):
    """A task as the module that DistributedDataParallel expects."""

    def __init__(self, task: TrainingTask) -> None:
        super().__init__()
        self.network = task.network
        self._loss = task.loss

    def forward(self, epoch: int, index: int) -> tuple[Tensor, int]:
        return self._loss(epoch, index)


def compute_gradient(
    task: TrainingTask,
    loss: Loss,
    epoch: int,
    index: int,
    clip_norm: float,
    threads: ThreadChoice | None = None,
) -> tuple[float, float, int]:
    """Add the gradient of a batch to the network's, clipped.

    Args:
        task: What is trained.
        loss: Of the task, as :func:`join` returns it.
        epoch: From 0.
        index: Of the batch in the epoch.
        clip_norm: Largest norm of the gradient.
        threads: Chooses how many compute it; None for as many as everything else has.

    Returns:
        The loss, the norm before, and the units, of all processes.
    """
    device = next(task.network.parameters()).device

    def gradient() -> tuple[float, int]:
        with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device)):
            value, count = loss(epoch, index)
        (value * task.processes.count).backward()  # of which the mean over processes is the sum
        return value.item(), count

    value, count = threads.compute(gradient) if threads else gradient()
    norm = nn.utils.clip_grad_norm_(task.network.parameters(), clip_norm)
    return task.processes.sum(value), norm.item(), count
