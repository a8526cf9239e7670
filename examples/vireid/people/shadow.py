"""The shadow of a figure, on itself and on the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.people.body import cross
from vireid.people.kernels import compiled

SIZE = 128
"""Pixels of a shadow map, to a side."""
BIAS = 0.025
"""Metres by which a point must lie behind another to be in its shadow."""


@compiled
def lit_share(
    nearest: np.ndarray, points: np.ndarray, low: np.ndarray, scale: np.float32, behind: np.float32, reach: int
) -> np.ndarray:
    """The share [n] of 3 x 3 places, `reach` pixels apart, at which nothing lies before points [n 3]."""
    out = np.ones(points.shape[0], np.float32)
    size = nearest.shape[0]
    for p in range(points.shape[0]):
        x, y = int((points[p, 0] - low[0]) * scale), int((points[p, 1] - low[1]) * scale)
        mine = np.float32(1) / (behind - points[p, 2] - np.float32(BIAS))
        dark = 0
        for a in range(-1, 2):
            for b in range(-1, 2):
                i, j = y + a * reach, x + b * reach
                if 0 <= i < size and 0 <= j < size and nearest[i, j] > mine:
                    dark += 1
        out[p] = 1.0 - dark / 9.0
    return out


@dataclass(frozen=True)
class Shadow:
    """A map of what the light sees of a figure."""

    axes: np.ndarray
    """[3 3] columns: across, up, and toward the light."""
    low: np.ndarray
    scale: float
    top: float
    nearest: np.ndarray
    reach: int

    def lit(self, points: np.ndarray) -> np.ndarray:
        """How much of the light reaches points [n 3]: 0 to 1."""
        p = points.astype(np.float32, copy=False) @ self.axes
        scale, behind = np.float32(self.scale), np.float32(2 + self.top)
        share: np.ndarray = lit_share(self.nearest, p, self.low, scale, behind, self.reach)
        return share


@compiled
def splat(x: np.ndarray, y: np.ndarray, near: np.ndarray, size: int) -> np.ndarray:
    """The largest of the values `near` [n] about each pixel: vertices lie so close that they need no triangles."""
    out = np.zeros((size, size), np.float32)
    for i in range(x.shape[0]):
        row, column = int(y[i]), int(x[i])
        for r in range(max(row - 1, 0), min(row + 2, size)):
            for c in range(max(column - 1, 0), min(column + 2, size)):
                if near[i] > out[r, c]:
                    out[r, c] = near[i]
    return out


def cast(points: np.ndarray, light: np.ndarray, softness: float) -> Shadow:
    """The shadow of a figure, given by the vertices [n 3] that are seen of it, in a light from a direction [3]."""
    across = cross(np.array([0.0, 0.0, 1.0] if abs(light[2]) < 0.98 else [0.0, 1.0, 0.0]), light)
    across /= np.linalg.norm(across)
    axes = np.stack([across, cross(light, across), light], 1).astype(np.float32)
    x, y, toward = (points @ axes).T
    low = np.array([x.min(), y.min()], np.float32) - np.float32(0.03)
    top = float(toward.max())
    scale = SIZE / float(max(x.max() - low[0], y.max() - low[1]) + 0.03)
    nearest = splat((x - low[0]) * scale, (y - low[1]) * scale, 1 / (2 + top - toward), SIZE)
    return Shadow(axes, low, scale, top, nearest, int(np.clip(round(0.4 * softness * scale), 1, 4)))
