"""Collars, lapels and hoods that lie on the back: drawn about the template's neck, then laid on the clothes."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from vireid.people.body import Body, template
from vireid.people.mesh import FAR, Bones, Piece
from vireid.people.source import load_source, strongest
from vireid.people.trunk import Dressed, dressed
from vireid.people.tube import Near, bumps, curve, grid, lengths, near, ramp, sweep

COLLARS: tuple[str, ...] = ("shirt", "polo", "stand", "turtleneck", "lapels", "hood down")


@dataclass(frozen=True)
class Drawing:
    """A collar on the template."""

    points: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    bones: Bones
    near: Near
    lies: np.ndarray
    """[n] the gap at which it lies over the clothes; below 0: it stands about the neck."""


def about_neck(turn: np.ndarray, z: np.ndarray, out: np.ndarray | float) -> np.ndarray:
    """Points about the template's neck in directions (0: the front), a distance over its skin."""
    middle = -0.028 - 0.25 * (z - 1.445)
    wide = 0.066 - 0.12 * np.clip(z - 1.445, 0, 0.05) + 0.25 * np.clip(1.445 - z, 0, 0.05)
    x = (wide + out) * np.sin(turn)
    y = middle - (0.056 + out) * np.cos(turn)
    return np.stack([x, y, z + 0 * turn], -1)


def base_height(turn: np.ndarray) -> np.ndarray:
    """The height of the neck's base on the template."""
    out: np.ndarray = np.interp(np.degrees(np.abs(turn)), (0, 45, 90, 180), (1.418, 1.434, 1.446, 1.452))
    return out


def finished(points: np.ndarray, lies: np.ndarray, *, around: bool = False) -> Drawing:
    rows, columns = points.shape[:2]
    across = lengths(points.swapaxes(0, 1)).T
    uv = np.stack([across - 0.5 * across[:, -1:], -lengths(points)], -1).reshape(-1, 2).astype(np.float32)
    flat = points.reshape(-1, 3).astype(np.float32)
    hung = near(flat, 24)
    dense, names = hung.dense(), load_source().bones
    spine = np.zeros_like(dense)
    spine[:, names.index("spine01")] = 1
    share = (0.5 * ramp(1.30, 1.40, flat[:, 2]))[:, None].astype(np.float32)
    dense = dense + share * (spine - dense)
    return Drawing(
        flat, grid(rows, columns, around=around), uv, strongest(dense), hung, lies.reshape(-1).astype(np.float32)
    )


def folded(stand: float, leaf: float, point: float, gap: float) -> Drawing:
    """A collar with a stand and a leaf folded over it, whose front ends are points; open by a gap in degrees."""
    turn = np.radians(np.linspace(gap, 360 - gap, 37)) - np.pi
    turn = np.where(turn < 0, turn + np.pi, turn - np.pi)  # from the front over the left and the back to the right
    base = base_height(turn)
    ahead = ramp(np.radians(75), np.radians(gap), np.abs(turn))
    height = stand * (1 - 0.35 * ahead)
    top = base + height
    tips = leaf + (point - leaf) * ahead**2
    spread = turn * (1 + 0.12 * ahead)
    rows = [
        about_neck(turn, base - 0.004, 0.008),
        about_neck(turn, top - 0.003, 0.009),
        about_neck(turn, top, 0.012),
        about_neck(turn, top - 0.004, 0.016),
        about_neck(spread, top - 0.5 * tips, 0.020),
        about_neck(spread, top - tips, 0.026 + 0.006 * ahead),
    ]
    lies = np.full((6, len(turn)), -1.0)
    lies[3:] = np.array([0.007, 0.009, 0.009])[:, None]
    return finished(np.stack(rows), lies)


def standing(height: float, flare: float, gap: float) -> Drawing:
    """The collar of a jacket, zipped up to its base."""
    turn = np.radians(np.linspace(gap, 360 - gap, 37)) - np.pi
    turn = np.where(turn < 0, turn + np.pi, turn - np.pi)
    base = base_height(turn)
    ahead = ramp(np.radians(60), np.radians(gap), np.abs(turn))
    heights = ((-0.012, 0.012), (0.4, 0.010), (0.92, 0.012), (1.0, 0.016), (0.95, 0.020), (0.4, 0.018), (-0.3, 0.024))
    rows = []
    for share, out in heights:
        z = base + (share * height * (1 - 0.25 * ahead) if share > 0 else share * 0.04)
        rows.append(about_neck(turn * (1 + 0.03 * ahead * max(share, 0)), z, out + flare * max(share, 0)))
    return finished(np.stack(rows), np.full((len(rows), len(turn)), -1.0))


