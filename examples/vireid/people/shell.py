"""Clothes that enclose the trunk and the limbs: MakeHuman's tights, cut to measure and loosened.

A garment is cut on the template by a signed distance to its hems. On a person, the surface is moved outward: by its
ease everywhere, and further where cloth hangs from what is above it. Cloth spans hollows, so that its rings are convex.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vireid.people.body import Body, template
from vireid.people.kernels import normals, smooth_along
from vireid.people.mesh import FAR, Piece, Surface, bones_of, dense_skin, fine_surface
from vireid.people.rings import convex, hung, look_up, ring_radii
from vireid.people.source import load_source
from vireid.people.unroll import along_arm, beyond_armhole

Inside = Callable[[np.ndarray], np.ndarray]
"""A garment's cut: the signed distance [n] of places on the template [n 3] to its hems, above 0 inside."""

MARGIN = 0.05
"""How far the surface goes on beyond a hem, so that smoothing does not draw the hem in."""
CHEST = 1.30
"""The height on the template from which the cloth of the trunk hangs."""
TRUNK_STEPS, TRUNK_TURNS = 56, 36
LIMB_STEPS, LIMB_TURNS = 24, 16

ARM = ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist")
LEG = ("upperleg01", "upperleg02", "lowerleg01", "lowerleg02", "foot")


@dataclass(frozen=True)
class Fit:
    """How loosely a garment sits."""

    ease: float = 0.008
    """Room between the body and the cloth, in metres."""
    hang: float = 0.5
    """0: the trunk's cloth follows the body; 1: it hangs straight down from the widest place above."""
    limb_hang: float = 0.5
    """The same for sleeves or legs."""
    flare: float = 0.0
    """How much wider sleeves or legs become with each metre, in metres."""
    smoothing: int = 6
    """Rounds of smoothing: thick cloth has no small forms."""


@functools.lru_cache(maxsize=64)
def cut_surface(inside: Inside) -> tuple[Surface, np.ndarray, np.ndarray]:
    """The part of the tights inside of a cut, its places on the template, and their distances to the hems."""
    whole = fine_surface("tights")
    place = whole.fit(template().vertices)
    surface = whole.part(inside(place) > -MARGIN)
    place = surface.fit(template().vertices)
    return surface, place, inside(place).astype(np.float32)


@functools.lru_cache(maxsize=64)
def skin_of(inside: Inside) -> tuple[tuple[np.ndarray, np.ndarray], dict[str, np.ndarray]]:
    """The bones of the vertices of a cut, and the share of each limb in them."""
    surface, _, _ = cut_surface(inside)
    dense = dense_skin(surface.ends)
    names = load_source().bones
    shares = {}
    for limb, bones in (("arm", ARM), ("leg", LEG)):
        for side in "LR":
            own = [names.index(f"{bone}.{side}") for bone in bones]
            shares[f"{limb}.{side}"] = dense[:, own].sum(1)
    return bones_of(surface.ends), shares


def loosen_trunk(points: np.ndarray, place: np.ndarray, share: np.ndarray, fit: Fit) -> np.ndarray:
    """The shift [n 3] that takes the trunk's cloth to where it hangs: below the chest, from what is above."""
    own = share > 0.5
    if own.sum() < 50:
        return np.zeros_like(points)
    top, bottom = points[own, 2].max(), points[own, 2].min()
    step = (top - points[:, 2]) / max(top - bottom, 1e-3) * TRUNK_STEPS
    row = np.clip(step.astype(int), 0, TRUNK_STEPS - 1)
    front, back = np.full(TRUNK_STEPS, np.nan), np.full(TRUNK_STEPS, np.nan)
    for s in np.unique(row[own]):
        y = points[own & (row == s), 1]
        front[s], back[s] = y.min(), y.max()
    middle = 0.5 * (front + back)
    known = np.flatnonzero(np.isfinite(middle))
    middle = np.interp(np.arange(TRUNK_STEPS), known, middle[known])
    middle = np.convolve(np.pad(middle, 4, mode="edge"), np.ones(9) / 9, "valid")
    x, y = points[:, 0], points[:, 1] - np.interp(step, np.arange(TRUNK_STEPS) + 0.5, middle)
    radius = np.hypot(x, y)
    turn = np.arctan2(x, -y) / (2 * np.pi) * TRUNK_TURNS
    rings = ring_radii(step[own], np.floor(turn[own]), radius[own], TRUNK_STEPS, TRUNK_TURNS)
    close = convex(rings)
    nearest = np.argmin(np.abs(place[own, 2] - CHEST))
    first = int(np.clip(step[own][nearest], 0, TRUNK_STEPS - 1))
    free = close.copy()
    free[first:] = hung(close[first:], 0.03 * (top - bottom) / TRUNK_STEPS)
    target = look_up(close + fit.hang * (free - close), step, turn)
    # On the shoulders, cloth lies on the body.
    grow = np.maximum(target - radius, 0) * np.clip((1.40 - place[:, 2]) / 0.08, 0, 1)
    out = np.stack([x, y, np.zeros_like(x)], 1) / np.maximum(radius, 1e-6)[:, None]
    shift: np.ndarray = (share * grow)[:, None] * out
    return shift


