"""The six cameras: where they hang, where people walk before them, how their sensors record light.

As in SYSU-MM01, cameras 1, 2, 4, 5 are visible and 3, 6 infrared; 1, 2, 3 are indoors and 4, 5, 6 outdoors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vireid.people.light import Light
from vireid.people.sensor import Sensor

TALLEST = 2.0  # metres: a person of this height is whole inside of the frame everywhere in the area


@dataclass(frozen=True)
class Area:
    """Where people may stand: between two distances from the camera, between two walls, and in view."""

    near: float
    far: float
    left: float
    right: float
    slope: float
    """How far to the side they may stand, by distance, so that a whole person is in view."""

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Of points [n 2] on the ground, which lie inside: [n]."""
        x, y = points[:, 0], points[:, 1]
        inside = (y >= self.near) & (y <= self.far) & (x >= self.left) & (x <= self.right)
        return np.asarray(inside & (np.abs(x) <= self.slope * y))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """A point [2]; nearer ones are as frequent as their share of the frame."""
        y = math.exp(rng.uniform(math.log(self.near), math.log(self.far)))
        left, right = max(self.left, -self.slope * y), min(self.right, self.slope * y)
        return np.array([rng.uniform(left, right), y])


@dataclass(frozen=True)
class Camera:
    """A pinhole at (0, 0, `height`), which looks toward +y and `pitch` radians down; `focal` is in pixels of the frame,
    which is (height, width)."""

    number: int
    infrared: bool
    indoor: bool
    height: float
    pitch: float
    focal: float
    area: Area
    light: Light
    sensor: Sensor
    frame: tuple[int, int] = (720, 1280)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points [n 3] in the world to pixels x, y (down) and the depth along the viewing axis, each [n]."""
        sin, cos = math.sin(self.pitch), math.cos(self.pitch)
        x, y, z = points[:, 0], points[:, 1], points[:, 2] - self.height
        depth, up = cos * y - sin * z, sin * y + cos * z
        rows, columns = self.frame
        return columns / 2 + self.focal * x / depth, rows / 2 - self.focal * up / depth, depth

    def rays(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Directions [n 3] from the camera through pixels, with depth 1 along the viewing axis."""
        sin, cos = math.sin(self.pitch), math.cos(self.pitch)
        rows, columns = self.frame
        right, up = (x - columns / 2) / self.focal, (rows / 2 - y) / self.focal
        return np.stack((right, cos + sin * up, -sin + cos * up), axis=-1)

    @property
    def position(self) -> np.ndarray:
        return np.array([0.0, 0.0, self.height])


def infrared_lamp(height: float, strength: float, reference: float, around: float, beam: float, pitch: float) -> Light:
    """A ring of diodes just below the lens; `around` is what other sources give."""
    return Light(
        sun=(strength,) * 3,
        sky=(around,) * 3,
        direction=(0.0, -math.cos(pitch), math.sin(pitch)),
        softness=0.02,
        ground=(0.3,) * 3,
        bounce=0.03,
        lamps=((0.05, 0.0, height - 0.05),),
        reference=reference,
        axis=(0.0, math.cos(pitch), -math.sin(pitch)),
        beam=beam,
        changes=0.6,
    )


def toward(around: float, height: float) -> tuple[float, float, float]:
    """A direction by its angles in degrees, from +y toward +x and up from the horizon."""
    a, h = math.radians(around), math.radians(height)
    return math.sin(a) * math.cos(h), math.cos(a) * math.cos(h), math.sin(h)


