"""Hair: its colour by pigment, in visible light and the near infrared, and its strands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.people.appearance import Appearance
from vireid.people.kernels import compiled
from vireid.people.noise import TABLE, at
from vireid.people.odds import pick
from vireid.people.palette import RGB, linear
from vireid.people.spectrum import BLUE, GREEN, INFRARED, RED, SURFACE, reflectance

KERATIN = np.array([0.05, 0.09, 0.17, 0.07])
"""K/S of hair without pigment, in red, green, blue and near infrared."""
EUMELANIN = np.array([(wave / GREEN) ** -4.5 for wave in (RED, GREEN, BLUE, INFRARED)])
"""The dark pigment, relative to green. Assumed: steeper than in skin, so that black hair reflects a tenth."""
PHEOMELANIN = np.array([0.24, 1.0, 2.6, 0.03])
"""The red pigment, relative to green."""

PIGMENTS: dict[str, tuple[float, float]] = {
    "black": (30.0, 0.0),
    "dark brown": (15.0, 0.6),
    "brown": (7.5, 0.8),
    "light brown": (3.2, 0.6),
    "blond": (0.75, 0.35),
    "red": (1.6, 3.0),
    "white": (0.03, 0.0),
}
"""K/S of eumelanin and of pheomelanin at 545 nm."""

DYES: dict[str, tuple[int, int, int]] = {
    "dyed red": (134, 34, 44),
    "dyed blue": (52, 84, 150),
    "dyed pink": (206, 118, 156),
    "dyed violet": (98, 60, 130),
}
"""Dyes over bleached hair: they colour visible light alone."""

FREQUENCIES: dict[str, float] = {"black": 30, "dark brown": 26, "brown": 17, "light brown": 9, "blond": 8, "red": 2}
FREQUENCIES |= {"grey": 7, "white": 3, "dyed red": 0.8, "dyed blue": 0.4, "dyed pink": 0.4, "dyed violet": 0.4}


@dataclass(frozen=True)
class HairTone:
    """The colour of a head of hair: strands of one colour, and a share of white ones."""

    name: str
    colour: RGB
    infrared: float
    white: float = 0.0
    """The share of strands that have lost their pigment."""


def pigmented(eumelanin: float, pheomelanin: float) -> tuple[RGB, float]:
    """The colour, linear RGB, and near-infrared reflectance of hair with amounts of pigment."""
    inside = reflectance(KERATIN + eumelanin * EUMELANIN + pheomelanin * PHEOMELANIN)
    r, g, b, infrared = 0.2 * SURFACE + (1 - SURFACE) * inside
    return (float(r), float(g), float(b)), float(infrared)


def hair_tone(name: str, *, amount: float = 1.0, white: float = 0.0) -> HairTone:
    """A named colour, with more or less pigment than usual."""
    if name in DYES:
        r, g, b = linear(DYES[name])
        return HairTone(name, (float(r), float(g), float(b)), pigmented(0.3, 0.2)[1], white)
    if name == "grey":
        colour, infrared = pigmented(14.0 * amount, 0.2)
        return HairTone(name, colour, infrared, max(white, 0.55))
    eumelanin, pheomelanin = PIGMENTS[name]
    return HairTone(name, *pigmented(eumelanin * amount, pheomelanin * amount), white)


def draw_hair(rng: np.random.Generator) -> HairTone:
    """A colour of hair, with the frequencies of a street."""
    name = pick(rng, FREQUENCIES)
    white = {"grey": float(rng.uniform(0.4, 0.8)), "white": 1.0}.get(name, 0.0)
    if name in ("black", "dark brown", "brown") and rng.random() < 0.15:
        white = float(rng.uniform(0.05, 0.3))
    return hair_tone(name, amount=float(np.exp(rng.normal(0, 0.25))), white=white)


WHITE = pigmented(0.03, 0.0)


@compiled
def strands(
    along: np.ndarray, across: np.ndarray, white: float, first: np.ndarray, second: np.ndarray, table: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    mixed = np.empty((along.shape[0], 4), np.float32)
    relief = np.empty(along.shape[0], np.float32)
    for n in range(along.shape[0]):
        a, c = along[n], across[n]
        # Locks a centimetre wide wander a little; strands of a few millimetres run in them.
        drift = 0.006 * at(table, a * 14, c * 20)
        lock = at(table, (c + drift) * 75, a * 5)
        strand = at(table, (c + drift) * 260, 40 + a * 9)
        bare = min(max(white + white * (1 - white) * (strand + 0.4 * lock), 0.0), 1.0)
        shade = max(1 + 0.17 * lock + 0.22 * strand, 0.3)
        for k in range(4):
            mixed[n, k] = min(shade * (first[k] + bare * (second[k] - first[k])), 1.0)
        relief[n] = 0.0016 * lock + 0.0007 * strand
    return mixed, relief


def hair(tone: HairTone, along: np.ndarray, across: np.ndarray) -> Appearance:
    """Hair at points: metres along the strands [n] and across them [n]."""
    first = np.array([*tone.colour, tone.infrared], np.float32)
    second = np.array([*WHITE[0], WHITE[1]], np.float32)
    along, across = np.ascontiguousarray(along, np.float32), np.ascontiguousarray(across, np.float32)
    mixed, relief = strands(along, across, tone.white, first, second, TABLE)
    gloss = np.full(len(along), 0.22, np.float32)
    return Appearance(np.ascontiguousarray(mixed[:, :3]), np.ascontiguousarray(mixed[:, 3]), gloss, relief)
