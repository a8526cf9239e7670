"""What is seen of a figure at each pixel: which surface, where on it, and how it faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.people.figure import Soup
from vireid.people.kernels import compiled, normals, rasterise


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
    soup: Soup,
    vertices: np.ndarray,
    pixels: tuple[np.ndarray, np.ndarray, np.ndarray],
    eye: np.ndarray,
    size: tuple[int, int],
) -> Fragments:
    """Rasterise a figure with vertices [n 3] in the world, at pixels x, y and depth, seen from `eye`, into (h, w)."""
    x, y, depth = (a.astype(np.float32) for a in pixels)
    seen, share, nearest = rasterise(x, y, np.float32(1) / depth, soup.triangles, soup.edge, *size)
    facing = normals(vertices, soup.triangles)
    values = soup.place, soup.uv, soup.edge, facing, vertices
    return Fragments(*gather(seen, share, nearest, soup.triangles, soup.owner, *values, eye.astype(np.float32)))


@compiled
def gather(
    seen: np.ndarray,
    share: np.ndarray,
    nearest: np.ndarray,
    triangles: np.ndarray,
    owner: np.ndarray,
    place: np.ndarray,
    uv: np.ndarray,
    edge: np.ndarray,
    facing: np.ndarray,
    vertices: np.ndarray,
    eye: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """The fields of `Fragments`, from what the rasteriser gives and the values of the vertices."""
    h, w = seen.shape
    count = (seen >= 0).sum()
    number = np.full((h, w), -1, np.int32)
    rows, columns, owners = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int32)
    places, uvs, edges = np.empty((count, 3), np.float32), np.empty((count, 2), np.float32), np.empty(count, np.float32)
    normal, position = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    depth = np.empty(count, np.float32)
    p = 0
    for row in range(h):
        for column in range(w):
            t = seen[row, column]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = share[row, column, 0], share[row, column, 1]
            wa = np.float32(1) - wb - wc
            number[row, column], rows[p], columns[p], owners[p] = p, row, column, owner[t]
            depth[p] = np.float32(1) / nearest[row, column]
            edges[p] = wa * edge[a] + wb * edge[b] + wc * edge[c]
            for k in range(2):
                uvs[p, k] = wa * uv[a, k] + wb * uv[b, k] + wc * uv[c, k]
            square, toward = np.float32(1e-12), np.float32(0)
            for k in range(3):
                places[p, k] = wa * place[a, k] + wb * place[b, k] + wc * place[c, k]
                spot = wa * vertices[a, k] + wb * vertices[b, k] + wc * vertices[c, k]
                way = wa * facing[a, k] + wb * facing[b, k] + wc * facing[c, k]
                position[p, k], normal[p, k] = spot, way
                square += way * way
                toward += way * (eye[k] - spot)
            # What is seen may be the inside of a sleeve or a skirt.
            length = np.sqrt(square) if toward >= 0 else -np.sqrt(square)
            for k in range(3):
                normal[p, k] /= length
            p += 1
    return rows, columns, owners, places, uvs, edges, normal, position, depth, number


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
def tilted(
    normal: np.ndarray, slope: np.ndarray, position: np.ndarray, eye: np.ndarray, down: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Normals [n 3] tilted by slopes [n 2] to the right and down, and directions [n 3] to the eye, of unit length."""
    bent, view = np.empty_like(normal), np.empty_like(normal)
    for p in range(normal.shape[0]):
        square, far = np.float32(0), np.float32(0)
        for k in range(3):
            value = normal[p, k] - slope[p, 1] * down[k] - (slope[p, 0] if k == 0 else np.float32(0))
            away = eye[k] - position[p, k]
            bent[p, k], view[p, k] = value, away
            square += value * value
            far += away * away
        for k in range(3):
            bent[p, k] /= np.sqrt(square)
            view[p, k] /= np.sqrt(far)
    return bent, view


@compiled
def occlusion(number: np.ndarray, depth: np.ndarray, reach: float) -> np.ndarray:
    """The share [n] of its surroundings that each fragment sees, from the depths of pixels around it.

    `reach` is the number of pixels of a metre at a depth of one metre. Found once for every 2 x 2 pixels.
    """
    h, w = number.shape
    angles = 2.4 * (np.arange(32) // 4) + 0.7 * (np.arange(32) % 4)
    sines, cosines = np.sin(angles).astype(np.float32), np.cos(angles).astype(np.float32)
    out = np.ones(depth.shape[0], np.float32)
    for row in range(0, h - 1, 2):
        for column in range(0, w - 1, 2):
            first = -1
            for k in range(4):
                if number[row + k // 2, column + k % 2] >= 0:
                    first = number[row + k // 2, column + k % 2]
                    break
            if first < 0:
                continue
            hidden = np.float32(0)
            near = depth[first]
            for k in range(8):
                far = 0.1 * reach / near * (0.25 + 0.22 * k)
                turn = 4 * k + (row // 2 + column) % 4
                r, c = row + int(far * sines[turn]), column + int(far * cosines[turn])
                if 0 <= r < h and 0 <= c < w:
                    q = number[r, c]
                    if q >= 0:
                        gap = near - depth[q]
                        if 0.004 < gap < 0.4:
                            hidden += min(gap / np.float32(0.05), np.float32(1)) * (1 - gap / np.float32(0.4))
            for k in range(4):
                q = number[row + k // 2, column + k % 2]
                if q >= 0:
                    out[q] = 1 - np.float32(0.85) * hidden / 8
    return out
