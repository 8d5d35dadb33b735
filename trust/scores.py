"""Every score equals a second implementation's, on random captions in five scripts and random classes.

python trust/scores.py --rounds 500
python trust/scores.py --minutes 5 --only captions
"""

import math
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binomtest, t
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

import second_scores as second
from campaign import Attempt, Figures, Finding, Line, run
from showtell.evaluation.caption_scores import caption_scores
from showtell.evaluation.class_scores import class_scores, expected_calibration_error
from showtell.evaluation.intervals import student_t, wilson
from showtell.kinds.classifier.heads import fit_temperature
from showtell.text.words import metric_tokens


def same(what: str, ours: float, theirs: float, within: float = 1e-9) -> float:
    """Return how far apart two figures are, as a share of the larger or of 1.

    Raises:
        Finding: Farther than they may be.
    """
    apart = abs(ours - theirs) / max(1.0, abs(theirs))
    if not apart <= within:
        raise Finding(f"{what} is {ours!r}, by a second implementation {theirs!r}")
    return apart


@contextmanager
def captions(_: Path) -> Iterator[Attempt]:
    """Score a set of captions of one script twice."""
    scripts = list(second.SCRIPTS)
    rounds = count()

    def attempt(chance: random.Random) -> Figures:
        script = scripts[next(rounds) % len(scripts)]
        images = [f"{number}.jpg" for number in range(chance.randint(2, 8))]
        true = {name: [second.write(chance, script) for _ in range(chance.randint(1, 5))] for name in images}
        said = {name: second.write(chance, script) for name in images}
        for one in [*said.values(), *(one for ones in true.values() for one in ones)]:
            if metric_tokens(one.text) != one.words:
                raise Finding(f"the words of {one.text!r} are {metric_tokens(one.text)}, not {one.words}")
        scores = caption_scores(
            {name: [one.text for one in ones] for name, ones in true.items()},
            {name: one.text for name, one in said.items()},
            resamples=0,
        )
        truths = {name: [one.words for one in ones] for name, ones in true.items()}
        words = {name: one.words for name, one in said.items()}
        whole, each = second.toolkit(truths, words)
        each["chrf"] = [second.chrf(words[name], truths[name]) for name in scores.names]
        apart = [same(f"{name} of {script}", getattr(scores, name), value) for name, value in whole.items()]
        for name, values in each.items():
            apart += [
                same(f"{name} of one image, {script}", a, b) for a, b in zip(scores.per_image[name], values)
            ]
        return {"captions": len(images), "highest difference": max(apart)}

    yield attempt


@contextmanager
def alignments(_: Path) -> Iterator[Attempt]:
    """Align short captions by trying every way."""

    def attempt(chance: random.Random) -> Figures:
        script = chance.choice(list(second.SCRIPTS))
        said = second.write(chance, script, 6)
        true = [second.write(chance, script, 7) for _ in range(chance.randint(1, 3))]
        scores = caption_scores({"a": [one.text for one in true]}, {"a": said.text}, resamples=0)
        wanted = second.meteor(said.words, [one.words for one in true])
        apart = same(f"meteor_exact_stem of {said.text!r} in {script}", scores.meteor_exact_stem, wanted)
        return {"highest difference": apart}

    yield attempt


@contextmanager
def classes(_: Path) -> Iterator[Attempt]:
    """Score predictions of classes as scikit-learn does, and calibration in a loop."""

    def attempt(chance: random.Random) -> Figures:
        draw = np.random.default_rng(chance.getrandbits(64))
        number, images = int(draw.integers(2, 12)), int(draw.integers(1, 200))
        probabilities = draw.dirichlet(np.full(number, draw.choice([0.1, 1.0, 5.0])), images)
        labels = draw.integers(0, draw.integers(1, number + 1), images)  # some classes may not occur
        scores = class_scores(probabilities, labels, resamples=0)
        said, every = probabilities.argmax(1), np.arange(number)
        seen = np.union1d(labels, said)
        each = precision_recall_fscore_support(labels, said, labels=every, zero_division=np.nan)
        if not np.array_equal(scores.confusion, confusion_matrix(labels, said, labels=every)):
            raise Finding("the confusion matrix is not scikit-learn's")
        apart = [
            same("accuracy", scores.accuracy, accuracy_score(labels, said)),
            same("top-5 accuracy", scores.top5, second.among_five(probabilities, labels.tolist())),
            same("macro F1", scores.macro_f1, f1_score(labels, said, labels=seen, average="macro")),
            same(
                "calibration error",
                scores.calibration_error,
                second.calibration_error(probabilities, labels.tolist()),
            ),
        ]
        for name, ours, theirs in zip(
            ("precision", "recall", "f1"), (scores.precision, scores.recall, scores.f1), each
        ):
            apart += [
                same(f"{name} of a class", ours[label], theirs[label])
                for label in seen
                if not (math.isnan(ours[label]) and math.isnan(theirs[label]))
            ]
        return {"images": images, "highest difference": max(apart)}

    yield attempt


@contextmanager
def formulas(_: Path) -> Iterator[Attempt]:
    """Hold Wilson's interval and Student's t against SciPy."""

    def attempt(chance: random.Random) -> Figures:
        images = chance.randint(1, 5000)
        right = chance.randint(0, images)
        ours, theirs = wilson(right / images, images), binomtest(right, images).proportion_ci(method="wilson")
        apart = [same(f"Wilson's interval of {right} of {images}", *both) for both in zip(ours, theirs)]
        freedom, level = chance.randint(1, 300), chance.uniform(0.9, 0.99)
        quantile = float(t.ppf(level, freedom))
        same(f"Student's t({freedom}) at {level}", student_t(level, freedom), quantile, 0.01)
        return {"highest difference": max(apart)}

    yield attempt


@contextmanager
def known_calibration(_: Path) -> Iterator[Attempt]:
    """Measure, and take away, a miscalibration of known size."""

    def attempt(chance: random.Random) -> Figures:
        draw = np.random.default_rng(chance.getrandbits(64))
        excess = draw.uniform(0.0, 0.2)
        sure = draw.uniform(0.5, 1.0, 200_000)
        found = expected_calibration_error(sure, draw.random(len(sure)) < sure - excess)
        same("the calibration error", found, excess, 0.01)
        logits = torch.from_numpy(draw.normal(0, 2, (20_000, 4))).float()
        labels = torch.distributions.Categorical(logits=logits).sample()
        heat = draw.uniform(0.5, 3.0)
        same("the temperature", float(fit_temperature(logits * heat, labels)), heat, 0.05)
        return {"highest difference": abs(found - excess)}

    yield attempt


LINES = (
    Line("captions, five scripts", captions, share=3, short=40),
    Line("alignments of equal words and stems", alignments, share=2, short=60),
    Line("classes", classes, share=2, short=40),
    Line("formulas of intervals", formulas, short=200),
    Line("calibration of a known size", known_calibration, short=3),
)

if __name__ == "__main__":
    sys.exit(run("scores", __doc__, LINES))
