"""The six cameras: how each crops people, and how its sensor records light.

As in SYSU-MM01, cameras 1, 2, 4, 5 are visible and 3, 6 infrared; 1, 2, 3 are indoors and 4, 5, 6 outdoors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]


@dataclass(frozen=True)
class Placement:
    """Where a body lies in a picture of size (h, w): `scale` is its height and (x, y) the place of its middle, both as
    shares of the picture's; `angle` is in radians, `stretch` the crop's error in aspect."""

    scale: float
    x: float
    y: float
    angle: float
    stretch: float

    def to_picture(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Body units [n 2] to pixels [n 2], x before y."""
        h, w = size
        sin, cos = math.sin(self.angle), math.cos(self.angle)
        x, y = points[:, 0], points[:, 1] - 0.5
        unit = self.scale * h
        return np.stack(
            (self.x * w + unit * self.stretch * (cos * x - sin * y), self.y * h + unit * (sin * x + cos * y)), axis=1
        )

    def to_body(self, x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The inverse: pixels [n], [n] to body units [n], [n]."""
        h, w = size
        sin, cos = math.sin(self.angle), math.cos(self.angle)
        unit = self.scale * h
        x, y = (x - self.x * w) / (unit * self.stretch), (y - self.y * h) / unit
        return cos * x + sin * y, cos * y - sin * x + 0.5


@dataclass(frozen=True)
class Camera:
    """`scale` and `shift` are the bias of its crops: the height of an average person and how far below the middle it
    stands, as shares of the picture's height. `level` is the brightness of its background. Ranges are uniform."""

    number: int
    indoor: bool
    scale: float
    shift: float
    level: float
    gain: float
    tint: tuple[float, float, float] | None  # None: one infrared channel
    blur: Range
    noise: Range
    gamma: Range

    @property
    def infrared(self) -> bool:
        return self.tint is None

    @property
    def channels(self) -> int:
        return 1 if self.infrared else 3

    def place(self, rng: np.random.Generator) -> Placement:
        """Sample the place of a person: 0.8 to 1.2 of the camera's usual scale, within 15 % of its usual place."""
        return Placement(
            scale=self.scale * min(max(math.exp(rng.normal(0, 0.09)), 0.8), 1.2),
            x=0.5 + rng.uniform(-0.15, 0.15),
            y=0.5 + self.shift + rng.triangular(-0.15, 0.0, 0.15),
            angle=math.radians(rng.normal(0, 3.5)),
            stretch=min(max(rng.normal(1, 0.04), 0.9), 1.1),
        )

    def expose(self, radiance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The sensor's image of the light [h w channels]: uint8 [h w 3], with equal channels if infrared."""
        h, w, channels = radiance.shape
        y, x = np.linspace(-0.5, 0.5, h, dtype=np.float32)[:, None], np.linspace(-0.5, 0.5, w, dtype=np.float32)[None]
        light = self.gain * math.exp(rng.normal(0, 0.15))
        if self.tint is None:  # an infrared lamp beside the lens: bright near some middle, dark around
            x0, y0 = rng.normal(0, 0.15, 2)
            field = light * (1.1 - rng.uniform(0.3, 0.9) * ((x - x0) ** 2 + 0.6 * (y - y0) ** 2))[..., None]
        else:
            slope_x, slope_y = rng.normal(0, [0.25, 0.2])
            field = light * (1 + slope_x * x + slope_y * y)[..., None] * np.asarray(self.tint, np.float32)
        image = (radiance * field.astype(np.float32)).clip(0, 1) ** np.float32(rng.uniform(*self.gamma))
        image = blur(image, rng.uniform(*self.blur))
        image += np.float32(rng.uniform(*self.noise)) * rng.standard_normal(image.shape, dtype=np.float32)
        if self.infrared:  # and the row noise of its read-out
            image += np.float32(0.01) * rng.standard_normal((h, 1, 1), dtype=np.float32)
        recorded = (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        return np.repeat(recorded, 3 // channels, axis=2)


def blur(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """A Gaussian of at most three taps a side [h w c]; none below a quarter of a pixel."""
    if sigma < 0.25:
        return image
    tap = math.exp(-1 / (2 * sigma * sigma))
    side, middle = np.float32(tap / (1 + 2 * tap)), np.float32(1 / (1 + 2 * tap))
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows: NDArray[np.float32] = side * (padded[:-2] + padded[2:]) + middle * padded[1:-1]
    blurred: NDArray[np.float32] = side * (rows[:, :-2] + rows[:, 2:]) + middle * rows[:, 1:-1]
    return blurred


VISIBLE_GAMMA, INFRARED_GAMMA = (0.8, 1.25), (0.7, 1.4)
SHARP, SOFT, INFRARED_BLUR = (0.1, 0.5), (0.4, 0.8), (0.2, 0.9)
VISIBLE_NOISE, INFRARED_NOISE = (0.01, 0.03), (0.015, 0.05)

CAMERAS = {
    camera.number: camera
    for camera in (
        Camera(1, True, 0.86, -0.01, 0.55, 1.00, (1.05, 0.98, 0.90), SHARP, VISIBLE_NOISE, VISIBLE_GAMMA),
        Camera(2, True, 0.92, 0.02, 0.42, 0.75, (0.95, 1.00, 1.05), SHARP, VISIBLE_NOISE, VISIBLE_GAMMA),
        Camera(3, True, 0.80, 0.05, 0.30, 1.05, None, INFRARED_BLUR, INFRARED_NOISE, INFRARED_GAMMA),
        Camera(4, False, 0.90, -0.03, 0.62, 1.00, (1.00, 1.00, 1.00), SOFT, VISIBLE_NOISE, VISIBLE_GAMMA),
        Camera(5, False, 0.84, 0.00, 0.50, 1.00, (0.93, 1.03, 0.95), SOFT, VISIBLE_NOISE, VISIBLE_GAMMA),
        Camera(6, False, 0.88, -0.05, 0.38, 0.85, None, INFRARED_BLUR, INFRARED_NOISE, INFRARED_GAMMA),
    )
}
VISIBLE_CAMERAS = tuple(number for number, camera in CAMERAS.items() if not camera.infrared)
INFRARED_CAMERAS = tuple(number for number, camera in CAMERAS.items() if camera.infrared)
