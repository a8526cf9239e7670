"""Rings around a body: the largest radii of points about an axis, their convex hulls, and how cloth hangs from them.

A set of rings is an array [s t] of radii: at s steps along an axis, in t directions at equal angles about it.
"""

from __future__ import annotations

import numpy as np

from vireid.people.kernels import compiled


@compiled
def hulls(support: np.ndarray) -> np.ndarray:
    """Radii [s t] of the convex rings with these supports [s t]."""
    steps, turns = support.shape
    out = np.empty_like(support)
    span = turns // 5
    for s in range(steps):
        for t in range(turns):
            least = np.float32(1e9)
            for k in range(-span, span + 1):
                radius = support[s, (t + k) % turns] / np.float32(np.cos(2 * np.pi * k / turns))
                least = min(least, radius)
            out[s, t] = least
    return out


@compiled
def convex(radius: np.ndarray) -> np.ndarray:
    """The radii [s t] of the convex hulls of rings with radii [s t]."""
    steps, turns = radius.shape
    support = np.zeros((steps, turns), np.float32)
    cos = np.cos(2 * np.pi * np.arange(turns) / turns).astype(np.float32)
    for s in range(steps):
        for t in range(turns):
            for k in range(turns):
                support[s, t] = max(support[s, t], radius[s, k] * cos[(t - k) % turns])
    return hulls(support)


def ring_radii(step: np.ndarray, turn: np.ndarray, radius: np.ndarray, steps: int, turns: int) -> np.ndarray:
    """The largest radius [steps turns] of the points at each step along an axis and turn about it; gaps are filled."""
    rings: np.ndarray = largest(
        np.clip(step.astype(int), 0, steps - 1), turn.astype(int) % turns, radius.astype(np.float32), steps, turns
    )
    return rings


@compiled
def largest(row: np.ndarray, column: np.ndarray, radius: np.ndarray, steps: int, turns: int) -> np.ndarray:
    rings = np.zeros((steps, turns), np.float32)
    for i in range(len(row)):
        rings[row[i], column[i]] = max(rings[row[i], column[i]], radius[i])
    for _ in range(turns):
        # Each gap takes the largest of its neighbours, a round after another.
        before, gaps = rings.copy(), False
        for s in range(steps):
            for t in range(turns):
                if before[s, t] == 0:
                    gaps = True
                    near = max(before[s, t - 1], before[s, (t + 1) % turns])
                    above = before[s - 1, t] if s > 0 else np.float32(0)
                    below = before[s + 1, t] if s < steps - 1 else np.float32(0)
                    rings[s, t] = max(near, above, below)
        if not gaps:
            break
    return rings


def hung(rings: np.ndarray, inward: float) -> np.ndarray:
    """Rings [s t] from top to bottom, each at least as wide as the one above it, less `inward` metres."""
    out = rings.copy()
    for s in range(1, len(out)):
        out[s] = np.maximum(out[s], out[s - 1] - inward)
    return out


def look_up(rings: np.ndarray, step: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Bilinear, around the turns; step and turn in cells, of which the first has its centre at 0.5."""
    steps, turns = rings.shape
    s, t = np.clip(step - 0.5, 0, steps - 1.001), turn - 0.5
    i, j = s.astype(int), np.floor(t).astype(int)
    a, b = (s - i).astype(np.float32), (t - j).astype(np.float32)
    j0, j1 = j % turns, (j + 1) % turns
    low = rings[i, j0] * (1 - b) + rings[i, j1] * b
    high = rings[i + 1, j0] * (1 - b) + rings[i + 1, j1] * b
    mixed: np.ndarray = low * (1 - a) + high * a
    return mixed
