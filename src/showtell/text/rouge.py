"""ROUGE-L as the COCO caption toolkit computes it: the longest common subsequence of words."""

from collections.abc import Sequence

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
