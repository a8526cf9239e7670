"""One picture of one person by one camera, with the semantic part of each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vireid.people.body import body_shapes
from vireid.people.camera import Camera, Placement
from vireid.people.pattern import PATTERNS
from vireid.people.person import Material, Person
from vireid.people.pose import draw_pose
from vireid.people.scene import draw_background, draw_occluder
from vireid.people.shapes import Part, Shape

SUPERSAMPLING = 2


@dataclass(frozen=True, eq=False)
class Picture:
    """`image` is uint8 [h w 3], of equal channels if infrared; `parts` is uint8 [h w], indices into PARTS."""

    image: np.ndarray
    parts: np.ndarray


def draw_shapes(shapes: list[Shape], placement: Placement, size: tuple[int, int]) -> np.ndarray:
    """The visible shape at each pixel [h w]: its index in the list plus one; 0 without a shape."""
    canvas = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    ends = np.cumsum([len(shape.outline) for shape in shapes])
    points = placement.to_picture(np.concatenate([shape.outline for shape in shapes]), size)
    for label, outline in enumerate(np.split(points, ends[:-1]), start=1):
        draw.polygon(outline.ravel().tolist(), fill=label)
    return np.asarray(canvas)


def find_materials(shapes: list[Shape], labels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The material [n] at n points: their shapes' labels [n], and their places in body units [n], [n]."""
    materials: np.ndarray = np.array([0, *(shape.material for shape in shapes)])[labels]
    for label, shape in enumerate(shapes, start=1):
        cloth = shape.cloth
        if cloth is None or cloth.garment.pattern == "plain":
            continue
        there = np.flatnonzero(labels == label)
        dx, dy = x[there] - cloth.origin[0], y[there] - cloth.origin[1]
        along, across = dx * cloth.axis[0] + dy * cloth.axis[1], dx * cloth.axis[1] - dy * cloth.axis[0]
        printed = PATTERNS[cloth.garment.pattern](cloth.garment, across, along, cloth.extent)
        materials[there[printed]] = cloth.print
    return materials


def draw_palette(person: Person, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """The light from each material to this camera [m channels]."""
    if camera.infrared:
        return (person.reflectance + rng.normal(0, 0.04, len(Material)))[:, None]
    return person.colour * (1 + rng.normal(0, 0.06, (len(Material), 1)))


def render(person: Person, camera: Camera, rng: np.random.Generator, size: tuple[int, int] = (96, 48)) -> Picture:
    """Sample a pose, a place, a scene and a light, and render the picture, of size (height, width)."""
    h, w = SUPERSAMPLING * size[0], SUPERSAMPLING * size[1]
    shapes = body_shapes(person, draw_pose(rng))
    placement = camera.place(rng)
    labels = draw_shapes(shapes, placement, (h, w))
    parts = np.array([Part.BACKGROUND, *(shape.part for shape in shapes)], np.uint8)[labels]

    image = draw_background(camera, (h, w), rng)
    rows, columns = np.nonzero(labels)
    x, y = placement.to_body(columns + 0.5, rows + 0.5, (h, w))
    materials = find_materials(shapes, labels[rows, columns], x, y)
    # A body is round: it darkens towards its sides, and light falls on it from one of them.
    edge = x / 0.13
    shading = 1 - 0.28 * np.minimum(edge * edge, 1) + rng.normal(0, 0.15) * edge
    image[rows, columns] = draw_palette(person, camera, rng)[materials] * shading[:, None]

    occluder = draw_occluder(camera, rng)
    if occluder is not None:
        (x0, y0, x1, y1), colour = occluder
        box = np.s_[max(0, round(y0 * h)) : round(y1 * h), max(0, round(x0 * w)) : round(x1 * w)]
        image[box], parts[box] = colour, Part.OCCLUDER

    corners = np.s_[::SUPERSAMPLING], np.s_[1::SUPERSAMPLING]
    radiance = np.sum([image[rows, columns] for rows in corners for columns in corners], axis=0) / len(corners) ** 2
    return Picture(camera.expose(radiance, rng), np.ascontiguousarray(parts[1::SUPERSAMPLING, 1::SUPERSAMPLING]))
