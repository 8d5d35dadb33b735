"""How alike two images of one scene are: decided from the data, for any network and any number of scenes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from showtell.data.image_info import ImageInfo
from showtell.data.near_duplicates import Similarity
from showtell.data.neighbours import unit_vectors

NEAR_DUPLICATE = 0.9
"""Cosine of pooled features from which two images count as one scene, where the data shows no clear gap;
measured in docs/log.md."""
COPY = 0.9999
"""The same where a network finds all images alike."""
SAME_HASH = 0.75
"""Cosine of perceptual hashes from which two images are much the same: of 7,000 photos no two different ones
reach 0.5, drawn scenes of one layout 0.73; stronger compression, half the size or grey leave a copy above."""
_SAMPLE = 600
"""Images from which it is decided, and of them those whose pixels are looked at."""
_PIXELS = 200
_HASHED = 5000
"""Most images that are decoded once more for their perceptual hashes, where the features tell nothing."""
_MANY = 0.05
"""Share of pairs at `NEAR_DUPLICATE` from which it must be shown that the features tell scenes apart."""
_GAP, _HASH_GAP, _COLOUR_GAP = 1.3, 1.4, 1.5
"""How many times as far from its nearest neighbour in another scene as from that in its own an image is."""
_LEAST, _LEAST_HASH = 0.55, 0.4
"""A scene's threshold is no lower than this, whatever gap there is: the first is above what two different
photos reach by a network's features, the second above what two by perceptual hash do."""
_WHOLE = 0.95
"""Share of the pairs within groups that must be more alike than any pair across, where a gap is believed."""
_HALF, _CHAIN = 0.5, 0.2
"""Share of the pairs within groups that must reach the threshold without a gap, and where few pairs do: all
else is a chain through images of other scenes."""
_ALONE = 0.25
"""Most images that may stand alone where a gap is believed."""
_APART = 0.005
"""Distances below this are equal: of copies, and of copies compressed again."""

Kind = TypeVar("Kind", np.float32, np.bool_)
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Pixels:
    """What images look like, small."""

    phash: Vectors  # perceptual hashes, (N, 480), float32
    steps: Vectors  # how colours change from one part to the next, (N, 336), float32

    @classmethod
    def of(cls, facts: Sequence[ImageInfo]) -> "Pixels":
        """Collect what was found of images."""
        if not facts:
            return cls(np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32))
        phash, steps = (
            np.stack(kind).astype(np.float32) for kind in zip(*((f.phash, f.steps) for f in facts))
        )
        return cls(phash, steps)


LookAt = Callable[[Sequence[int]], Pixels]


