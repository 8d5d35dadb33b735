"""The images of which one's own model finds a text likeliest: log p(text | image).

That takes a pass through the decoder for each image. Among many, it is asked of those whose generated
captions are most like the text, and then, again and again, of those that look most like the best ones so far:
a caption often misses what an image shows, and its neighbours' do not.

Source: MacAvaney et al. 2022, "Adaptive re-ranking with a corpus graph".
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from showtell.console import Console
from showtell.data.neighbours import Nearest
from showtell.data.records import AnnotatedImage
from showtell.extraction.features import Features
from showtell.kinds.model import Model
from showtell.searching.result import Match
from showtell.searching.said import said_of
from showtell.store.store import FeatureStore
from showtell.text.ngram_weights import NgramWeights
from showtell.text.words import metric_tokens

ASKED = 300
"""Images of which a captioner is asked how likely a text is; all, where there are no more (docs/log.md)."""
_SEEDS, _STEP, _BEST = 100, 50, 10
"""Images that are asked about first; how many more at a time; and whose neighbours these are."""
_BATCH = 50


class ByModel:
    """Finds images by a text, by what a model makes of each.

    Args:
        model: A captioner, or a classifier for the names of its classes.
        images: That can be found.
        features: Of them, by the model's backbone.
        store: Keeps what a captioner says of them.
        console: Told the progress.
    """

    score = "log-probability"

    def __init__(
        self,
        model: Model[Any],
        images: Sequence[AnnotatedImage],
        features: Features,
        store: FeatureStore,
        console: Console,
    ) -> None:
        self.by = f"how likely the text is to the {model.config.kind}"
        self._model, self._images, self._features = model, images, features
        self._said = None if model.has_scores else said_of(model, images, features, store, console)
        if self._said is not None and len(images) > ASKED:
            words = [metric_tokens(caption) for caption in self._said]
            self._weights = NgramWeights([one] for one in words)
            self._directions = [self._weights.direction(one) for one in words]
            self._pooled = features.pooled(images).astype(np.float32)
            self._nearest = Nearest(self._pooled)

    def find(self, asked: str, count: int) -> list[Match]:
        """Find the images of which a text is likeliest.

        Args:
            asked: A sentence, or the name of a class.
            count: How many to find.

        Raises:
            ConfigError: The model knows no word of it.
        """
        everything = range(len(self._images))
        few = self._said is None or len(self._images) <= ASKED
        scores = self._scores(asked, everything) if few else self._best(asked, max(ASKED, count))
        best = sorted(scores, key=lambda place: (-scores[place], place))[:count]
        said = self._said or [""] * len(self._images)
        return [Match(self._images[place], scores[place], said[place]) for place in best]

    def _best(self, asked: str, limit: int) -> dict[int, float]:
        """Return the scores of the images that are worth asking about, by their places."""
        direction = self._weights.direction(metric_tokens(asked))
        alike = [sum(w * of.get(ngram, 0.0) for ngram, w in direction.items()) for of in self._directions]
        seeds = sorted(range(len(alike)), key=lambda place: (-alike[place], place))[:_SEEDS]
        scores = self._scores(asked, seeds)
        while len(scores) < min(limit, len(self._images)):
            best = sorted(scores, key=lambda place: -scores[place])[:_BEST]
            places, cosines = self._nearest.search(self._pooled[best], len(scores) + _STEP)
            nearest = places.ravel()[np.argsort(-cosines.ravel(), kind="stable")].tolist()
            fresh = [place for place in dict.fromkeys(nearest) if place not in scores]
            scores |= self._scores(asked, fresh[: min(_STEP, limit - len(scores))])
        return scores

    def _scores(self, asked: str, places: Iterable[int]) -> dict[int, float]:
        """Return the log-probability of a text given each of some images, by their places."""
        places, found = list(places), []
        for start in range(0, len(places), _BATCH):
            part = [self._images[place] for place in places[start : start + _BATCH]]
            grid, pooled = (
                torch.from_numpy(read(part)).to(self._model.device)
                for read in (self._features.grid, self._features.pooled)
            )
            found += self._model.log_likelihood(grid, pooled, asked).tolist()
        return dict(zip(places, found))
