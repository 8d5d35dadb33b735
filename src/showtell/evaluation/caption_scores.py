"""How well captions agree with what people wrote: all scores of a set, with their intervals.

BLEU, ROUGE-L and CIDEr-D equal the COCO caption toolkit's, and chrF sacreBLEU's of the same words. References
and hypotheses are split into words by the one rule in ``words``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from showtell.data.names import few
from showtell.errors import DataError
from showtell.evaluation.bleu_rouge import bleu, bleu_statistics, rouge_l
from showtell.evaluation.chrf import chrf, chrf_statistics
from showtell.evaluation.cider import CiderD
from showtell.evaluation.intervals import bootstrap_interval
from showtell.evaluation.meteor import matching_statistics, meteor_exact_stem
from showtell.text.words import metric_tokens

SCORE_TITLES = {
    "bleu1": "BLEU-1",
    "bleu2": "BLEU-2",
    "bleu3": "BLEU-3",
    "bleu4": "BLEU-4",
    "meteor_exact_stem": "METEOR, words and stems only",
    "rouge_l": "ROUGE-L",
    "chrf": "chrF",
    "cider_d": "CIDEr-D",
}
"""What people call the scores, in the order in which they are shown."""
SCORE_NAMES = tuple(SCORE_TITLES)

Scores = NDArray[np.float64]
Interval = tuple[float, float]

SCORE_LIMITS: Scores = np.array([(0.0, 10.0 if name == "cider_d" else 1.0) for name in SCORE_NAMES])
"""The least and the greatest value of each score, (8, 2)."""


@dataclass(frozen=True)
class CaptionScores:
    """The scores of a set of captions.

    BLEU, ``meteor_exact_stem`` and chrF are made of counts over the whole set, ROUGE-L and CIDEr-D are means
    over its images. All lie in [0, 1] but CIDEr-D, which lies in [0, 10].
    """

    bleu1: float  # BLEU with single words
    bleu2: float  # BLEU with runs of up to 2 words
    bleu3: float  # BLEU with runs of up to 3 words
    bleu4: float  # BLEU with runs of up to 4 words
    meteor_exact_stem: float  # METEOR's score from equal words and equal stems alone; not METEOR
    rouge_l: float  # the longest common subsequence, as an F-measure
    chrf: float  # runs of up to 6 characters, as an F-measure that weighs recall twice
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
    names = tuple(sorted(references))
    statistics = caption_statistics(references, hypotheses, cider)
    intervals = {}
    if resamples:
        bounds = bootstrap_interval(
            statistics, scores_of_sums, seed=seed, resamples=resamples, limits=SCORE_LIMITS
        )
        intervals = {name: (float(low), float(high)) for name, (low, high) in zip(SCORE_NAMES, bounds)}
    alone = scores_of_sums(statistics)  # (count, 8)
    return CaptionScores(
        **dict(zip(SCORE_NAMES, scores_of_sums(statistics.sum(axis=0)).tolist())),
        count=len(names),
        names=names,
        per_image={name: alone[:, column] for column, name in enumerate(SCORE_NAMES)},
        intervals=intervals,
    )


def caption_statistics(
    references: Mapping[str, Sequence[str]], hypotheses: Mapping[str, str], cider: CiderD | None = None
) -> Scores:
    """Return what each image adds to the sums that the scores of a set are made of.

    Args:
        references: As ``caption_scores`` takes them.
        hypotheses: As ``caption_scores`` takes them.
        cider: ``CiderD(references)`` if it is at hand already.

    Returns:
        (count, 36), in the order of the sorted names; ``scores_of_sums`` of their sum are the scores.

    Raises:
        DataError: The two mappings are not of the same images, or an image has no reference.
    """
    _check_same_images(references, hypotheses)
    cider = cider or CiderD(references)
    rows = []
    for name in sorted(references):
        truths, judged = cider.reference_words(name), metric_tokens(hypotheses[name])
        rows.append(
            [
                *bleu_statistics(judged, truths),
                *matching_statistics(judged, truths),
                *chrf_statistics(" ".join(judged), [" ".join(truth) for truth in truths]),
                rouge_l(judged, truths),
                cider.score_words(name, judged),
                1,
            ]
        )
    return np.array(rows, dtype=np.float64)


def scores_of_sums(sums: Scores) -> Scores:
    """Return scores, (..., 8) as in ``SCORE_NAMES``, from sums of ``caption_statistics``, (..., 36)."""
    bleus, meteor, runs = bleu(sums[..., :10]), meteor_exact_stem(sums[..., 10:15]), chrf(sums[..., 15:33])
    rouge, cider = sums[..., 33:34] / sums[..., 35:], sums[..., 34:35] / sums[..., 35:]
    return np.concatenate([bleus, meteor[..., None], rouge, runs[..., None], cider], axis=-1)


def _check_same_images(references: Mapping[str, Sequence[str]], hypotheses: Mapping[str, str]) -> None:
    for what, names in (
        ("a caption to judge", references.keys() - hypotheses.keys()),
        ("references", hypotheses.keys() - references.keys()),
    ):
        if names:
            raise DataError(
                f"These images lack {what}: {few(sorted(names))}.",
                hint="Give references and captions for the same images.",
            )
