"""Heads: neck, face, and the hair or hat on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vireid.people.person import Material
from vireid.people.shapes import Part, box, ellipse, limb

if TYPE_CHECKING:
    from vireid.people.body import Figure


def draw_head(figure: Figure) -> None:
    kind, neck, r = figure.person.hair, figure.skeleton.neck, figure.person.build.head
    x, y = figure.pose.lean, 1.05 * r
    collar = ((0.0, neck), (figure.skeleton.shoulder_width, 0.4))
    figure.add(limb((0.0, neck - 0.04), (0.0, neck + 0.012), 0.025, 0.03), Part.HEAD, Material.SKIN)
    if kind == "long":
        figure.add(ellipse(x, 1.675 * r, 1.12 * r, 1.675 * r), Part.HAIR, Material.HAIR)
    elif kind == "hood":
        figure.upper(ellipse(x, 1.27 * r, 1.2 * r, 1.28 * r), *collar, part=Part.HAIR)
    figure.add(ellipse(x, y + 0.035 * r, 0.82 * r, 0.985 * r), Part.HEAD, Material.SKIN)
    if kind == "hood" and figure.pose.view == "back":
        figure.upper(ellipse(x, y + 0.1 * r, 1.1 * r, 1.1 * r), *collar, part=Part.HAIR)
    elif kind in ("short", "long", "bun"):
        draw_hair(figure, x, y, r)
    elif kind == "cap":
        draw_cap(figure, x, y, r)
    elif kind == "beanie":
        half = [(0.95 * r, -0.1 * r), (0.7 * r, -1.3 * r), (0.0, -1.55 * r)]
        outline = [(x + dx, y + dy) for dx, dy in half] + [(x - dx, y + dy) for dx, dy in reversed(half)]
        figure.add(outline, Part.HAIR, Material.HAIR)


def draw_hair(figure: Figure, x: float, y: float, r: float) -> None:
    kind, facing = figure.person.hair, figure.pose.facing
    if figure.pose.view == "back":
        reach = 1.8 if kind == "long" else 0.75
        figure.add(ellipse(x, y + (reach - 1) / 2 * r, 0.86 * r, (reach + 1) / 2 * r), Part.HAIR, Material.HAIR)
    else:
        figure.add(ellipse(x, y - 0.175 * r, 0.9 * r, 0.875 * r, upper_half=True), Part.HAIR, Material.HAIR)
    if figure.skeleton.sideways:
        behind = [(-0.9, -0.5), (-0.1, -0.5), (-0.35, 0.5), (-0.85, 0.4)]
        figure.add([(x + facing * dx * r, y + dy * r) for dx, dy in behind], Part.HAIR, Material.HAIR)
    if kind == "bun":
        bun_x = x - (0.8 * facing * r if figure.skeleton.sideways else 0)
        figure.add(ellipse(bun_x, -0.075 * r, 0.5 * r, 0.475 * r, points=12), Part.HAIR, Material.HAIR)


def draw_cap(figure: Figure, x: float, y: float, r: float) -> None:
    figure.add(ellipse(x, y - 0.175 * r, 0.92 * r, 0.925 * r, upper_half=True), Part.HAIR, Material.HAIR)
    if figure.pose.view != "back":
        peak = 1.5 * figure.pose.facing * r if figure.skeleton.sideways else 0.0
        left, right = x - 0.9 * r + 0.7 * min(peak, 0), x + 0.9 * r + 0.7 * max(peak, 0)
        figure.add(box(left, y - 0.22 * r, right, y - 0.02 * r), Part.HAIR, Material.HAIR)
