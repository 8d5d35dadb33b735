"""Operations with backward passes of their own, where autograd's do several times the work.

Each equals what autograd would give, which tests compare. Letters: B pictures, K captions a picture, L grid
cells, A ``attention_dim``, N words, V ``vocab_size``.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS = 64
"""Words whose slopes are computed together: their logits stay in a core's cache."""


class AdditiveScore(torch.autograd.Function):
    """``tanh(keys + query) @ weight`` over every cell, with a backward pass that writes one array.

    Autograd's own derivative writes four arrays of (B, K, L, A) a word, which is most of a training step. And
    tanh(x) is computed as 2 * sigmoid(2 * x) - 1, since torch's sigmoid takes a third of the time of its
    tanh in bfloat16, and a sixth in float32 (docs/log.md).
    """

    @staticmethod
    def forward(ctx: Any, keys: Tensor, query: Tensor, weight: Tensor) -> Tensor:
        """Score cells: keys (B, L, A), query (B, K, A), weight (A,) to (B, K, L)."""
        energy = ((2 * keys).unsqueeze(1) + (2 * query).unsqueeze(2)).sigmoid_()  # (B, K, L, A)
        ctx.save_for_backward(energy, weight)
        return energy @ (2 * weight) - weight.sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of keys, query and weight."""
        energy, weight = ctx.saved_tensors
        grad_weight = 2 * (grad.flatten() @ energy.flatten(0, 2)) - grad.sum()
        slope = torch.addcmul(energy, energy, energy, value=-1)  # (B, K, L, A), of sigmoid
        grad_query = (grad.unsqueeze(2) @ slope).squeeze(2)  # (B, K, A)
        slope.mul_(grad.unsqueeze(-1))
        # As a product, since torch's sum over the second of four axes takes three times as long.
        ones = slope.new_ones(len(slope), 1, slope.shape[1])
        grad_keys = (ones @ slope.flatten(2)).view_as(slope[:, 0])  # (B, L, A)
        return grad_keys * (4 * weight), grad_query * (4 * weight), grad_weight


class SharedLinear:
    """A linear map that is applied word after word, with one product for its gradient over all words.

    Autograd would compute a product for every word, each too small to be fast, and add them up one by one.

    Args:
        weight: (out, in).
        bias: (out,).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        device = weight.device.type
        self._dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        self._applied: list[tuple[Tensor, Tensor]] = []
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        self._weight, self._bias = _Gathered.apply(
            weight.to(self._dtype), bias.to(self._dtype), self._applied
        )

    def __call__(self, values: Tensor) -> Tensor:
        """Map values (..., in) to (..., out)."""
        rows = values.to(self._dtype).flatten(0, -2)
        mapped: Tensor = _Applied.apply(rows, self._weight, self._bias, self._applied)
        return mapped.unflatten(0, values.shape[:-1])


class _Gathered(torch.autograd.Function):
    """The parameters themselves; their backward pass comes after those of all applications."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, bias: Tensor, applied: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        ctx.applied = applied
        ctx.set_materialize_grads(False)
        return weight.view_as(weight), bias.view_as(bias)

    @staticmethod
    def backward(ctx: Any, *_: None) -> tuple[Tensor | None, Tensor | None, None]:
        if not ctx.applied:
            return None, None, None
        rows, grads = (torch.cat(parts) for parts in zip(*ctx.applied))
        ctx.applied.clear()
        return grads.T @ rows, grads.sum(0), None


class _Applied(torch.autograd.Function):
    """One application; it notes what the parameters' gradient is made of."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, applied: list[tuple[Tensor, Tensor]]
    ) -> Tensor:
        ctx.applied = applied
        ctx.save_for_backward(rows, weight)
        return torch.addmm(bias, rows, weight.T)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        rows, weight = ctx.saved_tensors
        ctx.applied.append((rows, grad))
        return grad @ weight, None, None, None


class Repeated:
    """Rows that are each used many times, with one pass that adds up their gradients.

    Args:
        occurrences: Which row each use takes, (N,), int64; every row is used.
    """

    def __init__(self, occurrences: Tensor) -> None:
        self._occurrences = occurrences
        self._by_row = occurrences.argsort(stable=True)
        counts = occurrences.bincount()
        self._starts = counts.cumsum(0) - counts

    def __call__(self, rows: Tensor) -> Tensor:
        """Repeat rows (U, width) into (N, width)."""
        repeated: Tensor = _Repeated.apply(rows, self._occurrences, self._by_row, self._starts)
        return repeated


class _Repeated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, occurrences: Tensor, by_row: Tensor, starts: Tensor) -> Tensor:
        ctx.save_for_backward(by_row, starts)
        return rows.index_select(0, occurrences)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        # A bag is a sum of rows, computed in float32: a fifth of the time of index_add, and exact.
        return F.embedding_bag(ctx.saved_tensors[0], grad, ctx.saved_tensors[1], mode="sum"), None, None, None


class Taken(torch.autograd.Function):
    """Rows at places that are all different: their gradient is copied there, not added."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor) -> Tensor:
        """Take values (count, width) at places (rows,): (rows, width)."""
        ctx.save_for_backward(places)
        ctx.count = len(values)
        return values.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of the values."""
        return grad.new_zeros(ctx.count, grad.shape[1]).index_copy_(0, ctx.saved_tensors[0], grad), None


class SmoothedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy a word against smoothed targets; its slopes come with its value, in one pass.

    A second backward pass through the same value is refused: the first takes the slopes away.

    Source: Szegedy et al. 2016, section 7.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """Score logits (N, V), any float dtype, of which targets (N,) are right: a scalar, float32."""
        losses, slopes = [], torch.empty_like(logits)
        count, words = logits.shape
        room = torch.empty(min(_ROWS, count), words, device=logits.device)
        for part, right, slope in zip(*(whole.split(_ROWS) for whole in (logits, targets, slopes))):
            values, right = room[: len(part)].copy_(part), right.unsqueeze(1)
            mean, at_right = values.mean(1, keepdim=True), values.gather(1, right)
            highest = values.amax(1, keepdim=True)
            total = values.sub_(highest).exp_().sum(1, keepdim=True)
            losses.append(highest + total.log() - (1 - smoothing) * at_right - smoothing * mean)
            values.mul_(1 / (count * total)).sub_(smoothing / (count * words))
            values.scatter_add_(1, right, values.new_full(right.shape, (smoothing - 1) / count))
            slope.copy_(values)
        ctx.save_for_backward(slopes)
        return torch.cat(losses).mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the logits."""
        (slopes,) = ctx.saved_tensors
        return slopes.mul_(grad), None, None
