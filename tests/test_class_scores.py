"""Scores of classes: reference values worked out by hand, intervals that cover, calibration."""

import numpy as np
import pytest

from showtell.training.class_scores import class_scores, expected_calibration_error


def one_hot(predicted: list[int], classes: int, confidence: float = 0.9) -> np.ndarray:
    rows = np.full((len(predicted), classes), (1 - confidence) / (classes - 1))
    rows[np.arange(len(predicted)), predicted] = confidence
    return rows


def test_figures_worked_out_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    scores = class_scores(one_hot([0, 0, 1, 1, 1, 0], 4), labels, resamples=0)
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.confusion.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert scores.precision[:2] == pytest.approx([2 / 3, 2 / 3])
    assert np.isnan(scores.precision[2:]).all()  # never named
    assert scores.recall[:3] == pytest.approx([2 / 3, 1, 0])
    assert np.isnan(scores.recall[3])  # not there
    assert scores.f1[:3] == pytest.approx([2 / 3, 0.8, 0])
    # The class that neither occurs nor was named is no class of this set.
    assert scores.macro_f1 == pytest.approx((2 / 3 + 0.8 + 0) / 3)
    assert scores.intervals == {}


def test_top5_is_among_the_five_most_likely():
    probabilities = np.tile(np.arange(8, 0, -1) / 36, (8, 1))
    scores = class_scores(probabilities, np.arange(8), resamples=0)
    assert (scores.top5, scores.accuracy) == (5 / 8, 1 / 8)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(120):
        right = random.random(80) < 0.8
        scores = class_scores(
            one_hot(list(np.where(right, 0, 1)), 2), np.zeros(80, int), seed=trial, resamples=300
        )
        low, high = scores.intervals["accuracy"]
        assert low <= scores.accuracy <= high
        covered += low <= 0.8 <= high
    assert 105 <= covered <= 120


def test_the_same_seed_gives_the_same_intervals():
    labels = np.array([0, 1, 2, 0, 1, 2, 0])
    probabilities = one_hot([0, 1, 1, 0, 2, 2, 1], 3)
    first, second = (class_scores(probabilities, labels, seed=5) for _ in range(2))
    assert first.intervals == second.intervals
    assert set(first.intervals) == {"accuracy", "top5", "macro_f1"}


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    confidence = np.full(10, 0.9)
    assert expected_calibration_error(confidence, np.arange(10) < 9) == pytest.approx(0, abs=1e-12)
    assert expected_calibration_error(confidence, np.arange(10) < 5) == pytest.approx(0.4)
    # Opposite gaps of two bins do not cancel out.
    both = np.repeat([0.3, 0.9], 10)
    right = np.concatenate([np.arange(10) < 5, np.arange(10) < 7])
    assert expected_calibration_error(both, right) == pytest.approx(0.2)
    assert expected_calibration_error(np.ones(3), np.ones(3, bool)) == 0
