"""Other people: pictures of people made beforehand, which stand behind the person or, seldom, before it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from vireid.people import kept
from vireid.people.camera import Camera
from vireid.people.figure import dress, pose_figure
from vireid.people.fragments import find_fragments
from vireid.people.kernels import compiled
from vireid.people.light import Light, shade
from vireid.people.person import draw_family
from vireid.people.pose import draw_action
from vireid.people.surface import bends_of, surfaces_of

NUMBER = 24
"""How many people there are to choose from."""
TALL, WIDE = 160, 96
"""Size of their pictures, in pixels."""
METRES = 2.1
"""What TALL pixels are, in metres."""
SEEN_FROM = 0.2
"""The angle from above under which they are seen, in radians."""
CROWD_SEED = 7_001


@dataclass(frozen=True)
class Crowd:
    """People in pictures: [people h w …]."""

    colour: np.ndarray
    infrared: np.ndarray
    normal: np.ndarray
    """In the axes of a camera that looks along +y."""
    cover: np.ndarray


def make_passer(number: int) -> tuple[np.ndarray, ...]:
    """The colour, infrared, normals and mask of a person seen from the front of nothing: an orthographic picture."""
    figure = dress(draw_family([CROWD_SEED, number])[0])
    rng = np.random.default_rng([CROWD_SEED, 1, number])
    action = draw_action(rng, figure.person.bag.kind if figure.person.bag else "")
    soup = pose_figure(figure, action, float(rng.random()))
    heading = float(rng.uniform(0, 2 * np.pi))
    cos, sin = np.cos(heading), np.sin(heading)
    v = soup.vertices @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
    v[:, 2] -= v[soup.drawn, 2].min()
    v[:, :2] -= 0.5 * (v[soup.drawn, :2].min(0) + v[soup.drawn, :2].max(0))
    scale = TALL / METRES
    up = v[:, 2] * np.cos(SEEN_FROM) + v[:, 1] * np.sin(SEEN_FROM)
    away = v[:, 1] * np.cos(SEEN_FROM) - v[:, 2] * np.sin(SEEN_FROM)
    far = np.float32(50)
    pixels = WIDE / 2 + scale * v[:, 0], TALL - 4 - scale * up, far + away
    eye = np.array([0, -far * np.cos(SEEN_FROM), far * np.sin(SEEN_FROM)])
    seen = find_fragments(soup, v, pixels, eye, (TALL, WIDE))
    surfaces = surfaces_of(figure, soup, seen, bends_of(action))
    made = []
    for values in (surfaces.colour, surfaces.infrared, seen.normal, np.ones(len(seen.rows), np.float32)):
        image = np.zeros((TALL, WIDE, *values.shape[1:]), np.float16)
        image[seen.rows, seen.columns] = values
        made.append(image)
    return tuple(made)


@functools.cache
def load_crowd() -> Crowd:
    names = ("colour", "infrared", "normal", "cover")

    def make() -> kept.Arrays:
        people = [make_passer(number) for number in range(NUMBER)]
        return {name: np.stack(images) for name, images in zip(names, zip(*people, strict=True), strict=True)}

    arrays = kept.load("crowd", make)
    return Crowd(*(arrays[name].astype(np.float32) for name in names))


@compiled
def sample(images: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear: an image [h w c] at x, y [p]; 0 outside. Where its last channel is 0, all are."""
    h, w, channels = images.shape
    out = np.zeros((x.shape[0], channels), np.float32)
    for p in range(x.shape[0]):
        u, v = x[p] - 0.5, y[p] - 0.5
        i, j = int(np.floor(v)), int(np.floor(u))
        a, b = np.float32(v - i), np.float32(u - j)
        for di in range(2):
            for dj in range(2):
                if 0 <= i + di < h and 0 <= j + dj < w and images[i + di, j + dj, channels - 1] > 0:
                    share = (a if di else 1 - a) * (b if dj else 1 - b)
                    for c in range(channels):
                        out[p, c] += share * images[i + di, j + dj, c]
    return out


def draw_passer(
    radiance: np.ndarray,
    depth: np.ndarray,
    camera: Camera,
    light: Light,
    window: tuple[float, float, float, float],
    who: int,
    spot: np.ndarray,
) -> np.ndarray:
    """Draw a passer-by, who stands on a spot [2], into a picture [h w channels] of a window, where nothing is nearer.

    Returns the mask [h w] of the passer-by.
    """
    h, w = depth.shape
    crowd = load_crowd()
    feet = np.array([[spot[0], spot[1], 0.0], [spot[0], spot[1], METRES]])
    x, y, far = camera.project(feet)
    x0, y0, x1, y1 = window
    scale = float(y[0] - y[1]) / TALL / (y1 - y0) * h  # pixels of the picture for one of the passer-by's
    middle, bottom = (float(x[0]) - x0) / (x1 - x0) * w, (float(y[0]) - y0) / (y1 - y0) * h
    stretch = (y1 - y0) / h / ((x1 - x0) / w)
    left, right = int(middle - 0.5 * WIDE * scale * stretch) - 1, int(middle + 0.5 * WIDE * scale * stretch) + 2
    top, low = int(bottom - TALL * scale) - 1, int(bottom + 4 * scale) + 2
    covered = np.zeros((h, w), bool)
    top, low, left, right = max(top, 0), min(low, h), max(left, 0), min(right, w)
    if top >= low or left >= right:
        return covered
    rows, columns = np.arange(top, low), np.arange(left, right)
    px = ((columns + 0.5 - middle) / (scale * stretch) + WIDE / 2).astype(np.float32)
    py = ((rows + 0.5 - bottom) / scale + TALL - 4).astype(np.float32)
    layers = np.concatenate(
        [crowd.colour[who], crowd.infrared[who][..., None], crowd.normal[who], crowd.cover[who][..., None]], 2
    )
    found = sample(layers, np.tile(px, len(rows)), np.repeat(py, len(columns)))
    mine = np.flatnonzero((found[:, 7] > 0.05) & (depth[top:low, left:right] > far[0]).ravel())
    if not len(mine):
        return covered
    found, share = found.take(mine, 0), found[mine, 7][:, None]
    down, across = np.divmod(mine, len(columns))
    rows, columns, px, py = rows[down], columns[across], px[across], py[down]
    found = found / share
    normal = found[:, 4:7] / np.maximum(np.linalg.norm(found[:, 4:7], axis=1, keepdims=True), 1e-6)
    metres = METRES / TALL
    x, z = spot[0] + (px - WIDE / 2) * metres, (TALL - 4 - py) * metres
    position = np.stack([x, np.full(len(rows), spot[1]), z], 1)
    view = camera.position - position
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    one = np.ones(len(rows), np.float32)
    reflectance = np.ascontiguousarray(found[:, 3]) if camera.infrared else np.ascontiguousarray(found[:, :3])
    lit = shade(light, reflectance, normal, position, one, 0.9 * one, 0.05 * one, view)
    lit = lit[:, None] if camera.infrared else lit
    radiance[rows, columns] = share * lit + (1 - share) * radiance[rows, columns]
    depth[rows, columns] = np.where(share[:, 0] > 0.5, np.float32(far[0]), depth[rows, columns])
    covered[rows, columns] = share[:, 0] > 0.5
    return covered
