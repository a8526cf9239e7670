"""Shoes with soles: lofted on the template from the outline of the sole to the opening around the ankle.

Soles lie below the body's own, so that a person in shoes stands on z < 0 of the rest pose.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vireid.people.body import Body, template
from vireid.people.foot import (
    AROUND,
    GAP,
    around_leg,
    beyond_heel,
    beyond_instep,
    foot,
    foot_height,
    leg,
    outline,
)
from vireid.people.kernels import smooth
from vireid.people.mesh import FAR, Bones, Piece, base_surface
from vireid.people.tube import Near, affine, bones_by, grid, lengths, mapped, near, ramp, section


@dataclass(frozen=True)
class Cut:
    """The shape of a shoe, in metres."""

    back: float
    """Height of the opening at the heel; then at the sides and the front of the ankle."""
    side: float
    front: float
    sole: float = 0.022
    """Thickness of the sole below the foot; then under the heel."""
    heel: float = 0.022
    wall: float = 0.014
    """How far the sole comes up at the sides."""
    flare: float = 0.004
    """How far the sole stands out."""
    toe: float = 0.012
    """Room before the toes."""
    point: float = 0.0
    """0: a round toe; 1: a pointed one."""
    tongue: float = 0.0
    """How far the tongue stands up."""
    shaft: float = 0.0
    """The height of a boot's top; 0: none."""
    ease: float = 0.006
    """Room in the shaft."""
    toe_height: float = 0.046
    """Of the toe box."""
    low: bool = False
    """The opening reaches down to the toes: flats and pumps."""
    straps: bool = False
    """Straps over a bare foot."""


CUTS = {
    "sneakers": Cut(0.082, 0.066, 0.100, 0.024, 0.026, 0.016, 0.004, tongue=0.012),
    "running shoes": Cut(0.086, 0.064, 0.098, 0.030, 0.040, 0.020, 0.009, tongue=0.016),
    "dress shoes": Cut(0.072, 0.062, 0.092, 0.017, 0.028, 0.003, 0.005, toe=0.024, point=0.5, toe_height=0.038),
    "ankle boots": Cut(0.13, 0.13, 0.13, 0.024, 0.036, 0.008, 0.006, shaft=0.185, ease=0.012, toe_height=0.052),
    "high boots": Cut(0.13, 0.13, 0.13, 0.024, 0.036, 0.005, 0.004, shaft=0.43, ease=0.014),
    "high-tops": Cut(0.135, 0.130, 0.128, 0.024, 0.026, 0.018, 0.003, shaft=0.152, ease=0.008),
    "flats": Cut(0.058, 0.042, 0.042, 0.010, 0.013, 0.002, 0.002, low=True, point=0.2, toe_height=0.03),
    "pumps": Cut(0.064, 0.044, 0.044, 0.024, 0.040, 0.001, 0.001, toe=0.020, low=True, point=0.8, toe_height=0.03),
    "sandals": Cut(0.0, 0.0, 0.0, 0.020, 0.024, 0.004, 0.007, straps=True),
}
SHOES: tuple[str, ...] = tuple(CUTS)

Hides = Callable[[np.ndarray], np.ndarray]
"""Which places on the template [n 3] a shoe hides: a mask [n]."""


@dataclass(frozen=True)
class Shoes:
    """Both shoes."""

    upper: Piece
    """`uv`: from the middle of the toes around to the heel, and up; tongue and laces lie where u is below 0.06."""
    sole: Piece
    hides: Hides


def topline(angle: np.ndarray, cut: Cut) -> np.ndarray:
    """The height of the opening in directions from the ankle."""
    ahead, behind = np.clip(-np.cos(angle), 0, 1) ** 1.3, np.clip(np.cos(angle), 0, 1) ** 2
    out: np.ndarray = cut.side + ahead * (cut.front - cut.side) + behind * (cut.back - cut.side)
    return out


