"""Two captioners on the same images."""

from collections.abc import Sequence

from showtell.evaluation.caption_scores import SCORE_LIMITS, SCORE_NAMES, caption_statistics, scores_of_sums
from showtell.evaluation.cider import CiderD
from showtell.evaluation.intervals import Ints
from showtell.evaluation.paired import Paired, PairedImage, check_same_truths, paired_scores
from showtell.runs.records import JsonObject


def compare_captions(
    first: Sequence[JsonObject], second: Sequence[JsonObject], groups: Ints | None
) -> Paired:
    """Score the captions of two runs; an image is won by the caption with the higher CIDEr-D.

    Args:
        first: Lines of ``predictions-SPLIT.jsonl``, N, in the order of the images' names.
        second: The other run's, of the same images with the same references.
        groups: Each image's group, (N,); None where each stands alone.

    Raises:
        DataError: References differ.
    """
    truths = [
        (one["image"], sorted(one["references"]), sorted(other["references"]))
        for one, other in zip(first, second)
    ]
    check_same_truths(truths, "references")
    references = {line["image"]: line["references"] for line in first}
    cider = CiderD(references)
    ours, theirs = (
        caption_statistics(references, {line["image"]: line["caption"] for line in lines}, cider)
        for lines in (first, second)
    )
    column = SCORE_NAMES.index("cider_d")
    pairs = zip(*(scores_of_sums(statistics)[:, column].tolist() for statistics in (ours, theirs)))
    images = tuple(
        PairedImage(
            one["image"], tuple(one["references"]), (one["caption"], other["caption"]), scores, scores
        )
        for one, other, scores in zip(first, second, pairs)
    )
    return Paired(
        "cider_d",
        paired_scores(SCORE_NAMES, ours, theirs, scores_of_sums, limits=SCORE_LIMITS, groups=groups),
        images,
        len(images) if groups is None else len(set(groups.tolist())),
    )
