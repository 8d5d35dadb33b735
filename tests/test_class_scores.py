"""Scores of classes: reference values worked out by hand, intervals that cover, calibration."""

import numpy as np
import pytest

from showtell.evaluation.class_scores import class_scores, expected_calibration_error
from showtell.evaluation.intervals import difference_interval, effective_count, share_interval, wilson


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


# --- intervals of shares


def test_wilson_is_that_of_the_textbook():
    # Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for right, count, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)]:
        assert wilson(right / count, count) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@pytest.mark.parametrize("count", [1, 2, 5, 20, 500])
def test_where_all_are_right_the_interval_has_width(count):
    scores = class_scores(one_hot([0] * count, 2), np.zeros(count, int))
    for low, high in scores.intervals.values():
        assert high == 1
        assert 0 <= low < 1 - 1 / count if count > 1 else low < 0.5


def test_a_burst_counts_once():
    """Ten groups of twelve, right or wrong as a whole, are ten images and no more."""
    groups = np.repeat(np.arange(10), 12)
    right = groups < 7
    assert share_interval(right, groups) == pytest.approx(wilson(0.7, 10))
    assert share_interval(np.ones(120, bool), groups) == pytest.approx(wilson(1, 10))
    alone = np.arange(120)
    assert share_interval(right, alone) == pytest.approx(wilson(0.7, 120))
    assert share_interval(right) == pytest.approx(wilson(0.7, 120))
    # One large group among small ones counts for little more than itself.
    assert effective_count(np.ones(104), np.array([0] * 100 + [1, 2, 3, 4])) < 1.1


@pytest.mark.parametrize("scenes", [5, 10, 16, 20, 40])
@pytest.mark.parametrize("alike", [1.0, 0.5, 0.0])
def test_intervals_of_groups_hold_the_truth(scenes, alike):
    """Whether images of a group are right together, partly so, or by themselves."""
    random = np.random.default_rng((scenes, int(alike * 10)))
    held = 0
    for _ in range(300):
        groups = np.repeat(np.arange(scenes), random.integers(4, 20, scenes))
        together = random.random(scenes)[groups] < 0.5
        right = np.where(random.random(len(groups)) < alike, together, random.random(len(groups)) < 0.5)
        low, high = share_interval(right, groups)
        held += low <= 0.5 <= high
    assert held >= 0.92 * 300


def test_the_difference_of_two_has_width_and_holds_the_truth():
    same = np.ones(30, bool)
    low, high = difference_interval(same, same)
    assert low < 0 < high < 0.2
    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        groups = np.repeat(np.arange(15), 10)
        ours, theirs = (random.random(15)[groups] < share for share in (0.8, 0.5))
        low, high = difference_interval(ours, theirs, groups)
        held += low <= 0.3 <= high
    assert held >= 0.92 * 300
    low, _ = difference_interval(np.ones(60, bool), np.zeros(60, bool), np.arange(60))
    assert low > 0.8


def test_macro_f1_of_groups_is_no_surer_than_its_groups():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 20)
    labels = random.integers(0, 2, 12)[groups]
    predicted = np.where((random.random(12) < 0.7)[groups], labels, 1 - labels)
    grouped = class_scores(one_hot(predicted.tolist(), 2), labels, groups)
    alone = class_scores(one_hot(predicted.tolist(), 2), labels)
    assert (grouped.groups, alone.groups) == (12, 240)
    for name in grouped.intervals:
        widths = [np.diff(scores.intervals[name])[0] for scores in (grouped, alone)]
        assert widths[0] > 2 * widths[1] or name == "top5"


def test_cross_validated_scores_hold_the_truth():
    """Labels by coin, in folds that each know how they fell: what is right half the time is scored higher."""
    random = np.random.default_rng(0)
    held = {True: 0, False: 0}
    for _ in range(500):
        features, labels = random.normal(size=(60, 8)), random.integers(0, 2, 60)
        fold = np.empty(60, int)
        fold[np.argsort(labels, kind="stable")] = np.arange(60) % 10
        right = np.empty(60, bool)
        for number in range(10):
            out = fold == number
            rows, signs = np.column_stack([features, np.ones(60)]), 2 * labels - 1
            system = rows[~out].T @ rows[~out] + np.eye(9)
            right[out] = (rows[out] @ np.linalg.solve(system, rows[~out].T @ signs[~out]) > 0) == labels[out]
        for folded in held:
            low, high = share_interval(right, folded=folded)
            held[folded] += low <= 0.5 <= high
    assert held[False] < 0.93 * 500 <= held[True] <= 0.97 * 500


def test_all_intervals_of_cross_validated_scores_are_wider():
    right = np.arange(60) % 4 > 0
    labels, said = np.arange(60) % 2, np.where(right, np.arange(60) % 2, 1 - np.arange(60) % 2)
    wide, narrow = (
        class_scores(one_hot(said.tolist(), 2), labels, folded=f).intervals for f in (True, False)
    )
    for name in ("accuracy", "macro_f1"):
        assert np.diff(wide[name])[0] == pytest.approx(0.7**-0.5 * np.diff(narrow[name])[0], rel=0.05)
    none = np.zeros(60, bool)
    assert np.diff(difference_interval(right, none, folded=True)) > np.diff(difference_interval(right, none))
