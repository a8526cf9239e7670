"""A check of what a surface looks like."""

from __future__ import annotations

import numpy as np

from vireid.people.appearance import Appearance


def check_bounds(seen: Appearance, count: int) -> None:
    assert seen.colour.shape == (count, 3)
    for values in (seen.colour, seen.infrared, seen.gloss):
        assert values.dtype == np.float32
        assert values.min() >= 0
        assert values.max() <= 1
    assert seen.infrared.shape == seen.gloss.shape == seen.relief.shape == (count,)
    assert seen.relief.dtype == np.float32
    assert np.abs(seen.relief).max() < 0.03
