"""Words that a mirrored picture would make wrong."""

import re

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
