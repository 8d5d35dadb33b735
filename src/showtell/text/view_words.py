"""Which changes of a view would make a caption wrong: one table of words, by the change that they forbid.

Flips swap left and right. A crop cuts off up to 15% of a side: what stands at an edge, and one of several
that are counted; one and two are mostly in the middle. Light makes dark of bright. Colours keep their hue in
every view, so words for colours forbid nothing. The table errs on the side of the caption: "right" means
other things, too, and a light thing is not in the dark; such an image merely changes less.
"""

import re
from collections.abc import Iterable

from showtell.data.augment import Change

FORBIDS: dict[Change, re.Pattern[str]] = {
    "flip": re.compile(
        r"\b(?:left|right|leftmost|rightmost"
        r"|links|rechts|gauche|droite|izquierd[ao]|derech[ao]|sinistra|destra)\b"
        r"|왼|오른|좌측|우측|左|右",
        re.IGNORECASE,
    ),
    "crop": re.compile(
        r"\b(?:edges?|corners?|borders?|margins?|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b"
        r"|\b(?:[3-9]|1\d)\b"
        r"|가장자리|모서리|구석|테두리"
        r"|(?:세|네|다섯|여섯|일곱|여덟|아홉|열|[3-9]|1\d)\s?(?:명|마리|개|대|사람|그루|송이)",
        re.IGNORECASE,
    ),
    "light": re.compile(
        r"\b(?:dark(?:ly|ness|ened|er)?|dim(?:ly)?|bright(?:ly|er)?|light|lit|sunlit|sunlight|sunny|night(?:time)?"
        r"|evening|shadow(?:s|ed|y)?|shad[ey]|silhouettes?|silhouetted|sunsets?|sunrises?|dusk|dawn|twilight"
        r"|moonlight|overcast|fog|foggy|mist|misty)\b"
        r"|어두|어둡|어둠|밝|그림자|그늘|노을|석양|일몰|일출|해질|새벽|황혼|햇살|햇빛|실루엣|안개|야경|한밤|밤하늘|밤에",
        re.IGNORECASE,
    ),
}
"""By a change, the words under which it may make a caption, in Unicode NFC, wrong."""


def forbidden_changes(captions: Iterable[str]) -> frozenset[Change]:
    """Return the changes that would make one of an image's captions wrong."""
    said = list(captions)
    return frozenset(change for change, words in FORBIDS.items() if any(map(words.search, said)))