def loosen_limb(points: np.ndarray, share: np.ndarray, joints: list[np.ndarray], fit: Fit) -> np.ndarray:
    """The shift [n 3] that takes a sleeve's or a leg's cloth to where it hangs; joints from the trunk outward."""
    own = share > 0.6
    if own.sum() < 30:
        return np.zeros_like(points)
    best, along, axis_point = np.full(len(points), np.inf), np.zeros(len(points)), np.zeros_like(points)
    done = 0.0
    for start, end in pairwise(joints):
        length = float(np.linalg.norm(end - start))
        line = (end - start) / length
        t = np.clip((points - start) @ line, 0, length * (1.6 if end is joints[-1] else 1))
        foot = start + t[:, None] * line
        far = np.linalg.norm(points - foot, axis=1)
        nearer = far < best
        best[nearer], along[nearer], axis_point[nearer] = far[nearer], done + t[nearer], foot[nearer]
        done += length
    away = points - axis_point
    line = (joints[-1] - joints[0]) / np.linalg.norm(joints[-1] - joints[0])
    side = np.cross(line, [0, -1.0, 0])
    side /= np.linalg.norm(side)
    turn = np.arctan2(away @ side, away @ np.cross(side, line)) / (2 * np.pi) * LIMB_TURNS
    longest = max(float(along[own].max()), 1e-3)
    step = along / longest * LIMB_STEPS
    rings = convex(ring_radii(step[own], np.floor(turn[own]), best[own], LIMB_STEPS, LIMB_TURNS))
    rings = 0.25 * (np.roll(rings, 1, 1) + np.roll(rings, -1, 1)) + 0.5 * rings
    free = hung(rings, 0.06 * longest / LIMB_STEPS)
    target = look_up(rings + fit.limb_hang * (free - rings), step, turn) + fit.flare * along
    grow = np.maximum(target - best, 0) * np.clip((along - 0.02) / 0.10, 0, 1)
    shift: np.ndarray = (share * grow / np.maximum(best, 1e-6))[:, None] * away
    return shift


def limb_joints(body: Body, limb: str, side: str) -> list[np.ndarray]:
    bones = ("upperarm01", "lowerarm01", "wrist") if limb == "arm" else ("upperleg01", "lowerleg01", "foot")
    return [body.heads[f"{bone}.{side}"] for bone in bones]


def make_shell(body: Body, inside: Inside, fit: Fit) -> Piece:
    """A garment on a body, unposed."""
    surface, place, edge = cut_surface(inside)
    bones, shares = skin_of(inside)
    tight = surface.fit(body.vertices)
    outward = normals(tight, surface.triangles)
    points = tight + np.float32(fit.ease) * outward
    trunk = 1 - shares["arm.L"] - shares["arm.R"]
    legs = shares["leg.L"] + shares["leg.R"]
    has_legs = edge[(place[:, 2] < 0.78) & (np.abs(place[:, 0]) < 0.3)].size > 0
    moved = points + loosen_trunk(points, place, trunk * (1 - legs) if has_legs else trunk, fit)
    for limb in ("arm", "leg") if has_legs else ("arm",):
        for side in "LR":
            moved = moved + loosen_limb(points, shares[f"{limb}.{side}"], limb_joints(body, limb, side), fit)
    if has_legs:  # the legs' cloth does not cross the middle
        for side, sign in (("L", 1), ("R", -1)):
            low = (shares[f"leg.{side}"] > 0.5) & (place[:, 2] < 0.78)
            moved[low, 0] = sign * np.maximum(sign * moved[low, 0], 0.004)
    inner = np.where(edge > 0.02 - MARGIN, 0.5, 0).astype(np.float32)
    moved = smooth_along(moved.astype(np.float32), surface.triangles, outward, inner, fit.smoothing)
    short = np.float32(0.6 * fit.ease) - ((moved - tight) * outward).sum(1)  # smoothing may have sunk it into the body
    moved = moved + np.maximum(short, 0)[:, None] * outward
    return Piece(moved.astype(np.float32), surface.triangles, bones, place, None, edge)


def top_cut(
    hem: float, sleeve: float | None, neck: float, width: float = 0.07, opening: float = -1.0, vee: float = 0.8
) -> Inside:
    """The cut of a garment of the upper body.

    Args:
        hem: height of the lower hem.
        sleeve: length of the sleeves from the shoulder joint; None for none.
        neck: height of the front of the neckline.
        width: half the width of the neckline.
        opening: half the width of the opening at the front; below 0: closed.
        vee: how steeply the neckline rises to the sides.
    """
    return _Top(hem, sleeve, neck, width, opening, vee)


@dataclass(frozen=True)
class _Top:
    hem: float
    sleeve: float | None
    neck: float
    width: float
    opening: float
    vee: float

    def __call__(self, place: np.ndarray) -> np.ndarray:
        x, y, z = place.T
        side, arm = np.abs(x), along_arm(place)
        front = y < 0.0
        # Neckline: at the front it sinks to `neck`; at the back it stays at the base of the neck.
        bottom = np.where(front, self.neck, 1.425)
        line = bottom + self.vee * side**1.2
        neckline = np.where(side < 0.16, np.maximum(line - z, side - self.width), FAR)
        neckline = np.where(z < 1.30, np.where(front, line - z, FAR), neckline)
        beyond = beyond_armhole(place)
        end = -beyond if self.sleeve is None else np.where(beyond > -0.02, self.sleeve - arm, FAR)
        hem = np.where(beyond > 0, FAR, z - self.hem)
        inside = np.minimum(np.minimum(neckline, end), hem)
        if self.opening >= 0:
            half = self.opening + 0.10 * np.clip(1.38 - z, 0, 1)
            inside = np.minimum(inside, np.where(front & (side < 0.19), side - half, FAR))
        capped: np.ndarray = np.minimum(inside, FAR)
        return capped


@dataclass(frozen=True)
class Legs:
    """The cut of trousers and shorts: from a waist to a height of the cuffs."""

    cuff: float
    waist: float = 1.03

    def __call__(self, place: np.ndarray) -> np.ndarray:
        x, _, z = place.T
        inside = np.minimum(self.waist - z, z - self.cuff)
        return np.where(np.abs(x) < 0.33, inside, -0.5)
