"""Cloth that hangs free: skirts, and the lower parts of dresses and coats.

It is made anew in each pose, by gravity: rings around all that is inside, each at least as wide as the one above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.people.kernels import compiled
from vireid.people.mesh import FAR
from vireid.people.rings import hulls

STEPS, TURNS = 36, 72
TOP = 1.06
"""The height on the template at which the rings begin; what lies above the waist is hidden."""


@dataclass(frozen=True)
class Drape:
    """How a skirt hangs."""

    hem: float
    """Height of the hem on the template."""
    waist: float = 1.02
    """Height of the upper end on the template."""
    ease: float = 0.012
    """Room around the body and what is worn below, in metres."""
    flare: float = 0.0
    """How much wider the rings become by the metre down, in metres; below 0, cloth may come in again."""
    folds: float = 0.05
    """Depth of the folds at the hem, as a share of the radius."""
    pleats: int = 7
    """How many folds there are around."""
    opening: float = -1.0
    """Half the width of the opening at the front, as of a coat; below 0: closed."""


@dataclass(frozen=True)
class Hanging:
    """Cloth in one pose."""

    vertices: np.ndarray
    triangles: np.ndarray
    place: np.ndarray
    uv: np.ndarray
    edge: np.ndarray


@compiled
def supports(
    points: np.ndarray, centre: np.ndarray, top: float, bottom: float, steps: int, turns: int, reach: float
) -> np.ndarray:
    """How far points [n 3] reach from an upright axis [steps turns], near each of the heights from top to bottom."""
    out = np.zeros((steps, turns), np.float32)
    gap = (top - bottom) / (steps - 1)
    cos = np.cos(2 * np.pi * np.arange(turns) / turns).astype(np.float32)
    sin = np.sin(2 * np.pi * np.arange(turns) / turns).astype(np.float32)
    for i in range(points.shape[0]):
        first = max(0, int(np.ceil((top - points[i, 2] - reach) / gap)))
        last = min(steps - 1, int(np.floor((top - points[i, 2] + reach) / gap)))
        x, y = points[i, 0] - centre[0], -(points[i, 1] - centre[1])
        for s in range(first, last + 1):
            for t in range(turns):
                far = x * sin[t] + y * cos[t]
                if far > out[s, t]:
                    out[s, t] = far
    return out


def lattice() -> np.ndarray:
    """The triangles between STEPS rings of TURNS + 1 vertices, whose last vertex lies on the first."""
    s, t = (a.ravel() for a in np.meshgrid(np.arange(STEPS - 1), np.arange(TURNS), indexing="ij"))
    a = s * (TURNS + 1) + t
    b, c, d = a + 1, a + TURNS + 1, a + TURNS + 2
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32)


LATTICE = lattice()


def hang(drape: Drape, points: np.ndarray, centre: np.ndarray, waist: float, scale: float, seed: float) -> Hanging:
    """Cloth around posed points [n 3], with the waist [2] at a height; `scale`: the body's size over the template's."""
    top = waist + (TOP - drape.waist) * scale
    bottom = waist - (drape.waist - drape.hem) * scale
    gap = (top - bottom) / (STEPS - 1)
    own = supports(points, centre, top, bottom, STEPS, TURNS, max(0.6 * gap, 0.025)) + np.float32(drape.ease)
    wide = own.copy()
    for s in range(1, STEPS):
        wide[s] = np.maximum(own[s], wide[s - 1] + np.float32(drape.flare * gap))
    for _ in range(3):  # cloth does not bend sharply
        wide[1:-1] = np.maximum(own[1:-1], 0.25 * (wide[:-2] + wide[2:]) + 0.5 * wide[1:-1])
    radius = hulls(wide)
    step = np.linspace(0, 1, STEPS, dtype=np.float32)[:, None]
    angle = (2 * np.pi * np.arange(TURNS + 1) / TURNS).astype(np.float32)[None]
    wave = np.sin(drape.pleats * angle + 7 * seed) + 0.5 * np.sin((drape.pleats + 3) * angle + 11 * seed + 2 * step)
    radius = np.concatenate([radius, radius[:, :1]], 1) * (1 + np.float32(drape.folds) * step * (0.7 + wave))
    heights = top - step * (top - bottom)
    vertices = np.stack(
        [centre[0] + radius * np.sin(angle), centre[1] - radius * np.cos(angle), heights + 0 * angle], -1
    ).reshape(-1, 3)
    level = np.float32(TOP) - step * np.float32(TOP - drape.hem)  # heights on the template
    turned = angle - np.float32(2 * np.pi) * (angle > np.pi)
    around = angle - np.float32(np.pi)  # the seam is at the front, where a coat opens
    girth = np.float32(0.16) + 0.1 * step
    place = np.stack([0.17 * np.sin(turned) + 0 * step, -0.13 * np.cos(turned) + 0 * step, level + 0 * angle], -1)
    uv = np.stack([girth * np.where(around > 0, around - np.pi, around + np.pi), level + 0 * angle], -1)
    edge = np.minimum(level - drape.hem, drape.waist - level) + 0 * angle
    if drape.opening >= 0:
        front = np.abs(turned) * girth - drape.opening * (0.4 + step)
        edge = np.minimum(edge, front)
    edge = np.minimum(edge, FAR)
    place, uv = (a.reshape(-1, a.shape[-1]).astype(np.float32) for a in (place, uv))
    return Hanging(vertices.astype(np.float32), LATTICE, place, uv, edge.reshape(-1).astype(np.float32))
