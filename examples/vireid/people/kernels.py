"""The loops that numpy is too slow for, compiled by numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compiled at its first call, kept on the disk; without fast mathematics, so that the bytes are always the same."""
    return cast(F, numba.njit(cache=True, fastmath=False)(function))


@compiled
def skin(rest: np.ndarray, index: np.ndarray, weight: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Linear blend skinning: rest [n 3], four bones [n 4] and weights [n 4] a vertex, matrices [bones 3 4]."""
    posed = np.empty_like(rest)
    for i in range(rest.shape[0]):
        x, y, z = rest[i, 0], rest[i, 1], rest[i, 2]
        for r in range(3):
            total = np.float32(0)
            for k in range(4):
                m = matrices[index[i, k], r]
                total += weight[i, k] * (m[0] * x + m[1] * y + m[2] * z + m[3])
            posed[i, r] = total
    return posed


@compiled
def normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The normals of vertices [n 3]: those of their triangles [m 3], weighted by area."""
    out = np.zeros_like(vertices)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in range(3):
            i = triangles[t, k]
            out[i, 0] += nx
            out[i, 1] += ny
            out[i, 2] += nz
    for i in range(out.shape[0]):
        length = np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + np.float32(1e-12)
        for k in range(3):
            out[i, k] /= length
    return out


@compiled
def neighbour_means(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The mean [n 3] of the neighbours of each vertex; of a vertex without any, the vertex."""
    total = np.zeros_like(vertices)
    count = np.zeros(vertices.shape[0], np.float32)
    for t in range(triangles.shape[0]):
        for k in range(3):
            a, b = triangles[t, k], triangles[t, (k + 1) % 3]
            for r in range(3):
                total[a, r] += vertices[b, r]
                total[b, r] += vertices[a, r]
            count[a] += 1
            count[b] += 1
    for i in range(vertices.shape[0]):
        for r in range(3):
            total[i, r] = total[i, r] / count[i] if count[i] > 0 else vertices[i, r]
    return total


@compiled
def smooth(vertices: np.ndarray, triangles: np.ndarray, weight: np.ndarray, rounds: int) -> np.ndarray:
    """Each vertex moved by its weight toward the mean of its neighbours, a number of rounds."""
    current = vertices.copy()
    for _ in range(rounds):
        means = neighbour_means(current, triangles)
        for i in range(current.shape[0]):
            for r in range(3):
                current[i, r] += weight[i] * (means[i, r] - current[i, r])
    return current


@compiled
def smooth_along(
    vertices: np.ndarray, triangles: np.ndarray, outward: np.ndarray, weight: np.ndarray, rounds: int
) -> np.ndarray:
    """The same, but only along the direction `outward` [n 3] of each vertex: hems stay where they are."""
    current = vertices.copy()
    for _ in range(rounds):
        means = neighbour_means(current, triangles)
        for i in range(current.shape[0]):
            out = np.float32(0)
            for r in range(3):
                out += (means[i, r] - current[i, r]) * outward[i, r]
            for r in range(3):
                current[i, r] += weight[i] * out * outward[i, r]
    return current


@compiled
def rasterise(
    x: np.ndarray,
    y: np.ndarray,
    inverse_depth: np.ndarray,
    triangles: np.ndarray,
    edge: np.ndarray,
    height: int,
    width: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Z-buffer of triangles [m 3] over vertices at pixels x, y [n] with 1 / depth [n].

    Where `edge` [n], the distance to a hem, is below 0 on a triangle there is no cloth. Gives the triangle that is seen
    at each pixel (-1: none), the weights of its last two vertices, and 1 / depth (0: none).
    """
    seen = np.full((height, width), -1, np.int32)
    share = np.zeros((height, width, 2), np.float32)
    nearest = np.zeros((height, width), np.float32)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        da, db, dc = inverse_depth[a], inverse_depth[b], inverse_depth[c]
        if da <= 0 or db <= 0 or dc <= 0:
            continue
        ea, eb, ec = edge[a], edge[b], edge[c]
        if ea < 0 and eb < 0 and ec < 0:
            continue
        ax, ay, bx, by, cx, cy = x[a], y[a], x[b], y[b], x[c], y[c]
        left = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        right = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        if left > right or top > bottom:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        cut = ea < 0 or eb < 0 or ec < 0
        # The shares of b and c are linear in x and y: they change by as much from each pixel to the next.
        b_x, b_y = (cy - ay) / area, -(cx - ax) / area
        c_x, c_y = -(by - ay) / area, (bx - ax) / area
        px, py = left + np.float32(0.5) - ax, top + np.float32(0.5) - ay
        b_row, c_row = px * b_x + py * b_y, px * c_x + py * c_y
        for row in range(top, bottom + 1):
            wb, wc = b_row, c_row
            for col in range(left, right + 1):
                wa = np.float32(1) - wb - wc
                if (wa >= 0) & (wb >= 0) & (wc >= 0):  # one branch costs less than three
                    iz = wa * da + wb * db + wc * dc
                    if iz > nearest[row, col]:
                        pb, pc = wb * db / iz, wc * dc / iz
                        if not cut or (1 - pb - pc) * ea + pb * eb + pc * ec >= 0:
                            nearest[row, col] = iz
                            seen[row, col] = t
                            share[row, col, 0] = pb
                            share[row, col, 1] = pc
                wb += b_x
                wc += c_x
            b_row += b_y
            c_row += c_y
    return seen, share, nearest


@compiled
def majority(labels: np.ndarray, over: int, kinds: int) -> np.ndarray:
    """The most frequent label of each block of over x over pixels; of equals, the smallest."""
    h, w = labels.shape[0] // over, labels.shape[1] // over
    out = np.zeros((h, w), np.uint8)
    count = np.zeros(kinds, np.int32)
    for i in range(h):
        for j in range(w):
            first, mixed = labels[i * over, j * over], False
            for a in range(over):
                for b in range(over):
                    mixed |= labels[i * over + a, j * over + b] != first
            out[i, j] = first
            if mixed:
                count[:] = 0
                for a in range(over):
                    for b in range(over):
                        count[labels[i * over + a, j * over + b]] += 1
                out[i, j] = np.argmax(count)
    return out


@compiled
def enlarge(image: np.ndarray, over: int) -> np.ndarray:
    """Each pixel of an image [h w c] as a block of over x over pixels."""
    h, w, channels = image.shape
    out = np.empty((h * over, w * over, channels), image.dtype)
    for i in range(h * over):
        for j in range(w * over):
            for c in range(channels):
                out[i, j, c] = image[i // over, j // over, c]
    return out


@compiled
def put(image: np.ndarray, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
    """Set pixels [n] of an image [h w c] to values [n c]."""
    for p in range(len(rows)):
        for c in range(values.shape[1]):
            image[rows[p], columns[p], c] = values[p, c]


@compiled
def shrink(image: np.ndarray, over: int) -> np.ndarray:
    """The mean of each block of over x over pixels of an image [h w c]."""
    h, w, channels = image.shape[0] // over, image.shape[1] // over, image.shape[2]
    out = np.empty((h, w, channels), np.float32)
    for i in range(h):
        for j in range(w):
            for c in range(channels):
                total = np.float32(0)
                for a in range(i * over, (i + 1) * over):
                    for b in range(j * over, (j + 1) * over):
                        total += image[a, b, c]
                out[i, j, c] = total / np.float32(over * over)
    return out
