"""A scene: solids with materials, gathered piece by piece in frames of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from vireid.people.grow import grow_tree
from vireid.people.solids import Form, Solids, Tree
from vireid.people.surfaces import Material

Vector = Sequence[float] | np.ndarray


class Scene:
    """Gathers solids. Coordinates are those of a frame of its own; `at` gives other frames."""

    def __init__(self) -> None:
        self.parts: list[tuple[np.ndarray, ...]] = []
        self.rows: dict[Material, int] = {}
        self.origin = np.zeros(3)
        self.turn = np.eye(3)

    def at(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Scene:
        """The same scene seen from a frame at (x, y, z) of this one, turned by `yaw` degrees."""
        other = Scene()
        other.parts, other.rows = self.parts, self.rows
        other.origin = self.origin + np.array([x, y, z]) @ self.turn
        other.turn = turned(yaw) @ self.turn
        return other

    def add(
        self,
        form: Form,
        centre: Vector,
        axes: np.ndarray,
        half: Vector,
        material: Material,
        taper: float = 0.0,
        shadow: bool = True,
    ) -> None:
        """One solid, or n of them: `centre` [n 3], `axes` [n 3 3], `half` [n 3]."""
        row = self.rows.setdefault(material, len(self.rows))
        centre = np.atleast_2d(np.asarray(centre, np.float64)) @ self.turn + self.origin
        n = len(centre)
        axes = np.broadcast_to(np.reshape(axes, (-1, 3, 3)), (n, 3, 3)) @ self.turn
        half = np.broadcast_to(np.atleast_2d(np.asarray(half, np.float64)), (n, 3))
        full = (np.full(n, form), centre, axes, half, np.full(n, taper), np.full(n, row), np.full(n, shadow))
        self.parts.append(full)

    def box(
        self,
        centre: Vector,
        size: Vector,
        material: Material,
        yaw: float = 0,
        tilt: float = 0,
        taper: float = 0,
        shadow: bool = True,
    ) -> None:
        """A box of a full size at its middle, wider by `taper` at the top; `tilt` degrees about its x axis, then `yaw`
        about z."""
        self.add(Form.BOX, centre, tilted(tilt) @ turned(yaw), np.asarray(size) / 2, material, taper, shadow)

    def sheet(
        self,
        centre: Vector,
        size: tuple[float, float],
        material: Material,
        yaw: float = 0,
        tilt: float = 90,
        form: Form = Form.SHEET,
        shadow: bool = True,
    ) -> None:
        """A flat form of a full size; upright with `tilt` 90, and then facing -y; lying with 0."""
        half = (size[0] / 2, size[1] / 2, 1.0)
        self.add(form, centre, tilted(tilt) @ turned(yaw), half, material, 0.0, shadow)

    def rod(
        self, start: Vector, stop: Vector, radius: float, material: Material, end_radius: float | None = None
    ) -> None:
        """A cylinder between two points, or a truncated cone."""
        a, b = np.asarray(start, float), np.asarray(stop, float)
        z = (b - a) / np.linalg.norm(b - a)
        x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
        x /= np.linalg.norm(x)
        end = radius if end_radius is None else end_radius
        middle = (radius + end) / 2
        half = np.array([middle, middle, np.linalg.norm(b - a) / 2])
        axes = np.stack((x, np.cross(z, x), z))
        self.add(Form.CYLINDER, (a + b) / 2, axes, half, material, (end - radius) / 2 / middle)

    def path(self, points: Sequence[Vector], radius: float, material: Material) -> None:
        """A bent rod through points."""
        for start, stop in pairwise(points):
            self.rod(start, stop, radius, material)
            self.ellipsoid(stop, (radius,) * 3, material)

    def ellipsoid(self, centre: Vector, half: Vector, material: Material, yaw: float = 0, tilt: float = 0) -> None:
        self.add(Form.ELLIPSOID, centre, tilted(tilt) @ turned(yaw), half, material)

    def tree(self) -> Tree:
        columns = [np.concatenate(column) for column in zip(*self.parts, strict=True)]
        kinds = (np.int32, np.float32, np.float32, np.float32, np.float32, np.int32, np.bool_)
        return grow_tree(Solids(*(np.ascontiguousarray(c, k) for c, k in zip(columns, kinds, strict=True))))

    def table(self, infrared: bool) -> np.ndarray:
        """The materials' rows, as the kernels read them."""
        return np.asarray([material.row(infrared) for material in self.rows], np.float32)


def turned(yaw: float) -> np.ndarray:
    """Axes as rows, turned about z by degrees."""
    c, s = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def tilted(tilt: float) -> np.ndarray:
    """Axes as rows, turned about x by degrees."""
    c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
