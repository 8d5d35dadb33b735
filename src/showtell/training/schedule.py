"""How a network is trained: the settings of the loop, the learning rate of a step, and the optimizer."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from showtell.training.task import Criterion


@dataclass(frozen=True)
class LoopConfig:
    """How to train.

    Attributes:
        epochs: Passes over the training split.
        learning_rate: Peak of the schedule: linear warm-up, then a cosine down to ``final_rate`` of it.
        warmup_steps: Steps of the warm-up; at most a tenth of all steps is used.
        final_rate: Last learning rate as a share of the peak.
        decay_epochs: Epochs until that last rate is reached, which the others keep; None for all.
        restart_epochs: Epochs after these of a second warm-up and descent, of other weights (Loshchilov and
            Hutter 2017); the patience begins anew with them.
        restart_rate: Peak of the second descent as a share of the first one's.
        weight_decay: AdamW's, on matrices only.
        clip_norm: Largest norm of the gradient.
        ema: Decay of the exponential moving average of weights that is validated and kept (Polyak and
            Juditsky 1992), in [0, 1).
        patience: Epochs without a better validation after which training stops.
        criterion: Which validation is the better one: see :func:`is_better`.
        validate_every: Epochs from one validation to the next; there is one where the loss changes and at the
            end, too.
        late_cost: What a step after ``decay_epochs`` takes in relation to one before, for a forecast.
        checkpoint_seconds: Between checkpoints; one is always made at a validation.
        lr_scale: Factor of the learning rate, by the name of the parameter; 1 for those that are not named.
    """

    epochs: int
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    final_rate: float = 0.05
    decay_epochs: int | None = None
    restart_epochs: int = 0
    restart_rate: float = 1.0
    weight_decay: float = 0.05
    clip_norm: float = 5.0
    ema: float = 0.995
    patience: int = 5
    criterion: Criterion = "score"
    validate_every: int = 1
    late_cost: float = 1.0
    checkpoint_seconds: float = 60.0
    lr_scale: Mapping[str, float] = field(default_factory=dict)


def learning_rate(config: LoopConfig, step: int, total: int) -> float:
    """Return the learning rate of a step, counted from 0, as a pure function of it."""
    warmup = max(1, min(config.warmup_steps, total // 10))
    cosine = 0.5 * (1 + math.cos(math.pi * min(step / total, 1.0)))
    decay = config.final_rate + (1 - config.final_rate) * cosine
    return config.learning_rate * min(1.0, (step + 1) / warmup) * decay


def adamw(network: nn.Module, config: LoopConfig) -> torch.optim.AdamW:
    """Return AdamW that decays matrices and spares biases and norms, each with its factor of the rate."""
    groups: defaultdict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, value in network.named_parameters():
        if value.requires_grad:
            decay = config.weight_decay if value.dim() > 1 else 0.0
            groups[config.lr_scale.get(name, 1.0), decay].append(value)
    grouped = [
        {"params": values, "weight_decay": decay, "lr_scale": scale, "lr": config.learning_rate * scale}
        for (scale, decay), values in groups.items()
    ]
    return torch.optim.AdamW(grouped, lr=config.learning_rate, fused=True)
