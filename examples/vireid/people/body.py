"""A person's body: its shape from a few numbers, and its vertices in a pose."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vireid.people.kernels import skin
from vireid.people.source import AGES, GENDERS, HEIGHTS, MUSCLES, PROPORTIONS, RACES, WEIGHTS, load_source


@dataclass(frozen=True)
class Shape:
    """A body in a few numbers from 0 to 1; anny's model of phenotypes, whose targets are mixed linearly."""

    gender: float = 0.5
    """0: female, 1: male."""
    age: float = 0.67
    """1/3: a child of about ten; 2/3: 25 years; 1: 90 years."""
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5
    races: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)
    """Shares of MakeHuman's african, asian and caucasian targets."""


@dataclass(frozen=True)
class Body:
    vertices: np.ndarray
    """[19158 3] of the unposed body, arms half down, soles at z = 0, in metres."""
    heads: dict[str, np.ndarray]
    """Where each bone begins."""


def shares(value: float, names: tuple[str, ...], low: float = 0.0) -> dict[str, float]:
    """Linear interpolation between values spaced evenly from `low` to 1: the share of each name."""
    at = np.clip((value - low) / (1 - low), 0, 1) * (len(names) - 1)
    return {name: max(0.0, 1.0 - abs(float(at) - k)) for k, name in enumerate(names)}


@functools.cache
def parts_of_labels() -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(label.split("+")) for label in load_source().labels)


def build(shape: Shape) -> Body:
    """The body of a shape."""
    known = load_source()
    share = {
        **shares(shape.gender, GENDERS),
        **shares(shape.age, AGES, 1 / 3),
        **shares(shape.muscle, MUSCLES),
        **shares(shape.weight, WEIGHTS),
        **shares(shape.height, HEIGHTS),
        **shares(shape.proportions, PROPORTIONS),
        **dict(zip(RACES, shape.races, strict=True)),
    }
    weight = np.array([math.prod([share[part] for part in parts]) for parts in parts_of_labels()], np.float32)
    used = np.flatnonzero(weight)
    vertices = known.vertices + np.tensordot(weight[used], known.targets[used], 1)
    vertices[:, 2] -= vertices[known.faces["body"][0].ravel(), 2].min()
    heads = {bone: vertices[joint].mean(0) for bone, joint in zip(known.bones, known.joints, strict=True)}
    return Body(vertices, heads)


TEMPLATE = Shape()


@functools.cache
def template() -> Body:
    """The average adult, scaled to 1.70 m: the coordinates in which garments are cut and patterns are drawn."""
    body = build(TEMPLATE)
    own = body.vertices[np.unique(load_source().faces["body"][0])]
    scale = 1.70 / float(own[:, 2].max())
    return Body(body.vertices * np.float32(scale), {bone: head * scale for bone, head in body.heads.items()})


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """The turn [3 3] about an axis by an angle in radians."""
    x, y, z = axis.tolist()
    length = math.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    sin, cos = math.sin(angle), math.cos(angle)
    rest = 1 - cos
    return np.array([
        [cos + rest * x * x, rest * x * y - sin * z, rest * x * z + sin * y],
        [rest * x * y + sin * z, cos + rest * y * y, rest * y * z - sin * x],
        [rest * x * z - sin * y, rest * y * z + sin * x, cos + rest * z * z],
    ])  # fmt: skip


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """np.cross of two vectors [3], which takes many times as long, as it is made for arrays of any shape."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The shortest turn that takes the direction `start` to `end`."""
    axis = cross(start, end)
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        return np.eye(3)
    return rotation(axis, float(np.arctan2(length, start @ end)))


def bone_matrices(heads: Mapping[str, np.ndarray], turns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The motion of each bone [bones 3 4] when some are turned about their heads, in the axes of the unposed body."""
    known = load_source()
    moved, still = np.zeros((len(known.bones), 4, 4)), np.eye(4)
    for i, (bone, parent) in enumerate(zip(known.bones, known.parents, strict=True)):
        above = moved[parent] if parent >= 0 else still
        if bone in turns:
            own = still.copy()
            own[:3, :3] = turns[bone]
            own[:3, 3] = heads[bone] - turns[bone] @ heads[bone]
            above = above @ own
        moved[i] = above
    return moved[:, :3].astype(np.float32)


def posed(rest: np.ndarray, bones: tuple[np.ndarray, np.ndarray], matrices: np.ndarray) -> np.ndarray:
    """Vertices [n 3] moved with their four bones (numbers [n 4], weights [n 4])."""
    moved: np.ndarray = skin(rest, *bones, matrices)
    return moved
