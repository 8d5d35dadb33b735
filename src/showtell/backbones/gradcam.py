"""Grad-CAM: how much each cell of an image speaks for a class."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone, grid_of
from showtell.backbones.grids import join_maps


def grad_cam(backbone: Backbone, head: nn.Module, pixels: Tensor, class_index: int) -> Tensor:
    """Return how much each cell of the backbone's grid speaks for a class.

    Args:
        backbone: The encoder.
        head: From pooled features (1, D) to logits (1, C), differentiable.
        pixels: One image, as the backbone's ``pixels`` reads it, in a batch of 1.
        class_index: The class, in [0, C).

    Returns:
        (rows, columns), float32, each 0 or more; not normalised. All zero for a network that pools by a
        class token, which has seen the cells before them. Of several networks, the sum of their maps.

    Source: Selvaraju et al. 2017, eq. 1 and 2: channels weighed by the mean gradient of the class's logit,
        summed, and cut off at zero.
    """
    parts = backbone.parts
    with torch.no_grad():
        features = [part.features(own) for part, own in zip(parts, backbone.split(pixels))]
    with torch.enable_grad():
        for one in features:
            one.requires_grad_()
        pooled = [part.pool(one) for part, one in zip(parts, features)]
        logit = head(backbone.join(pooled))[0, class_index]
        gradients = torch.autograd.grad(logit, features)
    return join_maps([_heat(*each) for each in zip(parts, features, gradients)])


def _heat(backbone: Backbone, features: Tensor, gradient: Tensor) -> Tensor:
    """Return the map of one network, (rows, columns)."""
    grid, size = grid_of(backbone.network, features.detach())  # (1, L, D)
    grads, _ = grid_of(backbone.network, gradient)
    weights = grads.mean(1, keepdim=True)  # (1, 1, D)
    return F.relu((weights * grid).sum(-1)).view(size)
