"""CIDEr-D: how well a caption agrees with what people said of the picture, common phrases counting less.

A ``CiderD`` weighs its references once and then scores captions quickly: all of them once an epoch in
validation, or thousands a second where the score is a reward.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from showtell.errors import DataError
from showtell.text.words import LONGEST, ngrams, scored_words

_SIGMA = 6.0
_KEPT = 1000
"""Pictures whose weighed references are kept, 50 kB each; weighing them anew takes half a millisecond."""

_Ngram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _WeighedReferences:
    """One picture's references.

    Attributes:
        weights: For each n-gram, (reference, its weight there) for every reference that has it.
        norms: For each reference, the length of its weight vector for n = 1..4.
        lengths: For each reference, how many pairs of words it has.
    """

    weights: dict[_Ngram, list[tuple[int, float]]]
    norms: list[list[float]]
    lengths: list[int]


class CiderD:
    """The references of a set of pictures, weighed.

    How much an n-gram tells follows from how few of these pictures have it in a reference. With a single
    picture nothing tells anything, and every score is 0.

    Args:
        references: For each picture's name, its true captions as written, at least one.

    Attributes:
        references: For each picture's name, the words of its references.

    Raises:
        DataError: There is no picture, or one has no reference.

    Source: Vedantam et al. 2015, eq. 1-4 and section 8 (CIDEr-D), with n up to 4 and sigma = 6.
    """

    def __init__(self, references: Mapping[str, Sequence[str]]) -> None:
        bare = [name for name, captions in references.items() if not captions]
        if bare or not references:
            raise DataError(
                f"These pictures lack references: {', '.join(sorted(bare)[:10])}."
                if bare
                else "There are no pictures to score.",
                would_do="Give every picture at least one true caption.",
            )
        self.references = {
            name: [scored_words(caption) for caption in captions] for name, captions in references.items()
        }
        pictures_with = Counter(
            ngram
            for captions in self.references.values()
            for ngram in {ngram for caption in captions for ngram in ngrams(caption)}
        )
        self._unseen = math.log(len(references))
        self._telling = {ngram: self._unseen - math.log(count) for ngram, count in pictures_with.items()}
        self._weighed = lru_cache(_KEPT)(self._weigh_references)

    def score(self, hypotheses: Mapping[str, str]) -> NDArray[np.float64]:
        """Score one caption for each of some of the pictures.

        Args:
            hypotheses: For each picture's name, the caption to judge as written.

        Returns:
            The scores in the order of ``hypotheses``, (pictures,), each in [0, 10]; their mean is the score
            of the set.

        Raises:
            DataError: A picture has no references here.
        """
        return np.array([self.score_words(name, scored_words(text)) for name, text in hypotheses.items()])

    def score_words(self, name: str, hypothesis: Sequence[str]) -> float:
        """Score one caption for one picture.

        Args:
            name: The picture's name.
            hypothesis: The words of the caption to judge, as ``scored_words`` splits them.

        Returns:
            The score, in [0, 10].

        Raises:
            DataError: The picture has no references here.
        """
        picture = self._weighed(name)
        weights, norms = self._weigh(hypothesis)
        length = max(0, len(hypothesis) - 1)
        shared = [[0.0] * LONGEST for _ in picture.norms]
        for ngram, weight in weights.items():
            for index, reference_weight in picture.weights.get(ngram, ()):
                # Clipped, so that saying a telling word again and again earns nothing.
                shared[index][len(ngram) - 1] += min(weight, reference_weight) * reference_weight
        # fsum rounds once, so that the order of the references does not show.
        total = math.fsum(
            math.exp(-((length - reference_length) ** 2) / (2 * _SIGMA**2))
            * sum(
                product / (norm * reference_norm)
                for product, norm, reference_norm in zip(products, norms, reference_norms)
                if product
            )
            for products, reference_norms, reference_length in zip(shared, picture.norms, picture.lengths)
        )
        return 10 * total / (LONGEST * len(picture.norms))

    def _weigh(self, caption: Sequence[str]) -> tuple[dict[_Ngram, float], list[float]]:
        """Return the weight of each n-gram of a caption, and the length of the vector for n = 1..4."""
        telling, unseen = self._telling, self._unseen
        weights = {
            ngram: count * telling.get(ngram, unseen) for ngram, count in Counter(ngrams(caption)).items()
        }
        squares = [0.0] * LONGEST
        for ngram, weight in weights.items():
            squares[len(ngram) - 1] += weight * weight
        return weights, [math.sqrt(square) for square in squares]

    def _weigh_references(self, name: str) -> _WeighedReferences:
        if name not in self.references:
            raise DataError(
                f"There are no references for the picture {name}.",
                would_do="Score only pictures whose true captions were given.",
            )
        picture = _WeighedReferences({}, [], [])
        for index, caption in enumerate(self.references[name]):
            weights, norms = self._weigh(caption)
            for ngram, weight in weights.items():
                picture.weights.setdefault(ngram, []).append((index, weight))
            picture.norms.append(norms)
            picture.lengths.append(max(0, len(caption) - 1))
        return picture
