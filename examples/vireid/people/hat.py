"""Hats, hoods and scarves for the head, drawn on the template over its skull and the pressed hair."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from vireid.people.body import Body
from vireid.people.hair_styles import CENTRE, HIDING, UNDER_HAT
from vireid.people.mesh import FAR, Bones, Piece
from vireid.people.rings import convex
from vireid.people.skull import by_degrees, directions, on_skull, placed
from vireid.people.trunk import Dressed, dressed
from vireid.people.tube import Near, bones_by, bumps, compact, grid, lengths, near, ramp

COLUMNS = 48
HATS: tuple[str, ...] = tuple(HIDING)


@dataclass(frozen=True)
class Drawing:
    """A part of a hat on the template."""

    points: np.ndarray
    triangles: np.ndarray
    edge: np.ndarray
    uv: np.ndarray
    bones: Bones
    near: Near
    drapes: bool
    """It lies on the shoulders."""


def turns() -> np.ndarray:
    out: np.ndarray = 2 * np.pi * (np.arange(COLUMNS) / COLUMNS - 0.5)
    return out


def dome(rim: np.ndarray, rows: int, room: float, top: float) -> np.ndarray:
    """Points [rows COLUMNS 3] over the skull from its top to a rim of heights [COLUMNS], convex, with room on top."""
    turn = turns()
    fine = np.radians(np.linspace(1, 150, 300))
    down, around = np.meshgrid(fine, turn, indexing="ij")
    height = placed(down, around, on_skull(down, around) + room)[..., 2]
    last = fine[np.argmax(height < rim[None], axis=0)]
    share = np.linspace(0.02, 1, rows)[:, None]
    down = share * last[None]
    around = np.broadcast_to(turn, down.shape)
    far = gaussian_filter(on_skull(down, around), (0.5, 1.0), mode=("nearest", "wrap"))
    high = ramp(np.radians(80), np.radians(25), down)
    points = placed(down, around, far + UNDER_HAT + room + top * high)
    # Each ring spans the hollows at the temples.
    middle = CENTRE[:2]
    radius = np.hypot(points[..., 0], points[..., 1] - middle[1])
    angle = np.arctan2(points[..., 0], -(points[..., 1] - middle[1]))
    even = np.stack([np.interp(turn, angle[r], radius[r], period=2 * np.pi) for r in range(rows)])
    hull = convex(even.astype(np.float32))
    grow = np.stack([np.interp(angle[r], turn, hull[r] / even[r], period=2 * np.pi) for r in range(rows)])
    points[..., 0] *= grow
    points[..., 1] = middle[1] + (points[..., 1] - middle[1]) * grow
    return points


def brim(rim: np.ndarray, width: np.ndarray, drop: np.ndarray, rows: int) -> np.ndarray:
    """Points [rows n 3] from a rim [n 3] outward by widths [n], and down by drops [n]."""
    away = rim[:, :2] - CENTRE[:2]
    away = away / np.linalg.norm(away, axis=1, keepdims=True)
    t = np.linspace(0, 1, rows)[:, None]
    xy = rim[None, :, :2] + (t * width)[..., None] * away
    z = rim[None, :, 2] - t**1.3 * drop
    return np.concatenate([xy, z[..., None]], -1)


def finished(
    points: np.ndarray,
    *,
    edge: np.ndarray | None = None,
    around: bool = True,
    drapes: bool = False,
) -> Drawing:
    """A part of a hat from a grid of points [r c 3]; it moves with the head, or hangs on to the shoulders."""
    rows, columns = points.shape[:2]
    turn = np.arctan2(points[..., 0], -(points[..., 1] - CENTRE[1]))
    uv = np.stack([0.09 * np.abs(turn), points[..., 2].max() - lengths(points)], -1).reshape(-1, 2)
    edge = np.full(rows * columns, FAR) if edge is None else edge.reshape(-1)
    triangles = grid(rows, columns, around=around)
    triangles = triangles[(edge[triangles] >= 0).any(1)]
    flat, triangles, edge, uv = compact(points.reshape(-1, 3).astype(np.float32), triangles, edge, uv)
    low = ramp(1.55, 1.42, flat[:, 2]) if drapes else np.zeros(len(flat))
    neck = 0.5 * ramp(1.60, 1.50, flat[:, 2]) * (1 - low) if drapes else low
    bones = bones_by({"head": 1 - low - neck, "neck02": neck, "spine01": low})
    edge = np.minimum(edge, FAR).astype(np.float32)
    return Drawing(flat, triangles, edge, uv.astype(np.float32), bones, near(flat, 40), drapes)


def rim_of(kind: str, lower: float = 0.0) -> np.ndarray:
    return by_degrees(HIDING[kind], turns()) - lower


def cap() -> list[Drawing]:
    """A baseball cap: six panels, a button and a visor."""
    crown = dome(rim_of("cap"), 13, 0.007, 0.014)
    turn = turns()
    down, around, far = directions(crown)
    stiff = 0.012 * np.clip(np.cos(around), 0, 1) ** 2 * np.sin(np.pi * np.clip((np.degrees(down) - 10) / 65, 0, 1))
    seams = 0.0015 * np.abs(np.sin(3 * around))
    crown = placed(down, around, far + stiff + seams)
    front = np.abs(turn) < np.radians(64)
    rim = crown[-1][front]
    side = turn[front] / np.radians(66)
    length = 0.072 * np.sqrt(1 - side**2) + 0.002
    t = np.linspace(0, 1, 6)[:, None]
    x = rim[None, :, 0] * (1 - 0.10 * t)
    y = rim[None, :, 1] - t * (length + 0.012 * (1 - side**2))
    z = rim[None, :, 2] + 0.002 - t * 0.014 - 0.020 * (np.abs(side) ** 2)[None] * np.sqrt(t)
    visor = np.stack([x, y, z], -1)
    under = visor[::-1] - [0, 0, 0.003]
    visor = np.concatenate([visor, under])
    angle = np.linspace(0, np.pi / 2, 4)[:, None]
    ring = 2 * np.pi * np.arange(8) / 8
    top = crown[0].mean(0) - [0, 0, 0.002]
    button = top + 0.008 * np.stack(
        [np.sin(angle) * np.cos(ring), np.sin(angle) * np.sin(ring), 0.8 * np.cos(angle) + 0 * ring], -1
    )
    return [finished(crown), finished(visor, around=False), finished(button)]


def beanie() -> list[Drawing]:
    """A knitted hat with a folded brim."""
    crown = dome(rim_of("beanie"), 12, 0.011, 0.020)
    high = ramp(1.66, 1.74, crown[..., 2])
    crown[..., 1] += 0.012 * high
    crown = crown + (0.0025 * bumps(crown * [1, 1, 0.5], 0.03, 21))[..., None] * [1, 1, 0.5]
    fold = []
    for height, out in (
        (0.000, -0.003),
        (-0.003, 0.003),
        (0.004, 0.009),
        (0.020, 0.010),
        (0.042, 0.010),
        (0.050, 0.008),
        (0.053, 0.001),
    ):
        z = crown[-1, :, 2] + height
        column = [np.interp(z[c], crown[::-1, c, 2], np.arange(12)[::-1]) for c in range(COLUMNS)]
        at = np.minimum(np.array(column), 10.999)
        i, share, c = at.astype(int), (at - at.astype(int))[:, None], np.arange(COLUMNS)
        base = crown[i, c] * (1 - share) + crown[i + 1, c] * share
        away = base[:, :2] - CENTRE[:2]
        base[:, :2] += out * away / np.linalg.norm(away, axis=1, keepdims=True)
        base[:, 2] = z
        fold.append(base)
    return [finished(crown), finished(np.stack(fold[::-1]))]


def brimmed(kind: str) -> list[Drawing]:
    """A bucket hat, or a sun hat with a wide brim and a ribbon."""
    sun = kind == "sun hat"
    turn = turns()
    base = dome(rim_of(kind), 14, 0.010, 0.012)
    rim = base[-1]
    if sun:
        crown = base
    else:  # slanted walls, a flat top with a seam
        top = 1.710
        wall = np.linspace(1, 0, 6)[:, None, None]
        inward = CENTRE[:2] + 0.82 * (rim[:, :2] - CENTRE[:2])
        upper = np.concatenate([inward, np.full((COLUMNS, 1), top)], 1)
        walls = upper + (1 - wall) * (rim - upper)
        lid = np.stack(
            [
                np.concatenate([CENTRE[:2] + s * (upper[:, :2] - CENTRE[:2]), np.full((COLUMNS, 1), z)], 1)
                for s, z in ((0.05, top + 0.006), (0.5, top + 0.005), (0.85, top + 0.003), (0.98, top))
            ]
        )
        crown = np.concatenate([lid, walls])
    wave = np.sin(2 * turn + 0.6) + 0.6 * np.sin(3 * turn + 2.0)
    width = np.full(COLUMNS, 0.105) if sun else np.full(COLUMNS, 0.060)
    drop = 0.022 + 0.012 * wave if sun else 0.042 + 0.005 * wave
    parts = [finished(crown), finished(brim(rim, width, drop, 6))]
    if sun:
        away = rim[:, :2] - CENTRE[:2]
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        band = [
            np.concatenate([rim[:, :2] + out * away, rim[:, 2:] + z], 1)
            for z, out in ((0.001, 0.004), (0.014, 0.003), (0.027, 0.002))
        ]
        parts.append(finished(np.stack(band[::-1])))
    return parts


def helmet() -> list[Drawing]:
    """A bicycle helmet with ridges, and its straps."""
    crown = dome(rim_of("helmet"), 16, 0.026, 0.016)
    down, turn, far = directions(crown)
    ridge = 0.5 - 0.5 * np.cos(2 * np.pi * crown[..., 0] / 0.042)
    vents = ridge * ramp(0.02, 0.04, crown[..., 2] - crown[-1, :, 2]) * ramp(0.10, 0.06, np.abs(crown[..., 1] + 0.05))
    tail = 0.022 * np.clip(-np.cos(turn), 0, 1) ** 6 * ramp(np.radians(40), np.radians(80), down)
    crown = placed(down, turn, far - 0.015 * vents + tail)
    inner = placed(*directions(crown[-1])[:2], directions(crown[-1])[2] - 0.022)
    shell = np.concatenate([crown, inner[None]])
    parts = [finished(shell)]
    chin = np.array([0.0, -0.118, 1.497])
    for sign in (1.0, -1.0):
        lines = []
        for start in ((0.080, -0.085, 1.63), (0.083, -0.015, 1.62)):
            first = np.array([sign * start[0], start[1], start[2]])
            joint = np.array([sign * 0.079, -0.070, 1.545])
            low = np.array([sign * 0.045, -0.100, 1.498])
            knots = np.stack([first, joint, low, chin])
            at = np.linspace(0, 3, 13)
            path = np.stack([np.interp(at, np.arange(4), knots[:, k]) for k in range(3)], 1)
            lines.append(np.stack([path, path + np.array([0, 0.016, 0.002])]))
        parts += [finished(line, around=False) for line in lines]
    return parts


def wrapped(kind: str) -> list[Drawing]:
    """A hood, or a headscarf: around the face, down over the neck, and on to the shoulders."""
    scarf = kind == "headscarf"
    room, end = (0.014, 1.335) if scarf else (0.026, 1.420)
    turn = turns()
    down = np.radians(np.linspace(1, 92, 12))
    down, around = np.meshgrid(down, turn, indexing="ij")
    far = gaussian_filter(on_skull(down, around), (0.5, 1.5), mode=("nearest", "wrap")) + room
    behind = np.clip(-np.cos(around), 0, 1)
    if scarf:
        far = far + 0.022 * behind**3 * ramp(np.radians(20), np.radians(70), down)
    else:
        far = far + 0.018 * behind**2 * ramp(np.radians(10), np.radians(50), down)
    head = placed(down, around, far)
    last = head[-1]
    rows = 14 if scarf else 9
    t = np.linspace(0, 1, rows + 1)[1:, None]
    hem = end + (0.075 if scarf else 0.012) * np.abs(np.sin(turn)) ** 1.5  # higher on the shoulders
    z = last[None, :, 2] + t * (hem - last[:, 2])[None]
    start = np.hypot(last[:, 0], last[:, 1] - CENTRE[1])
    middle = CENTRE[1] + 0.045 * ramp(1.56, 1.43, z)
    neck = 0.080 if scarf else 0.090
    radius = start[None] + ramp(1.575, 1.485, z) * (neck - start[None])
    radius = radius + (0.085 if scarf else 0.022) * ramp(1.475, 1.37, z) * (0.55 + 0.65 * np.abs(np.sin(turn)))[None]
    chin = 0.03 * np.clip(np.cos(turn), 0, 1)[None] ** 2 * np.exp(-(((z - 1.50) / 0.04) ** 2))
    folds = 0.004 * np.sin(9 * turn[None] + 60 * z) * ramp(1.56, 1.46, z)
    radius = radius + chin + folds
    below = np.stack([radius * np.sin(turn), middle - radius * np.cos(turn), z], -1)
    points = np.concatenate([head, below])
    # The opening for the face.
    x, z = points[..., 0], points[..., 2]
    side = np.abs(np.concatenate([around, np.broadcast_to(turn, below.shape[:2])]))
    across, up, low, high = (0.058, 1.585, 0.083, 0.066) if scarf else (0.069, 1.585, 0.097, 0.082)
    tall = np.where(z > up, high, low)
    oval = (np.hypot(x / across, (z - up) / tall) - 1) * across
    edge = np.where(side < np.pi / 2, oval, FAR)
    if not scarf:  # the rim stands before the face
        forward = ramp(0.05, 0.0, edge) * ramp(np.radians(100), np.radians(60), side) * ramp(1.47, 1.52, z)
        points[..., 1] -= 0.022 * forward
        points[..., 0] *= 1 + 0.10 * forward
    return [finished(points, edge=edge, drapes=True)]


@functools.cache
def drawing(kind: str) -> tuple[Drawing, ...]:
    """A hat on the template."""
    if kind == "cap":
        return tuple(cap())
    if kind == "beanie":
        return tuple(beanie())
    if kind == "helmet":
        return tuple(helmet())
    return tuple(brimmed(kind) if kind in ("bucket", "sun hat") else wrapped(kind))


def make_hat(body: Body, kind: str, *, clothes: Dressed | None = None) -> list[Piece]:
    """A hat on a person: its main part first, then visor, brim, fold, ribbon or straps.

    Args:
        kind: one of HATS.
        clothes: what hoods and scarves lie on; None: the bare body.
    """
    pieces = []
    for part in drawing(kind):
        points = part.near.carry(body, part.points)
        if part.drapes:
            low = ramp(1.475, 1.45, part.points[:, 2])
            lying = (clothes or dressed(body)).dome.push(points, np.full(len(points), 0.010))
            points = points + low[:, None].astype(np.float32) * (lying - points)
        pieces.append(Piece(points, part.triangles, part.bones, part.points, part.uv, part.edge))
    return pieces
