"""Heads on pooled features: linear, MLP and nearest neighbours. They know nothing of files.

Letters: B images, D features, C classes, N remembered images.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.models.dropout import Dropout

HeadKind = Literal["linear", "mlp", "knn", "pretrained"]

_SHARPNESS = 1 / 0.07
"""A neighbour's vote is exp(cosine * this), as in Wu et al. 2018."""
_DOUBT = 0.1
"""Votes that are spread over all classes, so that no class is impossible."""


@dataclass(frozen=True)
class HeadConfig:
    """What a head is made of.

    Attributes:
        kind: Which head.
        feature_dim: D.
        classes: C.
        hidden_dim: Width of the MLP.
        dropout: Share of its hidden units that a training step leaves out, in [0, 1).
        neighbours: How many images vote in ``knn``.
        remembered: N, how many images ``knn`` remembers.
    """

    kind: HeadKind
    feature_dim: int
    classes: int
    hidden_dim: int = 256
    dropout: float = 0.5
    neighbours: int = 1
    remembered: int = 0


class Head(nn.Module):
    """From pooled features to logits; a subclass says how, on standardised features.

    Args:
        config: Its sizes.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("feature_mean", torch.zeros(config.feature_dim))
        self.register_buffer("feature_scale", torch.ones(config.feature_dim))

    @torch.no_grad()
    def fit_scale(self, pooled: Tensor) -> None:
        """Take mean and deviation of the training features, (N, D); constant ones stay as they are."""
        deviation, mean = torch.std_mean(self._directions(pooled), dim=0, correction=0)
        constant = deviation <= 1e-6 * deviation.max()
        self.feature_mean.copy_(mean)
        self.feature_scale.copy_(torch.where(constant, 1.0, 1 / deviation))

    def standardise(self, pooled: Tensor) -> Tensor:
        """Bring features (B, D), any float dtype, to one length an image, then to mean 0 and deviation 1.

        How long an image's features are says how much of anything there is in it, not what; without it,
        unseen photos are told apart better (docs/log.md).
        """
        standard: Tensor = (self._directions(pooled) - self.feature_mean) * self.feature_scale
        return standard

    def _directions(self, pooled: Tensor) -> Tensor:
        directions: Tensor = F.normalize(pooled.float(), dim=1)  # (B, D)
        return directions * math.sqrt(self.config.feature_dim)  # mean square 1

    def forward(self, pooled: Tensor) -> Tensor:
        """Turn pooled features (B, D) into logits (B, C), float32."""
        return self.logits(self.standardise(pooled))

    def logits(self, standardised: Tensor) -> Tensor:
        """Turn standardised features (B, D) into logits (B, C)."""
        raise NotImplementedError


class LinearHead(Head):
    """Multinomial logistic regression."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        self.linear = nn.Linear(config.feature_dim, config.classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def logits(self, standardised: Tensor) -> Tensor:
        """Turn standardised features (B, D) into logits (B, C)."""
        logits: Tensor = self.linear(standardised)
        return logits


class MlpHead(Head):
    """One hidden layer: ReLU, dropout."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        self.layers = nn.Sequential(
            nn.Linear(config.feature_dim, config.hidden_dim),
            nn.ReLU(),
            Dropout(config.dropout),
            nn.Linear(config.hidden_dim, config.classes),
        )

    def logits(self, standardised: Tensor) -> Tensor:
        """Turn standardised features (B, D) into logits (B, C)."""
        logits: Tensor = self.layers(standardised)
        return logits


class NeighbourHead(Head):
    """A vote of the most similar training images, by cosine.

    Source: Wu et al. 2018, section 3.4, with votes for classes that no neighbour has.
    """

    memory: Tensor
    memory_labels: Tensor

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        # Half precision: what it remembers was kept in float16 in the first place.
        memory = torch.zeros(config.remembered, config.feature_dim, dtype=torch.float16)
        self.register_buffer("memory", memory)
        self.register_buffer("memory_labels", torch.zeros(config.remembered, dtype=torch.int64))

    @torch.no_grad()
    def remember(self, pooled: Tensor, labels: Tensor) -> None:
        """Remember N training images: pooled (N, D), labels (N,), int64."""
        self.memory.copy_(F.normalize(self.standardise(pooled), dim=1))
        self.memory_labels.copy_(labels)

    def logits(self, standardised: Tensor) -> Tensor:
        """Turn standardised features (B, D) into the logarithm of each class's share of votes (B, C)."""
        similar = F.normalize(standardised, dim=1) @ self.memory.to(standardised.dtype).T  # (B, N)
        nearest, places = similar.topk(min(self.config.neighbours, similar.shape[1]), dim=1)
        votes = torch.zeros(len(standardised), self.config.classes, device=standardised.device)
        # Relative to the most similar one, which so has one vote.
        weights = ((nearest - nearest[:, :1]) * _SHARPNESS).exp()
        votes.scatter_add_(1, self.memory_labels[places], weights)
        votes += _DOUBT / self.config.classes
        shares: Tensor = (votes / votes.sum(1, keepdim=True)).log()
        return shares


class PretrainedHead(Head):
    """The classifier that a network was pretrained with, on features as they are."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__(config)
        self.linear = nn.Linear(config.feature_dim, config.classes)

    def standardise(self, pooled: Tensor) -> Tensor:
        """Return the features (B, D) as they are, float32."""
        return pooled.float()

    def logits(self, standardised: Tensor) -> Tensor:
        """Turn features (B, D) into logits (B, C)."""
        logits: Tensor = self.linear(standardised)
        return logits


_KINDS: dict[HeadKind, type[Head]] = {
    "linear": LinearHead,
    "mlp": MlpHead,
    "knn": NeighbourHead,
    "pretrained": PretrainedHead,
}


def build_head(config: HeadConfig) -> Head:
    """Build the head that a config describes, untrained."""
    return _KINDS[config.kind](config)