def feature_similarity(vectors: Vectors, look_at: LookAt, by: str) -> Similarity:
    """Decide from which cosine on two images show one scene.

    A fixed threshold fails at both ends. Where there are few scenes, most pairs may be near-duplicates, and
    their cosines hang on the scenes; random weights, and networks whose features share a large mean, find all
    images alike. So, in this order:

    - Bursts alone leave a *gap*: each image is much nearer to its own scene than to any other, and nearly
      all pairs within a scene are nearer than any pair across. The threshold lies in the gap. Classes are
      not taken for scenes: their pairs overlap, or their pixels do not agree.
    - Where few pairs reach `NEAR_DUPLICATE`, or those that do form groups whose pixels agree, that counts.
    - Else the features tell nothing, and pixels are asked the same (:func:`pixel_similarity`).
    - Else only copies count.

    Args:
        vectors: Pooled features of the images, (N, D).
        look_at: Returns what the pixels of the images at some places are like.
        by: What made the features, in words.
    """
    places = np.arange(0, len(vectors), max(1, -(-len(vectors) // _SAMPLE)))
    cosines = _cosines(vectors[places])
    looked_at = np.arange(0, len(places), max(1, -(-len(places) // _PIXELS)))

    @cache
    def pixels() -> Vectors:
        return _cosines(look_at([int(place) for place in places[looked_at]]).phash)

    threshold = _gap(cosines, _GAP)
    if threshold is not None and threshold >= _LEAST:
        labels = _components(cosines, threshold)
        if _agree(pixels(), labels[looked_at]):
            return Similarity(by, vectors, threshold)
    labels = _components(cosines, NEAR_DUPLICATE)
    close = _closeness(cosines, labels, NEAR_DUPLICATE)
    few = len(places) < 2 or (_pairs(cosines) >= NEAR_DUPLICATE).mean() <= _MANY
    if (few and close >= _CHAIN) or (close >= _HALF and _agree(pixels(), labels[looked_at])):
        return Similarity(by, vectors, NEAR_DUPLICATE)
    if len(vectors) <= _HASHED:
        found = pixel_similarity(look_at(range(len(vectors))))
        if found.informative:
            return found
    return Similarity(f"copies, since {by} find all alike", vectors, COPY, informative=False)


def pixel_similarity(pixels: Pixels) -> Similarity:
    """Tell near-duplicates by pixels: by the gap between scenes in colours or in hashes, or by `SAME_HASH`.

    They tell nothing where hashes find many images alike, or in chains: of one layout, or of classes that
    are told by a colour.
    """
    sample = slice(None, None, max(1, -(-len(pixels.phash) // _SAMPLE)))
    hashes = _cosines(pixels.phash[sample])
    colours = _cosines(pixels.steps[sample])
    gap = _gap(colours, _COLOUR_GAP)
    if gap is not None and gap >= _LEAST and _agree(hashes, _components(colours, gap)):
        return Similarity("colours and outlines", pixels.steps, gap)
    gap = _gap(hashes, _HASH_GAP)
    if gap is not None and gap >= _LEAST_HASH:
        return Similarity("perceptual hash", pixels.phash, min(gap, SAME_HASH))
    few = len(hashes) < 2 or (_pairs(hashes) >= SAME_HASH).mean() <= _MANY
    informative = few and _closeness(hashes, _components(hashes, SAME_HASH), SAME_HASH) >= _CHAIN
    return Similarity("perceptual hash", pixels.phash, SAME_HASH if informative else COPY, informative)


def _cosines(vectors: Vectors) -> Vectors:
    unit = unit_vectors(vectors)
    return unit @ unit.T


def _pairs(matrix: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
    """Return the upper triangle of (N, N) without the diagonal, (N * (N - 1) / 2,)."""
    return matrix[~np.tri(len(matrix), dtype=np.bool_)]


def _gap(cosines: Vectors, least: float) -> float | None:
    """Return the threshold in the gap between scenes, or None where there is none.

    The edges of the maximum spanning tree are the cosines at which groups merge as the threshold sinks. Of
    bursts, many merge within scenes, then none, then scenes with each other.
    """
    count = len(cosines)
    if count < 4:
        return None
    edges = np.sort(_spanning_edges(cosines))
    distances = np.maximum(1 - edges, _APART)
    ratios = (distances[:-1] / distances[1:])[: count // 2 - 1]  # a scene has two images or more
    if ratios.max() < least:
        return None
    place = int(ratios.argmax())
    threshold = 1 - float(np.sqrt(distances[place] * distances[place + 1]))
    labels = _components(cosines, threshold)
    within = _pairs(cosines)[_pairs(labels[:, None] == labels)]
    alone = (np.bincount(labels)[labels] == 1).mean()
    whole = len(within) > 0 and (within > edges[place]).mean() >= _WHOLE
    return threshold if whole and alone <= _ALONE else None


def _spanning_edges(cosines: Vectors) -> Vectors:
    """Return the cosines on the edges of the maximum spanning tree, (N - 1,). Source: Prim 1957."""
    best = cosines[0].copy()
    reached = np.zeros(len(cosines), bool)
    reached[0] = True
    edges = np.empty(len(cosines) - 1, np.float32)
    for number in range(len(edges)):
        place = int(np.where(reached, -np.inf, best).argmax())
        edges[number] = best[place]
        reached[place] = True
        np.maximum(best, cosines[place], out=best)
    return edges


def _components(cosines: Vectors, threshold: float) -> npt.NDArray[np.intp]:
    """Return a label for each image, (N,): equal where cosines at the threshold or above join two."""
    labels = np.arange(len(cosines))
    for row in range(len(cosines)):
        linked = np.unique(labels[np.append(np.nonzero(cosines[row] >= threshold)[0], row)])
        if len(linked) > 1:
            labels[np.isin(labels, linked)] = linked[0]
    return np.unique(labels, return_inverse=True)[1]


def _closeness(cosines: Vectors, labels: npt.NDArray[np.intp], threshold: float) -> float:
    """Return the share of the pairs within groups that reach the threshold themselves; 1 where none is."""
    within = _pairs(cosines)[_pairs(labels[:, None] == labels)]
    return float((within >= threshold).mean()) if len(within) else 1.0


def _agree(pixels: Vectors, labels: npt.NDArray[np.intp]) -> bool:
    """Tell whether pixels say that groups are scenes: most pairs within are more alike than most across.

    Hashes of two frames of a moving camera may hardly agree, those of a fixed layout always do; what counts
    is how the ones within compare with the ones across.
    """
    cosines, same = _pairs(pixels), _pairs(labels[:, None] == labels)
    if not same.any() or same.all():
        return False
    return bool(np.median(cosines[same]) > np.quantile(cosines[~same], 0.9))
