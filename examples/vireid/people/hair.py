"""Hair: a shell over the skull with volume, a ragged hairline and ends that hang, and tails, buns and braids.

All of it is drawn once on the template, in directions from the middle of the head. `uv` is across the strands and along
them, in metres from the crown; both sides are mirror images, so that there is no seam.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from vireid.people.body import Body
from vireid.people.hair_styles import CENTRE, COLUMNS, HIDING, LINE, RIM, STYLES, UNDER_HAT, Hang, Style
from vireid.people.mesh import FAR, Bones, Piece
from vireid.people.skull import by_degrees, directions, on_skull, placed
from vireid.people.trunk import Dressed, dressed
from vireid.people.tube import (
    Near,
    bones_by,
    bumps,
    compact,
    curve,
    grid,
    lengths,
    near,
    ramp,
    sweep,
)


def natural_edge(down: np.ndarray, turn: np.ndarray, far: np.ndarray, style: Style) -> np.ndarray:
    """The distance to the hairline in metres, above 0 where hair grows."""

    def to_line(table: tuple[tuple[int, ...], tuple[float, ...]]) -> np.ndarray:
        line, beside = np.radians(by_degrees(table, turn)), np.radians(by_degrees(table, np.abs(turn) + 0.02))
        slope = (beside - line) / 0.02 / np.sin(line)
        distance: np.ndarray = (line - down) * far / np.hypot(1, np.clip(slope, -4, 4))
        return distance

    edge = to_line(LINE)
    if style.rim:
        edge = np.minimum(edge, -to_line(RIM))
    forehead = ramp(np.radians(62), np.radians(40), np.abs(turn)) if style.drop else np.zeros_like(turn)
    return edge + style.drop * forehead


def scalp(place: np.ndarray) -> np.ndarray:
    """How far inside of the natural hairline places on the template's head lie, in metres: where the scalp is dark."""
    edge = natural_edge(*directions(place), STYLES["buzz"])
    return np.where(place[:, 2] > 1.48, edge, -FAR).astype(np.float32)


def volume(down: np.ndarray, turn: np.ndarray, points: np.ndarray, style: Style) -> np.ndarray:
    """The thickness of hair in directions from the middle of the head."""
    high = ramp(np.radians(95), np.radians(35), down)
    ahead, behind = np.clip(np.cos(turn), 0, 1) ** 1.5, np.clip(-np.cos(turn), 0, 1) ** 1.5
    low = style.side + ahead * (style.front - style.side) + behind * (style.back - style.side)
    thick = low + high * (style.top - low)
    part = style.hang.part if style.hang else style.part
    if part is not None:
        x, y, _ = np.moveaxis(points - CENTRE, -1, 0)
        groove = np.exp(-(((x - part) / 0.010) ** 2)) * ramp(0.03, 0.0, y) * ramp(np.radians(75), np.radians(60), down)
        thick = thick * (1 - 0.6 * groove)
        if style.part is not None:  # combed over to the other side
            thick = thick + 0.010 * ramp(0.0, 0.05, part - x) * ahead * high
    if style.clump:
        if style.curly:
            noise = bumps(points, style.grain, 5)
        else:  # along the strands, which run down from the crown
            level = 0.09 * np.minimum(1, np.sin(down) / 0.7)  # strands meet at the crown
            around = np.stack([level * np.sin(turn), level * np.cos(turn), 0.035 * down], -1)
            noise = bumps(around, style.grain, 6) - 0.5 * np.abs(bumps(around, 0.6 * style.grain, 7))
        thick = thick + style.clump * noise
    # It grows thinner toward the nape.
    thick = thick * (1 - 0.55 * ramp(np.radians(100), np.radians(138), down)) if style.hang is None else thick
    out: np.ndarray = np.maximum(thick, 0.003)
    return out


@dataclass(frozen=True)
class Drawing:
    """Hair on the template."""

    points: np.ndarray
    triangles: np.ndarray
    edge: np.ndarray
    uv: np.ndarray
    bones: Bones
    near: Near
    falls: np.ndarray
    """[n] 1 where the hair lies on the trunk's clothes."""


def hides_hair(place: np.ndarray, hat: str) -> np.ndarray:
    """How far above a hat's rim places on the template lie, in metres."""
    _, turn, _ = directions(place)
    out: np.ndarray = place[..., 2] - by_degrees(HIDING[hat], turn)
    return out


