"""Probabilities of a watched video, averaged over time."""

import numpy as np
import pytest

from showtell.kinds.classifier.model import ClassResult
from showtell.video.live import Smoothing


def steps(rate: int, seconds: float, smooth: float) -> dict[str, float]:
    smoothing = Smoothing(smooth)
    smoothing(ClassResult({"a": 1.0, "b": 0.0}), 0.0)
    for number in range(1, round(rate * seconds) + 1):
        found = smoothing(ClassResult({"b": 1.0, "a": 0.0}), number / rate)
    return dict(found.probabilities)


def test_smoothing_forgets_with_time_not_with_frames():
    expected = float(np.exp(-1))
    for rate in (4, 30, 240):
        found = steps(rate, 0.5, 0.5)
        assert found["a"] == pytest.approx(expected, abs=1e-9)
        assert sum(found.values()) == pytest.approx(1)
        assert next(iter(found)) == "b"  # ranked


def test_without_smoothing_only_the_present_counts():
    assert steps(10, 0.5, 0) == {"a": 0.0, "b": 1.0}


def test_what_does_not_change_stays():
    smoothing = Smoothing(0.3)
    for number in range(5):
        assert dict(smoothing(ClassResult({"a": 0.75, "b": 0.25}), number / 7).probabilities) == {
            "a": pytest.approx(0.75),
            "b": pytest.approx(0.25),
        }
