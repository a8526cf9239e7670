"""Poses: how a person stands before the camera, and the places of the joints.

Body units: y runs down from 0 at the top of the head to 1 at the soles, x to the picture's right from 0 at the middle
of the body; both count body heights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vireid.people.person import Build

VIEWS = {"front": 0.4, "back": 0.3, "side": 0.3}
UPPER_ARM, FOREARM = 0.17, 0.16

Point = tuple[float, float]


@dataclass(frozen=True)
class Pose:
    """`facing` (-1 or 1) is where a person in side view walks to; `phase` is that of the walk, in radians;
    `narrowing` is the body's width in this view as a share of its width from the front."""

    view: str
    facing: int
    phase: float
    narrowing: float
    lean: float


def draw_pose(rng: np.random.Generator) -> Pose:
    view = str(rng.choice(list(VIEWS), p=list(VIEWS.values())))
    return Pose(
        view=view,
        facing=int(rng.choice([-1, 1])),
        phase=rng.uniform(0, 2 * math.pi),
        narrowing=0.62 if view == "side" else rng.uniform(0.88, 1.0),
        lean=rng.normal(0, 0.008),
    )


@dataclass(frozen=True)
class Leg:
    hip: Point
    knee: Point
    ankle: Point


@dataclass(frozen=True)
class Arm:
    shoulder: Point
    elbow: Point
    hand: Point


@dataclass(frozen=True)
class Skeleton:
    """The joints and half widths of a build in a pose. Sides are -1 (left in the picture) and 1."""

    build: Build
    pose: Pose

    @property
    def sideways(self) -> bool:
        return self.pose.view == "side"

    @property
    def near(self) -> int:
        """The side whose arm and leg are drawn last, over the other ones."""
        return self.pose.facing if self.sideways else 1

    @cached_property
    def neck(self) -> float:
        return 2 * self.build.head + 0.012

    @cached_property
    def hip(self) -> float:
        return 1 - self.build.leg

    @cached_property
    def shoulder_width(self) -> float:
        return 0.105 * self.build.width * self.build.shoulders * self.pose.narrowing

    @cached_property
    def hip_width(self) -> float:
        return 0.078 * self.build.width * self.pose.narrowing

    @cached_property
    def stride(self) -> float:
        """The largest angle of a leg, which is small from the front."""
        return 0.30 if self.sideways else 0.10

    @cached_property
    def swing(self) -> float:
        return self.stride * math.sin(self.pose.phase)

    def leg(self, side: int) -> Leg:
        thigh, shank = 0.5 * self.build.leg, 0.46 * self.build.leg
        angle = side * self.swing
        hip_x = side * self.hip_width * (0.2 if self.sideways else 0.5)
        knee = (hip_x + angle * thigh, self.hip + thigh * math.cos(0.8 * angle))
        # The knee of the leg that is behind bends.
        lifted = max(0.0, -side * math.sin(self.pose.phase + 0.6)) * 0.6 * self.stride
        ankle = (knee[0] + (0.8 * angle - lifted * self.pose.facing) * shank, min(0.97, knee[1] + shank))
        return Leg((hip_x, self.hip), knee, ankle)

    def arm(self, side: int) -> Arm:
        """Arms swing against the legs of their side."""
        angle = -1.1 * side * self.swing
        x, spread = (0.0, 0.0) if self.sideways else (0.95 * side * self.shoulder_width, 0.03 * side)
        y = self.neck + 0.03
        elbow = (x + angle * UPPER_ARM + spread, y + UPPER_ARM * math.cos(angle))
        bend = 1.1 * angle + 0.15 * self.pose.facing * self.stride
        return Arm((x, y), elbow, (elbow[0] + bend * FOREARM, elbow[1] + 0.97 * FOREARM))
