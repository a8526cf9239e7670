"""Procedural noise, without tables: the same bytes everywhere. For use inside numba kernels."""

from __future__ import annotations

import math

from vireid.people.kernels import compiled


@compiled
def chance(x: int, y: int, z: int) -> float:
    """A number in [0, 1) that depends on three integers alone."""
    h = (x * 374761393 + y * 668265263 + z * 1442695041 + 974711) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 739982445) & 0xFFFFFFFF
    h = ((h ^ (h >> 12)) * 695872825) & 0xFFFFFFFF
    h ^= h >> 15
    return h / 4294967296.0


@compiled
def smooth_noise(x: float, y: float, z: float) -> float:
    """Value noise in [0, 1) with a grid of one unit."""
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = x - i, y - j, z - k
    u, v, w = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v), w * w * (3.0 - 2.0 * w)
    a = chance(i, j, k) * (1 - u) + chance(i + 1, j, k) * u
    b = chance(i, j + 1, k) * (1 - u) + chance(i + 1, j + 1, k) * u
    c = chance(i, j, k + 1) * (1 - u) + chance(i + 1, j, k + 1) * u
    d = chance(i, j + 1, k + 1) * (1 - u) + chance(i + 1, j + 1, k + 1) * u
    return (a * (1 - v) + b * v) * (1 - w) + (c * (1 - v) + d * v) * w


@compiled
def layered_noise(x: float, y: float, z: float, octaves: int, width: float) -> float:
    """Octaves of noise, mean 0, about within -1 and 1. Octaves finer than `width` (units of x) are left out: they would
    alias."""
    total, weight, scale = 0.0, 1.0, 1.0
    for octave in range(octaves):
        if scale * width > 0.7:
            break
        total += weight * (2.0 * smooth_noise(x * scale + 17.3 * octave, y * scale, z * scale) - 1.0)
        weight *= 0.55
        scale *= 2.03
    return total


@compiled
def cells(x: float, y: float, seed: int) -> tuple[float, float, float]:
    """The cell of a random point a unit square: distances to the nearest two points, and the nearest one's number in
    [0, 1)."""
    i, j = math.floor(x), math.floor(y)
    first, second, own = 9.0, 9.0, 0.0
    for di in range(-1, 2):
        for dj in range(-1, 2):
            px = i + di + chance(i + di, j + dj, seed)
            py = j + dj + chance(i + di, j + dj, seed + 1)
            distance = math.hypot(x - px, y - py)
            if distance < first:
                first, second, own = distance, first, chance(i + di, j + dj, seed + 2)
            elif distance < second:
                second = distance
    return first, second, own
