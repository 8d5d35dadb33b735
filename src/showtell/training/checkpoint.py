"""Everything that an exact resume needs, in one safetensors file that is either whole or not there."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from showtell.errors import ModelError
from showtell.files import parse_json, write_atomic


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        step: Optimiser steps made.
        epoch: Epochs finished.
        index: Steps made in the epoch under way.
        unseen: Steps made since the last validation.
        loss_sum: Of these steps, for its mean.
        best: Figures of the best validation so far; empty before the first.
        best_epoch: Its epoch; 0 before the first validation.
        history: One record a validation.
    """

    step: int = 0
    epoch: int = 0
    index: int = 0
    unseen: int = 0
    loss_sum: float = 0.0
    best: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best_score(self) -> float:
        """Return the score of the best validation so far, below every other before the first."""
        return self.best.get("score", float("-inf"))


@dataclass(frozen=True)
class TrainingState:
    """What a training changes from step to step.

    Attributes:
        network: Trained weights.
        ema: Their exponential moving average, by parameter name.
        optimizer: Its moments.
    """

    network: nn.Module
    ema: dict[str, Tensor]
    optimizer: torch.optim.Optimizer


def save_checkpoint(path: Path, state: TrainingState, progress: Progress, fingerprint: str) -> None:
    """Write a checkpoint; a kill at any moment leaves the one before.

    Args:
        path: The file.
        state: Weights, their average and the optimizer.
        progress: Where the training stands.
        fingerprint: Of the settings and the data that a resume must share.
    """
    tensors = {f"network.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in state.ema.items()}
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    metadata = {"progress": json.dumps(asdict(progress)), "fingerprint": fingerprint}
    save_tensors(path, tensors, metadata)


def load_checkpoint(path: Path, state: TrainingState, fingerprint: str) -> Progress:
    """Restore what :func:`save_checkpoint` wrote, the state of the random generators included.

    Returns:
        Where the training stood.

    Raises:
        ModelError: The checkpoint is damaged, or was made with other settings or data.
    """
    try:
        tensors, metadata = load_tensors(path)
    except ModelError as error:
        raise ModelError(
            error.what, hint="Delete this file to train from the first step; the features are kept."
        ) from error
    if metadata.get("fingerprint") != fingerprint:
        raise ModelError(
            f"{path} was made with other settings or other data, so its training cannot be resumed.",
            hint="Resume with the first settings and images, or start anew in another --out.",
        )
    try:
        return _restore(tensors, metadata, state)
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
        raise ModelError(
            f"{path} is damaged, or was made by another version of showtell; its training cannot be resumed.",
            hint="Start anew in another --out; the features are kept.",
        ) from error


def _restore(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], state: TrainingState) -> Progress:
    """Put what a checkpoint holds where it belongs; whatever does not fit raises in its own way."""
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "ema": {}, "optimizer": {}, "random": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    state.network.load_state_dict(parts["network"])
    for name in state.ema:
        state.ema[name].copy_(parts["ema"][name])
    parameters = [one for group in state.optimizer.param_groups for one in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimizer"].items():
        index, _, moment = name.partition(".")
        parameter = parameters[int(index)]
        # The optimizer walks through moments and weights side by side: they must lie alike in memory.
        like = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
        moments.setdefault(int(index), {})[moment] = like.copy_(value)
    state.optimizer.load_state_dict(state.optimizer.state_dict() | {"state": moments})
    torch.set_rng_state(parts["random"]["cpu"])
    if "cuda" in parts["random"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(parts["random"]["cuda"])
    return Progress(**parse_json(metadata["progress"]))


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically and durably; the same values are the same bytes."""
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    content = save(contiguous, metadata=dict(metadata))
    # The library writes metadata in an order that differs between processes. The header behind its length of
    # eight bytes stays as long, padded with blanks.
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end]) | {"__metadata__": dict(metadata)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(end - 8)
    # Written here, since the library's own file could be read by nobody but its owner.
    write_atomic(path, content[:8] + text + content[end:], durable=True)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file.

    Raises:
        ModelError: It is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read: {error}.") from error
