"""Drawing one of several by their odds."""

from __future__ import annotations

import numpy as np

Odds = dict[str, float]
"""How often each name is drawn, of any sum."""


def pick(rng: np.random.Generator, odds: Odds) -> str:
    """One of the names."""
    values = np.array(list(odds.values()))
    return list(odds)[int(rng.choice(len(odds), p=values / values.sum()))]