def press(points: np.ndarray, hat: str, free: float) -> np.ndarray:
    """Hair pressed down to the skull by a hat; below its rim it comes out again, to a thickness of at most `free`."""
    down, turn, far = directions(points)
    bare = on_skull(down, turn)
    pressed = np.minimum(far, bare + UNDER_HAT)
    far = np.minimum(far, bare + free)
    below = ramp(0.0, 0.035, -hides_hair(points, hat))
    return placed(down, turn, pressed + below * (far - pressed))


def cap(style: Style) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hair that does not hang: points [r c 3], their distances to the hairline, and directions from the front."""
    down = np.radians(np.concatenate([np.linspace(0.5, 75, 13), np.linspace(81, 148, 12)]))
    turn = 2 * np.pi * (np.arange(COLUMNS) / COLUMNS - 0.5)
    down, turn = np.meshgrid(down, turn, indexing="ij")
    bare = on_skull(down, turn)
    edge = natural_edge(down, turn, bare, style)
    ragged = style.ragged * (bumps(np.stack([0.09 * turn, 0 * turn, 0.02 * down], -1), 0.011, 8) - 0.3)
    edge = edge + ragged
    thick = volume(down, turn, placed(down, turn, bare), style)
    width = 0.006 + 0.45 * thick
    edge_share = np.sqrt(np.clip(edge / width, 0, 1))
    thick = 0.0015 + (thick - 0.0015) * edge_share
    return placed(down, turn, bare + thick), edge, turn


def curtain(style: Style, hang: Hang) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hair that hangs: points [r c 3], their distances to its ends and to the face, and directions from the front."""
    top_down = np.radians(np.concatenate([np.linspace(0.5, 60, 9), np.linspace(68, 90, 4)]))
    turn = 2 * np.pi * (np.arange(COLUMNS) / COLUMNS - 0.5)
    rows = 9 + int((1.56 - hang.end) / 0.028)
    down, around = np.meshgrid(top_down, turn, indexing="ij")
    bare = on_skull(down, around)
    thick = volume(down, around, placed(down, around, bare), style)
    ear = 0.012 * np.exp(-(((np.degrees(np.abs(around)) - 90) / 22) ** 2)) * ramp(np.radians(70), np.radians(88), down)
    head = placed(down, around, bare + np.maximum(thick, ear))
    # Below, it falls from the widest place.
    last = head[-1]
    start = np.hypot(last[:, 0], last[:, 1] - CENTRE[1])
    margin = 0.03
    t = np.linspace(0, 1, rows + 1)[1:, None]
    z = last[None, :, 2] + t * (hang.end - margin - last[None, :, 2])
    back = np.sign(turn) * np.pi - turn  # the angle from the back
    gathered = ramp(1.53, 1.41, z)
    angle = back * (1 - (1 - hang.gather) * gathered)
    radius = start[None] + gathered * (0.098 - start[None]) * (0.8 if hang.end < 1.4 else 0.15)
    radius = radius + 0.008 * np.sin(np.pi * np.clip((1.60 - z) / 0.16, 0, 1))
    middle = CENTRE[1] + 0.02 * ramp(1.56, 1.44, z)
    if hang.curl:
        tip = ramp(0.06, 0.0, z - hang.end)
        radius = radius - hang.curl * 2.2 * tip**2 + 0.5 * hang.curl * ramp(0.12, 0.05, z - hang.end)
    if hang.front:
        lock = ramp(np.radians(70), np.radians(82), np.abs(back))[None]
        before = np.sign(back)[None] * (np.pi - 0.5 * np.abs(turn))[None]
        angle = angle + lock * gathered * (before - angle)
    if hang.wave:
        phase = 2 * np.pi * (z / 0.095) + 1.5 * np.sin(3 * turn)[None]
        fade = ramp(1.62, 1.54, z)
        radius = radius + fade * hang.wave * np.sin(phase)
        angle = angle + fade * 0.8 * hang.wave / 0.1 * np.cos(phase)
    strands = style.clump * bumps(np.stack([0.09 * np.sin(turn), 0.09 * np.cos(turn), 0 * turn], -1), style.grain, 9)
    radius = radius + strands[None] * ramp(1.60, 1.5, z)
    below = np.stack([radius * np.sin(angle), middle + radius * np.cos(angle), z], -1)
    points = np.concatenate([head, below])
    # The opening for the face, wider below the parting.
    side, z = np.abs(np.concatenate([around, np.broadcast_to(turn, below.shape[:2])])), points[..., 2]
    jaw = 46 if hang.front else 62
    opening = np.interp(z, (1.44, 1.50, 1.56, 1.60, 1.63, 1.655, 1.675), (jaw, 57, 57, 58, 50, 28, 0))
    edge = (side - np.radians(opening)) * 0.085
    forehead = 1.668 if hang.fringe is None else hang.fringe
    wide = ramp(np.radians(75), np.radians(60), side)
    edge = np.maximum(edge, (z - forehead) * wide - (1 - wide))
    edge = edge + style.ragged * 0.6 * bumps(np.stack([0.09 * side, 0 * side, 0.25 * z], -1), 0.012, 8)
    ends = (
        z - hang.end + 2.2 * style.ragged * (bumps(np.stack([0.2 * side, points[..., 0], 0 * z], -1), 0.02, 10) - 0.5)
    )
    edge = np.minimum(edge, ends)
    if hang.front:  # between the locks before and behind the shoulders
        gap = np.abs(np.abs(back) - np.radians(76))[None] * 0.1 - 0.010
        edge = np.where(z < 1.45, np.minimum(edge, gap), edge)
    return points, edge, np.concatenate([around, np.broadcast_to(turn, below.shape[:2])])


