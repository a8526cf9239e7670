"""One picture: a person in a pose, before a place, in a camera's light, as its sensor sees it; and its label map;
and how it was taken."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from vireid.people.camera import Camera
from vireid.people.crowd import NUMBER, draw_passer
from vireid.people.figure import Figure, Soup, pose_figure
from vireid.people.fragments import Fragments, bumps, find_fragments, occlusion, tilted
from vireid.people.kernels import compiled, enlarge, majority, put, shrink
from vireid.people.labels import Part
from vireid.people.light import Light, shade
from vireid.people.occluders import draw_occluders, occluder
from vireid.people.place import Plate, crop
from vireid.people.pose import draw_action
from vireid.people.sensor import develop
from vireid.people.shadow import Shadow, cast
from vireid.people.surface import Surfaces, bends_of, surfaces_of

THING, SOMEBODY = 0.14, 0.05
"""Shares of pictures in which a thing or somebody stands before the person."""
OVER = 2
"""Rendered pixels to a side for each of the picture; one for people who are small in the frame:"""
SMALL = 0.75
"""their window has fewer rows of the frame than this share of the picture's."""

Window = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the camera's frame."""


@dataclass(frozen=True)
class Conditions:
    """How a picture was taken: what hides the person, and how the window lies on the person's tight box.

    The box just holds the whole figure, with all that it wears and carries.
    """

    hidden: float
    """Share of the person's rendered pixels, of those within the window, that an occluder covers: 0 to 1."""
    across: float
    """How far the window's centre is to the right of the box's, in widths of the window."""
    down: float
    """How far the window's centre is below the box's, in heights of the window."""
    scale: float
    """Height of the window divided by that of the box; if it is below 1, some of the person is outside."""


@dataclass(frozen=True)
class Picture:
    image: np.ndarray
    """[h w 3] uint8, or [h w] in the infrared."""
    labels: np.ndarray
    """[h w] uint8: a `Part` of each pixel."""
    conditions: Conditions


def box_of(x: np.ndarray, y: np.ndarray) -> Window:
    """The tight box of a figure with vertices at these pixels."""
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def conditions_of(box: Window, window: Window, hidden: float) -> Conditions:
    """How a picture was taken by a window, of a figure with a tight box of which a share is hidden."""
    (left, top, right, bottom), (x0, y0, x1, y1) = box, window
    across, down = (x0 + x1 - left - right) / (2 * (x1 - x0)), (y0 + y1 - top - bottom) / (2 * (y1 - y0))
    return Conditions(hidden, across, down, (y1 - y0) / (bottom - top))


def detect(box: Window, rng: np.random.Generator) -> Window:
    """The window in which a detector finds a figure with this tight box: seldom exact, at times far off."""
    left, top, right, bottom = box
    height = bottom - top
    tall = height * (1.06 + abs(float(rng.normal(0, 0.05))))
    wide = max(0.42 * tall, 1.04 * (right - left))
    wide += 0.5 * max(0.5 * tall - wide, 0) + abs(float(rng.normal(0, 0.03))) * tall
    across = (left + right) / 2 + float(rng.normal(0, 0.03)) * wide
    down = (top + bottom) / 2 + float(rng.normal(0, 0.012)) * tall
    fault = rng.random()
    if fault < 0.06:  # too large
        grow = float(rng.uniform(1.15, 1.45))
        tall, wide = tall * grow, wide * grow
        across, down = across + float(rng.uniform(-0.15, 0.15)) * wide, down + float(rng.uniform(-0.1, 0.1)) * tall
    elif fault < 0.14:  # the legs are cut
        cut = float(rng.uniform(0.08, 0.3)) * tall
        tall, down = tall - cut, down - cut / 2
    elif fault < 0.18:  # off-centre
        across += float(rng.choice([-1, 1])) * float(rng.uniform(0.12, 0.25)) * wide
    elif fault < 0.20:  # the head is cut
        cut = float(rng.uniform(0.04, 0.10)) * tall
        tall, down = tall - cut, down + cut / 2
    return across - wide / 2, down - tall / 2, across + wide / 2, down + tall / 2


