"""Bags that people carry, in each view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.people.person import Material
from vireid.people.shapes import Part, box, limb

if TYPE_CHECKING:
    from vireid.people.body import Figure


def bag_behind(figure: Figure) -> None:
    """A backpack in side view."""
    if figure.person.bag.kind == "backpack" and figure.skeleton.sideways:
        back, size, neck = -figure.pose.facing, figure.person.bag.size, figure.skeleton.neck
        x = back * figure.skeleton.shoulder_width
        bottom = neck + 0.06 + 0.2 * size
        far = x + back * 0.07 * size
        outline = [
            (0.5 * x, neck + 0.02),
            (far, neck + 0.04),
            (far + back * 0.01 * size, bottom),
            (0.4 * x, bottom + 0.01),
        ]
        figure.add(outline, Part.BAG, Material.BAG)


def bag_on_torso(figure: Figure) -> None:
    """A backpack from behind, or its straps from the front."""
    if figure.person.bag.kind != "backpack":
        return
    size, neck, hip, shoulder = (
        figure.person.bag.size,
        figure.skeleton.neck,
        figure.skeleton.hip,
        figure.skeleton.shoulder_width,
    )
    if figure.pose.view == "back":
        top, bottom = neck + 0.035, neck + 0.06 + 0.2 * size
        wide = 0.075 * size
        outline = [(-0.8 * wide, top), (0.8 * wide, top), (wide, bottom), (-wide, bottom)]
        figure.add(outline, Part.BAG, Material.BAG)
    elif figure.pose.view == "front":
        for side in (-1, 1):
            end = (0.7 * side * shoulder, neck + 0.5 * (hip - neck))
            figure.add(limb((0.55 * side * shoulder, neck), end, 0.012, 0.012), Part.BAG, Material.STRAP)


def bag_at_side(figure: Figure) -> None:
    bag, skeleton = figure.person.bag, figure.skeleton
    side = -bag.side if figure.pose.view == "back" else bag.side
    size, neck, hip, width = bag.size, skeleton.neck, skeleton.hip, skeleton.hip_width
    if bag.kind == "shoulder bag":
        strap = limb((0.7 * side * skeleton.shoulder_width, neck), (side * (width + 0.02), hip - 0.05), 0.010, 0.010)
        figure.add(strap, Part.BAG, Material.STRAP)
        outer, bottom = width + 0.075 * size, hip + 0.02 + 0.06 * size
        outline = [
            (0.6 * width, hip - 0.08),
            (outer, hip - 0.08),
            (outer + 0.01 * size, bottom),
            (0.55 * width, bottom),
        ]
        figure.add([(side * x, y) for x, y in outline], Part.BAG, Material.BAG)
    elif bag.kind == "cross-body bag":
        strap = limb((-0.8 * side * skeleton.shoulder_width, neck + 0.01), (side * width, hip - 0.04), 0.012, 0.012)
        figure.add(strap, Part.BAG, Material.STRAP)
        outline = box(0.3 * side * width, hip - 0.05, side * (width + 0.04 * size), hip + 0.05 * size)
        figure.add(outline, Part.BAG, Material.BAG)
    elif bag.kind == "hand bag":
        x, y = skeleton.arm(skeleton.near if skeleton.sideways else side).hand
        top, bottom, half = y + 0.02, y + 0.03 + 0.10 * size, 0.05 * size
        outline = [(x - half, top), (x + half, top), (x + 1.2 * half, bottom), (x - 1.2 * half, bottom)]
        figure.add(outline, Part.BAG, Material.BAG)
