"""Light: one model for places and people.

Visible light comes from the sun or from lamps (the `sun` part) and from the sky or the room around (the `sky` part). In
the near-infrared, the lamp at the camera is the `sun` part: it falls off with the square of the distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from vireid.people.kernels import compiled

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """`sun` and `sky` are strengths by channel: the radiance of a white surface that faces the light."""

    sun: Colour
    sky: Colour
    direction: Colour
    """Unit vector to the sun; unused where there are lamps."""
    softness: float
    """Radius of the sun as seen from the ground, in radians, or of the lamps, in metres."""
    ground: Colour
    """What the ground or the room gives back of the sky's light to a surface that faces down."""
    bounce: float = 0.0
    """Share of the sun's light that comes back from all sides."""
    lamps: tuple[Colour, ...] = ()
    """Positions of lamps, which fall off with the square of the distance and face down."""
    reference: float = 0.0
    """Where there are lamps: the distance at which a lamp alone has the strength `sun`."""
    axis: Colour = (0.0, 0.0, -1.0)
    """The direction in which the lamps shine."""
    beam: float = 1.0
    """Exponent of the cosine with which lamps fade away from their axis."""
    changes: float = 1.0
    """How much the hour and the weather change this light."""

    @property
    def table(self) -> np.ndarray:
        """Lamps [k 3]; empty for the sun."""
        return np.asarray(self.lamps, np.float32).reshape(-1, 3)

    def toward(self, point: np.ndarray) -> np.ndarray:
        """The main direction of the light at a point [3]: the one along which a person there throws a shadow."""
        if not self.lamps:
            return np.asarray(self.direction, np.float32)
        offset = self.table - np.asarray(point, np.float32)
        distance = np.linalg.norm(offset, axis=1, keepdims=True)
        away = np.maximum(-(offset / distance) @ np.asarray(self.axis, np.float32), 0) ** self.beam
        total = (offset / distance**3 * away[:, None]).sum(0)
        return np.asarray(total / np.linalg.norm(total), np.float32)

    def at(self, rng: np.random.Generator) -> Light:
        """This light at another hour: strength, warmth, overcast, direction, each changed a little."""
        strength, warmth, overcast = np.clip(rng.normal(0, 1, 3), -2, 2) * self.changes
        turn, raise_ = np.clip(rng.normal(0, 0.05, 2), -0.1, 0.1) * self.changes
        level = math.exp(0.14 * strength)
        # A cloud takes from the sun and gives a part of it to the sky; the warmth moves red against blue.
        cover = 0.0 if self.lamps else 1 / (1 + math.exp(-1.3 * (overcast - 1.0)))
        tint = np.array([math.exp(0.05 * warmth), 1.0, math.exp(-0.07 * warmth)])
        if len(set(self.sun + self.sky)) == 2:  # infrared: no colour
            tint[:] = 1
        sun = np.asarray(self.sun) * tint * level * (1 - 0.75 * cover)
        sky = np.asarray(self.sky) * np.sqrt(tint) * level * (1 + 0.25 * cover)
        x, y, z = self.direction
        x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
        around = math.hypot(x, y)
        height = min(math.atan2(z, around) + raise_, 1.5)
        flat = math.cos(height) / max(around, 1e-6)
        return replace(
            self,
            sun=(float(sun[0]), float(sun[1]), float(sun[2])),
            sky=(float(sky[0]), float(sky[1]), float(sky[2])),
            direction=(x * flat, y * flat, math.sin(height)),
        )


@compiled
def fade(cosine: float, beam: float) -> float:
    """cosine**beam. Most exponents are small whole numbers, for which products are far cheaper."""
    if beam == 1.0:
        return cosine
    if beam == 2.0:
        return cosine * cosine
    if beam == 3.0:
        return cosine * cosine * cosine
    power: float = cosine**beam
    return power


