"""METEOR's exact and stem stages: not METEOR, and named so wherever it is shown.

METEOR proper also matches synonyms and paraphrases, with English tables that only its Java program has. The
stems are those of English; words of other languages are compared whole.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter

import numpy as np
import snowballstemmer  # type: ignore[import-untyped]
from numpy.typing import NDArray

_STEMMER = snowballstemmer.stemmer("english")
_ALPHA, _BETA, _GAMMA = 0.85, 0.2, 0.6
# A match of stems counts for so much of a match of equal words.
_STEM_WEIGHT = 0.6
# Alignments followed at once; ties are few, so that only absurd repetition ever reaches this.
_BEAM = 256
# Before every reference word, and next to none.
_NOWHERE = -2


def matching_statistics(
    hypothesis: Sequence[str], references: Sequence[Sequence[str]]
) -> NDArray[np.float64]:
    """Count how one caption matches the reference that it matches best.

    Args:
        hypothesis: The words of the caption to judge.
        references: The words of each true caption, at least one.

    Returns:
        (5,): sum of the matched words' weights, 1 for the same word and 0.6 for the same stem; how many are
        matched; in how many chunks, 0 where all is one chunk; the lengths of hypothesis and reference.
    """
    candidates = np.array([_align(hypothesis, reference) for reference in references])
    scores = meteor_exact_stem(candidates)
    # The counts break ties, so that the order of the references does not show.
    best = max(range(len(candidates)), key=lambda index: (scores[index], *candidates[index]))
    chosen: NDArray[np.float64] = candidates[best]
    return chosen


def meteor_exact_stem(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score images or corpora.

    Args:
        statistics: Counts of ``matching_statistics`` or sums of them, (..., 5).

    Returns:
        The scores, (...), in [0, 1].

    Source: Denkowski and Lavie 2014, eq. 1-4, with the parameters that the paper's program has for English
    and content and function words weighing the same.
    """
    weight, matches, chunks, length, reference_length = np.moveaxis(statistics, -1, 0)
    precision = weight / np.maximum(length, 1)
    recall = weight / np.maximum(reference_length, 1)
    mean = precision * recall / np.maximum(_ALPHA * precision + (1 - _ALPHA) * recall, 1e-12)
    fragmentation = chunks / np.maximum(matches, 1)
    scores: NDArray[np.float64] = mean * (1 - _GAMMA * fragmentation**_BETA)
    return scores


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    stem: str = _STEMMER.stemWord(word)
    return stem


def _align(hypothesis: Sequence[str], reference: Sequence[str]) -> tuple[float, ...]:
    """Return the statistics of the best alignment, each word matched at most once.

    Two words that match nothing else are always aligned. Among the ways to align the rest, the program wants
    the most equal words, then the fewest chunks, then the most stems, then the straightest. Two alignments
    that have used the same reference words and end in the same match have the same future, so that only the
    better is followed.
    """
    options = _options(hypothesis, reference)
    claims = Counter(there for choices in options for there, _ in choices)
    # (reference words used as bits, the one just matched) -> (equal, -chunks, stems, -crookedness)
    frontier: dict[tuple[int, int], tuple[int, int, int, int]] = {(0, _NOWHERE): (0, 0, 0, 0)}
    for here, choices in enumerate(options):
        settled = len(choices) == 1 and claims[choices[0][0]] == 1
        following: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        for (used, before), value in frontier.items():
            equal, chunks, stems, straight = value
            steps = [] if settled else [((used, _NOWHERE), value)]
            for there, same in choices:
                if not used >> there & 1:
                    chunked = chunks - (there != before + 1)
                    matched = (equal + same, chunked, stems + (not same), straight - abs(here - there))
                    steps.append(((used | 1 << there, there), matched))
            for state, reached in steps:
                if state not in following or following[state] < reached:
                    following[state] = reached
        if len(following) > _BEAM:
            following = dict(sorted(following.items(), key=itemgetter(1), reverse=True)[:_BEAM])
        frontier = following
    equal, chunks, stems, _ = max(frontier.values())
    whole = chunks == -1 and equal + stems == len(hypothesis) == len(reference)
    return (
        equal + _STEM_WEIGHT * stems,
        equal + stems,
        0 if whole else -chunks,
        len(hypothesis),
        len(reference),
    )


def _options(hypothesis: Sequence[str], reference: Sequence[str]) -> list[list[tuple[int, bool]]]:
    """Return, for each word, the reference words it matches, as (position, whether it is the same word)."""
    stems: dict[str, list[int]] = {}
    for index, word in enumerate(reference):
        stems.setdefault(_stem(word), []).append(index)
    return [
        [(there, reference[there] == word) for there in stems.get(_stem(word), ())] for word in hypothesis
    ]
