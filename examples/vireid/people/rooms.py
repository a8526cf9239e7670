"""The indoor places: a corridor with offices (camera 1), a hall with high windows (2), a dark store (3)."""

from __future__ import annotations

import numpy as np

from vireid.people import plants, things
from vireid.people.scene import Scene
from vireid.people.surfaces import Material, Pattern

PLASTER = Material("#d9d6cb", 0.66, varies=0.06, bump=0.03, dirt=0.18)
DADO = Material("#8fae9c", 0.5, varies=0.06, gloss=0.3, mirror=0.01, rough=0.1, dirt=0.2)
CEILING = Material("#e4e3de", 0.7, "#a9a9a4", 0.5, Pattern.TILES, (0.6, 0.6), varies=0.03)
CREAM_TILES = Material(
    "#c9bda4", 0.55, "#8d8575", 0.4, Pattern.TILES, (0.6, 0.6), varies=0.09, gloss=0.6, mirror=0.035, rough=0.035
)
STONE = Material(
    "#8d8f8e", 0.42, "#5d5f60", 0.3, Pattern.TILES, (0.8, 0.8), varies=0.2, gloss=0.7, mirror=0.06, rough=0.03
)
LINO = Material(
    "#6c7268", 0.34, "#545a52", 0.28, Pattern.TILES, (0.5, 0.5), varies=0.16, gloss=0.4, mirror=0.02, rough=0.1
)
PAINTED = Material("#c7ccc9", 0.5, varies=0.08, bump=0.04, dirt=0.3)
LOWER_PAINT = Material("#5f7f93", 0.36, varies=0.1, gloss=0.2, dirt=0.3)
WALL_STONE = Material("#b6aea0", 0.48, "#8d877c", 0.4, Pattern.TILES, (1.1, 0.7), varies=0.12, gloss=0.3, mirror=0.015)
CONCRETE = Material("#a5a5a0", 0.38, "#7c7c78", 0.3, Pattern.CONCRETE, (1.5, 2.4), varies=0.16, dirt=0.15)
LAMP = Material("#ffffff", 0.0, glow=-3.0)
DAY = Material("#e4edf2", 0.5, "#9fb38c", 0.6, Pattern.BLOTCHES, (2.6, 1.4), varies=0.15, glow=2.6)
TIN = Material("#7d8f96", 0.46, "#6b7c84", 0.36, Pattern.EACH, varies=0.07, gloss=0.35, dirt=0.3)
EXIT = Material("#2c8f52", 0.3, "#e8f3ea", 0.6, Pattern.TILES, (0.12, 0.3), glow=0.7)
MAT = Material("#4a2f2c", 0.2, "#2e2624", 0.14, Pattern.SOIL, (25.0, 1.0), varies=0.2)


def room(
    scene: Scene,
    left: float,
    right: float,
    end: float,
    top: float,
    floor: Material,
    wall: Material,
    ceiling: Material,
    back: float = -1.5,
) -> None:
    """Floor, ceiling and walls between x = left and right, y = back and end."""
    middle, length, width = (back + end) / 2, end - back, right - left
    scene.sheet(((left + right) / 2, middle, 0), (width, length), floor, tilt=0)
    scene.sheet(((left + right) / 2, middle, top), (width, length), ceiling, tilt=0, shadow=False)
    scene.sheet((left, middle, top / 2), (length, top), wall, yaw=90)
    scene.sheet((right, middle, top / 2), (length, top), wall, yaw=-90)
    scene.sheet(((left + right) / 2, end, top / 2), (width, top), wall)
    scene.sheet(((left + right) / 2, back, top / 2), (width, top), wall, yaw=180)


