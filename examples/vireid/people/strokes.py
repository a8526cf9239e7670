"""Soft lines, boxes and woven surfaces: what seams, pockets and fabrics are drawn with."""

from __future__ import annotations

import numpy as np

from vireid.people.kernels import compiled
from vireid.people.noise import at
from vireid.people.pattern import step


@compiled
def line(distance: float, half: float) -> float:
    return step(half - abs(distance))


@compiled
def segment(px: float, py: float, ax: float, ay: float, bx: float, by: float) -> float:
    """Distance from a point to a segment."""
    dx, dy = bx - ax, by - ay
    t = ((px - ax) * dx + (py - ay) * dy) / (dx * dx + dy * dy)
    t = min(max(t, 0.0), 1.0)
    away: float = np.sqrt((px - ax - t * dx) ** 2 + (py - ay - t * dy) ** 2)
    return away


@compiled
def box(px: float, py: float, left: float, right: float, low: float, high: float) -> float:
    """Signed distance to a rectangle, positive inside."""
    return min(min(px - left, right - px), min(py - low, high - py))


@compiled
def bell(x: float, width: float) -> float:
    return 1 / (1 + (x / width) ** 4)


@compiled
def surface_of(surface: int, u: float, v: float, table: np.ndarray) -> tuple[float, float]:
    """The height of the cloth's own surface in metres, and its shade."""
    if surface == 1:
        rib = 0.5 + 0.5 * np.cos(u * (2 * np.pi / 0.011))
        return 0.0010 * rib, 0.90 + 0.12 * rib
    if surface == 2:
        # Cables: plaits that swing to and fro beside plain ribs.
        swing = 0.011 * np.sin(v * (2 * np.pi / 0.07))
        across = u - 0.075 * np.floor(u / 0.075 + 0.5)
        plait = max(bell(across - swing, 0.009), bell(across + swing, 0.009))
        rib = 0.5 + 0.5 * np.cos(u * (2 * np.pi / 0.0125))
        return 0.003 * plait + 0.0006 * rib, 0.86 + 0.13 * plait + 0.03 * rib
    if surface == 3:
        # Twill is finer than a sample: what remains of it is an uneven yarn along the diagonal.
        grain = at(table, (u + v) * 190, (u - v) * 60)
        return 0.0, 1.0 + 0.045 * grain
    if surface == 4:
        rib = 0.5 + 0.5 * np.cos(u * (2 * np.pi / 0.010))
        return 0.0012 * rib, 0.84 + 0.18 * rib
    if surface == 5:
        # Chambers of down between level seams: full in the middle.
        t = v / 0.085 - np.floor(v / 0.085)
        full = 4 * t * (1 - t)
        pucker = at(table, u * 45, np.floor(v / 0.085) * 7.3) * (1 - full)
        return 0.012 * np.sqrt(full) + 0.0016 * pucker, 0.80 + 0.21 * min(1.0, 3.0 * full)
    if surface == 6:
        a, b = (u + v) / 0.11, (u - v) / 0.11
        a, b = a - np.floor(a), b - np.floor(b)
        full = min(4 * a * (1 - a), 4 * b * (1 - b))
        return 0.005 * np.sqrt(full), 0.84 + 0.17 * min(1.0, 4.0 * full)
    if surface == 7:
        grain = at(table, u * 120, v * 120) + 0.7 * at(table, u * 37, v * 37)
        return 0.0003 * grain, 1.0 + 0.04 * grain
    if surface == 8:
        t = u / 0.045 - np.floor(u / 0.045)
        return 0.004 * min(t, 3 * (1 - t)), 0.80 + 0.22 * min(1.0, 5.0 * t)
    return 0.0, 1.0
