"""BLEU-1 to BLEU-4 and ROUGE-L as the COCO caption toolkit computes them.

What an image adds to BLEU is ten counts, and the score of a corpus is a function of their sums: one function
scores an image, a corpus, and every corpus of a bootstrap.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from showtell.text.words import MAX_NGRAM, ngrams

# The toolkit's guards against division by zero; they show in the digits of very short corpora.
_TINY, _SMALL = 1e-15, 1e-9

_BETA = 1.2


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