def upper_rings(cut: Cut) -> np.ndarray:
    """The upper of the left shoe [r AROUND 3], from the sole up."""
    base = outline(GAP, cut.toe, cut.point)
    share = np.arange(AROUND) / AROUND
    if cut.low:  # the opening is an oval over the foot
        inner = outline(GAP, cut.toe, cut.point)
        middle = np.array([inner[:, 0].mean(), 0.0])
        angle = 2 * np.pi * share
        z = topline(angle, cut)
        front = inner[:, 1].min() + 0.062
        scale = np.clip((inner[:, 1] - front) / 0.05, 0, 1)
        collar = np.concatenate([inner, z[:, None]], 1)
        pull = ramp(-0.10, front, inner[:, 1])
        collar[:, 0] = middle[0] + (inner[:, 0] - middle[0]) * (1.01 - 0.36 * pull) - 0.004 * pull
        collar[:, 1] = np.where(scale < 1, np.maximum(inner[:, 1], front - 0.01 * (1 - scale)), inner[:, 1])
        collar[:, 2] = np.maximum(z * (1 - 0.1 * pull), foot_height(collar[:, :2]) + 0.006) * pull + z * (1 - pull)
    else:
        # Angles are spread so that the sides of the foot meet the front of the ankle.
        angle = 2 * np.pi * (share + 0.035 * np.sin(4 * np.pi * share) - 0.03 * np.sin(2 * np.pi * share))
        collar = around_leg(topline(angle, cut), angle, GAP)
    rows: list[np.ndarray] = []
    for f in np.concatenate([[0, 0, 0.02, 0.05], np.linspace(0.1, 1, 9)]):
        xy = base + (collar[:, :2] - base) * f
        length = np.linalg.norm(collar[:, :2] - base, axis=1)
        rise = np.clip(f * length / 0.030, 0, 1)
        round_up = np.sqrt(1 - (1 - rise) ** 2)  # the toe is round
        flat = length < 0.03
        z = np.where(flat, collar[:, 2] * f, cut.toe_height * round_up * (1 - f) + collar[:, 2] * f)
        z = np.maximum(z, (foot_height(xy) + GAP + 0.002) * np.where(flat, 0, rise))
        if len(rows) == 1:
            z = np.full(AROUND, 0.010)
        if f == 1:
            z = collar[:, 2]
        rows.append(np.concatenate([xy, np.maximum(z, 0.012 * (len(rows) > 1))[:, None]], 1))
    rings = np.stack(rows)
    rings[0, :, 2] = -0.002
    if cut.tongue:
        front = ramp(0.3, 0.95, -np.cos(angle))
        rings[-1, :, 2] += cut.tongue * front
        rings[-1, :, 1] -= 0.35 * cut.tongue * front
    if cut.shaft:
        steps = max(3, int((cut.shaft - 0.13) / 0.040) + 1)
        up = [
            around_leg(np.full(AROUND, z), angle, GAP + (cut.ease - GAP) * min(1.0, (z - 0.13) / 0.04))
            for z in np.linspace(0.13, cut.shaft, steps + 1)[1:]
        ]
        rings = np.concatenate([rings, np.stack(up)])
    return rings


def sole_rings(cut: Cut) -> np.ndarray:
    """The sole of the left shoe [r AROUND 3]: its upper face, its wall, its lower face."""
    base = outline(GAP + 0.001, cut.toe, cut.point)
    middle = base.mean(0)
    y = base[:, 1]
    heel = ramp(-0.035, -0.022, y)
    under_ball = ramp(-0.085, -0.105, y)
    blocked = cut.heel - cut.sole > 0.010
    if blocked:  # a heel block: the sole is thin between it and the ball
        thick = 0.008 + (cut.sole - 0.008) * under_ball + (cut.heel - 0.008) * heel
        thick = np.minimum(thick, cut.heel)
    else:
        thick = cut.sole + (cut.heel - cut.sole) * ramp(-0.10, 0.02, y)
    spring = 0.012 * ramp(-0.165, -0.225, y)  # the toe rises from the ground
    away = (base - middle) / np.linalg.norm(base - middle, axis=1, keepdims=True)

    def ring(outward: float, z: np.ndarray, scale: float = 1.0) -> np.ndarray:
        xy = middle + (base - middle) * scale + outward * away
        return np.concatenate([xy, z[:, None]], 1)

    wall = np.full(AROUND, cut.wall) + 0.4 * cut.wall * ramp(-0.19, -0.225, y)
    bottom = np.minimum(-thick + spring, -0.002)
    inset = 0.35 if cut.straps else 0.9
    return np.stack(
        [
            ring(0, np.full(AROUND, -0.003 if cut.straps else 0.0), inset),
            ring(0.001 if not cut.straps else cut.flare, wall if not cut.straps else np.full(AROUND, 0.001)),
            ring(cut.flare, wall - 0.003 if not cut.straps else np.full(AROUND, -0.002)),
            ring(cut.flare, 0.5 * bottom),
            ring(cut.flare - 0.001, bottom + 0.002),
            ring(cut.flare - 0.004, bottom),
            ring(0, bottom, 0.45),
            ring(0, bottom, 0.02),
        ]
    )


