"""Tileable fractal noise, looked up in one fixed table."""

from __future__ import annotations

import numpy as np

from vireid.people.kernels import compiled

SIDE = 256
"""Values along a side of the table: the period of the noise."""


def draw_table() -> np.ndarray:
    """White noise of mean 0 and deviation 1, the same for every run [SIDE, SIDE]."""
    table = np.random.default_rng(20_240_611).standard_normal((SIDE, SIDE))
    return np.asarray((table - table.mean()) / table.std(), np.float32)


TABLE = draw_table()


@compiled
def at(table: np.ndarray, u: float, v: float) -> float:
    """The table between its values, smoothly, at one point: mean 0, about -1 to 1."""
    left, low = np.floor(u), np.floor(v)
    x, y = (u - left), (v - low)
    i, j = int(left) & (SIDE - 1), int(low) & (SIDE - 1)
    k, m = (i + 1) & (SIDE - 1), (j + 1) & (SIDE - 1)
    x, y = x * x * (3.0 - 2.0 * x), y * y * (3.0 - 2.0 * y)
    below = table[j, i] + x * (table[j, k] - table[j, i])
    above = table[m, i] + x * (table[m, k] - table[m, i])
    value: float = 0.7 * (below + y * (above - below))
    return value


@compiled
def _fractal(table: np.ndarray, uv: np.ndarray, octaves: int) -> np.ndarray:
    out = np.empty(uv.shape[0], np.float32)
    for n in range(uv.shape[0]):
        total, scale, share, power = 0.0, 1.0, 1.0, 0.0
        for _ in range(octaves):
            # Each octave reads another place of the table, or all would agree at its origin.
            total += share * at(table, uv[n, 0] * scale + 19.0 * scale, uv[n, 1] * scale)
            power += share * share
            scale, share = scale * 2.0, share * 0.5
        out[n] = total / np.sqrt(power)
    return out


def noise(uv: np.ndarray, octaves: int) -> np.ndarray:
    """Noise at points [n, 2], of mean 0 and about -1 to 1 [n]; the coarsest octave has detail of size 1."""
    return _fractal(TABLE, np.ascontiguousarray(uv, np.float32), octaves)