CAMERAS: dict[int, Camera] = {
    camera.number: camera
    for camera in (
        Camera(
            1, False, True, height=2.7, pitch=math.radians(16), focal=920,
            area=Area(4.3, 10.5, -2.1, 1.25, 0.52),
            light=Light(
                sun=(0.78, 0.74, 0.63), sky=(0.44, 0.43, 0.41), direction=toward(0, 85), softness=0.3,
                ground=(0.62, 0.58, 0.52), bounce=0.22,
                lamps=((-0.4, 3.0, 2.95), (-0.4, 6.2, 2.95), (-0.4, 9.4, 2.95), (-0.4, 12.6, 2.95)), reference=2.1,
                changes=0.35,
            ),
            sensor=Sensor(1.0, (1.0, 0.98, 1.02), contrast=0.15, shot=0.018, read=0.006, blur=0.75, sharpen=0.6,
                          quality=78),
        ),
        Camera(
            2, False, True, height=3.4, pitch=math.radians(17), focal=980,
            area=Area(5.6, 13.5, -2.4, 3.0, 0.48),
            light=Light(
                sun=(0.85, 0.90, 0.92), sky=(0.40, 0.43, 0.44), direction=toward(-62, 38), softness=0.1,
                ground=(0.42, 0.43, 0.42), bounce=0.12, changes=0.8,
            ),
            sensor=Sensor(1.25, (0.95, 1.0, 1.06), contrast=0.25, saturation=0.85, shot=0.022, read=0.008, blur=0.95,
                          motion=2.0, sharpen=0.3, quality=62, drift=0.1),
        ),
        Camera(
            3, True, True, height=2.6, pitch=math.radians(15), focal=880,
            area=Area(4.3, 10.0, -1.6, 1.6, 0.52),
            light=infrared_lamp(2.6, 1.0, 6.0, 0.035, 2.0, math.radians(15)),
            sensor=Sensor(1.1, gamma=2.3, contrast=0.15, shoulder=0.35, black=0.03, shot=0.024, read=0.006, blur=0.9,
                          motion=2.0, sharpen=0.4, bloom=0.12, vignette=0.35, drift=0.14, quality=70),
        ),
        Camera(
            4, False, False, height=3.8, pitch=math.radians(16), focal=1050,
            area=Area(6.6, 16.0, -1.5, 2.1, 0.45),
            light=Light(
                sun=(1.05, 0.95, 0.78), sky=(0.30, 0.35, 0.42), direction=toward(125, 44), softness=0.012,
                ground=(0.22, 0.24, 0.17), bounce=0.05,
            ),
            sensor=Sensor(1.1, (1.02, 1.0, 0.96), contrast=0.35, saturation=1.1, shot=0.014, read=0.004, blur=0.7,
                          sharpen=0.8, quality=82),
        ),
        Camera(
            5, False, False, height=4.2, pitch=math.radians(18), focal=1120,
            area=Area(7.2, 16.5, -4.2, 3.6, 0.42),
            light=Light(
                sun=(0.42, 0.40, 0.36), sky=(0.55, 0.59, 0.64), direction=toward(-120, 52), softness=0.06,
                ground=(0.30, 0.28, 0.26), bounce=0.05,
            ),
            sensor=Sensor(1.15, (1.0, 1.0, 1.0), contrast=0.2, saturation=0.9, shot=0.016, read=0.005, blur=0.9,
                          sharpen=0.5, quality=72),
        ),
        Camera(
            6, True, False, height=3.3, pitch=math.radians(15), focal=950,
            area=Area(5.6, 12.0, -2.5, 2.1, 0.48),
            light=infrared_lamp(3.3, 1.0, 7.5, 0.012, 3.0, math.radians(15)),
            sensor=Sensor(1.25, gamma=2.3, contrast=0.2, shoulder=0.35, black=0.03, shot=0.035, read=0.011, blur=1.1,
                          motion=2.5, sharpen=0.5, bloom=0.2, vignette=0.5, drift=0.16, quality=64),
        ),
    )
}  # fmt: skip

VISIBLE_CAMERAS = tuple(number for number, camera in CAMERAS.items() if not camera.infrared)
INFRARED_CAMERAS = tuple(number for number, camera in CAMERAS.items() if camera.infrared)
