"""How well captions agree with what people wrote: all scores of a set, with their intervals.

BLEU, ROUGE-L and CIDEr-D equal the COCO caption toolkit's. References and hypotheses are split into words by
the one rule in ``words``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from showtell.errors import DataError
from showtell.evaluation.bleu_rouge import bleu, bleu_statistics, rouge_l
from showtell.evaluation.cider import CiderD
from showtell.evaluation.intervals import bootstrap_interval
from showtell.evaluation.meteor import matching_statistics, meteor_exact_stem
from showtell.text.words import metric_tokens

SCORE_NAMES = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor_exact_stem", "rouge_l", "cider_d")
"""The scores in the order in which they are shown."""

Scores = NDArray[np.float64]
Interval = tuple[float, float]

_LIMITS = np.array([(0.0, 10.0 if name == "cider_d" else 1.0) for name in SCORE_NAMES])


@dataclass(frozen=True)
class CaptionScores:
    """The scores of a set of captions.

    BLEU and ``meteor_exact_stem`` are ratios of counts over the whole set, ROUGE-L and CIDEr-D means over its
    images. All lie in [0, 1] but CIDEr-D, which lies in [0, 10].
    """

    bleu1: float  # BLEU with single words
    bleu2: float  # BLEU with runs of up to 2 words
    bleu3: float  # BLEU with runs of up to 3 words
    bleu4: float  # BLEU with runs of up to 4 words
    meteor_exact_stem: float  # METEOR's score from equal words and equal stems alone; not METEOR
    rouge_l: float  # the longest common subsequence, as an F-measure
    cider_d: float  # CIDEr-D, n-grams weighed by the references of this very set
    count: int  # how many images were scored
    names: tuple[str, ...] = field(repr=False)  # the images' names, sorted
    # for each score, its value for every image alone, (count,), in the order of `names`
    per_image: dict[str, Scores] = field(repr=False)
    # for each score, the 95% bootstrap interval over images; empty where none was asked for
    intervals: dict[str, Interval]


def caption_scores(
    references: Mapping[str, Sequence[str]],
    hypotheses: Mapping[str, str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    cider: CiderD | None = None,
) -> CaptionScores:
    """Score one caption for each image.

    Neither the order of the images nor that of an image's references changes any digit.

    Args:
        references: For each image's name, its true captions as written, at least one.
        hypotheses: For each of the same images, the caption to judge as written; it may be empty.
        resamples: Bootstrap resamples for the intervals; 0 for none.
        seed: The seed of the resampling.
        cider: ``CiderD(references)`` if it is at hand already, as where one set is scored every epoch.

    Returns:
        The scores.

    Raises:
        DataError: The two mappings are not of the same images, or an image has no reference.
    """
    _check_same_images(references, hypotheses)
    cider = cider or CiderD(references)
    names = tuple(sorted(references))
    truths = [cider.references[name] for name in names]
    judged = [metric_tokens(hypotheses[name]) for name in names]
    bleus = np.stack([bleu_statistics(*pair) for pair in zip(judged, truths)])  # (count, 10)
    matches = np.stack([matching_statistics(*pair) for pair in zip(judged, truths)])  # (count, 5)
    rouges = np.array([rouge_l(*pair) for pair in zip(judged, truths)])  # (count,)
    ciders = np.array([cider.score_words(*pair) for pair in zip(names, judged)])  # (count,)

    statistics = np.column_stack([bleus, matches, rouges, ciders])  # (count, 17)
    whole = _scores_of_sums(statistics.sum(axis=0), len(names))
    intervals = {}
    if resamples:
        bounds = bootstrap_interval(
            statistics,
            lambda sums: _scores_of_sums(sums, len(names)),
            seed=seed,
            resamples=resamples,
            limits=_LIMITS,
        )
        intervals = {name: (float(low), float(high)) for name, (low, high) in zip(SCORE_NAMES, bounds)}
    alone = _scores_of_sums(statistics, 1)  # (count, 7)
    return CaptionScores(
        **dict(zip(SCORE_NAMES, whole.tolist())),
        count=len(names),
        names=names,
        per_image={name: alone[:, column] for column, name in enumerate(SCORE_NAMES)},
        intervals=intervals,
    )


def _scores_of_sums(sums: Scores, count: int) -> Scores:
    """Return scores, (..., 7) as in ``SCORE_NAMES``, from sums over ``count`` images, (..., 17)."""
    bleus, meteor = bleu(sums[..., :10]), meteor_exact_stem(sums[..., 10:15])
    return np.concatenate([bleus, meteor[..., None], sums[..., 15:] / count], axis=-1)


def _check_same_images(references: Mapping[str, Sequence[str]], hypotheses: Mapping[str, str]) -> None:
    for what, names in (
        ("a caption to judge", references.keys() - hypotheses.keys()),
        ("references", hypotheses.keys() - references.keys()),
    ):
        if names:
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            raise DataError(
                f"These images lack {what}: {', '.join(sorted(names)[:10])}{more}.",
                hint="Give references and captions for the same images.",
            )
