"""Tools for geometry that we make ourselves: grids of points about an axis, drawn on the template, carried to a body.

A hat, a shoe or hair is designed once on the template. On a person, each of its points goes where the template's skin
near it goes, and takes the bones of that skin.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from vireid.people3d.body import Body, template
from vireid.people3d.mesh import Piece, base_surface, fine_surface
from vireid.people3d.shell import ARM, convex, look_up, ring_radii
from vireid.people3d.source import load_source, strongest

Bones = tuple[np.ndarray, np.ndarray]
Trunk = tuple[np.ndarray, np.ndarray]
"""The height of each row of rings [s], from top to bottom, and the rings' radii [s t]."""

TOP, BOTTOM = 1.56, 0.62
"""The heights on the template between which the trunk is measured."""
ROWS, TURNS = 64, 48


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
    """Smooth noise [...] of variance 1 with bumps of about a size in metres: a fixed function of points in space [... 3]."""
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
        path[:, None]
        + cos * (half_width[:, None] * side)[:, None]
        + sin * (half_depth[:, None] * over)[:, None]
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
    """Where points of the template hang: vertices of the skin [n k] and their weights [n k]."""

    index: np.ndarray
    weight: np.ndarray

    def carry(self, body: Body, points: np.ndarray) -> np.ndarray:
        """The points on a body."""
        used, inverse = np.unique(self.index, return_inverse=True)
        moved = (body.vertices[used] - template().vertices[used])[inverse.reshape(self.index.shape)]
        out: np.ndarray = (points + (self.weight[:, :, None] * moved).sum(1)).astype(np.float32)
        return out

    def dense(self) -> np.ndarray:
        """[n bones] the weights of all bones."""
        index, weight = load_source().skin
        out = np.zeros((len(self.index), len(load_source().bones)), np.float32)
        rows = np.arange(len(out))[:, None]
        for k in range(4):
            np.add.at(out, (rows, index[self.index, k]), self.weight * weight[self.index, k])
        return out


def near(points: np.ndarray, count: int = 16) -> Near:
    """The nearest vertices of the template's skin; the further away the point, the more evenly they count."""
    tree, number = skin_tree()
    far, index = tree.query(points, count)
    width = far[:, -1:] + 1e-6
    weight = (1 - far / width) ** 2 + 1e-6
    return Near(number[index], (weight / weight.sum(1, keepdims=True)).astype(np.float32))


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


@functools.cache
def skull_vertices() -> np.ndarray:
    """The numbers of vertices of the skull, without the ears and the face."""
    tree, number = skin_tree()
    x, y, z = np.asarray(tree.data).T
    return number[(z > 1.55) & (np.abs(x) < 0.0725) & (z - 1.64 > -1.2 * (y + 0.11)) & (z > 1.545 - 0.3 * y)]


@functools.cache
def tights() -> tuple[np.ndarray, np.ndarray]:
    """The vertices of the tights that are not on an arm: their ends in the base mesh [n 2]; the share of arms in all."""
    surface = fine_surface("tights")
    from vireid.people3d.mesh import dense_skin

    names = load_source().bones
    own = [names.index(f"{bone}.{side}") for bone in ARM for side in "LR"]
    share = dense_skin(surface.ends)[:, own].sum(1)
    return surface.ends[share < 0.5], share


def bare_trunk(body: Body) -> np.ndarray:
    """Points [n 3] of the trunk and the legs without clothes."""
    ends, _ = tights()
    return 0.5 * (body.vertices[ends[:, 0]] + body.vertices[ends[:, 1]])


def without_arms(points: np.ndarray, bones: Bones) -> np.ndarray:
    """The points whose bones are not mainly an arm's."""
    names = load_source().bones
    own = np.array([name.startswith(ARM) for name in names])
    return points[(own[bones[0]] * bones[1]).sum(1) < 0.5]


