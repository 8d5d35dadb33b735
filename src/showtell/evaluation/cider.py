"""CIDEr-D as the COCO caption toolkit computes it.

A ``CiderD`` weighs its references once and then scores captions quickly: all of them once an epoch in
validation, or thousands a second as a reward.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from showtell.data.names import few
from showtell.errors import DataError
from showtell.text.ngram_weights import Ngram, NgramWeights
from showtell.text.words import MAX_NGRAM, metric_tokens

_SIGMA = 6.0
_KEPT = 1000
"""Images whose weighed references are kept, 50 kB each; weighing them anew takes half a millisecond."""


@dataclass(frozen=True, slots=True)
class _WeightedReferences:
    """One image's references."""

    # for each n-gram, (reference, its weight there) for every reference that has it
    weights: dict[Ngram, list[tuple[int, float]]]
    norms: list[list[float]]  # for each reference, the length of its weight vector for n = 1..4
    lengths: list[int]  # for each reference, how many pairs of words it has


class CiderD:
    """The references of a set of images, weighed.

    How much an n-gram tells follows from how few of these images have it in a reference. With a single
    image nothing tells anything, and every score is 0.

    Args:
        references: For each image's name, its true captions as written, at least one.

    Raises:
        DataError: There is no image, or one has no reference.

    Source: Vedantam et al. 2015, eq. 1-4 and section 8 (CIDEr-D), with n up to 4 and sigma = 6.
    """

    def __init__(self, references: Mapping[str, Sequence[str]]) -> None:
        bare = [name for name, captions in references.items() if not captions]
        if bare or not references:
            raise DataError(
                f"These images lack references: {few(sorted(bare))}."
                if bare
                else "There are no images to score.",
                hint="Give every image at least one true caption.",
            )
        self._references = references
        self._weights = NgramWeights(
            [metric_tokens(caption) for caption in captions] for captions in references.values()
        )
        self._weighted = lru_cache(_KEPT)(self._weight_references)

    def score(self, hypotheses: Mapping[str, str]) -> NDArray[np.float64]:
        """Score one caption for each of some of the images.

        Args:
            hypotheses: For each image's name, the caption to judge as written.

        Returns:
            The scores in the order of ``hypotheses``, (images,), each in [0, 10]; their mean is the score
            of the set.

        Raises:
            DataError: An image has no references here.
        """
        return np.array([self.score_words(name, metric_tokens(text)) for name, text in hypotheses.items()])

    def reference_words(self, name: str) -> list[list[str]]:
        """Return the words of each reference of an image.

        Raises:
            DataError: The image has no references here.
        """
        if name not in self._references:
            raise DataError(
                f"There are no references for the image {name}.",
                hint="Score only images whose true captions were given.",
            )
        return [metric_tokens(caption) for caption in self._references[name]]

    def score_words(self, name: str, hypothesis: Sequence[str]) -> float:
        """Score one caption for one image.

        Args:
            name: The image's name.
            hypothesis: The words of the caption to judge, as ``metric_tokens`` splits them.

        Returns:
            The score, in [0, 10].

        Raises:
            DataError: The image has no references here.
        """
        image = self._weighted(name)
        weights, norms = self._weights.vector(hypothesis)
        length = max(0, len(hypothesis) - 1)
        shared = [[0.0] * MAX_NGRAM for _ in image.norms]
        for ngram, weight in weights.items():
            for index, reference_weight in image.weights.get(ngram, ()):
                # Clipped, so that repeating a rare word earns nothing.
                shared[index][len(ngram) - 1] += min(weight, reference_weight) * reference_weight
        # fsum rounds once, so that the order of the references does not show.
        total = math.fsum(
            math.exp(-((length - reference_length) ** 2) / (2 * _SIGMA**2))
            * sum(
                product / (norm * reference_norm)
                for product, norm, reference_norm in zip(products, norms, reference_norms)
                if product
            )
            for products, reference_norms, reference_length in zip(shared, image.norms, image.lengths)
        )
        return 10 * total / (MAX_NGRAM * len(image.norms))

    def _weight_references(self, name: str) -> _WeightedReferences:
        image = _WeightedReferences({}, [], [])
        for index, caption in enumerate(self.reference_words(name)):
            weights, norms = self._weights.vector(caption)
            for ngram, weight in weights.items():
                image.weights.setdefault(ngram, []).append((index, weight))
            image.norms.append(norms)
            image.lengths.append(max(0, len(caption) - 1))
        return image
