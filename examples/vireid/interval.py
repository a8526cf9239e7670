"""Means over seeds, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student


class Interval(NamedTuple):
    """A mean over seeds, and half the width of its 95 % interval (Student's t; NaN for one seed)."""

    mean: float
    half: float
    values: tuple[float, ...]

    def text(self, *, sign: bool = False, digits: int = 1) -> str:
        mean = round(self.mean, digits) + 0.0  # no −0.0
        spread = "" if math.isnan(self.half) else f" ± {self.half:.{digits}f}"
        return f"{mean:{'+' if sign else ''}.{digits}f}{spread}".replace("-", "−")

    def __str__(self) -> str:
        return self.text()


def interval(values: Iterable[float]) -> Interval:
    """The mean of the values with its 95 % interval.

    >>> interval([1.0, 2.0, 3.0])[:2]
    (2.0, 2.484137711926705)
    """
    values = tuple(values)
    n = len(values)
    half = float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return Interval(float(np.mean(values)), half, values)
