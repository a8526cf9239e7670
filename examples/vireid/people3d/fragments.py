"""What is seen of a figure at each pixel: which surface, where on it, and how it faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.people3d.figure import Soup
from vireid.people3d.kernels import compiled, interpolate, normals, rasterise


@dataclass(frozen=True)
class Fragments:
    """The n pixels of a raster [h w] in which a figure is seen."""

    rows: np.ndarray
    columns: np.ndarray
    owner: np.ndarray
    """[n] the number of the surface."""
    place: np.ndarray
    uv: np.ndarray
    edge: np.ndarray
    normal: np.ndarray
    """[n 3] of unit length, toward the camera."""
    position: np.ndarray
    """[n 3] in the world."""
    depth: np.ndarray
    number: np.ndarray
    """[h w] the number of each pixel's fragment; -1: none."""


def find_fragments(
    soup: Soup, vertices: np.ndarray, pixels: tuple[np.ndarray, np.ndarray, np.ndarray], eye: np.ndarray, size: tuple[int, int]
) -> Fragments:
    """Rasterise a figure with vertices [n 3] in the world, at pixels x, y and depth, seen from `eye`, into (h, w) pixels."""
    x, y, depth = (a.astype(np.float32) for a in pixels)
    seen, share, nearest = rasterise(x, y, np.float32(1) / depth, soup.triangles, soup.edge, *size)
    rows, columns = np.nonzero(seen >= 0)
    triangle, weights = seen[rows, columns], share[rows, columns]
    facing = normals(vertices, soup.triangles)
    values = np.concatenate([soup.place, soup.uv, soup.edge[:, None], facing, vertices], axis=1).astype(np.float32)
    found = interpolate(triangle, weights, soup.triangles, values)
    normal, position = found[:, 6:9], found[:, 9:12]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + np.float32(1e-9)
    away = ((eye.astype(np.float32) - position) * normal).sum(1) < 0  # the inside of a sleeve or a skirt
    normal[away] *= -1
    number = np.full(size, -1, np.int32)
    number[rows, columns] = np.arange(len(rows))
    return Fragments(
        rows, columns, soup.owner[triangle], found[:, :3], found[:, 3:5], found[:, 5], normal, position,
        1 / nearest[rows, columns], number,
    )  # fmt: skip


@compiled
def bumps(
    number: np.ndarray, rows: np.ndarray, columns: np.ndarray, owner: np.ndarray, height: np.ndarray, metres: np.ndarray
) -> np.ndarray:
    """The slopes [n 2], to the right and down, of surfaces with heights [n] in metres; a pixel is `metres` [n] wide."""
    out = np.zeros((rows.shape[0], 2), np.float32)
    for p in range(rows.shape[0]):
        for axis in range(2):
            first, last, span = p, p, 0
            for step in (-1, 1):
                r = rows[p] + (step if axis == 1 else 0)
                c = columns[p] + (step if axis == 0 else 0)
                if 0 <= r < number.shape[0] and 0 <= c < number.shape[1]:
                    q = number[r, c]
                    if q >= 0 and owner[q] == owner[p]:
                        span += 1
                        if step < 0:
                            first = q
                        else:
                            last = q
            if span:
                slope = (height[last] - height[first]) / (span * metres[p])
                out[p, axis] = min(max(slope, -1.5), 1.5)
    return out


@compiled
def occlusion(number: np.ndarray, rows: np.ndarray, columns: np.ndarray, depth: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """The share [n] of its surroundings that each fragment sees, from the depths of pixels around it.

    `reach` [n] is the number of pixels in 10 cm.
    """
    out = np.empty(rows.shape[0], np.float32)
    for p in range(rows.shape[0]):
        hidden, total = 0.0, 0
        for k in range(12):
            far = reach[p] * (0.25 + 0.15 * k)
            angle = 2.4 * k + 0.7 * ((rows[p] + 2 * columns[p]) % 4)
            r, c = rows[p] + int(far * np.sin(angle)), columns[p] + int(far * np.cos(angle))
            total += 1
            if 0 <= r < number.shape[0] and 0 <= c < number.shape[1]:
                q = number[r, c]
                if q >= 0:
                    gap = depth[p] - depth[q]
                    if 0.004 < gap < 0.4:
                        hidden += min(gap / 0.05, 1.0) * (1.0 - gap / 0.4)
        out[p] = 1.0 - 0.85 * hidden / total
    return out
