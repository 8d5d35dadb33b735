"""What a captioner must beat: one caption for every picture, and the caption of the nearest picture."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from showtell.data.records import Picture
from showtell.features.extract import Extraction
from showtell.text.cider import CiderD
from showtell.text.words import scored_words

_SAMPLE = 200
"""Captions that are compared where several are the most frequent, and pictures that they are compared on."""
_BLOCK = 1000
"""Pictures whose neighbours are looked for together."""


def commonest_caption(train: Sequence[Picture]) -> str:
    """Return the most frequent caption of training.

    Most tables hold no caption twice. Of equals, it is the one that agrees most, by CIDEr-D,
    with what people wrote of the training pictures: the best that can be said without looking.

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
    candidates = [words for words, count in counts.items() if count == most]
    candidates = candidates[:: -(-len(candidates) // _SAMPLE)]
    if len(candidates) > 1:
        judges = train[:: -(-len(train) // _SAMPLE)]
        cider = CiderD({picture.name: picture.captions for picture in judges})
        candidates.sort(key=lambda words: -sum(cider.score_words(judge.name, words) for judge in judges))
    return written[candidates[0]]


def nearest_captions(
    extraction: Extraction, train: Sequence[Picture], asked: Sequence[Picture]
) -> dict[str, str]:
    """Return the first caption of the training picture nearest to each one asked about, by its name.

    Nearest by the cosine of pooled features; of equally near ones the first.

    Args:
        extraction: Holds the features of all.
        train: Pictures with captions.
        asked: Which pictures.
    """
    known = _directions(extraction, train)
    found: dict[str, str] = {}
    for start in range(0, len(asked), _BLOCK):
        part = asked[start : start + _BLOCK]
        nearest = (_directions(extraction, part) @ known.T).argmax(1)
        found |= {picture.name: train[i].captions[0] for picture, i in zip(part, nearest.tolist())}
    return found


def _directions(extraction: Extraction, pictures: Sequence[Picture]) -> np.ndarray:
    """Return pooled features of length 1, (N, D)."""
    keys = [extraction.key(picture.name) for picture in pictures]
    vectors = extraction.space.get_pooled(keys).astype(np.float32)
    unit: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
