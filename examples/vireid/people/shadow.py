"""The shadow of a figure, on itself and on the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.people.kernels import compiled, rasterise

SIZE = 288
"""Pixels of a shadow map, to a side."""
BIAS = 0.025
"""Metres by which a point must lie behind another to be in its shadow."""


@compiled
def lit_share(nearest: np.ndarray, x: np.ndarray, y: np.ndarray, mine: np.ndarray, reach: int) -> np.ndarray:
    """The share [n] of 3 x 3 places, `reach` pixels apart, at which nothing lies before `mine` [n]."""
    out = np.ones(x.shape[0], np.float32)
    size = nearest.shape[0]
    for p in range(x.shape[0]):
        dark = 0
        for a in range(-1, 2):
            for b in range(-1, 2):
                i, j = int(y[p]) + a * reach, int(x[p]) + b * reach
                if 0 <= i < size and 0 <= j < size and nearest[i, j] > mine[p]:
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
        p = points.astype(np.float32) @ self.axes
        x, y = (p[:, 0] - self.low[0]) * self.scale, (p[:, 1] - self.low[1]) * self.scale
        mine = 1 / (2 + self.top - p[:, 2] - np.float32(BIAS))
        share: np.ndarray = lit_share(self.nearest, x, y, mine.astype(np.float32), self.reach)
        return share


def cast(vertices: np.ndarray, triangles: np.ndarray, edge: np.ndarray, light: np.ndarray, softness: float) -> Shadow:
    """The shadow of a figure in a light that comes from a direction [3]."""
    across = np.cross([0.0, 0.0, 1.0] if abs(light[2]) < 0.98 else [0.0, 1.0, 0.0], light)
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(light, across), light], 1).astype(np.float32)
    v = vertices @ axes
    low, high = v.min(0) - 0.03, v.max(0) + 0.03
    scale = SIZE / float((high - low)[:2].max())
    near = 1 / (2 + high[2] - v[:, 2])
    x, y = (v[:, 0] - low[0]) * scale, (v[:, 1] - low[1]) * scale
    nearest = rasterise(x.astype(np.float32), y.astype(np.float32), near.astype(np.float32), triangles, edge, SIZE, SIZE)[2]
    reach = int(np.clip(round(0.4 * softness * scale), 1, 8))
    return Shadow(axes, low.astype(np.float32), scale, float(high[2]), nearest, reach)
