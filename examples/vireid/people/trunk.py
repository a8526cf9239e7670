"""The dressed trunk: how far clothes reach, for what lies on them: straps, bags, collars, long hair."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial import cKDTree

from vireid.people.body import Body, template
from vireid.people.mesh import Bones, Piece, dense_skin, fine_surface
from vireid.people.rings import convex, look_up, ring_radii
from vireid.people.shell import ARM
from vireid.people.source import load_source, strongest

TOP, BOTTOM = 1.56, 0.62
"""The heights on the template between which the trunk is measured."""
ROWS, TURNS = 56, 40
DOME_ROWS, DOME_TURNS = 30, 60
LANDMARKS = ("upperleg01.L", "spine03", "spine01", "clavicle.L", "neck01")
"""Bones whose heights on a body tell where heights of the template's trunk are."""


@functools.cache
def arms() -> np.ndarray:
    """[bones] which bones are an arm's."""
    return np.array([name.startswith(ARM) for name in load_source().bones])


@functools.cache
def bare_trunk() -> tuple[np.ndarray, np.ndarray]:
    """The vertices of the tights that are not on an arm: their ends in the base mesh [n 2], their bones [n bones]."""
    ends = fine_surface("tights").ends
    dense = dense_skin(ends)
    kept = dense[:, arms()].sum(1) < 0.5
    return ends[kept], dense[kept]


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

    def angle(self, points: np.ndarray) -> np.ndarray:
        """The direction in which points lie: 0 at the front, positive to the left."""
        row = (self.top - points[..., 2]) / (self.top - self.bottom) * ROWS
        middle = np.interp(row, np.arange(ROWS) + 0.5, self.middle)
        out: np.ndarray = np.arctan2(points[..., 0], middle - points[..., 1])
        return out

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


@dataclass(frozen=True)
class Dome:
    """How far the dressed chest and shoulders reach in each direction from a point in the chest."""

    centre: np.ndarray
    rings: np.ndarray

    def look(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far points [n 3] are from the centre, and how far the clothes reach there."""
        away = points - self.centre
        level = np.hypot(away[:, 0], away[:, 1])
        down, turn = np.arctan2(level, away[:, 2]), np.arctan2(away[:, 0], -away[:, 1])
        return np.hypot(level, away[:, 2]), look_up(
            self.rings, down / np.pi * DOME_ROWS, turn / (2 * np.pi) * DOME_TURNS
        )

    def push(self, points: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """Points [n 3] moved outward to a gap [n] over the clothes, where they lie below."""
        far, reach = self.look(points)
        grow = np.maximum((reach + gap) / far, 1)
        out: np.ndarray = (self.centre + (points - self.centre) * grow[:, None]).astype(np.float32)
        return out


@dataclass(frozen=True)
class Dressed:
    """A body in its clothes, without its arms."""

    body: Body
    points: np.ndarray
    """[n 3] of the trunk and the legs, and of clothes."""
    dense: np.ndarray
    """[n bones]"""

    @functools.cached_property
    def scale(self) -> float:
        """Of the trunk's height, to that of the template."""
        heads, usual = self.body.heads, template().heads
        return float((heads["neck01"][2] - heads["spine05"][2]) / (usual["neck01"][2] - usual["spine05"][2]))

    @functools.cached_property
    def tree(self) -> cKDTree:
        return cKDTree(self.points, balanced_tree=False, compact_nodes=False)

    def height(self, z: float) -> float:
        """A height of the template's trunk on this body."""
        known = [float(template().heads[bone][2]) for bone in LANDMARKS]
        own = [float(self.body.heads[bone][2]) for bone in LANDMARKS]
        beyond = min(z - known[0], 0.0) + max(z - known[-1], 0.0)
        return float(np.interp(z, known, own)) + beyond * self.scale

    def dense_bones(self, path: np.ndarray) -> np.ndarray:
        """The weights of all bones [s bones] at the points [s 3] of a path, smooth along it."""
        _, index = self.tree.query(path, 6)
        smooth: np.ndarray = gaussian_filter1d(self.dense[index].mean(1), 1.0, axis=0, mode="nearest")
        return smooth

    def bones(self, path: np.ndarray, lines: int) -> Bones:
        """The bones of the points [s 3] of a path, for each line of a ribbon along it."""
        index, weight = strongest(self.dense_bones(path))
        return np.concatenate([index] * lines), np.concatenate([weight] * lines)

    @functools.cached_property
    def torso(self) -> Torso:
        scale = float(self.body.heads["head"][2] / template().heads["head"][2])
        top, bottom = TOP * scale, BOTTOM * scale
        points = self.points[(self.points[:, 2] < top) & (self.points[:, 2] > bottom)]
        step = (top - points[:, 2]) / (top - bottom) * ROWS
        low, high = np.full(ROWS, np.inf), np.full(ROWS, -np.inf)
        np.minimum.at(low, step.astype(int), points[:, 1])
        np.maximum.at(high, step.astype(int), points[:, 1])
        known = np.flatnonzero(np.isfinite(low))
        middle = gaussian_filter(np.interp(np.arange(ROWS), known, 0.5 * (low[known] + high[known])), 3)
        y = points[:, 1] - np.interp(step, np.arange(ROWS) + 0.5, middle)
        turn = np.arctan2(points[:, 0], -y) / (2 * np.pi) * TURNS
        rings = convex(ring_radii(step, np.floor(turn), np.hypot(points[:, 0], y), ROWS, TURNS))
        return Torso(top, bottom, middle.astype(np.float32), gaussian_filter(rings, 0.7, mode=("nearest", "wrap")))

    @functools.cached_property
    def dome(self) -> Dome:
        heads = self.body.heads
        scale = (heads["neck01"][2] - heads["spine01"][2]) / 0.179
        centre = np.array([0.0, heads["spine01"][1] - 0.025 * scale, heads["spine01"][2] - 0.005])
        low, high = centre[2] - 0.25 * scale, heads["neck01"][2] + 0.004 * scale
        away = self.points[(self.points[:, 2] < high) & (self.points[:, 2] > low)] - centre
        level = np.hypot(away[:, 0], away[:, 1])
        step = np.arctan2(level, away[:, 2]) / np.pi * DOME_ROWS
        cell = np.floor(np.arctan2(away[:, 0], -away[:, 1]) / (2 * np.pi) * DOME_TURNS)
        rings = ring_radii(step, cell, np.hypot(level, away[:, 2]), DOME_ROWS, DOME_TURNS)
        return Dome(centre.astype(np.float32), gaussian_filter(rings, 0.6, mode=("nearest", "wrap")))


def dressed(body: Body, *clothes: Piece) -> Dressed:
    """A body in its clothes; without any, the bare body."""
    ends, dense = bare_trunk()
    points = [0.5 * (body.vertices[ends[:, 0]] + body.vertices[ends[:, 1]])]
    weights = [dense]
    for piece in clothes:
        index, weight = piece.bones
        worn = np.zeros(len(piece.vertices), bool)
        worn[piece.triangles] = True
        kept = worn & (piece.edge >= 0) & ((arms()[index] * weight).sum(1) < 0.5)
        own = np.zeros((int(kept.sum()), dense.shape[1]), np.float32)
        np.put_along_axis(own, index[kept].astype(np.int64), weight[kept], 1)
        points.append(piece.vertices[kept])
        weights.append(own)
    return Dressed(body, np.concatenate(points), np.concatenate(weights))
