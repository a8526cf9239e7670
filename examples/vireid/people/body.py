"""Bodies: a person in a pose as a list of shapes, from back to front."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vireid.people.bags import bag_at_side, bag_behind, bag_on_torso
from vireid.people.head import draw_head
from vireid.people.person import Material, Person
from vireid.people.pose import Point, Pose, Skeleton
from vireid.people.shapes import Cloth, Part, Shape, box, ellipse, limb

Outline = Sequence[Point] | np.ndarray


class Figure:
    """Draws one person in one pose; `shapes` holds the result, back to front."""

    def __init__(self, person: Person, pose: Pose) -> None:
        self.person, self.pose = person, pose
        self.skeleton = Skeleton(person.build, pose)
        self.shapes: list[Shape] = []
        near = self.skeleton.near
        self.arm(-near)
        self.leg(-near)
        self.leg(near)
        bag_behind(self)
        self.skirt()
        self.torso()
        bag_on_torso(self)
        self.arm(near)
        draw_head(self)
        bag_at_side(self)

    def add(self, outline: Outline, part: Part, material: Material, cloth: Cloth | None = None) -> None:
        self.shapes.append(Shape(np.asarray(outline, float), part, material, cloth))

    def upper(self, outline: Outline, origin: Point, extent: tuple[float, float], part: Part = Part.UPPER) -> None:
        cloth = Cloth(self.person.upper, Material.UPPER_PRINT, origin, (0.0, 1.0), extent)
        self.add(outline, part, Material.UPPER, cloth)

    def lower(
        self, outline: Sequence[Point], origin: Point, extent: tuple[float, float], axis: Point = (0.0, 1.0)
    ) -> None:
        cloth = Cloth(self.person.lower, Material.LOWER_PRINT, origin, axis, extent)
        self.add(outline, Part.LOWER, Material.LOWER, cloth)

    def leg(self, side: int) -> None:
        kind, width = self.person.lower.kind, self.person.build.width
        leg = self.skeleton.leg(side)
        thigh, knee, ankle = 0.044 * width * math.sqrt(self.pose.narrowing), 0.034 * width, 0.022 * width
        if kind == "wide trousers":
            knee, ankle = 0.050 * width, 0.052 * width
        elif kind == "leggings":
            thigh, knee, ankle = 0.85 * thigh, 0.8 * knee, 0.85 * ankle
        top = (leg.hip[0], leg.hip[1] - 0.02)
        along = np.subtract(leg.ankle, leg.hip)
        x, y = along / np.linalg.norm(along)
        frame = {"origin": leg.hip, "extent": (thigh, 0.95 * self.person.build.leg), "axis": (x, y)}
        long = kind in ("trousers", "wide trousers", "leggings")
        if long or kind == "shorts":
            self.lower(limb(top, leg.knee, thigh, knee), **frame)
        else:
            self.add(limb(top, leg.knee, thigh, knee), Part.SKIN, Material.SKIN)
        if long:
            self.lower(limb(leg.knee, leg.ankle, knee, ankle), **frame)
        else:
            self.add(limb(leg.knee, leg.ankle, 0.85 * knee, ankle), Part.SKIN, Material.SKIN)
        self.shoe(leg.knee, leg.ankle, ankle)

    def shoe(self, knee: Point, ankle: Point, width: float) -> None:
        shaft = {"flat": 0.0, "boots": 0.35, "high boots": 0.8}[self.person.shoes]
        if shaft:
            top = (ankle[0] + shaft * (knee[0] - ankle[0]), ankle[1] + shaft * (knee[1] - ankle[1]))
            self.add(limb(top, ankle, 1.25 * width, 1.2 * width), Part.SHOES, Material.SHOES)
        toe = self.pose.facing * (0.045 if self.skeleton.sideways else 0.012)
        outline = ellipse(ankle[0] + toe / 2, ankle[1] + 0.0065, 0.03 + abs(toe) / 2, 0.0215)
        self.add(outline, Part.SHOES, Material.SHOES)

    def arm(self, side: int) -> None:
        kind, width = self.person.upper.kind, self.person.build.width
        arm = self.skeleton.arm(side)
        top = (arm.shoulder[0], arm.shoulder[1] - 0.012)
        pieces = (
            limb(top, arm.elbow, 0.030 * width, 0.026 * width),
            limb(arm.elbow, arm.hand, 0.026 * width, 0.018 * width),
        )
        sleeves = {"tank top": 0, "t-shirt": 1}.get(kind, 2)
        for number, outline in enumerate(pieces):
            if number >= sleeves:
                self.add(outline, Part.SKIN, Material.SKIN)
            elif kind == "vest":
                self.add(outline, Part.UPPER, Material.INNER)
            else:
                self.upper(outline, arm.shoulder, (0.04, 0.34))
        self.add(ellipse(arm.hand[0], arm.hand[1] + 0.004, 0.02, 0.02, points=12), Part.SKIN, Material.SKIN)

    def skirt(self) -> None:
        kind, hip, width = self.person.lower.kind, self.skeleton.hip, self.skeleton.hip_width
        if kind not in ("skirt", "long skirt"):
            return
        length, flare = (0.18, 0.10) if kind == "skirt" else (0.36, 0.12)
        flare *= self.person.build.width * self.pose.narrowing
        edge = flare + 0.1 * abs(self.skeleton.swing)
        outline = [(-width, hip - 0.02), (width, hip - 0.02), (edge, hip + length), (-edge, hip + length)]
        self.lower(outline, (0.0, hip), (flare, length))

    def torso(self) -> None:
        kind, neck, hip = self.person.upper.kind, self.skeleton.neck, self.skeleton.hip
        shoulder, width = self.skeleton.shoulder_width, self.skeleton.hip_width
        hem = hip + {"coat": 0.17, "vest": 0.0, "tank top": 0.0}.get(kind, 0.02)
        flare = width * (1.25 if kind == "coat" else 1.02)
        waist, chest = neck + 0.6 * (hip - neck), 1.02 * width + 0.006
        strap = 0.72 if kind == "tank top" else 1.0  # a tank top leaves the shoulders bare
        right = [(0.45 * shoulder, neck - 0.004), (strap * shoulder, neck + 0.018), (chest, waist), (flare, hem)]
        self.upper(right + [(-x, y) for x, y in reversed(right)], (0.0, neck), (shoulder, hem - neck))
        if kind == "open jacket" and self.pose.view != "back":
            middle = 0.6 * self.pose.facing * shoulder if self.skeleton.sideways else 0.0
            half = 0.02 * self.person.build.width * self.pose.narrowing
            outline = [
                (middle - half, neck),
                (middle + half, neck),
                (middle + 1.5 * half, hem),
                (middle - 1.5 * half, hem),
            ]
            self.add(outline, Part.UPPER, Material.INNER)
        if kind != "coat":
            self.lower(box(-width, hip - 0.004, width, hip + 0.02), (0.0, hip), (width, 0.4))


def body_shapes(person: Person, pose: Pose) -> list[Shape]:
    """A person's shapes in a pose, from the farthest to the nearest."""
    return Figure(person, pose).shapes
