"""Patterns of cloth: where its second and third colour are.

A pattern is a function of fabric coordinates (u, v), in metres, and of template coordinates (x, y, z). Edges are soft
over SOFT metres, so that they do not alias.
"""

from __future__ import annotations

import numpy as np

from vireid.people.kernels import compiled
from vireid.people.motif import emblems, flowers
from vireid.people.noise import TABLE, at

SOFT = 0.0025
"""Width of an edge between two colours, in metres: about what a camera that sees a person in 300 rows resolves."""

REGIONS = {"trunk": 0, "legs": 1, "head": 2, "other": 3}
TRUNK, LEGS, HEAD, OTHER = range(4)

PATTERNS: dict[str, int] = {
    "plain": 0,
    "melange": 1,
    "rings": 2,
    "verticals": 3,
    "tartan": 4,
    "gingham": 5,
    "windowpane": 6,
    "dots": 7,
    "block": 8,
    "raglan": 9,
    "chest band": 10,
    "gradient": 11,
    "camouflage": 12,
    "floral": 13,
    "chest print": 14,
    "logo": 15,
    "side stripe": 16,
    "yoke": 17,
}
"""Each pattern and its number."""


@compiled
def step(distance: float) -> float:
    """1 inside, 0 outside, of a signed distance in metres."""
    t = min(max(0.5 + distance / SOFT, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@compiled
def stripe(x: float, period: float, share: float) -> float:
    """Stripes that cover a share of the period; centred on 0."""
    t = x / period + 0.5
    return step((0.5 * share - abs(t - np.floor(t) - 0.5)) * period)


@compiled
def field(table: np.ndarray, x: float, y: float) -> float:
    """A table between its values; x and y from 0 to 1 span it, outside it repeats."""
    rows, columns = table.shape
    x, y = (x - np.floor(x)) * columns - 0.5, (y - np.floor(y)) * rows - 0.5
    left, low = np.floor(x), np.floor(y)
    a, b = (x - left), (y - low)
    i, j = int(left) % columns, int(low) % rows
    k, m = (i + 1) % columns, (j + 1) % rows
    below = table[j, i] + a * (table[j, k] - table[j, i])
    above = table[m, i] + a * (table[m, k] - table[m, i])
    value: float = below + b * (above - below)
    return value


@compiled
def emblem(table: np.ndarray, across: float, up: float, width: float) -> float:
    """Signed distance to an emblem of a width in metres, centred on 0; far outside it is negative."""
    x, y = across / width + 0.5, 0.5 - up / (0.75 * width)
    if x <= 0.01 or x >= 0.99 or y <= 0.01 or y >= 0.99:
        return -1.0
    return field(table, x, y) * width


@compiled
def leg_centre(z: float) -> tuple[float, float]:
    """The axis of a leg of the template at a height: distance from the middle, and depth."""
    return 0.106 + 0.1 * max(0.82 - z, 0.0), -0.032 + 0.05 * max(0.45 - z, 0.0)


@compiled
def side_stripes(x: float, y: float, z: float, arm: bool, region: int, width: float, lines: int) -> float:
    """Bands down the outer side of the legs, or of the arms: one, or two or three thinner ones."""
    if region == LEGS:
        centre, depth = leg_centre(z)
        if abs(x) < centre:
            return 0.0
        off = y - depth
    else:
        # The upper side of an arm that hangs half down.
        if not arm or (abs(x) - 0.19) * 0.77 + (z - 1.37) * 0.64 < 0:
            return 0.0
        off = y + 0.02
    if lines == 1:
        return step(0.5 * width - abs(off))
    inside = step(0.5 * width * lines - abs(off))
    return inside * stripe(off + 0.5 * width * (lines - 1), width, 0.5)


@compiled
def weights(
    pattern: int,
    uv: np.ndarray,
    place: np.ndarray,
    arm: np.ndarray,
    region: int,
    period: float,
    share: float,
    phase: tuple[float, float],
    design: int,
    noise_table: np.ndarray,
    emblem_table: np.ndarray,
    flower_table: np.ndarray,
) -> np.ndarray:
    out = np.zeros((uv.shape[0], 2), np.float32)
    if pattern == 0:
        return out
    figure = emblem_table[design % emblem_table.shape[0]]
    tile = flower_table[design % flower_table.shape[0]]
    for n in range(uv.shape[0]):
        u, v = uv[n, 0], uv[n, 1]
        x, y, z = place[n, 0], place[n, 1], place[n, 2]
        side = abs(x)
        s, t = u + phase[0] * period, v + phase[1] * period
        first, second = 0.0, 0.0
        if pattern == 1:
            fine = at(noise_table, s * 110, t * 260) + 0.6 * at(noise_table, s * 240, t * 500)
            first = share * (0.5 + 0.3 * fine)
        elif pattern == 2:
            first = stripe(t, period, share)
            if design % 3 == 0:
                second = stripe(t - 0.5 * period, period, 0.3 * (1 - share))
        elif pattern == 3:
            first = stripe(s, period, share)
            if design % 4 == 0:
                second = stripe(s - 0.5 * period, period, 0.2 * (1 - share))
        elif pattern == 4:
            # A twill shows half of the warp and half of the weft. Each has a broad band, and a line beside it.
            first = 0.5 * (stripe(s, period, share) + stripe(t, period, share))
            second = 0.5 * (stripe(s - 0.44 * period, period, 0.09) + stripe(t - 0.44 * period, period, 0.09))
            if design % 2 == 0:
                second += 0.25 * (stripe(s, period, 0.07) + stripe(t, period, 0.07))
        elif pattern == 5:
            first = 0.5 * (stripe(s, period, 0.5) + stripe(t, period, 0.5))
        elif pattern == 6:
            width = max(0.0035, 0.05 * period) / period
            first = max(stripe(s, period, width), stripe(t, 1.25 * period, width / 1.25))
        elif pattern == 7:
            row = np.floor(t / period)
            a = s / period + 0.5 * (row - 2 * np.floor(row / 2))
            a, b = a - np.floor(a) - 0.5, t / period - row - 0.5
            first = step((np.sqrt(0.3 * share) - np.sqrt(a * a + b * b)) * period)
        elif pattern == 8:
            if region == LEGS:
                first = step(0.36 + 0.24 * phase[1] - z)
            else:
                # The sleeves change where they pass the chest's seam when the arms hang.
                height = 1.14 + 0.14 * phase[1]
                first = step(side - 0.19 - 0.75 * (1.36 - height)) if arm[n] else step(height - z)
                if design % 2 == 0:
                    second = 0.0 if arm[n] else step(0.03 - abs(z - height - 0.03))
        elif pattern == 9:
            beyond = (side - 0.06) * 0.843 + (z - 1.44) * 0.538
            first = 1.0 if arm[n] else step(beyond)
        elif pattern == 10:
            half = 0.02 + 0.11 * share
            if not arm[n]:
                first = step(half - abs(z - 1.15 - 0.12 * phase[1]))
            elif design % 2 == 0:
                first = step(0.6 * half - abs(side - 0.25))
            if design % 3 == 0:
                second = step(0.25 * half - abs(z - 1.15 - 0.12 * phase[1])) if not arm[n] else 0.0
        elif pattern == 11:
            low, high = (0.15, 0.9) if region == LEGS else (0.92, 1.36)
            a = min(max((high - z) / (high - low), 0.0), 1.0)
            first = a * a * (3 - 2 * a)
        elif pattern == 12:
            scale = 1 / period
            a = at(noise_table, s * scale, t * 1.7 * scale) + 0.5 * at(noise_table, s * 2.3 * scale, t * 3 * scale)
            b = at(noise_table, 31 + s * scale, 17 + t * 1.7 * scale) + 0.5 * at(
                noise_table, 9 + s * 2.3 * scale, 5 + t * 3 * scale
            )
            # A noise of this period has a slope of about one in it.
            first, second = step((a - 0.15) * 0.5 * period), step((b - 0.35) * 0.5 * period)
        elif pattern == 13:
            first = step(field(tile[0], s / period, t / period) * period)
            second = step(field(tile[1], s / period, t / period) * period)
        elif pattern == 14 or pattern == 15:
            if pattern == 14:
                across, up = u if region == TRUNK else x, z - 1.245
                shown = region == TRUNK and not arm[n] and y < -0.02
                width = period
            elif region == LEGS:
                centre, depth = leg_centre(z)
                across, up = x - centre, z - 0.76
                shown, width = y < depth, 0.4 * period
            elif region == HEAD:
                across, up, shown, width = x, z - 1.665, y < -0.05, 0.4 * period
            elif region == TRUNK:
                across, up, shown, width = x - 0.075, z - 1.29, not arm[n] and y < -0.02, 0.4 * period
            else:
                across, up, shown, width = u, v - 0.2 * phase[1], True, period
            if shown:
                inside = emblem(figure, across, up, width)
                first = step(inside)
                if design % 2 == 1 and pattern == 14:
                    second = step(inside - 0.018 * width)
        elif pattern == 16:
            first = side_stripes(x, y, z, arm[n], region, 0.4 * share * period, 1 + design % 3)
        elif pattern == 17:
            height = 1.30 + 0.06 * phase[1] - 0.25 * (0.14 - min(side, 0.14)) * (design % 2)
            first = step(side * -1 + 0.19 + 0.75 * (1.36 - height)) if arm[n] else step(z - height)
        second = min(max(second, 0.0), 1.0)
        out[n, 0] = min(max(first, 0.0), 1.0) * (1.0 - second)
        out[n, 1] = second
    return out


def shares(
    pattern: str,
    uv: np.ndarray,
    place: np.ndarray,
    arm: np.ndarray,
    *,
    region: str,
    period: float,
    share: float,
    phase: tuple[float, float],
    design: int,
) -> np.ndarray:
    """The shares of the second and third colour at points [n, 2]; the first has the rest.

    `period` is the size of the pattern in metres, `share` how much of it the second colour takes, `phase` where it
    begins (0 to 1 of a period, or of the range of its height), `design` which of the pattern's variants it is.
    """
    return weights(
        PATTERNS[pattern], uv, place, arm, REGIONS[region], period, share, phase, design, TABLE, emblems(), flowers()
    )
