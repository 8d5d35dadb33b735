"""How much each n-gram tells: tf-idf weights, by which CIDEr-D and a captioner's memory compare captions."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from showtell.text.words import MAX_NGRAM, ngrams

Ngram = tuple[str, ...]


class NgramWeights:
    """Weights of n-grams, n from 1 to 4, by how few of some images have them in a caption.

    Args:
        images: For each image its captions, each as words; at least one image.

    Source: Vedantam et al. 2015, eq. 1.
    """

    def __init__(self, images: Iterable[Sequence[Sequence[str]]]) -> None:
        images_with: Counter[Ngram] = Counter()
        count = 0
        for captions in images:
            images_with.update({ngram for caption in captions for ngram in ngrams(caption)})
            count += 1
        self._unseen = math.log(count)
        self._idf = {ngram: self._unseen - math.log(seen) for ngram, seen in images_with.items()}

    def vector(self, caption: Sequence[str]) -> tuple[dict[Ngram, float], list[float]]:
        """Return the weight of each n-gram of a caption, and the length of the vector for n = 1..4."""
        weights = {
            ngram: count * self._idf.get(ngram, self._unseen)
            for ngram, count in Counter(ngrams(caption)).items()
        }
        squares = [0.0] * MAX_NGRAM
        for ngram, weight in weights.items():
            squares[len(ngram) - 1] += weight * weight
        return weights, [math.sqrt(square) for square in squares]

    def direction(self, caption: Sequence[str]) -> dict[Ngram, float]:
        """Return the vector of a caption, of length 1 for each n: two of them multiply to cosines."""
        weights, lengths = self.vector(caption)
        return {ngram: weight / lengths[len(ngram) - 1] for ngram, weight in weights.items() if weight}