def tail_of(kind: str, low: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rings [s t 3] of a tail on the template, their distances to its end, and where it hangs (0 to 1)."""
    turns = 12
    drop = 0.055 if low else 0.0
    if kind == "bun":
        s = np.linspace(0, np.pi, 10)
        centre = np.array([0.0, 0.062 - 0.010 * low, 1.655 - 1.5 * drop])
        axis = np.array([0.0, 0.8, 0.6]) if not low else np.array([0.0, 0.98, 0.2])
        path = centre - 0.032 * np.cos(s)[:, None] * axis
        radius = 0.040 * np.sin(s) ** 0.8 + 1e-4
        side = np.tile([1.0, 0, 0], (len(s), 1))
        rings = sweep(np.asarray(path), side, radius, radius, turns)
        whirl = (
            np.arctan2(rings[..., 0], rings[..., 2] - centre[2]) + 6 * np.linalg.norm(rings - centre, axis=-1) / 0.04
        )
        rings = centre + (rings - centre) * (1 + 0.06 * np.sin(2 * whirl))[..., None]
        return rings, np.full(rings.shape[:2], FAR), np.zeros(len(s))
    end = 1.34 if kind == "pony" else 1.24
    path = curve(
        [
            (0, 0.030, 1.650 - drop),
            (0, 0.060, 1.658 - drop),
            (0, 0.090, 1.635 - drop),
            (0, 0.098, 1.57 - 0.5 * drop),
            (0, 0.093, 1.48),
            (0, 0.105, 1.40),
            (0, 0.118, end - 0.01),
        ]
        if kind == "pony"
        else [
            (0, 0.030, 1.600 - drop),
            (0, 0.062, 1.590 - drop),
            (0, 0.070, 1.55 - 0.5 * drop),
            (0, 0.072, 1.49),
            (0, 0.092, 1.42),
            (0, 0.118, 1.34),
            (0, 0.118, end),
        ],
        22 if kind == "pony" else 40,
    )
    along = lengths(path)
    share = along / along[-1]
    if kind == "pony":
        width = np.interp(share, (0, 0.08, 0.16, 0.4, 0.75, 0.93, 1), (0.020, 0.016, 0.020, 0.036, 0.034, 0.020, 0.006))
        depth = 0.75 * width
    else:
        width = np.interp(share, (0, 0.1, 0.5, 0.9, 0.93, 1), (0.022, 0.026, 0.023, 0.016, 0.010, 0.014))
        width = width * (0.75 + 0.25 * np.abs(np.sin(np.pi * along / 0.034)))
        depth = 0.75 * width
        path = path + np.stack([0.006 * np.sin(np.pi * along / 0.034), 0 * along, 0 * along], -1)
    rings = sweep(path, np.tile([1.0, 0, 0], (len(path), 1)), width, depth, turns)
    if kind == "pony":
        rings = rings + (0.003 * bumps(rings * [3, 3, 0.4], 0.03, 12))[..., None] * [1, 0.6, 0]
    edge = np.full(rings.shape[:2], FAR)
    hanging = ramp(1.60, 1.42, path[:, 2])
    return rings, edge, hanging


def hair_bones(points: np.ndarray, falls: np.ndarray) -> Bones:
    """The head moves hair; what hangs follows the neck and the upper spine the more, the lower it is."""
    z = points[:, 2]
    low = ramp(1.53, 1.36, z) * falls
    neck = 0.35 * ramp(1.55, 1.48, z) * (1 - low) * falls
    return bones_by({"head": 1 - low - neck, "neck02": neck, "spine01": low})


@functools.cache
def drawing(name: str, hat: str | None) -> tuple[Drawing, ...]:
    """A style under a hat, on the template."""
    style = STYLES[name]
    points, edge, turn = curtain(style, style.hang) if style.hang else cap(style)
    along = lengths(points)
    hidden = np.zeros(edge.shape, bool)
    if hat in ("hood", "headscarf"):  # only what frames the face is seen
        hidden = (np.abs(turn) > np.radians(75)) | (points[..., 2] < 1.56)
        hidden |= (hat == "headscarf") | (hides_hair(points, "beanie") > 0.03)
    rows, columns = edge.shape
    triangles = grid(rows, columns, around=True)
    falls = ramp(1.60, 1.54, points[..., 2]) * (1.0 if style.hang else 0.0)
    uv = np.stack([0.09 * np.abs(turn), along], -1).reshape(-1, 2)
    flat = points.reshape(-1, 3)
    if hat is not None:
        flat = press(flat, hat, FAR if style.hang else 0.028)
    kept = (edge.reshape(-1)[triangles] >= 0).any(1) & ~hidden.reshape(-1)[triangles].any(1)
    if not kept.any():
        return ()
    flat, triangles, edge, uv, falls = compact(flat, triangles[kept], edge.reshape(-1), uv, falls.reshape(-1))
    parts = [finished(flat, triangles, edge, uv, falls)]
    if style.tail and hat not in ("hood", "headscarf"):
        rings, edge, hanging = tail_of(style.tail, hat is not None)
        uv = np.stack(
            np.broadcast_arrays(0.15 * np.abs(2 * np.arange(rings.shape[1]) / rings.shape[1] - 1), lengths(rings)), -1
        )
        weight = np.broadcast_to(hanging[:, None], rings.shape[:2]).reshape(-1)
        triangles = grid(*rings.shape[:2], around=True)
        parts.append(finished(rings.reshape(-1, 3), triangles, edge.reshape(-1), uv.reshape(-1, 2), weight))
    return tuple(parts)


def finished(points: np.ndarray, triangles: np.ndarray, edge: np.ndarray, uv: np.ndarray, falls: np.ndarray) -> Drawing:
    """A part of the hair, hung on the template."""
    points = points.astype(np.float32)
    bones = hair_bones(points, (falls > 0).astype(float))
    edge = np.minimum(edge, FAR).astype(np.float32)
    return Drawing(points, triangles, edge, uv.astype(np.float32), bones, near(points), falls.astype(np.float32))


def laid(points: np.ndarray, part: Drawing, clothes: Dressed) -> np.ndarray:
    """Hair that falls [n 3], moved to where it lies on the shoulders, the back and the chest."""
    z = part.points[:, 2]
    shoulder = (part.falls * ramp(1.49, 1.46, z))[:, None].astype(np.float32)
    on_shoulders = clothes.dome.push(points, np.full(len(points), 0.009))
    points = points + shoulder * (on_shoulders - points)
    angle = np.abs(clothes.torso.angle(points))
    behind, before = ramp(np.radians(108), np.radians(128), angle), ramp(np.radians(62), np.radians(48), angle)
    return clothes.torso.push(points, 0.008, part.falls * np.maximum(behind, before) * ramp(1.42, 1.37, z))


def make_hair(body: Body, style: str, *, hat: str | None = None, clothes: Dressed | None = None) -> list[Piece]:
    """A person's hair: the main part, and the tail if it has one; none where a hat hides all of it.

    Args:
        style: one of HAIR.
        hat: the hat it is worn under, or None.
        clothes: what long hair lies on; None: the bare body.
    """
    if style == "bald":
        return []
    pieces = []
    for part in drawing(style, hat):
        points = part.near.carry(body, part.points)
        if part.falls.any():
            points = laid(points, part, clothes or dressed(body))
        pieces.append(Piece(points, part.triangles, part.bones, part.points, part.uv, part.edge))
    return pieces