def turtleneck() -> Drawing:
    """A rolled collar close to the neck."""
    turn = 2 * np.pi * np.arange(36) / 36 - np.pi
    base = base_height(turn)
    rows = []
    for z, out in (
        (-0.014, 0.016),
        (0.0, 0.010),
        (0.045, 0.008),
        (0.053, 0.011),
        (0.050, 0.015),
        (0.030, 0.018),
        (0.012, 0.018),
        (0.006, 0.013),
    ):
        lift = z * (1 + 0.15 * (1 - np.cos(turn)) / 2)
        ripple = 0.0012 * np.sin(7 * turn + 90 * z)
        rows.append(about_neck(turn, base + lift, out + ripple))
    lies = np.full((8, 36), -1.0)
    lies[0] = 0.002
    return finished(np.stack(rows), lies, around=True)


def lapels() -> list[Drawing]:
    """The collar and the lapels of a blazer, down to its button."""
    turn = np.radians(np.linspace(48, 312, 27)) - np.pi
    turn = np.where(turn < 0, turn + np.pi, turn - np.pi)
    base = base_height(turn)
    rows = [
        about_neck(turn, base + z, out)
        for z, out in ((0.0, 0.010), (0.022, 0.012), (0.024, 0.018), (0.004, 0.026), (-0.018, 0.036))
    ]
    lies = np.full((5, len(turn)), -1.0)
    lies[3:] = 0.010
    parts = [finished(np.stack(rows), lies)]
    chest = dressed(template()).dome
    t = np.linspace(0, 1, 15)
    z = 1.440 - 0.31 * t
    inner = np.interp(t, (0, 0.3, 1), (0.056, 0.050, 0.004))
    width = np.interp(t, (0, 0.22, 0.24, 0.33, 1), (0.026, 0.050, 0.058, 0.086, 0.004))
    for sign in (1.0, -1.0):
        lines = []
        for share in np.linspace(0, 1, 6):
            x = inner + share * width
            lift = 0.020 * share * ramp(0.15, 0.30, t) * ramp(0.75, 0.35, t)
            flat = np.stack([sign * x, np.full(15, -0.06) - 0.02 * t, z + lift], 1)
            bent = 0.003 * np.sin(np.pi * share)
            laid = flat
            for _ in range(4):  # on the chest, at the same x and z
                far, reach = chest.look(laid)
                laid = chest.centre + (laid - chest.centre) * ((reach + 0.012 + bent) / far)[:, None]
                laid[:, [0, 2]] = flat[:, [0, 2]]
            lines.append(laid)
        lies = np.full((6, 15), 0.006)
        lies[1:5] += 0.003
        parts.append(finished(np.stack(lines), lies))
    return parts


def hood_down() -> Drawing:
    """A hood that lies behind the neck: its rim about the neck, its sack on the back."""
    path = curve(
        [
            (0.030, -0.098, 1.405),
            (0.066, -0.068, 1.440),
            (0.092, -0.012, 1.462),
            (0.070, 0.046, 1.456),
            (0, 0.070, 1.448),
            (-0.070, 0.046, 1.456),
            (-0.092, -0.012, 1.462),
            (-0.066, -0.068, 1.440),
            (-0.030, -0.098, 1.405),
        ],
        31,
    )
    behind = np.clip((path[:, 1] + 0.10) / 0.17, 0, 1)
    thick = 0.010 + 0.022 * behind**1.5
    tall = 0.014 + 0.028 * behind**1.5
    rings = sweep(path, np.tile([0, 0, 1.0], (31, 1)), tall, thick, 16)
    # The sack sags on the back.
    low = np.clip((path[:, None, 2] - rings[..., 2]) / 0.04, 0, 1)
    back = ramp(-0.01, 0.06, path[:, 1])[:, None]
    rings[..., 2] -= 0.075 * low * back * (1 - (path[:, None, 0] / 0.13) ** 2)
    rings[..., 1] += 0.018 * low * back
    rings = rings + (0.003 * bumps(rings, 0.035, 31) * behind[:, None])[..., None] * [0.5, 1, 0.5]
    lies = np.full(rings.shape[:2], 0.003)
    return finished(rings, lies, around=True)


@functools.cache
def drawing(kind: str) -> tuple[Drawing, ...]:
    """A collar on the template."""
    if kind == "lapels":
        return tuple(lapels())
    return (
        {
            "shirt": lambda: folded(0.034, 0.046, 0.072, 7),
            "polo": lambda: folded(0.022, 0.036, 0.050, 16),
            "stand": lambda: standing(0.052, 0.004, 9),
            "turtleneck": turtleneck,
            "hood down": hood_down,
        }[kind](),
    )


def make_collar(body: Body, kind: str, clothes: Dressed) -> list[Piece]:
    """A collar on a dressed person.

    Args:
        kind: one of COLLARS.
        clothes: the garment that it belongs to, and those below.
    """
    pieces = []
    for part in drawing(kind):
        points = part.near.carry(body, part.points)
        lies = part.lies >= 0
        pushed = clothes.dome.push(points, np.maximum(part.lies, 0))
        points = np.where(lies[:, None], pushed, points)
        edge = np.full(len(points), FAR, np.float32)
        pieces.append(Piece(points, part.triangles, part.bones, part.points, part.uv, edge))
    return pieces
