"""The styles of hair, and the lines where hair begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CENTRE = np.array([0.0, -0.045, 1.60])
"""The middle of the template's head."""
COLUMNS = 56
SKULL_ROWS, SKULL_TURNS = 48, 48
UNDER_HAT = 0.004
"""How thick hair lies under a hat, in metres."""

LINE = (
    (0, 20, 35, 48, 58, 65, 69, 76, 80, 90, 101, 112, 125, 150, 180),
    (61, 60, 55, 59, 70, 86, 110, 112, 97, 92, 98, 117, 130, 139, 143),
)
"""The natural hairline, in degrees: away from the front, and down from the top of the head."""
RECEDING = (
    (0, 20, 40, 60, 75, 80, 90, 101, 112, 125, 150, 180),
    (-9, -9, -5, 20, 60, 97, 92, 98, 117, 130, 139, 143),
)
"""The lower bound of a rim of hair; its upper bound is `RIM`."""
RIM = ((0, 50, 66, 75, 100, 140, 180), (140, 140, 84, 70, 60, 55, 53))

HIDING = {
    "cap": ((0, 60, 95, 180), (1.640, 1.625, 1.618, 1.598)),
    "beanie": ((0, 60, 95, 180), (1.640, 1.610, 1.585, 1.570)),
    "bucket": ((0, 180), (1.645, 1.615)),
    "sun hat": ((0, 180), (1.645, 1.615)),
    "helmet": ((0, 60, 95, 180), (1.645, 1.620, 1.610, 1.600)),
    "hood": ((0, 40, 70, 180), (1.63, 1.60, 1.30, 1.30)),
    "headscarf": ((0, 180), (0.9, 0.9)),
}
"""Of each hat, the height on the template above which it presses on the hair, by degrees away from the front."""


@dataclass(frozen=True)
class Hang:
    """How hair hangs below the head."""

    end: float
    """The height of the ends on the template."""
    part: float = 0.0
    """x of the parting."""
    fringe: float | None = None
    """The height of the lower end of a fringe."""
    gather: float = 0.5
    """Below the neck, the share of the angle around the neck that hair still covers: it falls on the back."""
    curl: float = 0.0
    """How far the ends turn inward, in metres."""
    wave: float = 0.0
    """How far strands wind from side to side, in metres."""
    front: bool = False
    """The foremost locks fall before the shoulders."""


@dataclass(frozen=True)
class Style:
    """The shape of hair."""

    top: float
    """Thickness of the hair on top of the head, in metres; then at its front, its sides and its back."""
    front: float
    side: float
    back: float
    clump: float = 0.0
    """How much the thickness varies, in metres."""
    grain: float = 0.03
    """The size of clumps, in metres."""
    ragged: float = 0.004
    """How uneven the hairline is, in metres."""
    drop: float = 0.0
    """How much lower than the natural hairline the hair reaches at the front, in metres."""
    part: float | None = None
    """x of a parting."""
    curly: bool = False
    """Clumps are round, not along the strands."""
    rim: bool = False
    """Hair only at the sides and the back."""
    hang: Hang | None = None
    tail: str = ""
    """What hangs from slicked hair: pony, bun, braid."""


STYLES = {
    "buzz": Style(0.005, 0.004, 0.004, 0.004, ragged=0.001),
    "side part": Style(0.030, 0.026, 0.012, 0.013, 0.004, 0.03, 0.003, part=0.035),
    "messy": Style(0.036, 0.032, 0.020, 0.022, 0.008, 0.030, 0.010, drop=0.014),
    "curly": Style(0.048, 0.034, 0.036, 0.036, 0.007, 0.020, 0.006, drop=0.006, curly=True),
    "afro": Style(0.075, 0.055, 0.065, 0.065, 0.005, 0.022, 0.004, curly=True),
    "bob": Style(0.026, 0.020, 0.024, 0.028, 0.003, 0.03, 0.004, hang=Hang(1.475, 0.02, 1.622, 1.0, 0.015)),
    "long": Style(0.022, 0.014, 0.018, 0.022, 0.003, 0.03, 0.006, hang=Hang(1.24)),
    "long front": Style(0.024, 0.016, 0.018, 0.022, 0.003, 0.03, 0.006, hang=Hang(1.22, 0.025, None, 0.58, front=True)),
    "wavy": Style(
        0.030, 0.022, 0.030, 0.030, 0.006, 0.03, 0.007, hang=Hang(1.30, -0.02, None, 0.62, wave=0.010, front=True)
    ),
    "pony": Style(0.012, 0.009, 0.008, 0.012, 0.001, 0.03, 0.001, tail="pony"),
    "bun": Style(0.012, 0.009, 0.008, 0.012, 0.001, 0.03, 0.001, tail="bun"),
    "braid": Style(0.014, 0.010, 0.010, 0.014, 0.001, 0.03, 0.001, tail="braid"),
    "receding": Style(0.012, 0.010, 0.012, 0.012, 0.002, 0.02, 0.003, rim=True),
}

HAIR: tuple[str, ...] = ("bald", *STYLES)
