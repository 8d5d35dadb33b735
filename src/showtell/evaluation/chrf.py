"""chrF: how many runs of characters a caption shares with what people wrote, blanks left out.

It needs no words, so it is fair to languages such as Korean, where a word carries its particles and a right
stem with another ending is a wrong word to BLEU. sacreBLEU counts; the score is a function of sums of counts,
as that of BLEU is: one function scores an image, a corpus, and every corpus of a bootstrap.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.chrf import CHRF

_BETA = 2


@cache
def _counter() -> CHRF:
    return CHRF(beta=_BETA)


def chrf_statistics(hypothesis: str, references: Sequence[str]) -> NDArray[np.float64]:
    """Count what chrF needs to know of one image.

    Args:
        hypothesis: The caption to judge.
        references: The true captions, at least one.

    Returns:
        (18,): for runs of 1 to 6 characters those of the hypothesis, those of the reference that it scores
        highest with, and those that both have.
    """
    # Sorted, so that of references that score alike the same one is taken in every order.
    streams = [[reference] for reference in sorted(references)]
    (counts,) = _counter()._extract_corpus_statistics([hypothesis], streams)
    return np.array(counts, dtype=np.float64)


def chrf(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score images or corpora.

    Args:
        statistics: Counts of ``chrf_statistics`` or sums of them, (..., 18).

    Returns:
        The scores, (...), in [0, 1]: a hundredth of what sacreBLEU prints.

    Source: Popović 2015, eq. 1, with beta = 2; lengths of which hypothesis or reference have no run do not
    count, as in sacreBLEU.
    """
    said, true, shared = np.moveaxis(statistics.reshape(*statistics.shape[:-1], -1, 3), -1, 0)  # (..., 6)
    counted = (said > 0) & (true > 0)
    lengths = np.maximum(counted.sum(-1), 1)
    precision, recall = (
        (np.where(counted, shared / np.maximum(total, 1), 0).sum(-1) / lengths) for total in (said, true)
    )
    scores: NDArray[np.float64] = (
        (1 + _BETA**2) * precision * recall / np.maximum(_BETA**2 * precision + recall, 1e-300)
    )
    return scores
