"""Grad-CAM: how much each cell of an image speaks for a class."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone, grid_of


def grad_cam(backbone: Backbone, head: nn.Module, pixels: Tensor, class_index: int) -> Tensor:
    """Return how much each cell of the backbone's grid speaks for a class.

    Args:
        backbone: The encoder.
        head: From pooled features (1, D) to logits (1, C), differentiable.
        pixels: One image, (1, 3, height, width), uint8.
        class_index: The class, in [0, C).

    Returns:
        (rows, columns), float32, each 0 or more; not normalised. All zero for a network that pools by a
        class token, which has seen the cells before them.

    Source: Selvaraju et al. 2017, eq. 1 and 2: channels weighed by the mean gradient of the class's logit,
        summed, and cut off at zero.
    """
    with torch.no_grad():
        features = backbone.features(pixels)
    with torch.enable_grad():
        features.requires_grad_()
        logit = head(backbone.pool(features))[0, class_index]
        (gradient,) = torch.autograd.grad(logit, features)
    grid, size = grid_of(backbone.network, features.detach())  # (1, L, D)
    grads, _ = grid_of(backbone.network, gradient)
    weights = grads.mean(1, keepdim=True)  # (1, 1, D)
    return F.relu((weights * grid).sum(-1)).view(size)
