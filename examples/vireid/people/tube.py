"""Tools for geometry that we make ourselves: grids of points about an axis, drawn on the template, carried to a body.

A hat, a shoe or hair is designed once on the template. On a person, each of its points goes where the template's skin
near it goes, and takes the bones of that skin.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from vireid.people.body import Body, template
from vireid.people.mesh import Bones, base_surface
from vireid.people.rings import convex
from vireid.people.source import load_source, strongest


def ramp(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    out: np.ndarray = t * t * (3 - 2 * t)
    return out


@functools.cache
def waves(seed: int, count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    way = rng.normal(size=(3, count))
    return way / np.linalg.norm(way, axis=0), rng.uniform(0, 2 * np.pi, count)


def bumps(points: np.ndarray, size: float, seed: int) -> np.ndarray:
    """Smooth noise [...] of variance 1, with bumps of a size in metres: a fixed function of points in space [... 3]."""
    way, phase = waves(seed)
    out: np.ndarray = np.sin(points @ way * (np.pi / size) + phase).sum(-1) * np.sqrt(2 / len(phase))
    return out


def grid(rows: int, columns: int, *, around: bool) -> np.ndarray:
    """The triangles [m 3] of a grid of points in rows; `around`: the last column meets the first."""
    number = np.arange(rows * columns).reshape(rows, columns)
    if around:
        number = np.concatenate([number, number[:, :1]], 1)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)]).reshape(-1, 3).astype(np.int32)


def sweep(path: np.ndarray, side: np.ndarray, half_width: np.ndarray, half_depth: np.ndarray, turns: int) -> np.ndarray:
    """Rings of points [s turns 3] around a path [s 3]: ellipses, wide along `side` [s 3] and deep across it."""
    ahead = np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-9
    side = side - (side * ahead).sum(1, keepdims=True) * ahead
    side = side / (np.linalg.norm(side, axis=1, keepdims=True) + 1e-9)
    over = np.cross(ahead, side)
    angle = 2 * np.pi * np.arange(turns) / turns
    cos, sin = np.cos(angle)[None, :, None], np.sin(angle)[None, :, None]
    rings: np.ndarray = (
        path[:, None] + cos * (half_width[:, None] * side)[:, None] + sin * (half_depth[:, None] * over)[:, None]
    )
    return rings


def curve(points: Sequence[Sequence[float]], steps: int) -> np.ndarray:
    """A smooth path [steps 3] through points, evenly spaced in their number (Catmull-Rom)."""
    known = np.array(points, float)
    known = np.concatenate([2 * known[:1] - known[1:2], known, 2 * known[-1:] - known[-2:-1]])
    at = np.linspace(0, len(known) - 3, steps)
    i = np.minimum(at.astype(int), len(known) - 4)
    t = (at - i)[:, None]
    a, b, c, d = (known[i + k] for k in range(4))
    out: np.ndarray = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return out


def lengths(path: np.ndarray) -> np.ndarray:
    """The distance [s ...] along paths of points [s ... 3] from their first points."""
    step = np.linalg.norm(np.diff(path, axis=0), axis=-1)
    return np.concatenate([np.zeros_like(step[:1]), np.cumsum(step, 0)])


@functools.cache
def skin_tree() -> tuple[cKDTree, np.ndarray]:
    """The template's skin, and the numbers of its vertices in the base mesh."""
    surface = base_surface("body")
    return cKDTree(surface.fit(template().vertices)), surface.ends[:, 0]


@dataclass(frozen=True)
class Near:
    """Where points of the template hang: on vertices of the skin."""

    vertices: np.ndarray
    """[m] their numbers in the base mesh."""
    weight: csr_matrix
    """[n m]"""

    def carry(self, body: Body, points: np.ndarray) -> np.ndarray:
        """The points [n 3] on a body."""
        moved = body.vertices[self.vertices] - template().vertices[self.vertices]
        out: np.ndarray = (points + self.weight @ moved).astype(np.float32)
        return out

    def dense(self) -> np.ndarray:
        """[n bones] the weights of all bones."""
        index, weight = load_source().skin
        own = np.zeros((len(self.vertices), len(load_source().bones)), np.float32)
        np.put_along_axis(own, index[self.vertices].astype(np.int64), weight[self.vertices], 1)
        out: np.ndarray = self.weight @ own
        return out


def near(points: np.ndarray, count: int = 16) -> Near:
    """The nearest vertices of the template's skin; the further away the point, the more evenly they count."""
    tree, number = skin_tree()
    far, index = tree.query(points, count)
    width = far[:, -1:] + 1e-6
    weight = (1 - far / width) ** 2 + 1e-6
    weight = (weight / weight.sum(1, keepdims=True)).astype(np.float32)
    used, inverse = np.unique(index, return_inverse=True)
    rows = np.repeat(np.arange(len(points)), count)
    return Near(number[used], csr_matrix((weight.ravel(), (rows, inverse.ravel())), (len(points), len(used))))


def bones_by(shares: Mapping[str, np.ndarray]) -> Bones:
    """The bones [n 4] and weights [n 4] of vertices with the given shares [n] of bones, which need not sum to 1."""
    names = load_source().bones
    dense = np.zeros((len(next(iter(shares.values()))), len(names)), np.float32)
    for bone, share in shares.items():
        dense[:, names.index(bone)] += share
    return strongest(dense)


def affine(body: Body, vertices: np.ndarray) -> np.ndarray:
    """The affine map [4 3] that takes vertices of the template, by their numbers, nearest to those of a body."""
    start = np.concatenate([template().vertices[vertices], np.ones((len(vertices), 1), np.float32)], 1)
    fitted: np.ndarray = np.linalg.lstsq(start.astype(float), body.vertices[vertices].astype(float), rcond=None)[0]
    return fitted


def mapped(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    out: np.ndarray = (points @ matrix[:3] + matrix[3]).astype(np.float32)
    return out


def section(
    points: np.ndarray, centre: np.ndarray, right: np.ndarray, up: np.ndarray, turns: int, gap: float
) -> np.ndarray:
    """A taut loop [turns 3] around points [n 3] in the plane through `centre` spanned by `right` and `up`.

    Its points lie at equal angles from `right`; the hull of the points is what a strap would follow.
    """
    from_centre = points - centre
    x, y = from_centre @ right, from_centre @ up
    angle = 2 * np.pi * np.arange(turns) / turns
    turn = np.arctan2(y, x) / (2 * np.pi) * turns
    fine = 2
    rings = np.zeros((1, turns * fine), np.float32)
    np.maximum.at(rings[0], np.floor(turn * fine + 0.5).astype(int) % (turns * fine), np.hypot(x, y).astype(np.float32))
    radius = convex(rings)[0, ::fine] + gap
    loop: np.ndarray = centre + (radius * np.cos(angle))[:, None] * right + (radius * np.sin(angle))[:, None] * up
    return loop


def compact(points: np.ndarray, triangles: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Points, triangles and values of vertices without the vertices that no triangle uses."""
    used, inverse = np.unique(triangles, return_inverse=True)
    return (points[used], inverse.reshape(-1, 3).astype(np.int32), *(value[used] for value in values))
