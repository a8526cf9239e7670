"""Intervals over seeds, against SciPy's own t-test."""

from __future__ import annotations

import pytest
from scipy.stats import ttest_1samp

from vireid.interval import interval


def test_intervals_are_those_of_a_t_test() -> None:
    values = [0.3, 1.2, 0.7, 2.0]
    found, expected = interval(values), ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((expected.low, expected.high))
    assert str(interval([2.0])) == "2.0"
    assert interval([1.0, 2.0]).text(sign=True).startswith("+1.5 ± 6.4")
    assert interval([-0.02]).text(sign=True) == "+0.0"
    assert str(interval([-1.0])) == "−1.0"