def stand(soup: Soup, heading: float, spot: np.ndarray) -> np.ndarray:
    """The figure's vertices [n 3] in the world, turned about the upright axis, on a spot [2] of the ground."""
    cos, sin = np.cos(heading), np.sin(heading)
    turned = soup.vertices @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
    drawn = soup.drawn
    for axis in range(3):
        used = turned[:, axis][drawn]
        turned[:, axis] -= (
            used.min() if axis == 2 else np.float32(0.5) * (used.min() + used.max()) - np.float32(spot[axis])
        )
    return turned


def light_figure(
    seen: Fragments,
    surfaces: Surfaces,
    plate: Plate,
    camera: Camera,
    light: Light,
    shadow: Shadow | None,
    pixels_per_metre: float,
) -> np.ndarray:
    """The radiance of the fragments [n channels]."""
    metres = seen.depth / np.float32(pixels_per_metre)
    slope = bumps(seen.number, seen.rows, seen.columns, seen.owner, surfaces.relief, metres)
    down = np.array([0, -np.sin(camera.pitch), -np.cos(camera.pitch)], np.float32)
    normal, view = tilted(seen.normal, slope, seen.position, camera.position.astype(np.float32), down)
    sunlit = plate.sunlit(seen.position)
    if shadow is not None:
        sunlit = sunlit * shadow.lit(seen.position)
    open_share = occlusion(seen.number, seen.depth, pixels_per_metre)
    reflectance = surfaces.infrared if camera.infrared else surfaces.colour
    radiance = shade(light, reflectance, normal, seen.position, sunlit, open_share, surfaces.gloss, view)
    return radiance[:, None] if camera.infrared else radiance