def corridor() -> Scene:
    """Offices: plaster, a painted dado, doors, notice boards, furniture along the right wall."""
    scene, rng = Scene(), np.random.default_rng(101)
    left, right, end = -2.6, 2.0, 14.0
    room(scene, left, right, end, 3.0, CREAM_TILES, PLASTER, CEILING)
    for x, yaw, length, middle in ((left, 90.0, 15.5, 6.25), (right, -90.0, 15.5, 6.25), (-0.3, 0.0, 4.6, end)):
        wall = scene.at(x, middle, 0, yaw)
        wall.box((0, -0.006, 0.62), (length, 0.012, 0.98), DADO)
        wall.box((0, -0.012, 1.13), (length, 0.03, 0.05), things.WALNUT)
        wall.box((0, -0.01, 0.06), (length, 0.025, 0.12), things.WALNUT)
    for y, leaf in ((4.6, things.WALNUT), (8.3, things.WALNUT), (12.2, things.OAK)):
        place = scene.at(left, y, 0, 90)
        place.box((0, -0.005, 1.05), (1.08, 0.03, 2.18), things.WALNUT)
        things.door(place.at(0, -0.05), leaf, things.OAK)
    things.notice_board(scene.at(left, 6.4, 1.65, 90), rng, 1.7, 1.05)
    things.poster(scene.at(left, 10.2, 1.7, 90), 1, 0.7, 1.0)
    things.extinguisher(scene.at(left, 9.4, 0, 90))
    scene.at(left, 9.4, 0, 90).box((0, -0.01, 0.95), (0.2, 0.01, 0.26), things.RED)
    scene.at(left, 7.5, 0, 90).box((0, -0.012, 1.3), (0.09, 0.015, 0.09), things.WHITE)
    side = scene.at(right, 0, 0, -90)
    things.desk(scene.at(1.66, 6.3, 0, -90), rng)
    things.chair(scene.at(1.45, 7.7, 0, -70))
    things.cupboard(scene.at(1.78, 9.1, 0, -90), things.GREY)
    things.cupboard(scene.at(1.78, 10.02, 0, -90), things.GREY)
    things.dispenser(scene.at(1.78, 10.9, 0, -90))
    plants.pot_plant(scene.at(1.6, 11.9), rng)
    plants.pot_plant(scene.at(-2.2, 13.5), rng, 1.5)
    things.door(side.at(-4.7, -0.02), things.WALNUT, things.OAK)
    things.notice_board(side.at(-7.9, -0.01, 1.7), rng, 1.2, 0.85)
    things.poster(side.at(-6.3, 0, 1.75), 0, 0.6, 0.85)
    things.poster(side.at(-11.6, 0, 1.8), 2, 0.6, 0.85)
    back = scene.at(-0.3, end)
    for x in (-0.47, 0.47):
        things.door(back.at(x, -0.04), things.OAK, things.WALNUT, pane=True)
    back.box((0, -0.05, 2.45), (0.5, 0.06, 0.2), EXIT)
    things.poster(back.at(1.6, 0, 1.65), 2, 0.55, 0.8)
    back.box((0, -0.8, 0.006), (1.8, 1.0, 0.012), MAT)
    for y in (3.0, 6.2, 9.4, 12.6):
        scene.box((-0.4, y, 2.985), (1.2, 0.3, 0.02), LAMP, shadow=False)
    scene.box((1.95, 3.6, 0.35), (0.05, 0.12, 0.08), things.WHITE)
    return scene


def hall() -> Scene:
    """A high hall: windows along the left, columns, a stone floor that mirrors, benches, a vending machine, stairs."""
    scene, rng = Scene(), np.random.default_rng(102)
    left, right, end, top = -4.2, 6.0, 19.0, 7.0
    scene.sheet((0.9, 8.5, 0), (right - left + 0.4, 24), STONE, tilt=0)
    scene.sheet((0.9, 8.5, top), (right - left, 24), CEILING, tilt=0, shadow=False)
    scene.sheet((right, 8.5, top / 2), (24, top), WALL_STONE, yaw=-90)
    scene.sheet((0.9, end, top / 2), (right - left, top), PLASTER)
    scene.sheet((0.9, -3.5, top / 2), (right - left, top), PLASTER, yaw=180)
    # Piers, sills and the frames of the windows; behind them, the bright outside.
    scene.sheet((left - 6, 8.5, 2.5), (44, 9), DAY, yaw=90, shadow=False)
    scene.sheet((left - 3, 8.5, -0.15), (44, 6), Material("#9aa88a", 0.5, varies=0.2, glow=1.2), tilt=0, shadow=False)
    scene.box((left - 0.1, 8.5, 0.21), (0.3, 24, 0.42), WALL_STONE)
    scene.box((left + 0.08, 8.5, 0.43), (0.36, 24, 0.04), STONE)
    for y in np.arange(-2.5, 20, 3.0):
        scene.box((left - 0.05, y, top / 2), (0.5, 0.55, top), WALL_STONE)
        for step in (0.75, 1.5, 2.25):
            scene.box((left - 0.1, y + step, top / 2), (0.07, 0.06, top), things.DARK_STEEL)
    for z in (1.35, 2.6, 4.6):
        scene.box((left - 0.1, 8.5, z), (0.07, 24, 0.06), things.DARK_STEEL)
    scene.box((left + 0.2, 9.2, 0.3), (0.12, 1.3, 0.42), things.WHITE)
    scene.box((left + 0.2, 12.2, 0.3), (0.12, 1.3, 0.42), things.WHITE)
    for y in (8.6, 13.4):
        scene.rod((3.75, y, 0), (3.75, y, top), 0.3, CONCRETE)
        scene.rod((3.75, y, 0), (3.75, y, 0.14), 0.34, STONE)
    things.bench(scene.at(-3.45, 7.6, 0, 90), things.BEECH, 1.9, back=False)
    things.bench(scene.at(-3.45, 10.4, 0, 90), things.BEECH, 1.9, back=False)
    things.bench(scene.at(5.3, 8.4, 0, -90), things.BEECH, 1.9)
    things.vending_machine(scene.at(4.9, 11.4, 0, -60), rng)
    things.bin_(scene.at(5.3, 10.1, 0, -80), things.GREY)
    plants.pot_plant(scene.at(-3.5, 14.2), rng, 1.9)
    plants.pot_plant(scene.at(4.6, 6.7), rng, 1.4)
    # Stairs go up to the right at the end.
    for k in range(14):
        scene.box((2.6 + 0.28 * k, 16.9, 0.08 * (k + 1)), (0.3, 2.2, 0.16 * (k + 1)), STONE)
        if k % 2 == 0:
            scene.rod(
                (2.6 + 0.28 * k, 15.78, 0.16 * (k + 1)),
                (2.6 + 0.28 * k, 15.78, 0.16 * (k + 1) + 0.95),
                0.016,
                things.STEEL,
            )
    scene.rod((2.5, 15.78, 1.1), (6.4, 15.78, 3.3), 0.03, things.STEEL)
    back = scene.at(-0.8, end)
    for x in (-0.95, 0.95):
        things.door(back.at(x, -0.04), things.LIT_GLASS, things.DARK_STEEL, width=1.75, height=2.5)
    back.box((0, -0.2, 2.75), (4.0, 0.5, 0.2), things.DARK_STEEL)
    back.box((0, -0.05, 3.3), (1.6, 0.04, 0.5), things.CLOTH_BLUE)
    things.poster(back.at(-2.7, -0.01, 1.6), 0, 0.9, 1.3)
    things.sign(scene.at(-2.9, 16.8), things.CLOTH_BLUE, 0.7, 0.95, 1.7)
    scene.box((-0.8, 17.6, 0.008), (3.0, 1.6, 0.016), MAT)
    return scene


