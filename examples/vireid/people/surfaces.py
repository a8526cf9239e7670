"""Materials of places: a colour, a near-infrared reflectance of its own, and a procedural pattern of the two.

The infrared reflectances (about 850 nm) follow the order found in spectral libraries, such as ECOSTRESS (Meerdink et
al., 2019), USGS splib07 (Kokaly et al., 2017) and KLUM (Ilehag et al., 2019): green leaves .45-.6, dry wood and brick
.35-.5, concrete .25-.4, asphalt .1-.2, glass and water below .1. The values themselves are assumed; painted metal and
plastic may have any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vireid.people.grain import cells, chance, layered_noise
from vireid.people.kernels import compiled


class Pattern(IntEnum):
    """How the two colours of a material mix."""

    PLAIN = 0
    TILES = 1
    BRICKS = 2
    WOOD = 3
    CONCRETE = 4
    ASPHALT = 5
    PAPER = 6
    SLATS = 7
    SOIL = 8
    BARK = 9
    EACH = 10
    POSTER = 11
    BLOTCHES = 12


TILES, BRICKS, WOOD, CONCRETE, ASPHALT, PAPER, SLATS, SOIL, BARK, EACH, POSTER, BLOTCHES = list(map(int, Pattern))[1:]


@dataclass(frozen=True)
class Material:
    """`colour` and `second` are sRGB as #rrggbb; `nir` and `second_nir` their reflectances in the near-infrared."""

    colour: str
    nir: float
    second: str = ""
    second_nir: float = -1.0
    pattern: Pattern = Pattern.PLAIN
    size: tuple[float, float] = (1.0, 1.0)
    """Of a tile, brick, board or blotch, in metres."""
    varies: float = 0.1
    """How much brightness varies from spot to spot or from tile to tile."""
    gloss: float = 0.1
    mirror: float = 0.0
    """Share that is mirrored where one looks straight at it; more where one looks along it."""
    rough: float = 0.02
    """How much a mirrored ray scatters."""
    glow: float = 0.0
    """What it sends out itself, as part of the sky's light; negative: as part of the sun's or the lamps'."""
    bump: float = 0.0
    dirt: float = 0.0
    """How much darker it is near the ground, and in stains."""
    clear: float = 0.0
    """Share of the light that comes through from behind."""

    def row(self, infrared: bool) -> list[float]:
        """A row of the table that the kernels read."""
        first, second = linear(self.colour), linear(self.second or self.colour)
        if infrared:
            first = [self.nir] * 3
            second = [self.nir if self.second_nir < 0 else self.second_nir] * 3
        return [
            *first, *second, float(self.pattern), *self.size, self.varies, self.gloss, self.mirror, self.rough,
            self.glow, self.bump, self.dirt, self.clear,
        ]  # fmt: skip


KIND, SIZE_U, SIZE_V, VARIES, GLOSS, MIRROR, ROUGH, GLOW, BUMP, DIRT, CLEAR = range(6, 17)


def linear(colour: str) -> list[float]:
    """#rrggbb in sRGB as linear red, green, blue."""
    levels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]


@compiled
def joint(u: float, size: float, gap: float, width: float) -> float:
    """The share of a footprint `width` wide at u that lies on the joints, `gap` wide, of tiles of a size."""
    place = u / size
    distance = abs(place - math.floor(place + 0.5)) * size
    half = max(0.5 * width, 1e-4)
    share = min(max((0.5 * gap + half - distance) / (2.0 * half), 0.0), 1.0)
    return share * min(gap / (2.0 * half), 1.0)


