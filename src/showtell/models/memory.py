"""A captioner's memory: what people said of training images like this one re-ranks what the search found.

Nothing is trained. An image's nearest training images are found by their pooled features; of the captions
that the search found, those that agree with what people wrote of these images rank higher.

Letters: N remembered images, B images asked about, D channels of pooled features.

Source: Devlin et al. 2015, "Exploring nearest neighbor approaches for image captioning", and Mao et al. 2015,
"Deep captioning with multimodal recurrent neural networks", section 8.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.data.neighbours import Nearest
from showtell.text.ngram_weights import Ngram, NgramWeights
from showtell.text.words import MAX_NGRAM, metric_tokens

_COUNTED = 10_000
"""Images whose captions say how much an n-gram tells: of more, as many at equal distances."""
_KEPT = 20_000
"""Images whose captions are kept weighed, at about 20 kB each."""
_SHOWN = 3
"""Neighbours that are named for a caption."""


@dataclass(frozen=True)
class MemoryConfig:
    """What a memory holds and how it is used.

    Attributes:
        images: N.
        feature_dim: D.
        neighbours: Nearest images whose captions count, at least 1.
        temperature: By how much nearer ones count more: weights are the softmax of it times the cosine.
        weight: Of the agreement, in [0, 1], against log-probability / length^0.7 (docs/log.md).
    """

    images: int
    feature_dim: int
    neighbours: int = 30
    temperature: float = 20.0
    weight: float = 30.0


@dataclass(frozen=True)
class Neighbour:
    """A training image that a caption leaned on.

    Attributes:
        image: Its name in the data.
        captions: What people wrote of it, most alike first.
        similarity: Cosine of the pooled features, in [-1, 1].
        share: Its part of the agreement of all neighbours with the caption, in [0, 1].
    """

    image: str
    captions: tuple[str, ...]
    similarity: float
    share: float


class CaptionMemory(nn.Module):
    """Training images with what people said of them.

    Args:
        config: Sizes and weights.
        names: Of the images, N.
        captions: Of each image, at least one.
    """

    directions: Tensor
    """Pooled features of length 1, (N, D), float16."""

    def __init__(
        self, config: MemoryConfig, names: Sequence[str], captions: Sequence[tuple[str, ...]]
    ) -> None:
        super().__init__()
        self.config, self.names, self.captions = config, tuple(names), tuple(captions)
        empty = torch.zeros(config.images, config.feature_dim, dtype=torch.float16)
        self.register_buffer("directions", empty)
        self._said = lru_cache(_KEPT)(self._weigh)

    @classmethod
    def of(cls, pooled: Tensor, names: Sequence[str], captions: Sequence[tuple[str, ...]]) -> "CaptionMemory":
        """Remember images.

        Args:
            pooled: Their features, (N, D), any float dtype.
            names: N names.
            captions: N times what people wrote.
        """
        memory = cls(MemoryConfig(*pooled.shape), names, captions)
        memory.directions.copy_(F.normalize(pooled.float(), dim=1))
        return memory

    @torch.inference_mode()
    def recall(self, pooled: Tensor, leave_out: Sequence[str] = ()) -> "list[Recollection]":
        """Find the remembered images nearest to some images.

        Args:
            pooled: Of the images, (B, D), any float dtype.
            leave_out: The images' own names, B, where they may be among those remembered: an image that
                leans on its own captions says nothing of how good the captioner is.
        """
        # An image among those remembered may be its own nearest, and is left out.
        wanted = self.config.neighbours + (1 if leave_out else 0)
        places, cosines = self._nearest.search(pooled.float().cpu().numpy(), wanted)
        found = []
        for row, (near, similar) in enumerate(zip(places, cosines)):
            own = self._places.get(leave_out[row], -1) if leave_out else -1
            kept = np.flatnonzero(near != own)[: self.config.neighbours]
            found.append(Recollection(self, near[kept].tolist(), similar[kept].tolist()))
        return found

    def direction(self, caption: str) -> dict[Ngram, float]:
        """Return the tf-idf vector of a caption, of length 1 for each n."""
        return self._weights.direction(metric_tokens(caption))

    def said(self, place: int) -> dict[Ngram, float]:
        """Return the mean vector of an image's captions: times that of a caption, the mean similarity."""
        return self._said(place)

    @cached_property
    def _nearest(self) -> Nearest:
        return Nearest(self.directions.cpu().numpy())

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def _weights(self) -> NgramWeights:
        counted = self.captions[:: -(-len(self.captions) // _COUNTED)]
        return NgramWeights([[metric_tokens(caption) for caption in captions] for captions in counted])

    def _weigh(self, place: int) -> dict[Ngram, float]:
        captions = self.captions[place]
        total: defaultdict[Ngram, float] = defaultdict(float)
        for caption in captions:
            for ngram, weight in self.direction(caption).items():
                total[ngram] += weight / (MAX_NGRAM * len(captions))
        return dict(total)


class Recollection:
    """The remembered images nearest to one image.

    Args:
        memory: Which remembers them.
        places: Where they stand in it, nearest first.
        similar: Their cosines. How much each one counts follows from it; all of them count for 1.
    """

    def __init__(self, memory: CaptionMemory, places: Sequence[int], similar: Sequence[float]) -> None:
        self.memory, self.places, self.similar = memory, places, similar
        self.weights = torch.softmax(torch.tensor(similar) * memory.config.temperature, 0).tolist()
        said: defaultdict[Ngram, float] = defaultdict(float)
        for place, weight in zip(places, self.weights):
            for ngram, value in memory.said(place).items():
                said[ngram] += weight * value
        self._said = said

    def agreement(self, caption: str) -> float:
        """Return how much a caption says what people said of these images, in [0, 1]: CIDEr's similarity."""
        return _product(self.memory.direction(caption), self._said)

    def speakers(self, caption: str) -> tuple[Neighbour, ...]:
        """Return the images that speak most for a caption, the first most; none where none says the like."""
        direction, memory = self.memory.direction(caption), self.memory
        parts = [
            weight * _product(direction, memory.said(place))
            for place, weight in zip(self.places, self.weights)
        ]
        total = sum(parts)

        def alike(other: str) -> float:
            return -_product(direction, memory.direction(other))

        found = []
        for row in sorted(range(len(parts)), key=lambda row: -parts[row])[:_SHOWN]:
            if parts[row] > 0:
                place = self.places[row]
                captions = tuple(sorted(memory.captions[place], key=alike))
                share = parts[row] / total
                found.append(Neighbour(memory.names[place], captions, self.similar[row], share))
        return tuple(found)


def _product(direction: dict[Ngram, float], other: dict[Ngram, float]) -> float:
    return sum(weight * other[ngram] for ngram, weight in direction.items() if ngram in other)