def strap_rings() -> list[np.ndarray]:
    """The straps of the left sandal: ribbons [2 k 3] over the toes, the instep and around the heel."""
    points = foot()[0]
    ribbons = []
    for y, lean, half in ((-0.135, 0.25, 0.013), (-0.062, -0.15, 0.011)):
        lines = []
        for offset in (-half, half):
            ahead = np.array([lean, -1.0, 0.0]) / np.hypot(lean, 1)
            right = np.array([1.0, lean, 0]) / np.hypot(lean, 1)
            centre = np.array([0.188, y, 0.018]) + offset * ahead
            slab = points[(np.abs((points - centre) @ ahead) < 0.010) & (points[:, 2] < 0.13)]
            loop = section(slab, centre, right, np.array([0, 0, 1.0]), 40, 0.004)
            lines.append(loop[np.arange(-3, 24) % 40])
        ribbons.append(np.stack(lines))
    angle = np.radians(np.linspace(-125, 125, 24))
    lines = [
        around_leg(z + 0.02 * ramp(0.0, 1.0, -np.cos(angle)), angle, 0.004)
        for z in (np.full(24, 0.066), np.full(24, 0.084))
    ]
    ribbons.append(np.stack(lines))
    return ribbons


def opening(place: np.ndarray, cut: Cut) -> np.ndarray:
    """How far places lie below the opening of a shoe, in metres."""
    x, y = np.abs(place[:, 0]), place[:, 1]
    middle, _ = leg()
    if cut.shaft:
        below: np.ndarray = cut.shaft - place[:, 2]
    elif cut.low:
        front = outline(GAP, cut.toe, cut.point)[:, 1].min() + 0.062
        # Under the vamp, and along the sides and the heel what lies below the opening.
        side = np.interp(y, (front, -0.10, 0.0, 0.04), (0.036, cut.side, cut.side, cut.back)) + 0.002
        below = np.maximum(front + 0.004 - y, side - place[:, 2])
    else:
        angle = np.arctan2(x - middle[5, 0], y - middle[5, 1])
        before = y < middle[5, 1] - 0.045
        below = np.where(before, 0.10 + cut.tongue, topline(angle, cut)) - place[:, 2]
    return below


@dataclass(frozen=True)
class Drawing:
    """A surface of both shoes on the template."""

    points: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    bones: Bones
    near: Near
    left: np.ndarray
    """[n] of the left shoe."""


def foot_bones(points: np.ndarray, side: str) -> Bones:
    """The foot moves a shoe, the toes its front, the shin its shaft; points of the left shoe."""
    heads = template().heads
    toes = [heads[f"toe{k}-1.L"] for k in range(1, 6)]
    ball = np.interp(points[:, 0], [toe[0] for toe in toes], [toe[1] for toe in toes])
    front = ramp(0.022, -0.022, points[:, 1] - ball)
    shin = ramp(0.085, 0.155, points[:, 2]) * ramp(-0.09, -0.05, points[:, 1])
    inner = np.interp(points[:, 0], [0.165, 0.205], [1.0, 0.0])
    shares = {
        f"toe1-1.{side}": front * inner,
        f"toe4-1.{side}": front * (1 - inner),
        f"lowerleg02.{side}": shin * (1 - front),
        f"foot.{side}": (1 - front) * (1 - shin),
    }
    return bones_by(shares)


