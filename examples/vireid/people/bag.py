"""Bags: on the back, at the hip with a strap across the trunk, around the waist, or hanging from the left hand."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from vireid.people.body import Body, template
from vireid.people.mesh import FAR, Bones, Piece
from vireid.people.source import load_source, strongest
from vireid.people.trunk import Dressed, dressed
from vireid.people.tube import curve, grid, lengths, ramp, section, sweep

BAGS: tuple[str, ...] = ("backpack", "shoulder bag", "waist bag", "tote", "handbag", "briefcase")
PACK = ("spine02", "spine01")
"""The bones that carry a backpack."""
OVER = 0.005
"""How far straps lie over the clothes, in metres."""


@dataclass(frozen=True)
class Bag:
    """A bag on a person."""

    pieces: list[Piece]
    """The bag's body first, then pockets and lids."""
    straps: list[Piece]
    """Straps and handles."""
    hangs: bool
    """It hangs from the left hand: `hang` gives its vertices in a pose. Its own are about the grip, z up."""


def box(
    width: float, depth: float, height: float, rows: int = 12, turns: int = 24, square: float = 4.0, taper: float = 0.0
) -> np.ndarray:
    """A rounded box [rows turns 3], from its top down: wide along x, deep along y, narrower on top by a share."""
    at = np.cos(np.pi * np.arange(rows) / (rows - 1))
    at = np.sign(at) * np.abs(at) ** 0.8
    scale = np.maximum(1 - np.abs(at) ** square, 1e-4) ** (1 / square) * (1 - taper * np.clip(at, 0, 1) ** 1.5)
    angle = 2 * np.pi * np.arange(turns) / turns
    cos, sin = np.cos(angle), np.sin(angle)
    far = (np.abs(cos) ** square + np.abs(sin) ** square) ** (-1 / square)
    x, y = 0.5 * width * far * cos, 0.5 * depth * far * sin
    z = np.broadcast_to(0.5 * height * at[:, None], (rows, turns))
    return np.stack([scale[:, None] * x, scale[:, None] * y, z], -1)


