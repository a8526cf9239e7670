"""Things between a camera and a person: posts, bins, bicycles, carts, plants, a car's bonnet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.people import plants, things
from vireid.people.camera import Camera
from vireid.people.kernels import compiled
from vireid.people.scene import Scene
from vireid.people.solids import Grid, Tree
from vireid.people.surfaces import GLOSS, Material, Pattern
from vireid.people.tracer import look

CONCRETE = Material("#9d9b95", 0.36, "#74726d", 0.28, Pattern.CONCRETE, (0.8, 0.9), varies=0.18, dirt=0.2)
PAINT = Material("#8e2d2a", 0.45, varies=0.03, gloss=0.9, mirror=0.06)
ALIKE = ("pole", "column", "bin", "sign", "plant", "trolley")
INDOOR, OUTDOOR = (*ALIKE, "chair", "desk"), (*ALIKE, "bollard", "bench", "bicycle", "car")
TOPS = {
    "bin": 1.0, "plant": 1.2, "trolley": 0.95, "chair": 0.95, "desk": 0.78, "bollard": 0.88, "bench": 0.9,
    "bicycle": 1.0, "car": 0.95,
}  # fmt: skip


@dataclass(frozen=True)
class Occluders:
    """A few solids in the world, with the rows of their materials in one modality."""

    tree: Tree
    table: np.ndarray


@dataclass(frozen=True)
class Layer:
    """What is seen of occluders in a picture: `colour` [h w 3], or reflectance [h w] in the infrared, `normal` and
    `position` [h w 3], `depth` and `gloss` [h w], `mask` [h w] bool. Where the mask is false, depth is infinite and the
    others are 0."""

    colour: np.ndarray
    normal: np.ndarray
    position: np.ndarray
    depth: np.ndarray
    gloss: np.ndarray
    mask: np.ndarray


def occluder(camera: Camera, rng: np.random.Generator, point: np.ndarray) -> Occluders:
    """Draw a thing that hides a part of a person who stands at `point` [2] on the ground."""
    names = INDOOR if camera.indoor else OUTDOOR
    name = names[rng.integers(len(names))]
    scene = Scene()
    side = 1.0 if rng.random() < 0.5 else -1.0
    if name in TOPS:
        # How far up the person it hides: what is near the camera must be higher, so this gives the distance.
        hidden = rng.uniform(0.2, 0.75)
        share = min((camera.height - TOPS[name]) / (camera.height - hidden), 0.92)
    else:
        share = rng.uniform(0.6, 0.9)
    shift = side * rng.uniform(0.05, 0.28)
    frame = scene.at(share * point[0] + shift, share * point[1], 0.0, float(rng.uniform(-30, 30)))
    if name == "pole":
        frame.rod((0, 0, 0), (0, 0, camera.height + 1), float(rng.uniform(0.03, 0.06)), things.DARK_STEEL)
    elif name == "column":
        wide = float(rng.uniform(0.1, 0.17))
        frame.at(side * wide, 0).box((0, 0, 2.5), (2 * wide, 2 * wide, 5), CONCRETE)
    elif name == "bin":
        things.bin_(frame, (things.GREEN_BIN, things.GREY, things.CLOTH_BLUE)[rng.integers(3)])
    elif name == "sign":
        things.sign(frame, (things.CLOTH_BLUE, things.YELLOW, things.WHITE)[rng.integers(3)], 0.42, 0.5, 1.35)
    elif name == "plant":
        if camera.indoor:
            plants.pot_plant(frame, rng, 1.35)
        else:
            plants.crown(frame, rng, (0, 0, 0.55), (0.55, 0.5, 0.6), 0.085, 1500, plants.LAUREL)
            frame.ellipsoid((0, 0, 0.5), (0.38, 0.34, 0.45), plants.TWIGS)
    elif name == "trolley":
        things.trolley(frame)
    elif name == "chair":
        things.chair(frame, (things.CLOTH_BLUE, things.BLACK, things.RED)[rng.integers(3)])
    elif name == "desk":
        things.desk(frame.at(0.5 * side, 0), rng)
    elif name == "bollard":
        things.bollard(frame, (things.DARK_STEEL, things.YELLOW)[rng.integers(2)])
    elif name == "bench":
        things.bench(frame.at(0.7 * side, 0))
    elif name == "bicycle":
        things.bicycle(frame.at(0.3 * side, 0), (PAINT, things.BLACK, things.GREEN_BIN)[rng.integers(3)])
    else:
        paint = (PAINT, things.WHITE, things.CLOTH_BLUE)[rng.integers(3)]
        things.car(frame.at(side * 1.6, 0, 0, 0 if side > 0 else 180), paint)
    return Occluders(scene.tree(), scene.table(camera.infrared))


@compiled
def see(
    tree: Grid, table: np.ndarray, height: float, rays: np.ndarray, spread: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    count = len(rays)
    colours, normals = np.zeros((count, 3), np.float32), np.zeros((count, 3), np.float32)
    points, depths, glosses = np.zeros((count, 3), np.float32), np.empty(count, np.float32), np.zeros(count, np.float32)
    origin, stack = np.array([0.0, 0.0, height]), np.empty((64, 2))
    ray, point, normal, colour = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for i in range(count):
        # Rays of depth 1 keep the distance in units of depth.
        for a in range(3):
            ray[a] = rays[i, a]
        t, s, m = look(tree, stack, table, origin, ray, spread, point, normal, colour)
        depths[i] = t if s >= 0 else np.inf
        if s >= 0:
            colours[i], normals[i], points[i], glosses[i] = colour, normal, point, table[m, GLOSS]
    return colours, normals, points, depths, glosses


def draw_occluders(
    occluders: Occluders, camera: Camera, window: tuple[float, float, float, float], size: tuple[int, int]
) -> Layer:
    """Render occluders in a window (x0, y0, x1, y1) of the frame, one ray a pixel of a picture (height, width)."""
    h, w = size
    x0, y0, x1, y1 = window
    low, high = occluders.tree.bounds[0, :3], occluders.tree.bounds[0, 3:]
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    x, y, depth = camera.project(corners)
    left, right, top, bottom = 0, w, 0, h
    if depth.min() > 0.1:
        left, right = np.clip([(x.min() - x0) / (x1 - x0) * w - 1, (x.max() - x0) / (x1 - x0) * w + 1], 0, w).astype(
            int
        )
        top, bottom = np.clip([(y.min() - y0) / (y1 - y0) * h - 1, (y.max() - y0) / (y1 - y0) * h + 1], 0, h).astype(
            int
        )
    columns, rows = np.meshgrid(np.arange(left, right), np.arange(top, bottom))
    rays = camera.rays(x0 + (columns + 0.5) / w * (x1 - x0), y0 + (rows + 0.5) / h * (y1 - y0)).reshape(-1, 3)
    spread = (y1 - y0) / h / camera.focal
    found = see(occluders.tree.arrays, occluders.table, camera.height, rays, spread)
    whole = []
    for values, empty in zip(found, (0, 0, 0, np.inf, 0), strict=True):
        out = np.full((h, w, *values.shape[1:]), empty, np.float32)
        out[top:bottom, left:right] = values.reshape(bottom - top, right - left, *values.shape[1:])
        whole.append(out)
    colour, normal, position, depths, gloss = whole
    return Layer(colour[..., 0] if camera.infrared else colour, normal, position, depths, gloss, np.isfinite(depths))
