"""Of the 95% intervals of simulated data sets, whose truth is known, 93 to 97 in 100 hold it.

python trust/intervals.py --rounds 500
python trust/intervals.py --minutes 30 --only cross-validation
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import second_scores as second
from campaign import Attempt, Figures, Finding, Line, run
from showtell.evaluation.caption_scores import SCORE_LIMITS, SCORE_NAMES, caption_statistics, scores_of_sums
from showtell.evaluation.class_scores import class_scores
from showtell.evaluation.intervals import (
    bootstrap_interval,
    difference_interval,
    paired_intervals,
    share_interval,
)
from showtell.kinds.classifier.data import Examples, HeadData
from showtell.kinds.classifier.folds import cross_validate
from showtell.kinds.classifier.heads import fit_linear
from showtell.models.heads import Head

ENOUGH = 500
"""Data sets from which on a coverage is judged."""
LEAST, MOST = 0.93, 0.97
RESAMPLES = 400
Floats = npt.NDArray[np.float64]
Trial = Callable[[np.random.Generator], dict[str, bool]]
"""Simulates a data set; says by score whether its interval holds the truth."""


def coverage(
    prepare: Callable[[], Trial], *, few: bool = False
) -> Callable[[Path], AbstractContextManager[Attempt]]:
    """Return a line that counts how often intervals hold the truth, and judges that at its end.

    Args:
        prepare: Makes what simulates a data set.
        few: The data sets are so small that intervals are made wide on purpose: there is no upper bound.
    """

    @contextmanager
    def opened(_: Path) -> Iterator[Attempt]:
        trial, held, sets = prepare(), Counter[str](), 0

        def attempt(chance: random.Random) -> Figures:
            nonlocal sets
            sets += 1
            found = trial(np.random.default_rng(chance.getrandbits(64)))
            held.update({name: int(holds) for name, holds in found.items()})
            return {f"{name} held": int(holds) for name, holds in found.items()}

        yield attempt
        shares = {name: number / sets for name, number in held.items()}
        wrong = [name for name, share in shares.items() if share < LEAST or (share > MOST and not few)]
        if wrong and sets >= ENOUGH:
            said = ", ".join(f"{shares[name]:.3f} of {name}" for name in wrong)
            raise Finding(f"of {sets} intervals that should hold the truth 95 times in 100, {said} do")

    return opened


def _holds(interval: Sequence[float] | Floats, truth: float) -> bool:
    return bool(interval[0] <= truth <= interval[1])


@cache
def population() -> tuple[Floats, Floats]:
    """Return what each of many images adds to the scores of captions by two captioners, one a bit better."""
    chance = random.Random(0)
    references: dict[str, list[str]] = {}
    said: tuple[dict[str, str], dict[str, str]] = ({}, {})
    words = second.SCRIPTS["Latin"].split()

    def retell(true: Sequence[str], wrong: float) -> str:
        return " ".join(chance.choice(words) if chance.random() < wrong else word for word in true)

    for number in range(4000):
        name, true = f"{number:05d}", chance.choices(words, k=chance.randint(5, 11))
        references[name] = [retell(true, 0.3) for _ in range(3)]
        ease = chance.betavariate(2, 3)  # some images are easy for both
        for skill, captions in enumerate(said):
            captions[name] = retell(true, 0.9 - 0.7 * ease - 0.05 * skill)
    first, better = (caption_statistics(references, captions) for captions in said)
    return first, better


def scores(least: int, most: int) -> Trial:
    """Simulate the bootstrap of every score of captions."""
    rows, _ = population()
    truths = scores_of_sums(rows.sum(0))

    def trial(draw: np.random.Generator) -> dict[str, bool]:
        chosen = rows[draw.integers(len(rows), size=draw.integers(least, most + 1))]
        seed = int(draw.integers(2**31))
        bounds = bootstrap_interval(
            chosen, scores_of_sums, seed=seed, resamples=RESAMPLES, limits=SCORE_LIMITS
        )
        return {name: _holds(*pair) for name, *pair in zip(SCORE_NAMES, bounds, truths)}

    return trial


def differences() -> Trial:
    """Simulate the paired bootstrap of two captioners."""
    first, better = population()
    truths = scores_of_sums(better.sum(0)) - scores_of_sums(first.sum(0))

    def trial(draw: np.random.Generator) -> dict[str, bool]:
        chosen = draw.integers(len(first), size=draw.integers(100, 301))
        seed = int(draw.integers(2**31))
        bounds = paired_intervals(
            first[chosen], better[chosen], scores_of_sums, limits=SCORE_LIMITS, seed=seed, resamples=RESAMPLES
        )
        return {name: _holds(*pair) for name, *pair in zip(SCORE_NAMES, bounds, truths)}

    return trial


def shares() -> Trial:
    """Simulate Wilson's interval: 50 to 500 images of which 50 to 98% are right, alone and in groups."""

    def trial(draw: np.random.Generator) -> dict[str, bool]:
        true, images = draw.uniform(0.5, 0.98), draw.integers(50, 501)
        alone = share_interval(draw.random(images) < true)
        groups = np.repeat(np.arange(images // 5), draw.integers(1, 10, images // 5))
        together = (draw.random(groups.max() + 1) < true)[groups]
        alike = draw.random(len(groups)) < draw.random()
        right = np.where(alike, together, draw.random(len(groups)) < true)
        return {"alone": _holds(alone, true), "groups": _holds(share_interval(right, groups), true)}

    return trial


def share_differences() -> Trial:
    """Simulate two classifiers on the same images, which are easy or hard for both."""

    def right(ease: Floats, skill: float, draw: np.random.Generator) -> npt.NDArray[np.bool_]:
        return ease + draw.normal(size=len(ease)) < skill

    def trial(draw: np.random.Generator) -> dict[str, bool]:
        images, skills = draw.integers(50, 501), draw.uniform(0, 1.5, 2)
        drawn = draw.normal(size=images)
        ours, theirs = (right(drawn, skill, draw) for skill in skills)
        true = [
            0.5 * (1 + torch.erf(torch.tensor(skill / 2, dtype=torch.float64)).item()) for skill in skills
        ]
        return {"difference": _holds(difference_interval(ours, theirs), true[0] - true[1])}

    return trial


def macro_f1() -> Trial:
    """Simulate the bootstrap of macro-F1: three classes, of which one is rarer, on 60 to 300 images."""
    joint = np.array([[0.40, 0.07, 0.03], [0.06, 0.21, 0.03], [0.02, 0.06, 0.12]])
    true = float(np.mean(2 * joint.diagonal() / (joint.sum(0) + joint.sum(1))))

    def trial(draw: np.random.Generator) -> dict[str, bool]:
        cells = draw.choice(9, draw.integers(60, 301), p=joint.ravel())
        found = class_scores(np.eye(3)[cells % 3], cells // 3, resamples=RESAMPLES)
        return {"macro F1": _holds(found.intervals["macro_f1"], true)}

    return trial


def cross_validation(coins: bool) -> Trial:
    """Simulate cross-validated accuracy: 30 to 80 groups of one image or of six.

    Args:
        coins: Labels by coin, so that every classifier is right half the time; otherwise some can be told.
    """
    dim = 8

    def trial(draw: np.random.Generator) -> dict[str, bool]:
        number, frames = int(draw.integers(30, 81)), int(draw.choice([1, 6]))
        means = np.eye(2, dim) * (0 if coins else draw.uniform(1, 2))
        heads: list[Head] = []

        def drawn(count: int) -> tuple[torch.Tensor, npt.NDArray[np.int64]]:
            labels = draw.integers(0, 2, count)
            frame = 0.3 * draw.normal(size=(count * frames, dim))
            own = np.repeat(means[labels] + draw.normal(size=(count, dim)), frames, axis=0) + frame
            return torch.from_numpy(own.astype(np.float32)), np.repeat(labels, frames)

        def fit(learn: Examples, check: Examples, _: int) -> Head:
            heads.append(fit_linear(HeadData(learn, check, 2)).head)
            return heads[-1]

        features, labels = drawn(number)
        groups = np.repeat(np.arange(number), frames)
        out = cross_validate(
            Examples(features, torch.from_numpy(labels)), groups, 2, fit, seed=int(draw.integers(2**31))
        )
        rows = out.rows
        found = class_scores(out.probabilities, labels[rows], groups[rows], folded=True, resamples=RESAMPLES)
        fresh, wanted = drawn(2000)
        with torch.inference_mode():
            right = [(head(fresh).argmax(1).numpy() == wanted).mean() for head in heads]
        true = 0.5 if coins else float(np.mean(right))
        return {"accuracy": _holds(found.intervals["accuracy"], true)}

    return trial


LINES = (
    Line("scores of captions", coverage(partial(scores, 100, 300)), share=3, short=0),
    Line("the same of 5 to 40 images", coverage(partial(scores, 5, 40), few=True), short=0),
    Line("differences of captioners", coverage(differences), share=3, short=0),
    Line("shares that are right", coverage(shares), short=500),
    Line("differences of shares", coverage(share_differences), short=500),
    Line("macro F1", coverage(macro_f1), short=0),
    Line("cross-validation, labels by coin", coverage(partial(cross_validation, True)), share=6, short=0),
    Line("cross-validation", coverage(partial(cross_validation, False)), share=6, short=0),
)

if __name__ == "__main__":
    sys.exit(run("intervals", __doc__, LINES))
