"""Plants, leaf by leaf: hedges, crowns of trees, lawns, pot plants. All are bright in the near-infrared."""

from __future__ import annotations

import math

import numpy as np

from vireid.people.scene import Scene
from vireid.people.solids import Form
from vireid.people.surfaces import Material, Pattern

HEDGE = Material("#3f5a2a", 0.42, "#6c8440", 0.62, Pattern.EACH, varies=0.35, gloss=0.25, clear=0.35)
LAUREL = Material("#2c4a2b", 0.40, "#557a3c", 0.58, Pattern.EACH, varies=0.3, gloss=0.45, clear=0.3)
CROWN = Material("#46602c", 0.45, "#7d9447", 0.62, Pattern.EACH, varies=0.3, gloss=0.2, clear=0.45)
GRASS = Material("#54692f", 0.42, "#8c9450", 0.55, Pattern.EACH, varies=0.3, gloss=0.1, clear=0.4)
FALLEN = Material("#8a6a35", 0.45, "#5c4426", 0.38, Pattern.EACH, varies=0.3, gloss=0.1)
TWIGS = Material("#2a2a1c", 0.14, "#1c1f14", 0.09, Pattern.SOIL, (6.0, 1.0), varies=0.3)
BARK = Material("#5b4c3d", 0.42, "#2e2620", 0.28, Pattern.BARK, varies=0.25, bump=0.25)
PALE_BARK = Material("#8d8878", 0.5, "#575346", 0.36, Pattern.BARK, varies=0.2, bump=0.15)
EARTH = Material("#4a3b2c", 0.3, "#2e251c", 0.22, Pattern.SOIL, (5.0, 1.0), varies=0.2)
POT = Material("#7d4a35", 0.4, varies=0.1, dirt=0.2)


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def frames(rng: np.random.Generator, normal: np.ndarray, along: np.ndarray | None = None) -> np.ndarray:
    """Axes [n 3 3] with z along `normal` [n 3], turned at random about it, or with x as near to `along` as can be."""
    normal = unit(normal)
    guide = rng.standard_normal(normal.shape) if along is None else along
    x = unit(guide - (guide * normal).sum(-1, keepdims=True) * normal)
    return np.stack((x, np.cross(normal, x), normal), axis=1)


def hedge(
    scene: Scene,
    rng: np.random.Generator,
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    leaf: float,
    count: int,
    material: Material = HEDGE,
) -> None:
    """A clipped hedge that fills a box, of leaves `leaf` metres long."""
    a, b = np.asarray(low, float), np.asarray(high, float)
    size = b - a
    faces = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1] * 2])
    axis = rng.choice(3, count, p=faces / faces.sum())
    place = rng.random((count, 3))
    side = rng.random(count) < 0.5
    side[axis == 2] = True
    rows = np.arange(count)
    place[rows, axis] = side
    normal = np.zeros((count, 3))
    normal[rows, axis] = np.where(side, 1, -1)
    point = a + place * size
    # Bulges, as of single bushes, and leaves that lie deeper.
    bulge = 0.06 * np.sin(point[:, 0] * 5.1 + 1.3 * point[:, 2]) + 0.06 * np.sin(
        point[:, 1] * 4.3 + 2.1 * point[:, 2] + 1
    )
    point += normal * (bulge - np.abs(rng.normal(0, 0.07, count)) + 0.04 * (rng.random(count) < 0.1))[:, None]
    point[:, 2] = np.maximum(point[:, 2], 0.03)
    axes = frames(rng, normal + 0.75 * rng.standard_normal((count, 3)) + np.array([0, 0, 0.3]))
    length = leaf * rng.uniform(0.35, 0.62, count)
    scene.add(Form.LEAF, point, axes, np.stack((length, 0.5 * length, length), 1), material)
    scene.box((a + b) / 2 - [0, 0, 0.08], np.maximum(size - 0.3, 0.05), TWIGS)


