"""Layer normalisation whose gradient is the same with any number of threads."""

from typing import Any

import torch
from torch import Tensor, nn

from showtell.models.kernels import are_faster_on
from showtell.runtime import computing_by


class LayerNorm(nn.LayerNorm):
    """Normalise the last axis, as ``nn.LayerNorm`` does to the last bit on one thread.

    On CPUs torch adds up the gradient of its scale and shift for each thread apart, so that the last bits say
    how many there were. It is the only operation of a captioner's training in bfloat16 that does so.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., width)."""
        if not (torch.is_grad_enabled() and are_faster_on(x.device)):
            return super().forward(x)
        normalised: Tensor = _LayerNorm.apply(x, self.weight, self.bias, self.eps)
        return normalised


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        normalised, mean, scale = torch.native_layer_norm(x, weight.shape, weight, bias, eps)
        ctx.save_for_backward(x, weight, bias, mean, scale)
        return normalised

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, bias, mean, scale = ctx.saved_tensors
        with computing_by(1):
            return *torch.ops.aten.native_layer_norm_backward(
                grad.contiguous(), x, weight.shape, mean, scale, weight, bias, [True] * 3
            ), None
