"""Shapes: outlines in body units, each of one semantic part and of one material or cloth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vireid.people.person import Garment, Material
from vireid.people.pose import Point


class Part(IntEnum):
    """The semantic part of a pixel. A hood is HAIR; what is worn under an open jacket is UPPER."""

    BACKGROUND = 0
    HEAD = 1
    HAIR = 2
    UPPER = 3
    LOWER = 4
    SHOES = 5
    BAG = 6
    SKIN = 7
    OCCLUDER = 8


PARTS = tuple(part.name.lower() for part in Part)


@dataclass(frozen=True)
class Cloth:
    """How a garment's pattern lies on a shape: from `origin` along the unit vector `axis`."""

    garment: Garment
    print: Material
    origin: Point
    axis: Point
    extent: tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """A filled outline [k 2] in body units."""

    outline: np.ndarray
    part: Part
    material: Material
    cloth: Cloth | None = None


def limb(start: Point, end: Point, start_width: float, end_width: float) -> list[Point]:
    """A quadrilateral around a segment, of the given half widths at its ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy) + 1e-6
    nx, ny = -dy / length, dx / length
    corners = ((start, start_width), (end, end_width), (end, -end_width), (start, -start_width))
    return [(x + width * nx, y + width * ny) for (x, y), width in corners]


def box(x0: float, y0: float, x1: float, y1: float) -> list[Point]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def ellipse(x: float, y: float, rx: float, ry: float, *, upper_half: bool = False, points: int = 20) -> np.ndarray:
    angle = np.linspace(math.pi, (2 if upper_half else 3) * math.pi, points, endpoint=upper_half)
    return np.stack((x + rx * np.cos(angle), y + ry * np.sin(angle)), axis=1)