def dark_store() -> Scene:
    """A basement in the dark: lockers, racks, a door, a chair, pipes and cables on the walls."""
    scene, rng = Scene(), np.random.default_rng(103)
    left, right, end = -2.3, 2.4, 12.5
    room(scene, left, right, end, 2.9, LINO, PAINTED, PAINTED)
    for x, yaw, length, middle in ((left, 90.0, 14.0, 5.5), (right, -90.0, 14.0, 5.5), (0.05, 0.0, 4.7, end)):
        scene.at(x, middle, 0, yaw).box((0, -0.005, 0.65), (length, 0.01, 1.3), LOWER_PAINT)
        scene.at(x, middle, 0, yaw).box((0, -0.01, 0.05), (length, 0.02, 0.1), things.BLACK)
    things.lockers(scene.at(left + 0.26, 6.1, 0, 90), TIN, 7)
    things.lockers(scene.at(left + 0.26, 10.2, 0, 90), things.GREY, 4, 2)
    things.shelves(scene.at(right - 0.26, 6.9, 0, -90), rng, 1.9)
    things.shelves(scene.at(right - 0.26, 9.0, 0, -90), rng, 1.9)
    things.chair(scene.at(1.95, 5.2, 0, 215), things.BLACK)
    scene.box((1.95, 10.7, 0.2), (0.6, 0.45, 0.4), things.CARDBOARD, yaw=12)
    scene.box((1.93, 10.7, 0.55), (0.45, 0.4, 0.3), things.CARDBOARD, yaw=-6)
    things.bin_(scene.at(1.9, 11.6, 0, -90), things.GREY)
    back = scene.at(0.0, end)
    things.door(back.at(-0.6, -0.03), things.TIN_DOOR, things.DARK_STEEL, pane=True)
    things.notice_board(back.at(0.9, -0.01, 1.6), rng, 0.9, 0.75)
    back.box((1.6, -0.08, 1.5), (0.4, 0.15, 0.6), things.GREY)
    back.box((-0.6, -0.05, 2.4), (0.45, 0.06, 0.18), EXIT)
    things.door(scene.at(left, 8.4, 0, 90).at(0, -0.03), things.TIN_DOOR, things.DARK_STEEL)
    side = scene.at(left, 0, 0, 90)
    for z, radius in ((2.45, 0.045), (2.58, 0.03), (2.3, 0.012)):
        side.rod((-1, -0.1, z), (12.4, -0.1, z), radius, things.GREY)
    cable = [(8.9, -0.02, 2.3), (8.92, -0.03, 1.9), (9.0, -0.03, 1.3), (8.95, -0.03, 0.4)]
    side.path(cable, 0.012, things.BLACK)
    side.box((8.95, -0.03, 1.25), (0.14, 0.05, 0.14), things.WHITE)
    things.extinguisher(back.at(2.05, -0.05))
    things.ladder(scene.at(right - 0.03, 10.2, 0, -90))
    things.mop(scene.at(left + 0.3, 11.6, 0, 90))
    things.poster(scene.at(right, 5.6, 1.6, -90), 1, 0.6, 0.9)
    things.poster(scene.at(left, 3.9, 1.7, 90), 2, 0.7, 1.0)
    scene.at(right, 4.6, 0, -90).box((0, -0.02, 1.3), (0.1, 0.02, 0.1), things.WHITE)
    droop = [(x, 12.4 + 0.02, 2.2 - 0.25 * (1 - (x / 1.2 - 1) ** 2)) for x in np.linspace(0, 2.4, 9)]
    scene.path(droop, 0.014, things.BLACK)
    return scene
