"""The range test of learning rates: the loss, while the rate grows from step to step until training diverges.

Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; exponential growth
and stopping as Smith and Topin 2018 and fastai do it.
"""

import contextlib
import math
import random
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from showtell.console import Console
from showtell.errors import ModelError
from showtell.runs.records import RangeTestRecord
from showtell.training.gradient import compute_gradient, join
from showtell.training.schedule import LoopConfig, adamw
from showtell.training.task import TrainingTask

STEPS = 120
LOWEST, HIGHEST = 1e-6, 1.0
"""Learning rates of the first step and of the last one."""
_WIDTH = 4.0
"""Steps: standard deviation of the Gaussian that smooths, a fifth of a decade."""
_FIRST = 5
"""Steps whose mean is the first loss: at their rates nothing is learnt."""
_CHANCE = 4.0
"""Standard errors of the smoothed loss that a fall must exceed."""

Floats = npt.NDArray[np.float64]


def run_range_test(task: TrainingTask, config: LoopConfig, console: Console) -> RangeTestRecord:
    """Try learning rates on a network, and leave it and the random generators as they were.

    The optimiser is the loop's, without a warm-up; batches are those of the first epochs.

    Args:
        task: What would be trained.
        config: How; its ``learning_rate`` is what is set at present.
        console: Told the progress.

    Raises:
        ModelError: The first loss is not finite already.

    Returns:
        The curve and what it suggests. The steepest place is suggested rather than one nearer the lowest
        loss: smoothing that looks both ways moves it nowhere, and beyond it a step already gains less.
    """
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    losses: list[float] = []
    epochs = config.decay_epochs or config.epochs  # later ones have another loss
    with _borrowed(task.network), console.bar(STEPS, "learning rates", "steps") as bar:
        optimizer, of_batch = adamw(task.network, config), join(task)
        for step, rate in enumerate(rates):
            epoch, index = divmod(step, task.steps_per_epoch)
            loss, norm, _ = compute_gradient(task, of_batch, epoch % epochs, index, config.clip_norm)
            if not math.isfinite(loss) or not math.isfinite(norm):
                break
            losses.append(loss)
            bar.set_postfix_str(f"loss {loss:.3f}, rate {rate:.1e}")
            bar.update(1)
            if np.mean(losses[-_FIRST:]) > 2 * np.mean(losses[:_FIRST]):
                break
            for group in optimizer.param_groups:
                group["lr"] = rate * group["lr_scale"]
            optimizer.step()
            optimizer.zero_grad()
        else:
            return _judged(rates, losses, None, config)
    if not losses:
        raise ModelError(
            "The loss of the untrained network is not a finite number.",
            hint="Its features or weights are damaged: try another --store or --weights.",
        )
    return _judged(rates, losses, float(rates[len(losses) - 1]), config)


def _judged(
    rates: Floats, losses: list[float], diverged: float | None, config: LoopConfig
) -> RangeTestRecord:
    """Return the record of a range test: smooth the losses, and find where they fall."""
    values, tried = np.array(losses), rates[: len(losses)]
    suggested = valley = None
    smoothed = values
    if len(values) > _FIRST:
        first = values[:_FIRST].mean()
        smoothed = _smooth(np.minimum(values, 2 * first))  # an explosion lifts nothing that precedes it
        lowest = int(smoothed.argmin())
        noise = float(np.std(values[: lowest + 1] - smoothed[: lowest + 1]))
        # Variance of a mean weighted by a Gaussian of that width, over that of one value.
        error = noise / math.sqrt(2 * math.sqrt(math.pi) * _WIDTH)
        if lowest >= _FIRST and first - smoothed[lowest] > _CHANCE * error:
            slope = np.gradient(smoothed, np.log(tried))
            suggested = float(tried[slope[: lowest + 1].argmin()])
            down = smoothed <= first - (first - smoothed[lowest]) * 2 / 3
            valley = float(tried[down.argmax()])
    return RangeTestRecord(
        rates=tried.tolist(),
        losses=losses,
        smoothed=smoothed.tolist(),
        suggested=suggested,
        valley=valley,
        diverged=diverged,
        present=config.learning_rate,
    )


def _smooth(values: Floats) -> Floats:
    """Average each value with those on both sides, by a Gaussian: unlike a running mean, it does not lag."""
    places = np.arange(len(values))
    weights = np.exp(-0.5 * ((places[:, None] - places) / _WIDTH) ** 2)
    smoothed: Floats = weights @ values / weights.sum(1)
    return smoothed


@contextlib.contextmanager
def _borrowed(network: nn.Module) -> Iterator[None]:
    """Train a network for a while; afterwards it and the random generators are as they were, to the bit."""
    state = {name: value.clone() for name, value in network.state_dict().items()}
    modes = {module: module.training for module in network.modules()}
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    network.train()
    try:
        yield
    finally:
        network.load_state_dict(state)
        network.zero_grad()
        for module, mode in modes.items():
            module.training = mode
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if cuda is not None:
            torch.cuda.set_rng_state(cuda)
