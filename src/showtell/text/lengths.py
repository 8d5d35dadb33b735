"""How long captions are, in tokens: what is usual, and up to where they are learnt."""

from collections.abc import Sequence

USUAL_LENGTH = 40
"""Most tokens of a caption, where none is known to be longer."""
MOST_LENGTH = 250
"""Tokens that no limit is set beyond by itself: time and memory grow with the longest caption of a batch."""
LONGEST = 1_000
"""Tokens that nobody may set a limit beyond: a search that finds no end goes on up to there."""
_WHOLE = 0.999
"""Share of the captions that the limit leaves whole."""


def length_limit(lengths: Sequence[int]) -> int:
    """Return the most tokens of a caption that training learns and the search writes.

    Args:
        lengths: Tokens of each training caption.

    Returns:
        As many as leave 999 of 1,000 captions whole; at least `USUAL_LENGTH`, at most `MOST_LENGTH`.
    """
    if not lengths:
        return USUAL_LENGTH
    ordered = sorted(lengths)
    return max(USUAL_LENGTH, min(MOST_LENGTH, ordered[min(len(ordered) - 1, int(_WHOLE * len(ordered)))]))
