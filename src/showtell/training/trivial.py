"""What a captioner must beat: one caption for every picture, and the captions of the nearest picture."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from showtell.data.near_duplicates import unit_vectors
from showtell.data.records import Picture
from showtell.features.extraction import Extraction
from showtell.text.words import scored_words

_MOST = 100
"""Equally frequent captions that are scored."""
_BLOCK = 1000
"""Pictures whose neighbours are looked for together."""


def commonest_captions(train: Sequence[Picture]) -> list[str]:
    """Return the most frequent captions of training: one, or all that are equally frequent.

    Most tables hold no caption twice. Then any caption is the most frequent, and what "it" scores is the mean
    of all: a single one would be the luck of the draw. Of many, some are taken at equal distances.

    Args:
        train: Pictures with captions.
    """
    written: dict[tuple[str, ...], str] = {}
    counts: Counter[tuple[str, ...]] = Counter()
    for picture in train:
        for caption in picture.captions:
            words = tuple(scored_words(caption))
            written.setdefault(words, caption)
            counts[words] += 1
    most = max(counts.values())
    ties = [written[words] for words, count in counts.items() if count == most]
    return ties[:: -(-len(ties) // _MOST)]


def nearest_captions(
    extraction: Extraction, train: Sequence[Picture], asked: Sequence[Picture]
) -> dict[str, tuple[str, ...]]:
    """Return the captions of the training picture nearest to each one asked about, by its name.

    Nearest by the cosine of pooled features; of equally near ones the first.

    Args:
        extraction: Holds the features of all.
        train: Pictures with captions.
        asked: Which pictures.
    """

    def directions(pictures: Sequence[Picture]) -> npt.NDArray[np.float32]:
        return unit_vectors(extraction.pooled(pictures).astype(np.float32))  # (N, D)

    known = directions(train)
    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(asked), _BLOCK):
        part = asked[start : start + _BLOCK]
        nearest = (directions(part) @ known.T).argmax(1)
        found |= {picture.name: train[i].captions for picture, i in zip(part, nearest.tolist())}
    return found
