"""The images nearest to others, by the cosine of their features: the one search that everything uses.

Exact, in blocks, as a rule. Where more than ``EXACT`` images are asked about, among more than ``EXACT``, an
HNSW graph finds them instead (Malkov and Yashunin 2018), by the library usearch where it is installed: making
one takes as long as some 70,000 exact searches (docs/log.md, which also says what it misses).

Letters: N images to find, B images asked about, D channels of pooled features, k neighbours.
"""

import importlib.util
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Cosines = npt.NDArray[np.float32]

EXACT = 100_000
"""Of as many images, and among as many, a search is always exact."""
_ADDING, _SEARCHING = 128, 64
"""How many candidates the graph keeps while an image is added, and while one is searched for."""
_ROWS, _COLUMNS = 1024, 4096
"""Asked and known images that are compared at once, of which 16 MB of cosines stand in memory."""


class Nearest:
    """Images to be found by the cosine of their features.

    A vector that is zero or not finite has a cosine of 0 with every other.

    Args:
        features: Pooled features, (N, D), of any float dtype and any length; kept as they are.
    """

    def __init__(self, features: Floats) -> None:
        self._features = features
        self._scale = np.empty(len(features), np.float32)
        for start in range(0, len(features), _COLUMNS):
            part = slice(start, start + _COLUMNS)
            self._scale[part] = _inverse_lengths(features[part])
        self._graph: Any = None

    def __len__(self) -> int:
        return len(self._features)

    def search(self, queries: Floats, k: int) -> tuple[Ints, Cosines]:
        """Find the images nearest to others.

        Args:
            queries: Features, (B, D), of any float dtype and any length.
            k: How many of each; at most N are found.

        Returns:
            Places of the images, (B, min(k, N)), int64, nearest first, of equally near ones the first; and
            their cosines, float32.
        """
        k = min(k, len(self))
        if searches_by_graph(len(self), len(queries)):
            return self._search_graph(queries, k)
        places = np.empty((len(queries), k), np.int64)
        cosines = np.empty((len(queries), k), np.float32)
        for start in range(0, len(queries) if k else 0, _ROWS):
            part = slice(start, start + _ROWS)
            places[part], cosines[part] = self._search_block(queries[part], k)
        return places, cosines

    def _search_block(self, queries: Floats, k: int) -> tuple[Ints, Cosines]:
        """Find the nearest of a few: block by block, the best so far against the next."""
        asked = unit_vectors(queries)
        places, best = np.empty((len(asked), 0), np.int64), np.empty((len(asked), 0), np.float32)
        for start in range(0, len(self), _COLUMNS):
            block = self._features[start : start + _COLUMNS].astype(np.float32, copy=False)
            with np.errstate(invalid="ignore"):
                cosines = asked @ block.T  # (B, columns)
            cosines *= self._scale[start : start + _COLUMNS]
            np.nan_to_num(cosines, copy=False, nan=0.0)
            places, best = _merge(places, best, start, cosines, k)
        return places, best

    def _search_graph(self, queries: Floats, k: int) -> tuple[Ints, Cosines]:
        """Find the nearest by the graph, which the first search makes; those found are ordered exactly."""
        if self._graph is None:
            self._graph = _make_graph(self._features, self._scale)
        places = np.empty((len(queries), k), np.int64)
        cosines = np.empty((len(queries), k), np.float32)
        for start in range(0, len(queries), _ROWS):
            part = slice(start, start + _ROWS)
            asked = unit_vectors(queries[part])
            matches = self._graph.search(asked, k)
            found = matches.keys.reshape(-1, k).astype(np.int64)
            places[part], cosines[part] = self._in_order(asked, found)
        return places, cosines

    def _in_order(self, asked: Cosines, found: Ints) -> tuple[Ints, Cosines]:
        """Return found places (B, k), the nearest by the exact cosine first, and the cosines."""
        known = unit_vectors(self._features[found.ravel()]).reshape(*found.shape, -1)
        similar = np.einsum("bd,bkd->bk", asked, known)
        order = np.lexsort((found, -similar))
        return np.take_along_axis(found, order, 1), np.take_along_axis(similar, order, 1)


def searches_by_graph(known: int, asked: int) -> bool:
    """Tell whether so many images are searched for among so many by a graph."""
    return min(known, asked) > EXACT and importlib.util.find_spec("usearch") is not None


def unit_vectors(vectors: Floats) -> npt.NDArray[np.float32]:
    """Return vectors (N, D) of length 1; zero where one is zero or not finite."""
    vectors = vectors.astype(np.float32, copy=False)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    usable = np.isfinite(norms) & (norms > 0)
    return np.where(usable, vectors / np.where(usable, norms, 1), 0).astype(np.float32)


def _inverse_lengths(vectors: Floats) -> npt.NDArray[np.float32]:
    """Return 1 over the length of each vector, (N,); 0 where one is zero or not finite."""
    lengths = np.linalg.norm(vectors.astype(np.float32, copy=False), axis=1)
    usable = np.isfinite(lengths) & (lengths > 0)
    return np.where(usable, 1 / np.where(usable, lengths, 1), 0).astype(np.float32)


def _merge(places: Ints, best: Cosines, start: int, cosines: Cosines, k: int) -> tuple[Ints, Cosines]:
    """Return the k best of those so far and of a block, nearest first, of equally near ones the first.

    Args:
        places: The best so far, (B, up to k).
        best: Their cosines.
        start: Place of the block's first image.
        cosines: Of the block, (B, columns).
        k: How many are wanted.
    """
    kept = min(k, cosines.shape[1])
    least = np.partition(cosines, -kept, 1)[:, -kept]  # (B,)
    if best.shape[1] == k:
        least = np.maximum(least, best[:, -1])
    rows, columns = np.nonzero(cosines >= least[:, None])
    rows = np.concatenate([np.repeat(np.arange(len(best)), best.shape[1]), rows])
    values = np.concatenate([best.ravel(), cosines[rows[best.size :], columns]])
    numbers = np.concatenate([places.ravel(), columns + start])
    order = np.lexsort((numbers, -values, rows))
    first = np.searchsorted(rows[order], np.arange(len(best)))
    chosen = order[first[:, None] + np.arange(min(k, best.shape[1] + kept))]
    return numbers[chosen], values[chosen]


def _make_graph(features: Floats, scale: npt.NDArray[np.float32]) -> Any:
    """Make an HNSW graph of images, in half precision."""
    from usearch.index import Index

    graph = Index(
        ndim=features.shape[1],
        metric="ip",
        dtype="f16",
        expansion_add=_ADDING,
        expansion_search=_SEARCHING,
    )
    for start in range(0, len(features), _COLUMNS):
        unit = unit_vectors(features[start : start + _COLUMNS])
        graph.add(np.arange(start, start + len(unit)), unit)
    return graph