def background(
    plate: Plate,
    camera: Camera,
    light: Light,
    window: Window,
    size: tuple[int, int],
    shadow: Shadow | None,
    spot: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The radiance [h w channels] and the depth [h w] of the place in a window, with the figure's shadow."""
    h, w = size
    view = crop(plate, window, size)
    sun, sky = np.asarray(light.sun, np.float32), np.asarray(light.sky, np.float32)
    x0, y0, x1, y1 = window
    x = x0 + (np.arange(w) + 0.5) * (x1 - x0) / w
    y = y0 + (np.arange(h) + 0.5) * (y1 - y0) / h
    lit = np.ones((h, w), np.float32)
    ground = np.flatnonzero(view.ground > 0.5)
    rays = camera.rays(x[ground % w], y[ground // w])
    points = camera.position + rays * view.depth.ravel()[ground, None]
    if shadow is not None and len(ground):
        lit.ravel()[ground] = shadow.lit(points)
        soft = 0.6 + 25 * camera.light.softness * h / 288
        lit = gaussian_filter(lit, min(soft, 5.0), truncate=2)
    return lay(view.sun, view.sky, sun, sky, lit, near_feet(ground, points, spot, (h, w))), view.depth


@compiled
def near_feet(ground: np.ndarray, points: np.ndarray, spot: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The share [h w] of the sky that is seen past somebody on a spot [2], where the ground's pixels are at points."""
    out = np.ones(size[0] * size[1], np.float32)
    for i in range(len(ground)):
        far = (points[i, 0] - spot[0]) ** 2 + (points[i, 1] - spot[1]) ** 2
        if far < 1.1:  # beyond, it rounds to one
            out[ground[i]] = 1 - 0.45 * math.exp(-far / 0.06)
    return out.reshape(size)


@compiled
def lay(
    of_sun: np.ndarray, of_sky: np.ndarray, sun: np.ndarray, sky: np.ndarray, lit: np.ndarray, open_share: np.ndarray
) -> np.ndarray:
    """The radiance [h w channels] of a place: of sun and sky, each by its strength [channels] and its share [h w]."""
    h, w, channels = of_sun.shape
    out = np.empty((h, w, channels), np.float32)
    for i in range(h):
        for j in range(w):
            for c in range(channels):
                out[i, j, c] = of_sun[i, j, c] * sun[c] * lit[i, j] + of_sky[i, j, c] * sky[c] * open_share[i, j]
    return out


def place_others(
    radiance: np.ndarray,
    depth: np.ndarray,
    camera: Camera,
    light: Light,
    window: Window,
    spot: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Draw up to two passers-by behind the person, into the radiance [h w channels] and depth [h w] of a place."""
    area = camera.area
    for _ in range(int(rng.choice(3, p=[0.6, 0.3, 0.1]))):
        y = float(rng.uniform(spot[1] + 0.7, max(1.25 * area.far, spot[1] + 1.5)))
        # About where the window looks at, at that distance.
        x = spot[0] * y / spot[1] + float(rng.normal(0, 0.45)) * (window[2] - window[0]) / camera.focal * y
        x = float(np.clip(x, area.left - 0.3, area.right + 0.3))
        draw_passer(radiance, depth, camera, light, window, int(rng.integers(NUMBER)), np.array([x, y]))


def hide(
    fine: np.ndarray,
    labels: np.ndarray,
    over: int,
    camera: Camera,
    light: Light,
    window: Window,
    spot: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Perhaps draw something or somebody before the person, into the radiance [h w channels] and the labels [h w].

    They have `over` pixels to a side for each of the picture.
    """
    fate = rng.random()
    if fate < THING:
        h, w = labels.shape
        layer = draw_occluders(occluder(camera, rng, spot), camera, window, (h // over, w // over))
        rows, columns = np.nonzero(layer.mask)
        if not len(rows):
            return
        position = layer.position[rows, columns]
        view = camera.position - position
        view /= np.linalg.norm(view, axis=1, keepdims=True)
        one = np.ones(len(rows), np.float32)
        args = layer.normal[rows, columns], position, one, 0.85 * one, layer.gloss[rows, columns], view
        lit = shade(light, layer.colour[rows, columns], *args)
        for a in range(over):
            for b in range(over):
                fine[over * rows + a, over * columns + b] = lit[:, None] if camera.infrared else lit
                labels[over * rows + a, over * columns + b] = Part.OCCLUDER
    elif fate < THING + SOMEBODY:
        y = float(rng.uniform(0.7, 0.9)) * spot[1]
        side = float(rng.choice([-1, 1])) * float(rng.uniform(0.2, 0.5))
        near = np.array([spot[0] * y / spot[1] + side, y])
        depth = np.full(labels.shape, np.inf, np.float32)
        mask = draw_passer(fine, depth, camera, light, window, int(rng.integers(NUMBER)), near)
        labels[mask] = Part.OCCLUDER


def render(figure: Figure, camera: Camera, plate: Plate, rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """Draw what a person does and where, and render the picture, of size (height, width).

    Its conditions are exact: shares of pixels before the picture is made smaller, and of the window that was drawn.
    """
    action = draw_action(rng, figure.person.bag.kind if figure.person.bag else "")
    soup = pose_figure(figure, action, float(rng.random()))
    spot = camera.area.draw(rng)
    vertices = stand(soup, float(rng.uniform(0, 2 * np.pi)), spot)
    x, y, depth = camera.project(vertices)
    box = box_of(x[soup.drawn], y[soup.drawn])
    window = detect(box, rng)
    light = camera.light.at(rng)
    shadow = None
    if not camera.infrared:
        towards = light.toward(np.array([*spot, 1.0]))
        shadow = cast(vertices[soup.drawn], towards, light.softness)
    x0, y0, x1, y1 = window
    over = OVER if y1 - y0 > SMALL * size[0] else 1
    h, w = over * size[0], over * size[1]
    across, down = w / (x1 - x0), h / (y1 - y0)
    pixels = (x - x0) * across, (y - y0) * down, depth
    seen = find_fragments(soup, vertices, pixels, camera.position, (h, w))
    surfaces = surfaces_of(figure, soup, seen, bends_of(action))
    radiance, behind = background(plate, camera, light, window, size, shadow, spot)
    place_others(radiance, behind, camera, light, window, spot, rng)
    fine = enlarge(radiance, over)
    lit = light_figure(seen, surfaces, plate, camera, light, shadow, camera.focal * down)
    put(fine, seen.rows, seen.columns, lit)
    labels = np.zeros((h, w), np.uint8)
    labels[seen.rows, seen.columns] = surfaces.part
    hide(fine, labels, over, camera, light, window, spot, rng)
    hidden = float((labels[seen.rows, seen.columns] == Part.OCCLUDER).mean())
    image = develop(shrink(fine, over), camera, rng, round(y1 - y0))
    return Picture(image, majority(labels, over, len(Part)), conditions_of(box, window, hidden))
