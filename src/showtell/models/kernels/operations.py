"""Operations with backward passes of their own, where autograd's do several times the work, and dropout.

Each equals what autograd would give, which tests compare. Letters: B images, K captions an image, L grid
cells, A ``attention_dim``, N words, U distinct words, V ``vocab_size``.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from showtell.models.dropout import Part

_ROWS = 64
"""Words whose gradients are computed together: their logits stay in a core's cache."""
_CACHED = 1 << 18
"""Numbers that are computed together where nothing is kept of them: they stay in a core's cache."""


def drop(x: Tensor, share: float, part: Part | None = None) -> Tensor:
    """Leave out a share of units at random, in steps of 1/256, and scale the others up.

    Eight units are drawn at once: torch's own dropout takes 13 ns for each on some processors, which was 7%
    of a training step (docs/log.md).

    Args:
        x: Of any shape.
        share: In [0, 1).
        part: What ``x`` is of a greater array, for which units are drawn; None where it is all there is.
    """
    kept = max(1, 256 - round(256 * share))
    if kept == 256:
        return x
    shape = x.shape if part is None else (part.count, *x.shape[1:])
    count = math.prod(shape)
    drawn = torch.empty(-(-count // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    numbers = drawn.view(torch.uint8)[:count].view(shape)
    mask = (numbers if part is None else part.of(numbers)) < kept
    return x * mask.to(x.dtype).mul_(256 / kept)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute ``torch.nn.functional.linear`` of few rows, with the weight as the left factor.

    A product is shared among threads by the rows of its left factor: a search has one or some, the weight has
    hundreds (docs/log.md, "When a search gives up").

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,).

    Returns:
        (..., out), laid out row by row.
    """
    rows = x.flatten(0, -2).t()  # (in, rows)
    product = weight @ rows if bias is None else torch.addmm(bias.unsqueeze(1), weight, rows)
    found: Tensor = product.t().contiguous().unflatten(0, x.shape[:-1])
    return found


def additive_score(keys: Tensor, query: Tensor, weight: Tensor) -> Tensor:
    """Compute :func:`showtell.models.attention.additive_score` with a backward pass that writes one array.

    Without one, no array of (B, K, L, A) is written at all: a few images at a time take a third.

    Args:
        keys: (B, L, A).
        query: (B, K, A).
        weight: (A,).

    Returns:
        (B, K, L).
    """
    if torch.is_grad_enabled():
        scores: Tensor = _AdditiveScore.apply(keys, query, weight)
        return scores
    images, doubled = max(1, _CACHED // (query.shape[1] * keys[0].numel())), 2 * weight
    parts = [
        ((2 * some_keys).unsqueeze(1) + (2 * some_query).unsqueeze(2)).sigmoid_() @ doubled
        for some_keys, some_query in zip(keys.split(images), query.split(images))
    ]
    return torch.cat(parts).sub_(weight.sum())


class _AdditiveScore(torch.autograd.Function):
    """``tanh(keys + query) @ weight`` over every cell.

    Autograd's own derivative writes four arrays of (B, K, L, A) a word, which is most of a training step. And
    tanh(x) is computed as 2 * sigmoid(2 * x) - 1, since torch's sigmoid takes a third of the time of its
    tanh in bfloat16, and a sixth in float32 (docs/log.md).
    """

    @staticmethod
    def forward(ctx: Any, keys: Tensor, query: Tensor, weight: Tensor) -> Tensor:
        energy = ((2 * keys).unsqueeze(1) + (2 * query).unsqueeze(2)).sigmoid_()  # (B, K, L, A)
        ctx.save_for_backward(energy, weight)
        return energy @ (2 * weight) - weight.sum()  # (B, K, L)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        energy, weight = ctx.saved_tensors
        grad_weight = 2 * (grad.flatten() @ energy.flatten(0, 2)) - grad.sum()  # (A,)
        # s - s^2 is the derivative of a sigmoid s; that of its tanh is 4 times as large.
        derivative = torch.addcmul(energy, energy, energy, value=-1)  # (B, K, L, A)
        grad_query = (grad.unsqueeze(2) @ derivative).squeeze(2)  # (B, K, A)
        derivative.mul_(grad.unsqueeze(-1))
        # As a product, since torch's sum over the second of four axes takes three times as long.
        ones = derivative.new_ones(len(derivative), 1, derivative.shape[1])  # (B, 1, K)
        grad_keys = (ones @ derivative.flatten(2)).view_as(derivative[:, 0])  # (B, L, A)
        return grad_keys * (4 * weight), grad_query * (4 * weight), grad_weight


class FusedLinear:
    """A linear map that is applied word after word, with one product for its gradient over all words.

    Autograd would compute a product for every word, each too small to be fast, and add them up one by one.
    The applications note their inputs and gradients in a list, which the backward pass of the parameters
    reads at the very end: a map is made anew for every forward pass, and differentiated once.

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
        unflattened: Tensor = mapped.unflatten(0, values.shape[:-1])
        return unflattened


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
        rows, grads = (torch.cat(parts) for parts in zip(*ctx.applied))  # of all words, (N, in) and (N, out)
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


def gather_repeated(rows: Tensor, index: Tensor) -> Tensor:
    """Take rows that are each taken many times; their gradients are added up in one pass.

    Args:
        rows: (U, width).
        index: Which row each place takes, (N,), int64; every row is taken.

    Returns:
        (N, width).
    """
    gathered: Tensor = _GatherRepeated.apply(rows, index)
    return gathered


class _GatherRepeated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        by_row, counts = index.argsort(stable=True), index.bincount()  # (N,), (U,)
        starts = counts.cumsum(0) - counts  # of each row's places in by_row, (U,)
        # A bag is a sum of rows, computed in float32: a fifth of the time of index_add, and exact.
        return F.embedding_bag(by_row, grad, starts, mode="sum"), None


def index_select_unique(values: Tensor, index: Tensor) -> Tensor:
    """Take rows that are all different: their gradients are copied to their places, not added.

    Args:
        values: (count, width).
        index: Which rows, (rows,), int64, none of them twice.

    Returns:
        (rows, width).
    """
    selected: Tensor = _IndexSelectUnique.apply(values, index)
    return selected


class _IndexSelectUnique(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.count = len(values)
        return values.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return grad.new_zeros(ctx.count, grad.shape[1]).index_copy_(0, index, grad), None


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Return the mean cross-entropy against smoothed targets, whose gradient comes with it in one pass.

    A second backward pass through the same value is refused: the first takes the gradients away.

    Args:
        logits: (N, V), any float dtype.
        targets: The right word of each row, (N,), int64.
        smoothing: Share that is spread over all words, in [0, 1).

    Returns:
        A scalar, float32.

    Source: Szegedy et al. 2016, section 7.
    """
    loss: Tensor = _SmoothedCrossEntropy.apply(logits, targets, smoothing)
    return loss


class _SmoothedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        losses, grads = [], torch.empty_like(logits)
        count, words = logits.shape
        buffer = torch.empty(min(_ROWS, count), words, device=logits.device)  # float32
        for part, right, grad in zip(*(whole.split(_ROWS) for whole in (logits, targets, grads))):
            values, right = buffer[: len(part)].copy_(part), right.unsqueeze(1)
            mean, at_right = values.mean(1, keepdim=True), values.gather(1, right)
            highest = values.amax(1, keepdim=True)
            total = values.sub_(highest).exp_().sum(1, keepdim=True)
            losses.append(highest + total.log() - (1 - smoothing) * at_right - smoothing * mean)
            # The softmax less the smoothed target, over the number of rows.
            values.mul_(1 / (count * total)).sub_(smoothing / (count * words))
            values.scatter_add_(1, right, values.new_full(right.shape, (smoothing - 1) / count))
            grad.copy_(values)
        ctx.save_for_backward(grads)
        return torch.cat(losses).mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (grads,) = ctx.saved_tensors
        return grads.mul_(grad), None, None