@compiled
def pattern_at(
    row: np.ndarray, u: float, v: float, x: float, y: float, z: float, seed: int, width: float
) -> tuple[float, float]:
    """At surface coordinates (u, v) and in space (x, y, z), all in metres, with a footprint of a width: how much of the
    second colour there is, and a factor of brightness."""
    kind, a, b, varies = int(row[KIND]), row[SIZE_U], row[SIZE_V], row[VARIES]
    mix, value = 0.0, 1.0
    if kind == TILES:
        mix = 1.0 - (1.0 - joint(u, a, 0.008, width)) * (1.0 - joint(v, b, 0.008, width))
        i, j = math.floor(u / a), math.floor(v / b)
        value += varies * (chance(i, j, seed) - 0.5)
        vein = layered_noise(u * 3.0 + 7.0 * i, v * 3.0, 0.3, 4, 3.0 * width)
        value += 0.25 * varies * vein + 0.5 * varies * layered_noise(u * 40.0, v * 40.0, 1.5, 2, 40.0 * width)
    elif kind == BRICKS:
        j = math.floor(v / b)
        shifted = u + (0.5 * a if j % 2 else 0.0)
        mix = 1.0 - (1.0 - joint(shifted, a, 0.012, width)) * (1.0 - joint(v, b, 0.012, width))
        i = math.floor(shifted / a)
        value += varies * (1.6 * chance(i, j, seed) - 0.8) + 0.5 * varies * layered_noise(
            u * 30.0, v * 30.0, 0.7, 2, 30.0 * width
        )
        if chance(i, j, seed + 9) < 0.06:
            value *= 0.7
    elif kind == WOOD:
        i = math.floor(u / a)
        bend = layered_noise(u * 4.0, v * 0.7, 3.0 * i + seed, 2, 4.0 * width)
        grain = layered_noise(u * 90.0 + 6.0 * bend, v * 2.5, 5.0 * i + seed, 3, 90.0 * width)
        mix = min(max(0.45 + 0.5 * grain + 0.3 * bend, 0.0), 1.0)
        value += varies * (chance(i, 3, seed) - 0.5) - 0.5 * joint(u, a, 0.006, width)
    elif kind == CONCRETE:
        pits, _, _ = cells(u * 9.0, v * 9.0, seed)
        mix = max(joint(u, a, 0.012, width), joint(v, b, 0.012, width))
        value += varies * (
            layered_noise(x * 2.0, y * 2.0, z * 2.0, 5, 2.0 * width) + (-0.8 if pits < 0.07 and width < 0.02 else 0.0)
        )
        value += 0.3 * varies * layered_noise(u * 14.0, v * 1.5, seed, 2, 14.0 * width)
    elif kind == ASPHALT:
        grit = layered_noise(u * 55.0, v * 55.0, 0.5, 3, 55.0 * width)
        mix = min(max(0.5 + 0.9 * grit - 0.35, 0.0), 1.0)
        value += varies * layered_noise(u * 0.8, v * 0.8, 3.5, 4, width)
        crack = abs(layered_noise(u * 0.9, v * 0.9, 8.5, 5, 0.3 * width))
        if crack < 0.012:
            value *= 0.55
        if layered_noise(u * 0.45, v * 0.3, 5.5, 2, width) > 0.75:
            value *= 0.72
    elif kind == PAPER:
        # Lines of text: words of several lengths, a heading, margins.
        line = math.floor(v / 0.022)
        word = math.floor(u / 0.03)
        inside = abs(u) < a and abs(v) < b
        if inside and chance(line, 5, seed) > 0.2 and chance(word, line, seed + 1) > 0.25:
            mix = 0.75 * min(1.0, 0.02 / (width + 1e-4))
            if v / 0.022 - line > 0.55:
                mix *= 0.1
        if chance(seed, 1, 1) > 0.6 and abs(u) < a * 0.9 and -0.3 * b < v < 0.5 * b:
            mix = 0.3 + 0.4 * layered_noise(u * 30.0, v * 30.0, seed, 3, 30.0 * width)
    elif kind == SLATS:
        place = u / a
        mix = joint(u, a, 0.3 * a, width)
        value += 0.6 * varies * math.sin(2.0 * math.pi * place) + varies * (chance(math.floor(place), 2, seed) - 0.5)
    elif kind == SOIL:
        mix = min(max(0.5 + 0.7 * layered_noise(x * a, y * a, 0.5, 5, a * width), 0.0), 1.0)
        value += varies * layered_noise(x * 21.0, y * 21.0, 2.5, 3, 21.0 * width)
    elif kind == BARK:
        ridge = layered_noise(u * 26.0, z * 5.0, 0.5, 4, 26.0 * width)
        mix = min(max(0.5 + 0.9 * ridge, 0.0), 1.0)
        value += varies * layered_noise(u * 5.0, z * 5.0, 1.5, 2, 5.0 * width)
    elif kind == EACH:
        mix = chance(seed, 11, 3)
        value += varies * (2.0 * chance(seed, 7, 5) - 1.0)
        if chance(seed, 19, 2) < 0.04:
            mix = 1.6
    elif kind == POSTER:
        # A picture of two tones with a soft edge in it, a band, and lines of text below.
        if v > -0.25 * b:
            mix = min(max(0.5 + 2.2 * layered_noise(u / a * 1.4, v / b * 1.4, seed, 4, 2.0 * width / a), 0.0), 1.0)
            value += 0.3 * layered_noise(u * 25.0, v * 25.0, seed, 3, 25.0 * width)
        elif v > -0.35 * b:
            mix = 1.0
        else:
            line, word = math.floor(v / 0.04), math.floor(u / 0.05)
            if v / 0.04 - line < 0.45 and abs(u) < 0.8 * a and chance(word, line, seed) > 0.25:
                mix = 0.7
    elif kind == BLOTCHES:
        mix = min(max(0.5 + 1.6 * layered_noise(u / a, v / b, seed, 4, width / a), 0.0), 1.0)
    else:
        value += varies * layered_noise(x * 1.3, y * 1.3, z * 1.3, 5, 1.3 * width)
    dirt = row[DIRT]
    if dirt > 0.0:
        stain = layered_noise(x * 1.1 + 9.0, y * 1.1, z * 0.8, 4, width)
        value *= 1.0 - dirt * max(
            0.0, min(1.0, 0.9 * math.exp(-abs(z) / 0.22) * (0.8 + 0.7 * stain) + 0.8 * (stain - 0.35))
        )
    return mix, max(value, 0.05)


@compiled
def colour_at(
    row: np.ndarray, u: float, v: float, x: float, y: float, z: float, seed: int, width: float, out: np.ndarray
) -> None:
    """The colour of a material at a place, to `out` [3]."""
    mix, value = pattern_at(row, u, v, x, y, z, seed, width)
    for c in range(3):
        out[c] = min(max((row[c] + (row[3 + c] - row[c]) * mix) * value, 0.004), 0.95)