def crown(
    scene: Scene,
    rng: np.random.Generator,
    centre: tuple[float, float, float],
    half: tuple[float, float, float],
    leaf: float,
    count: int,
    material: Material = CROWN,
) -> None:
    """The foliage of a tree or bush: clumps of leaves within an ellipsoid."""
    clumps = max(count // 90, 4)
    middle = unit(rng.standard_normal((clumps, 3))) * rng.uniform(0.45, 1.0, (clumps, 1))
    chosen = rng.integers(0, clumps, count)
    offset = unit(rng.standard_normal((count, 3))) * 0.33 * rng.random((count, 1)) ** 0.5
    inside = middle[chosen] + offset
    axes = frames(rng, offset + [0, 0, 0.25] + 0.2 * rng.standard_normal((count, 3)))
    length = leaf * rng.uniform(0.35, 0.65, count)
    point = np.asarray(centre) + inside * np.asarray(half)
    point[:, 2] = np.maximum(point[:, 2], 0.02)
    scene.add(Form.LEAF, point, axes, np.stack((length, 0.55 * length, length), 1), material)


def trunk(
    scene: Scene, rng: np.random.Generator, height: float, radius: float, material: Material = BARK, branches: int = 5
) -> None:
    """A trunk that leans and bends a little, and its main branches."""
    points = [np.array([0.0, 0.0, -0.05])]
    for k in range(1, 6):
        points.append(np.array([*rng.normal(0, 0.02, 2), k * height / 5]) + [points[-1][0], points[-1][1], 0])
    for k in range(5):
        scene.rod(points[k], points[k + 1], radius * (1 - 0.09 * k), material, radius * (1 - 0.09 * (k + 1)))
    scene.rod((0, 0, -0.1), (0, 0, 0.1), radius * 1.75, material, radius * 1.2)
    scene.rod((0, 0, 0.1), (0, 0, 0.4), radius * 1.2, material, radius * 0.96)
    for _ in range(branches):
        angle, rise = rng.uniform(0, 2 * math.pi), rng.uniform(0.6, 1.6)
        start = points[-1] - [0, 0, rng.uniform(0, 0.25 * height)]
        stop = start + np.array([math.cos(angle), math.sin(angle), rise]) * rng.uniform(0.8, 1.5)
        scene.rod(start, stop, radius * 0.4, material, radius * 0.15)


def tree(
    scene: Scene, rng: np.random.Generator, height: float, spread: float, leaves: int, material: Material = BARK
) -> None:
    """A tree of a trunk's height, with a crown above."""
    trunk(scene, rng, height, 0.11 + 0.01 * height, material)
    crown(scene, rng, (0, 0, height + 0.55 * spread), (spread, spread, 0.75 * spread), 0.125, 2 * leaves)


def lawn(
    scene: Scene, rng: np.random.Generator, low: tuple[float, float], high: tuple[float, float], count: int, tall: float
) -> None:
    """Blades over earth within a rectangle, in tufts."""
    size = np.asarray(high) - low
    scene.box(((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, 0.0), (size[0], size[1], 0.04), MEADOW)
    tufts = low + rng.random((max(count // 12, 1), 2)) * size
    flat = tufts[rng.integers(0, len(tufts), count)] + rng.normal(0, 0.06, (count, 2))
    flat = np.clip(flat, np.asarray(low) + 0.02, np.asarray(high) - 0.01)
    lean = np.concatenate((rng.normal(0, 0.45, (count, 2)), np.ones((count, 1))), axis=1)
    up = unit(lean)
    normal = np.cross(up, unit(rng.standard_normal((count, 3))))
    axes = frames(rng, normal, np.cross(up, normal))
    axes[:, 1] *= np.sign((axes[:, 1] * up).sum(-1, keepdims=True))
    axes[:, 0] = np.cross(axes[:, 1], axes[:, 2])
    length = tall * rng.uniform(0.4, 1.0, count)
    point = np.concatenate((flat, np.full((count, 1), 0.02)), axis=1) + 0.5 * length[:, None] * up
    width = np.full(count, 0.006) + 0.0006 * np.abs(flat[:, 1])
    scene.add(Form.BLADE, point, axes, np.stack((width, 0.5 * length, width), 1), GRASS)


def litter(
    scene: Scene, rng: np.random.Generator, low: tuple[float, float], high: tuple[float, float], count: int
) -> None:
    """Leaves that have fallen to the ground."""
    flat = np.asarray(low) + rng.random((count, 2)) * (np.asarray(high) - low)
    point = np.concatenate((flat, rng.uniform(0.006, 0.02, (count, 1))), axis=1)
    axes = frames(rng, np.array([0, 0, 1]) + 0.2 * rng.standard_normal((count, 3)))
    length = rng.uniform(0.02, 0.045, count)
    scene.add(Form.LEAF, point, axes, np.stack((length, 0.6 * length, length), 1), FALLEN)


def pot_plant(scene: Scene, rng: np.random.Generator, height: float = 1.3) -> None:
    """A pot with stems and long leaves that hang over."""
    scene.rod((0, 0, 0), (0, 0, 0.3), 0.13, POT, 0.18)
    scene.rod((0, 0, 0.25), (0, 0, 0.305), 0.165, EARTH)
    for _ in range(4):
        top = np.array([*rng.normal(0, 0.08, 2), height * rng.uniform(0.6, 0.85)])
        scene.rod((0, 0, 0.3), top, 0.012, BARK)
        count = 34
        angle, rise = rng.uniform(0, 2 * math.pi, count), rng.uniform(-0.5, 1.1, count)
        out = unit(np.stack((np.cos(angle), np.sin(angle), rise), 1))
        length = rng.uniform(0.09, 0.17, count)
        at = top * rng.uniform(0.65, 1, (count, 1)) + out * length[:, None]
        normal = np.cross(out, np.stack((-np.sin(angle), np.cos(angle), 0.3 * rng.standard_normal(count)), 1))
        axes = frames(rng, normal, out)
        scene.add(Form.LEAF, at, axes, np.stack((length, 0.28 * length, length), 1), LAUREL)


MEADOW = Material("#4c5a2c", 0.40, "#6d6a40", 0.34, Pattern.SOIL, (2.2, 1.0), varies=0.3)
