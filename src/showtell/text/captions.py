"""How long captions are, and how long a captioner's may become."""

import re
from collections.abc import Sequence

USUAL = 40
"""Most tokens of a caption, where none is known to be longer."""
MOST = 250
"""Tokens that no limit is set beyond by itself: time and memory grow with the longest caption of a batch."""
_WHOLE = 0.999
"""Share of the captions that the limit leaves whole."""


def length_limit(lengths: Sequence[int]) -> int:
    """Return the most tokens of a caption that training learns and the search writes.

    Args:
        lengths: Tokens of each training caption.

    Returns:
        As many as leave 999 of 1,000 captions whole; at least `USUAL`, at most `MOST`.
    """
    if not lengths:
        return USUAL
    ordered = sorted(lengths)
    return max(USUAL, min(MOST, ordered[min(len(ordered) - 1, int(_WHOLE * len(ordered)))]))


_SIDES = re.compile(
    r"\b(?:left|right|leftmost|rightmost|links|rechts|gauche|droite|izquierd[ao]|derech[ao]|sinistra|destra)\b"
    r"|왼|오른|좌측|우측|左|右",
    re.IGNORECASE,
)


def names_a_side(caption: str) -> bool:
    """Say whether a caption, in Unicode NFC, speaks of left or right.

    Errs on the side of yes: "right" means other things, too.
    """
    return _SIDES.search(caption) is not None
