"""BLEU-1 to BLEU-4, ROUGE-L and CIDEr-D as the COCO caption toolkit computes them.

What an image adds to BLEU is ten counts, and the score of a corpus is a function of their sums: one function
scores an image, a corpus, and every corpus of a bootstrap. A ``CiderD`` weighs its references once and then
scores captions quickly: all of them once an epoch in validation, or thousands a second as a reward.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from showtell.errors import DataError
from showtell.text.words import MAX_NGRAM, metric_tokens, ngrams

# The toolkit's guards against division by zero; they show in the digits of very short corpora.
_TINY, _SMALL = 1e-15, 1e-9


def bleu_statistics(hypothesis: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Count what BLEU needs to know of one image.

    Args:
        hypothesis: The words of the caption to judge.
        references: The words of each true caption, at least one.

    Returns:
        (10,): for n = 1..4 the n-grams that some reference holds too, each as often as the reference that
        has it most; for n = 1..4 all n-grams; the hypothesis's length; the length of the reference closest
        to it, the shorter of two equally close.
    """
    most: Counter[tuple[str, ...]] = Counter()
    for reference in references:
        most |= Counter(ngrams(reference))
    correct = [0] * MAX_NGRAM
    for ngram, count in Counter(ngrams(hypothesis)).items():
        correct[len(ngram) - 1] += min(count, most[ngram])
    length = len(hypothesis)
    possible = [max(0, length - n) for n in range(MAX_NGRAM)]
    _, closest = min((abs(len(reference) - length), len(reference)) for reference in references)
    return np.array([*correct, *possible, length, closest], dtype=np.float64)


def bleu(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score images or corpora.

    Args:
        statistics: Counts of ``bleu_statistics`` or sums of them, (..., 10).

    Returns:
        BLEU-1 to BLEU-4, (..., 4), in [0, 1].

    Source: Papineni et al. 2002, eq. 1-3; the constants are those of the COCO caption toolkit.
    """
    correct, possible = statistics[..., :MAX_NGRAM], statistics[..., MAX_NGRAM : 2 * MAX_NGRAM]
    precision = (correct + _TINY) / (possible + _SMALL)  # (..., 4)
    mean = np.cumprod(precision, axis=-1) ** (1 / np.arange(1, MAX_NGRAM + 1))  # (..., 4)
    ratio = (statistics[..., -2:-1] + _TINY) / (statistics[..., -1:] + _SMALL)  # (..., 1)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    scores: NDArray[np.float64] = mean * brevity
    return scores


_BETA = 1.2


def rouge_l(hypothesis: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Score one caption.

    Args:
        hypothesis: The words of the caption to judge.
        references: The words of each true caption, at least one.

    Returns:
        The F-measure, in [0, 1], of the best precision and the best recall over the references.

    Source: Lin 2004, eq. 2-4, with beta = 1.2.
    """
    common = [_common_length(hypothesis, reference) for reference in references]
    if not any(common):
        return 0.0
    precision = max(common) / len(hypothesis)
    recall = max(length / len(reference) for length, reference in zip(common, references) if reference)
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    Source: Hyyrö 2004, "Bit-parallel LCS-length computation revisited": a row of the table is one integer.
    """
    positions: dict[str, int] = {}
    for index, word in enumerate(first):
        positions[word] = positions.get(word, 0) | 1 << index
    whole = (1 << len(first)) - 1
    row = whole
    for word in second:
        matches = row & positions.get(word, 0)
        row = (row + matches) | (row - matches)
    return len(first) - (row & whole).bit_count()


_SIGMA = 6.0
_KEPT = 1000
"""Images whose weighed references are kept, 50 kB each; weighing them anew takes half a millisecond."""

_Ngram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _WeightedReferences:
    """One image's references."""

    # for each n-gram, (reference, its weight there) for every reference that has it
    weights: dict[_Ngram, list[tuple[int, float]]]
    norms: list[list[float]]  # for each reference, the length of its weight vector for n = 1..4
    lengths: list[int]  # for each reference, how many pairs of words it has


class CiderD:
    """The references of a set of images, weighed.

    How much an n-gram tells follows from how few of these images have it in a reference. With a single
    image nothing tells anything, and every score is 0.

    Args:
        references: For each image's name, its true captions as written, at least one.

    Attributes:
        references: For each image's name, the words of its references.

    Raises:
        DataError: There is no image, or one has no reference.

    Source: Vedantam et al. 2015, eq. 1-4 and section 8 (CIDEr-D), with n up to 4 and sigma = 6.
    """

    def __init__(self, references: Mapping[str, Sequence[str]]) -> None:
        bare = [name for name, captions in references.items() if not captions]
        if bare or not references:
            raise DataError(
                f"These images lack references: {', '.join(sorted(bare)[:10])}."
                if bare
                else "There are no images to score.",
                hint="Give every image at least one true caption.",
            )
        self.references = {
            name: [metric_tokens(caption) for caption in captions] for name, captions in references.items()
        }
        images_with = Counter(
            ngram
            for captions in self.references.values()
            for ngram in {ngram for caption in captions for ngram in ngrams(caption)}
        )
        self._idf_unseen = math.log(len(references))
        self._idf = {ngram: self._idf_unseen - math.log(count) for ngram, count in images_with.items()}
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
        weights, norms = self._tfidf(hypothesis)
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

    def _tfidf(self, caption: Sequence[str]) -> tuple[dict[_Ngram, float], list[float]]:
        """Return the weight of each n-gram of a caption, and the length of the vector for n = 1..4."""
        weights = {
            ngram: count * self._idf.get(ngram, self._idf_unseen)
            for ngram, count in Counter(ngrams(caption)).items()
        }
        squares = [0.0] * MAX_NGRAM
        for ngram, weight in weights.items():
            squares[len(ngram) - 1] += weight * weight
        return weights, [math.sqrt(square) for square in squares]

    def _weight_references(self, name: str) -> _WeightedReferences:
        if name not in self.references:
            raise DataError(
                f"There are no references for the image {name}.",
                hint="Score only images whose true captions were given.",
            )
        image = _WeightedReferences({}, [], [])
        for index, caption in enumerate(self.references[name]):
            weights, norms = self._tfidf(caption)
            for ngram, weight in weights.items():
                image.weights.setdefault(ngram, []).append((index, weight))
            image.norms.append(norms)
            image.lengths.append(max(0, len(caption) - 1))
        return image