def both(points: np.ndarray, triangles: np.ndarray, uv: np.ndarray) -> Drawing:
    """The left shoe and its mirror image."""
    points = points.astype(np.float32)
    left, right = (foot_bones(points, side) for side in "LR")
    mirrored = points * np.array([-1, 1, 1], np.float32)
    every = np.concatenate([points, mirrored])
    return Drawing(
        every,
        np.concatenate([triangles, triangles[:, ::-1] + len(points)]).astype(np.int32),
        np.concatenate([uv, uv]).astype(np.float32),
        (np.concatenate([left[0], right[0]]), np.concatenate([left[1], right[1]])),
        near(every, 24),
        np.arange(len(every)) < len(points),
    )


@functools.cache
def drawing(kind: str) -> tuple[Drawing, Drawing]:
    """The upper and the sole of a kind of shoes, on the template."""
    cut = CUTS[kind]
    around = 0.26 * np.abs(2 * np.arange(AROUND) / AROUND - 1)[None]
    if cut.straps:
        ribbons = strap_rings()
        points = np.concatenate([ribbon.reshape(-1, 3) for ribbon in ribbons])
        faces, uvs, start = [], [], 0
        for ribbon in ribbons:
            faces.append(grid(2, ribbon.shape[1], around=False) + start)
            along = lengths(ribbon.swapaxes(0, 1)).T
            uvs.append(np.stack([along, np.array([[0.0], [0.024]]) + 0 * along], -1).reshape(-1, 2))
            start += ribbon.shape[0] * ribbon.shape[1]
        upper = both(points, np.concatenate(faces), np.concatenate(uvs))
    else:
        rings = upper_rings(cut)
        triangles = grid(len(rings), AROUND, around=True)
        free = np.zeros(rings.shape[:2], np.float32)
        free[3:12] = 0.5
        points = beyond_heel(smooth(rings.reshape(-1, 3).astype(np.float32), triangles, free.reshape(-1), 2))
        points = beyond_instep(points) if cut.low else points
        uv = np.stack(np.broadcast_arrays(around, lengths(rings)), -1).reshape(-1, 2)
        upper = both(points, triangles, uv)
    rings = sole_rings(cut)
    uv = np.stack(np.broadcast_arrays(around, lengths(rings)), -1).reshape(-1, 2)
    return upper, both(rings.reshape(-1, 3), grid(len(rings), AROUND, around=True), uv)


@functools.cache
def foot_numbers() -> dict[str, np.ndarray]:
    """The numbers of the vertices of each foot in the base mesh."""
    surface = base_surface("body")
    x, _, z = surface.fit(template().vertices).T
    return {side: surface.ends[(z < 0.12) & (sign * x > 0.05), 0] for side, sign in (("L", 1), ("R", -1))}


def make_shoes(body: Body, kind: str) -> Shoes:
    """A pair of shoes on a person; kind: one of SHOES."""
    cut = CUTS[kind]
    maps = {side: affine(body, own) for side, own in foot_numbers().items()}
    pieces = []
    for part in drawing(kind):
        points = np.where(part.left[:, None], mapped(part.points, maps["L"]), mapped(part.points, maps["R"]))
        # The front keeps its smooth form; the heel and what is above follow the skin closely.
        _, y, z = part.points.T
        close = np.maximum(ramp(0.05, 0.11, z), ramp(-0.09, -0.01, y)) if not cut.straps else ramp(0.0, 0.01, z)
        points = points + close[:, None].astype(np.float32) * (part.near.carry(body, part.points) - points)
        edge = np.full(len(points), FAR, np.float32)
        pieces.append(Piece(points.astype(np.float32), part.triangles, part.bones, part.points, part.uv, edge))

    def hides(place: np.ndarray) -> np.ndarray:
        low = place[:, 2] < max(0.16, cut.shaft)
        if cut.straps:
            return np.zeros(len(place), bool)
        hidden: np.ndarray = low & (opening(place, cut) > 0.008)
        return hidden

    return Shoes(pieces[0], pieces[1], hides)
