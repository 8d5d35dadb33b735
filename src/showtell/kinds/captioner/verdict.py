"""Whether a captioner has learnt anything: its captions against those that need no model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from showtell.data.neighbours import Nearest
from showtell.data.records import AnnotatedImage
from showtell.evaluation.cider import CiderD
from showtell.evaluation.intervals import bootstrap_interval
from showtell.extraction.features import Features
from showtell.text.words import metric_tokens

_MOST_EMPTY = 0.5
"""A larger share of captions without a word is as good as none."""
_RARE = 0.1
"""How far apart rare images may set a model and its rival besides: less than either is from right."""
_MOST = 100
"""Equally frequent captions that are scored."""
_BLOCK = 1000
"""Images whose neighbours are looked for together."""


@dataclass(frozen=True)
class Rival:
    """What a model is held against."""

    name: str  # what it says of an image
    cider_d: float  # what it scores on the same images
    difference: float  # by how much the model's score is higher
    interval: tuple[float, float]  # 95% interval of the difference, from paired resamples

    @property
    def comparison(self) -> str:
        """How the model compares, in words."""
        low, high = self.interval
        if low > 0:
            return f"better than {self.name}"
        if high < 0:
            return f"worse than {self.name}"
        return f"against {self.name} undecided (by {low:.2f} to {high:.2f})"


@dataclass(frozen=True)
class Verdict:
    """What validation says of a captioner."""

    images: int  # how many were captioned
    cider_d: float  # score of the captioner
    interval: tuple[float, float]  # its 95% interval
    rivals: tuple[Rival, ...]  # the most frequent caption and the nearest image's
    fault: str  # why the model is not known to have learnt anything; empty where it is

    @property
    def line(self) -> str:
        """The verdict in one line."""
        low, high = self.interval
        scores = " and ".join(f"{rival.cider_d:.2f} of {rival.name}" for rival in self.rivals)
        if all(rival.interval[0] > 0 for rival in self.rivals):
            comparison = "better than both"
        else:
            comparison = "; ".join(rival.comparison for rival in self.rivals)
        return (
            f"CIDEr-D {self.cider_d:.2f} ({low:.2f} to {high:.2f}) on {self.images:,} images, against "
            f"{scores}: {comparison}"
        )


def judge(
    references: Mapping[str, Sequence[str]],
    captions: Mapping[str, str],
    interval: tuple[float, float],
    rivals: Mapping[str, Mapping[str, Sequence[str]]],
    others: Sequence[str] = (),
) -> Verdict:
    """Hold captions against those that need no model.

    A model is at fault if most of its captions have no word, if it says one and the same of all images, or
    if it scores nothing or no more than the first rival.

    Args:
        references: What people wrote of each image, by name.
        captions: What the model says of each, by name.
        interval: 95% interval of the model's CIDEr-D.
        rivals: What each rival may say of each image, by the rival's name; the mean of these captions is
            its score. The first rival is the one to beat.
        others: What the model says of further images: one caption for few images may be chance.
    """
    cider = CiderD(references)
    names = sorted(references)
    own = {name: (caption,) for name, caption in captions.items()}
    scores = np.array(
        [[mean_cider(cider, name, texts[name]) for name in names] for texts in (own, *rivals.values())]
    )  # (1 + rivals, images)
    count = len(names)
    bounds = bootstrap_interval(
        scores.T,
        lambda sums: (sums[:, :1] - sums[:, 1:]) / count,
        seed=0,
        limits=np.array([(-10.0, 10.0)] * len(rivals)),
        rare=_RARE,
    )
    means = scores.mean(1)
    compared = tuple(
        Rival(name, float(mean), float(means[0] - mean), (float(low), float(high)))
        for name, mean, (low, high) in zip(rivals, means[1:], bounds)
    )
    fault = _fault([*captions.values(), *others], count, float(means[0]), compared[0])
    return Verdict(count, float(means[0]), interval, compared, fault)


def mean_cider(cider: CiderD, name: str, captions: Sequence[str]) -> float:
    """Return the mean score of captions of one image."""
    return float(np.mean([cider.score_words(name, metric_tokens(caption)) for caption in captions]))


def _fault(captions: Sequence[str], images: int, score: float, least: Rival) -> str:
    """Return why a model is not known to have learnt anything; empty where it is."""
    words = [tuple(metric_tokens(caption)) for caption in captions]
    empty = sum(not one for one in words)
    if empty > _MOST_EMPTY * len(words):
        return f"{empty:,} of {len(words):,} captions have no word"
    if len(words) > 1 and len(set(words)) == 1:
        return f"it says the same of every image: {captions[0]!r}"
    if images == 1:
        return "CIDEr-D of a single validation image is 0, whatever is said of it"
    if score <= 0:
        return "its captions of validation have no phrase in common with people's"
    low, high = least.interval
    if high <= 0:
        return f"its captions of validation score less than {least.name}"
    if least.difference <= 0:
        return (
            f"its captions of validation score no more than {least.name}, on too few images to tell "
            f"whether that is chance (by {low:.2f} to {high:.2f})"
        )
    return ""


def commonest_captions(train: Sequence[AnnotatedImage]) -> list[str]:
    """Return the most frequent captions of training: one, or all that are equally frequent.

    Most tables hold no caption twice. Then any caption is the most frequent, and what "it" scores is the mean
    of all: a single one would be the luck of the draw. Of many, some are taken at equal distances.

    Args:
        train: Images with captions.
    """
    written: dict[tuple[str, ...], str] = {}
    counts: Counter[tuple[str, ...]] = Counter()
    for image in train:
        for caption in image.captions:
            words = tuple(metric_tokens(caption))
            written.setdefault(words, caption)
            counts[words] += 1
    most = max(counts.values())
    ties = [written[words] for words, count in counts.items() if count == most]
    return ties[:: -(-len(ties) // _MOST)]


def nearest_captions(
    features: Features, train: Sequence[AnnotatedImage], asked: Sequence[AnnotatedImage]
) -> dict[str, tuple[str, ...]]:
    """Return the captions of the training image nearest to each one asked about, by its name.

    Nearest by the cosine of pooled features; of equally near ones the first.

    Args:
        features: Holds the features of all.
        train: Images with captions.
        asked: Which images.
    """
    known = Nearest(features.pooled(train))
    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(asked), _BLOCK):
        part = asked[start : start + _BLOCK]
        places, _ = known.search(features.pooled(part), 1)
        found |= {image.name: train[i].captions for image, i in zip(part, places[:, 0].tolist())}
    return found