def moved(points: np.ndarray, place: np.ndarray, right: np.ndarray, out: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Points [... 3] about the origin, moved to a place and turned to three axes."""
    result: np.ndarray = place + points @ np.stack([right, out, up])
    return result


def surface(rings: np.ndarray, bones: Bones, *, around: bool = True) -> Piece:
    """A piece from a grid of points; `place` is filled in later."""
    rows, columns = rings.shape[:2]
    across = lengths(rings.swapaxes(0, 1)).T
    if around:  # both sides are mirror images, so that there is no seam
        half = across[:, columns // 2 : columns // 2 + 1]
        across = np.where(np.arange(columns) > columns // 2, 2 * half - across, across)
    uv = np.stack([across, -lengths(rings)], -1).reshape(-1, 2).astype(np.float32)
    points = rings.reshape(-1, 3).astype(np.float32)
    return Piece(points, grid(rows, columns, around=around), bones, points, uv, np.full(len(points), FAR, np.float32))


def rigid(rings: np.ndarray, *bones: str) -> Piece:
    """A piece that moves as one, evenly with one or two bones."""
    names, count = load_source().bones, rings.shape[0] * rings.shape[1]
    index = np.array([names.index(bone) for bone in bones] + [0] * (4 - len(bones)), np.int32)
    weight = np.array([1 / len(bones)] * len(bones) + [0.0] * (4 - len(bones)), np.float32)
    return surface(rings, (np.tile(index, (count, 1)), np.tile(weight, (count, 1))))


def backpack(wear: Dressed) -> Bag:
    """A pack with a front pocket, a lid and two straps over the shoulders."""
    s = wear.scale
    top, bottom = wear.height(1.375), wear.height(1.375) - 0.42 * s
    width, depth = 0.29 * s, 0.145 * s
    z = np.linspace(top - 0.05, bottom + 0.14, 7)
    back = wear.torso.point(z, np.full(7, np.pi), 0.0)[:, 1]
    slope = float(np.clip((back[0] - back[-1]) / (z[0] - z[-1]), -0.2, 0.45))
    start = float((back - slope * z).max()) - 0.008
    up = np.array([0, slope, 1.0]) / np.hypot(slope, 1)
    out = np.array([0, 1.0, -slope]) / np.hypot(slope, 1)
    middle = 0.5 * (top + bottom)
    centre = np.array([0, start + slope * middle, middle]) + 0.5 * depth * out

    def turned(points: np.ndarray) -> np.ndarray:
        return moved(points, centre, np.array([1.0, 0, 0]), out, up)

    tall = top - bottom
    main = box(width, depth, tall, 16, 28, 3.6, 0.14)
    main[..., 1] *= np.where(main[..., 1] > 0, 1 + 0.18 * ramp(0.25 * tall, -0.2 * tall, main[..., 2]), 1)  # full below
    pocket = box(0.74 * width, 0.055 * s, 0.42 * tall, 9, 20, 3.6) + [0, 0.5 * depth + 0.018 * s, -0.23 * tall]
    lid = box(1.05 * width, 1.10 * depth, 0.36 * tall, 10, 28, 3.2, 0.10)[:6] + [0, 0.006, 0.345 * tall]
    lid[-1, :, 2] -= 0.02 * s
    sides = [box(0.03 * s, 0.09 * s, 0.36 * tall, 8, 14, 3.0) + [k * 0.5 * width, 0, -0.28 * tall] for k in (-1, 1)]
    loop = curve(
        [
            (-0.03, -0.03, 0.47 * tall),
            (-0.025, -0.03, 0.545 * tall),
            (0.025, -0.03, 0.545 * tall),
            (0.03, -0.03, 0.47 * tall),
        ],
        9,
    )
    grip = sweep(loop, np.tile([0, 1.0, 0], (9, 1)), np.full(9, 0.010), np.full(9, 0.004), 6)
    pieces = [rigid(turned(part), *PACK) for part in (main, pocket, lid, *sides)]
    straps = []
    for sign in (1.0, -1.0):
        ends = [[0.30 * sign * width, -0.45 * depth, 0.40 * tall], [0.40 * sign * width, -0.4 * depth, -0.40 * tall]]
        straps.append(shoulder_strap(wear, sign, bottom, turned(np.array(ends))))
    return Bag(pieces, [*straps, rigid(turned(grip), *PACK)], False)


def shoulder_strap(wear: Dressed, sign: float, bottom: float, ends: np.ndarray) -> Piece:
    """A strap from a pack's top over a shoulder, down the chest, and under the arm back to the pack's bottom.

    Args:
        sign: 1 for the left shoulder, -1 for the right one.
        bottom: the height of the pack's bottom.
        ends: [2 3] where the strap begins and ends.
    """
    heads, half = wear.body.heads, 0.021
    inside = 0.22 * abs(heads["clavicle.L"][0]) + 0.55 * abs(heads["upperarm01.L"][0])
    over = []
    for k in (-1, 0, 1):  # from its inner side to its outer one, each in a plane of its own
        x = sign * (inside + k * half)
        slab = wear.points[(np.abs(wear.points[:, 0] - x) < 0.016) & (wear.points[:, 2] > wear.height(1.185))]
        slab = slab[slab[:, 2] < wear.height(1.50)]
        centre = np.array([x, 0.5 * (slab[:, 1].min() + slab[:, 1].max()), wear.height(1.27)])
        over.append(section(slab, centre, np.array([0, 1.0, 0]), np.array([0, 0, 1.0]), 56, OVER)[2:26])
    upper = np.stack(over)
    front = upper[1, -1]
    angle = float(np.abs(wear.torso.angle(front)))
    t = np.linspace(0, 1, 17)[1:]
    z = front[2] + (bottom + 0.06 - front[2]) * t
    lower = wear.torso.point(z, sign * (angle + (np.radians(150) - angle) * t**1.15), OVER)
    path = np.concatenate([ends[:1], upper[1], lower, ends[1:]])
    # What is the outer side on the chest is the upper side under the arm.
    radial = path - [0, float(wear.torso.middle.mean()), 0]
    radial[:, 2] = 0
    beside = np.cross(np.gradient(path, axis=0), radial)
    beside *= np.where(beside[:, 2:] < 0, -1, 1) / (np.linalg.norm(beside, axis=1, keepdims=True) + 1e-9)
    count, number = upper.shape[1], np.arange(len(path), dtype=float)
    turned = ramp(count - 3, count + 5, number)[:, None]
    across = (1 - turned) * [sign, 0, 0] + turned * beside
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    lines = np.stack([path + k * half * (1 - 0.35 * turned) * across for k in (-1, 0, 1)])
    blend = (1 - turned[1 : count + 1]) * (upper - upper[1])  # each side lies at its own height on the shoulder
    lines[:, 1 : count + 1] = (
        path[1 : count + 1] + blend + turned[1 : count + 1] * (lines[:, 1 : count + 1] - path[1 : count + 1])
    )
    flat = lines.reshape(-1, 3)
    flat = wear.torso.push(flat, OVER, np.tile((number > count).astype(float), 3))
    # Its ends are sewn to the pack.
    names = load_source().bones
    pack = np.zeros(len(names), np.float32)
    pack[[names.index(bone) for bone in PACK]] = 1 / len(PACK)
    tied = np.maximum(ramp(4, 0, number), ramp(len(path) - 5, len(path) - 1, number))[:, None].astype(np.float32)
    index, weight = strongest((1 - tied) * wear.dense_bones(path) + tied * pack)
    return surface(flat.reshape(lines.shape), (np.concatenate([index] * 3), np.concatenate([weight] * 3)), around=False)


def shoulder_bag(wear: Dressed) -> Bag:
    """A bag at the left hip, with a strap across the trunk to the right shoulder."""
    s = wear.scale
    hip = wear.height(0.97)
    side = wear.torso.point(np.array([hip]), np.array([np.radians(100)]), 0.0)[0]
    shoulder = np.array([-0.085 * s, 0.0, wear.height(1.43)])
    down = np.array([side[0] - shoulder[0], 0, hip - shoulder[2]])
    down /= np.linalg.norm(down)
    ahead = np.array([0, -1.0, 0])
    normal = np.cross(down, ahead)
    slab_of = wear.points[wear.points[:, 2] < wear.height(1.50)]
    middle_y = float(wear.torso.middle[20:40].mean())
    centre = 0.5 * (shoulder + [side[0], 0, hip]) + [0, middle_y, 0]
    lines = []
    for k in (-1, 0, 1):
        at = centre + 0.018 * k * normal
        slab = slab_of[np.abs((slab_of - at) @ normal) < 0.016]
        lines.append(section(slab, at, down, ahead, 60, OVER))
    loop = np.stack(lines)
    loop = np.concatenate([loop, loop[:, :1]], 1)
    strap = surface(loop, wear.bones(loop[1], 3), around=False)
    outward = side - [0, wear.torso.middle[40], side[2]]
    outward /= np.linalg.norm(outward)
    along = np.array([-outward[1], outward[0], 0])
    width, depth, tall = 0.29 * s, 0.085 * s, 0.21 * s
    place = side + outward * (0.5 * depth + 0.010) + [0, 0, -0.42 * tall]

    def turned(points: np.ndarray) -> np.ndarray:
        return moved(points, place, along, outward, np.array([0, 0, 1.0]))

    main = box(width, depth, tall, 12, 24, 3.6, 0.05)
    flap = box(1.04 * width, 1.16 * depth, 1.05 * tall, 12, 24, 3.6, 0.05)
    flap[..., 2] += 0.006
    flap = flap[:8]
    flap[..., 1] = np.where(flap[..., 1] < 0, 0.97 * flap[..., 1] / 1.16, flap[..., 1])
    return Bag([rigid(turned(part), "root") for part in (main, flap)], [strap], False)


def waist_bag(wear: Dressed) -> Bag:
    """A bag on a belt, before the belly."""
    s, z = wear.scale, wear.height(1.0)
    angle = np.radians(np.linspace(-180, 180, 49))
    height = z + 0.02 * s * (1 - np.cos(angle)) / 2 - 0.02
    path = wear.torso.point(height, angle, OVER)
    lines = np.stack([wear.torso.point(height + k * 0.017, angle, OVER) for k in (1, 0, -1)])
    strap = surface(lines, wear.bones(path, 3), around=False)
    turn = np.radians(np.linspace(-38, 38, 13)) + 0.25
    rows = []
    for t in np.linspace(0, np.pi, 9):
        thick = 0.062 * s * np.sin(t) ** 0.7
        ends = np.clip(1 - (np.abs(turn - 0.25) / np.radians(38)) ** 2.6, 0, 1) ** 0.6
        level = z - 0.020 + 0.070 * s * np.cos(t) * (0.35 + 0.65 * ends)
        rows.append(wear.torso.point(level, turn, OVER + thick * ends))
    front = np.stack(rows)
    bones = wear.bones(front[4], 9)
    return Bag([surface(front, bones, around=False)], [strap], False)


def hanging(wear: Dressed, kind: str) -> Bag:
    """A bag in the left hand: about the grip, y along the hand's grip, x away from the body."""
    s = 0.5 + 0.5 * wear.scale
    if kind == "tote":  # soft, wide on top, with long handles
        width, depth, tall, drop = 0.36 * s, 0.11 * s, 0.36 * s, 0.17 * s
        main = box(depth, width, tall, 12, 28, 5.0, 0.0)
        wide = ramp(-0.5 * tall, 0.4 * tall, main[..., 2])
        main[..., 1] *= 0.86 + 0.14 * wide
        main[..., 0] *= 1.15 - 0.65 * wide
    elif kind == "handbag":
        width, depth, tall, drop = 0.29 * s, 0.12 * s, 0.20 * s, 0.10 * s
        main = box(depth, width, tall, 12, 24, 3.0, 0.0)
        narrow = ramp(-0.5 * tall, 0.5 * tall, main[..., 2])
        main[..., 0] *= 1.1 - 0.6 * narrow
        main[..., 1] *= 1.0 - 0.18 * narrow
    else:
        width, depth, tall, drop = 0.40 * s, 0.085 * s, 0.30 * s, 0.045 * s
        main = box(depth, width, tall, 12, 28, 6.0, 0.0)
    main = main - [0, 0, drop + 0.5 * tall]
    pieces = [main]
    if kind == "briefcase":  # a flap over the outer side
        flap = box(1.12 * depth, 1.01 * width, tall, 12, 28, 6.0, 0.0)[:7] - [0, 0, drop + 0.5 * tall - 0.003]
        pieces.append(flap)
    elif kind == "handbag":
        flap = main[:6].copy()
        away = flap - [0, 0, -drop - 0.5 * tall]
        flap = flap + 0.004 * away / np.linalg.norm(away, axis=-1, keepdims=True)
        pieces.append(flap)
    straps = []
    spread = {"tote": 0.17, "handbag": 0.26, "briefcase": 0.16}[kind] * width
    for sign in (-1.0, 1.0):
        x = sign * (0.18 * depth if kind != "briefcase" else 0.05 * depth)
        foot = -drop - (0.10 if kind == "tote" else 0.03) * tall
        path = curve(
            [
                (1.6 * x, -spread, foot),
                (x, -0.85 * spread, 0.45 * foot),
                (0.3 * x, -0.035, 0),
                (0.3 * x, 0.035, 0),
                (x, 0.85 * spread, 0.45 * foot),
                (1.6 * x, spread, foot),
            ],
            15,
        )
        if kind == "tote":
            side = np.tile([0.0, 1.0, 0], (15, 1))
            rings = sweep(path, side, np.full(15, 0.013), np.full(15, 0.004), 6)
        else:
            rings = sweep(path, np.tile([1.0, 0, 0], (15, 1)), np.full(15, 0.008), np.full(15, 0.007), 6)
        straps.append(rings)
    return Bag([rigid(part, "wrist.L") for part in pieces], [rigid(part, "wrist.L") for part in straps], True)


def shaped(wear: Dressed, kind: str) -> Bag:
    if kind == "backpack":
        return backpack(wear)
    if kind == "shoulder bag":
        return shoulder_bag(wear)
    return waist_bag(wear) if kind == "waist bag" else hanging(wear, kind)


@functools.cache
def on_template(kind: str) -> Bag:
    """A bag on the template's bare body."""
    return shaped(dressed(template()), kind)


def make_bag(kind: str, clothes: Dressed) -> Bag:
    """A bag of one of BAGS on a dressed person."""
    bag, usual = shaped(clothes, kind), on_template(kind)

    def with_places(pieces: list[Piece], places: list[Piece]) -> list[Piece]:
        return [replace(piece, place=place.vertices, uv=place.uv) for piece, place in zip(pieces, places, strict=True)]

    return Bag(with_places(bag.pieces, usual.pieces), with_places(bag.straps, usual.straps), bag.hangs)


def hang(bag: Bag, body: Body, matrices: np.ndarray) -> list[np.ndarray]:
    """The vertices of a bag in the left hand in a pose: of its pieces, then of its straps. Gravity holds it upright."""
    names = load_source().bones

    def joint(bone: str) -> np.ndarray:
        moved: np.ndarray = matrices[names.index(bone)] @ np.append(body.heads[bone], 1)
        return moved

    grip = np.mean([joint(f"finger{k}-{j}.L") for k in (2, 3, 4, 5) for j in (2, 3)], 0)
    ahead = joint("finger2-1.L") - joint("finger5-1.L")
    ahead = np.array([ahead[0], min(ahead[1], -1e-3), 0])
    ahead /= np.linalg.norm(ahead)
    out = np.array([-ahead[1], ahead[0], 0])  # away from the body
    lean = 0.10
    up = np.array([0, 0, 1.0]) * np.cos(lean) - out * np.sin(lean)
    side = out * np.cos(lean) + np.array([0, 0, 1.0]) * np.sin(lean)
    axes = np.stack([side, -ahead, up]).astype(np.float32)
    return [(grip + piece.vertices @ axes).astype(np.float32) for piece in (*bag.pieces, *bag.straps)]
