"""Patterns of garments: the places of a print on its cloth.

Each function takes the garment and the coordinates of n points on it, in body heights: `across` and `along` the
garment's axis, from its origin, and the half width and length of the cloth. It returns where the print is [n].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vireid.people.person import Garment

Extent = tuple[float, float]
Places = NDArray[np.float64]
Printed = NDArray[np.bool_]


def plain(garment: Garment, across: Places, along: Places, extent: Extent) -> Printed:
    return np.zeros(across.shape, bool)


def rings(garment: Garment, across: Places, along: Places, extent: Extent) -> Printed:
    """Stripes around the body."""
    return along / garment.period % 1 < garment.duty


def stripes(garment: Garment, across: Places, along: Places, extent: Extent) -> Printed:
    """Stripes down the body."""
    return (across / (0.8 * garment.period) + 0.25) % 1 < garment.duty


def diagonals(garment: Garment, across: Places, along: Places, extent: Extent) -> Printed:
    return (across + along) / (1.3 * garment.period) % 1 < garment.duty


def check(garment: Garment, across: Places, along: Places, extent: Extent) -> Printed:
    return (along / garment.period % 1 < 0.5) ^ (across / garment.period % 1 < 0.5)


def dots(garment: Garment, across: Places, along: Places, extent: Extent) -> Printed:
    """Round dots, every second row shifted by half a period."""
    row, y = np.divmod(along / garment.period, 1)
    x = (across / garment.period + row % 2 / 2) % 1
    return (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.11 + 0.08 * garment.duty


def two_blocks(garment: Garment, across: Places, along: Places, extent: Extent) -> Printed:
    return along > garment.offset * extent[1]


def band(garment: Garment, across: Places, along: Places, extent: Extent) -> Printed:
    return np.abs(along / extent[1] - garment.offset) < 0.13


def two_halves(garment: Garment, across: Places, along: Places, extent: Extent) -> Printed:
    return across > 0


def side_stripe(garment: Garment, across: Places, along: Places, extent: Extent) -> Printed:
    """A stripe down each seam."""
    return np.abs(across) > 0.45 * extent[0]


PATTERNS: dict[str, Callable[[Garment, Places, Places, Extent], Printed]] = {
    "plain": plain,
    "rings": rings,
    "stripes": stripes,
    "diagonals": diagonals,
    "check": check,
    "dots": dots,
    "two blocks": two_blocks,
    "band": band,
    "two halves": two_halves,
    "side stripe": side_stripe,
}