@compiled
def direct(
    position: np.ndarray,
    normal: np.ndarray,
    view: np.ndarray,
    gloss: float,
    direction: np.ndarray,
    lamps: np.ndarray,
    axis: np.ndarray,
    reference: float,
    beam: float,
) -> tuple[float, float]:
    """What arrives of the sun or of all lamps at a surface: its share to scatter, and its highlight (Blinn)."""
    scattered, shine = 0.0, 0.0
    power = 4.0 + 120.0 * gloss * gloss
    for k in range(max(len(lamps), 1)):
        if len(lamps) == 0:
            lx, ly, lz, strength = direction[0], direction[1], direction[2], 1.0
        else:
            lx, ly, lz = lamps[k, 0] - position[0], lamps[k, 1] - position[1], lamps[k, 2] - position[2]
            square = max(lx * lx + ly * ly + lz * lz, 0.04)
            distance = math.sqrt(square)
            lx, ly, lz = lx / distance, ly / distance, lz / distance
            away = -(lx * axis[0] + ly * axis[1] + lz * axis[2])
            if away <= 0.0:
                continue
            strength = fade(away, beam) * reference * reference / square
        facing = normal[0] * lx + normal[1] * ly + normal[2] * lz
        if facing <= 0.0:
            continue
        scattered += strength * facing
        if gloss > 0.0:
            hx, hy, hz = lx + view[0], ly + view[1], lz + view[2]
            size = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
            half = max((normal[0] * hx + normal[1] * hy + normal[2] * hz) / size, 0.0)
            if half > 0.4:  # below, even the widest highlight has faded
                shine += strength * facing * half**power * (power + 8.0) / 40.0
    return scattered, 0.15 * gloss * shine


@compiled
def shade_points(
    colour: np.ndarray,
    normal: np.ndarray,
    position: np.ndarray,
    sunlit: np.ndarray,
    occlusion: np.ndarray,
    gloss: np.ndarray,
    view: np.ndarray,
    strengths: np.ndarray,
    direction: np.ndarray,
    lamps: np.ndarray,
    axis: np.ndarray,
    shape: tuple[float, float, float],
) -> np.ndarray:
    count, channels = colour.shape
    out = np.empty((count, channels), np.float32)
    reference, beam, bounce = shape
    # Copies are cheaper to pass than views.
    point, facing, back = np.empty(3, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    for i in range(count):
        for a in range(3):
            point[a], facing[a], back[a] = position[i, a], normal[i, a], view[i, a]
        scattered, shine = direct(point, facing, back, gloss[i], direction, lamps, axis, reference, beam)
        up = 0.5 + 0.5 * normal[i, 2]
        for c in range(channels):
            around = strengths[1, c] * (up + (1.0 - up) * strengths[2, c]) + strengths[0, c] * bounce * (1.0 - 0.5 * up)
            lit = strengths[0, c] * sunlit[i]
            out[i, c] = colour[i, c] * (lit * scattered + around * occlusion[i]) + lit * shine
    return out


def shade(
    light: Light,
    colour: np.ndarray,
    normal: np.ndarray,
    position: np.ndarray,
    sunlit: np.ndarray,
    occlusion: np.ndarray,
    gloss: np.ndarray,
    view: np.ndarray,
) -> np.ndarray:
    """The radiance of surface points, shape of `colour`: [n 3], or [n] for the infrared.

    `normal`, `position` and `view` (unit, to the camera) are [n 3]; `sunlit` (the share of the sun or lamp that
    arrives), `occlusion` (the share of the surroundings that is seen) and `gloss` in 0..1 are [n].
    """
    single = colour.ndim == 1
    out: np.ndarray = shade_points(
        np.ascontiguousarray(colour[:, None] if single else colour, np.float32),
        np.ascontiguousarray(normal, np.float32),
        np.ascontiguousarray(position, np.float32),
        np.ascontiguousarray(sunlit, np.float32),
        np.ascontiguousarray(occlusion, np.float32),
        np.ascontiguousarray(gloss, np.float32),
        np.ascontiguousarray(view, np.float32),
        np.asarray([light.sun, light.sky, light.ground], np.float32),
        np.asarray(light.direction, np.float32),
        light.table,
        np.asarray(light.axis, np.float32),
        (light.reference, light.beam, light.bounce),
    )
    return out[:, 0] if single else out