@dataclass(frozen=True)
class Torso:
    """How far a dressed trunk reaches in each direction from a vertical axis."""

    top: float
    bottom: float
    middle: np.ndarray
    """[ROWS] y of the axis, from top to bottom."""
    rings: np.ndarray
    """[ROWS TURNS] convex."""

    def cylinder(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The row, the turn, the radius and the axis' y of points."""
        row = (self.top - points[..., 2]) / (self.top - self.bottom) * ROWS
        middle = np.interp(row, np.arange(ROWS) + 0.5, self.middle)
        y = points[..., 1] - middle
        turn = np.arctan2(points[..., 0], -y) / (2 * np.pi) * TURNS
        return row, turn, np.hypot(points[..., 0], y), middle

    def reach(self, z: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """The radius at heights, in directions: 0 at the front, positive to the left."""
        row = (self.top - z) / (self.top - self.bottom) * ROWS
        return look_up(self.rings, row, angle / (2 * np.pi) * TURNS)

    def point(self, z: np.ndarray, angle: np.ndarray, gap: np.ndarray | float) -> np.ndarray:
        """The points [... 3] at heights, in directions, a gap over the surface."""
        row = (self.top - z) / (self.top - self.bottom) * ROWS
        radius = self.reach(z, angle) + gap
        middle = np.interp(row, np.arange(ROWS) + 0.5, self.middle)
        return np.stack([radius * np.sin(angle), middle - radius * np.cos(angle), z], -1).astype(np.float32)

    def push(self, points: np.ndarray, gap: np.ndarray | float, share: np.ndarray) -> np.ndarray:
        """Points [n 3] moved outward, by a share [n] of what they lack, to a gap over the surface."""
        row, turn, radius, middle = self.cylinder(points)
        lack = np.maximum(look_up(self.rings, row, turn) + gap - radius, 0) * share
        out = points.copy()
        grow = 1 + lack / np.maximum(radius, 1e-4)
        out[:, 0] *= grow
        out[:, 1] = middle + (points[:, 1] - middle) * grow
        return out.astype(np.float32)


def torso(body: Body, outer: np.ndarray | None = None, bones: Bones | None = None) -> Torso:
    """The trunk in its outermost layer of clothes: points [n 3] and their bones; without any, the bare body."""
    points = bare_trunk(body)
    if outer is not None and bones is not None:
        points = np.concatenate([points, without_arms(outer, bones)])
    scale = float(body.heads["head"][2] / template().heads["head"][2])
    top, bottom = TOP * scale, BOTTOM * scale
    points = points[(points[:, 2] < top) & (points[:, 2] > bottom)]
    step = (top - points[:, 2]) / (top - bottom) * ROWS
    low, high = np.full(ROWS, np.inf), np.full(ROWS, -np.inf)
    np.minimum.at(low, step.astype(int), points[:, 1])
    np.maximum.at(high, step.astype(int), points[:, 1])
    known = np.flatnonzero(np.isfinite(low))
    middle = np.interp(np.arange(ROWS), known, 0.5 * (low[known] + high[known]))
    middle = gaussian_filter(middle, 3)
    y = points[:, 1] - np.interp(step, np.arange(ROWS) + 0.5, middle)
    turn = np.arctan2(points[:, 0], -y) / (2 * np.pi) * TURNS
    rings = ring_radii(step, np.floor(turn), np.hypot(points[:, 0], y), ROWS, TURNS)
    return Torso(top, bottom, middle.astype(np.float32), gaussian_filter(convex(rings), 0.7, mode=("nearest", "wrap")))


def section(points: np.ndarray, centre: np.ndarray, right: np.ndarray, up: np.ndarray, turns: int, gap: float) -> np.ndarray:
    """A taut loop [turns 3] around points [n 3] in the plane through `centre` spanned by `right` and `up`.

    Its points lie at equal angles from `right`; the hull of the points is what a strap would follow.
    """
    from_centre = points - centre
    x, y = from_centre @ right, from_centre @ up
    angle = 2 * np.pi * np.arange(turns) / turns
    turn = np.arctan2(y, x) / (2 * np.pi) * turns
    fine = 4
    rings = np.zeros((1, turns * fine), np.float32)
    np.maximum.at(rings[0], np.floor(turn * fine + 0.5).astype(int) % (turns * fine), np.hypot(x, y).astype(np.float32))
    radius = convex(rings)[0, ::fine] + gap
    loop: np.ndarray = centre + (radius * np.cos(angle))[:, None] * right + (radius * np.sin(angle))[:, None] * up
    return loop


def joined(pieces: Sequence[Piece]) -> Piece:
    """Several pieces as one."""
    start = np.cumsum([0] + [len(piece.vertices) for piece in pieces])
    return Piece(
        np.concatenate([piece.vertices for piece in pieces]),
        np.concatenate([piece.triangles + first for piece, first in zip(pieces, start, strict=False)]).astype(np.int32),
        (np.concatenate([piece.bones[0] for piece in pieces]), np.concatenate([piece.bones[1] for piece in pieces])),
        np.concatenate([piece.place for piece in pieces]),
        np.concatenate([piece.uv for piece in pieces]),
        np.concatenate([piece.edge for piece in pieces]),
    )


def compact(points: np.ndarray, triangles: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Points, triangles and values of vertices without the vertices that no triangle uses."""
    used, inverse = np.unique(triangles, return_inverse=True)
    return (points[used], inverse.reshape(-1, 3).astype(np.int32), *(value[used] for value in values))
