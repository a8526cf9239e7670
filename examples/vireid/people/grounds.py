"""The outdoor places: a path through a garden (camera 4), a square before a brick building (5), a dark yard (6)."""

from __future__ import annotations

import math

import numpy as np

from vireid.people import plants, things
from vireid.people.scene import Scene
from vireid.people.solids import Form
from vireid.people.surfaces import Material, Pattern

PAVING = Material("#a39a8c", 0.36, "#75695a", 0.28, Pattern.BRICKS, (0.4, 0.2), varies=0.2, gloss=0.08, dirt=0.25)
KERB = Material("#b0aea8", 0.4, "#7d7b76", 0.3, Pattern.TILES, (1.0, 3.0), varies=0.12, dirt=0.2)
ASPHALT = Material("#66666a", 0.17, "#4c4c50", 0.11, Pattern.ASPHALT, varies=0.12, gloss=0.08)
OLD_ASPHALT = Material("#5c5b59", 0.17, "#83807a", 0.24, Pattern.ASPHALT, varies=0.2, gloss=0.08)
LINE = Material("#d3d2c8", 0.6, "#8c8b86", 0.3, Pattern.ASPHALT, varies=0.15)
LIGHT_SLABS = Material("#aaa196", 0.42, "#6f675d", 0.3, Pattern.TILES, (0.6, 0.6), varies=0.22, gloss=0.1, dirt=0.2)
DARK_SLABS = Material("#8a7468", 0.38, "#6a5a50", 0.3, Pattern.TILES, (0.6, 0.6), varies=0.26, gloss=0.1, dirt=0.3)
BRICK = Material("#855040", 0.42, "#9a9287", 0.4, Pattern.BRICKS, (0.25, 0.077), varies=0.3, dirt=0.25, bump=0.08)
BUFF = Material("#b9a684", 0.46, "#8f8672", 0.4, Pattern.BRICKS, (0.3, 0.1), varies=0.18, dirt=0.2)
RENDER = Material("#c9c3b4", 0.5, varies=0.1, bump=0.05, dirt=0.3)
SILL = Material("#bdb8ac", 0.42, varies=0.1, dirt=0.1)
CONCRETE = Material("#a19f99", 0.35, "#77756f", 0.28, Pattern.CONCRETE, (2.0, 1.2), varies=0.18, dirt=0.25)
WIRE = Material("#8c9294", 0.45, varies=0.1, gloss=0.5)
COVER = Material("#5b5b5c", 0.2, "#3f3f40", 0.14, Pattern.TILES, (0.05, 0.05), varies=0.1, gloss=0.5)
SILVER_PAINT = Material("#a7acb1", 0.5, varies=0.03, gloss=0.9, mirror=0.08, rough=0.02)
BLUE_PAINT = Material("#27405f", 0.35, varies=0.03, gloss=0.9, mirror=0.08, rough=0.02)
WHITE_PAINT = Material("#d5d6d4", 0.62, varies=0.03, gloss=0.9, mirror=0.06, rough=0.02)
SIGN_BLUE = Material("#2b5c9e", 0.55, varies=0.05, gloss=0.4)


def windows(scene: Scene, columns: np.ndarray, low: float, width: float, height: float, frame: Material) -> None:
    """Windows in a facade that lies at y = 0 and faces -y."""
    for x in columns:
        scene.box((x, 0.0, low + height / 2), (width, 0.05, height), things.GLASS)
        scene.box((x, -0.01, low + height / 2), (0.06, 0.08, height), frame)
        scene.box((x, -0.01, low + 0.66 * height), (width, 0.07, 0.05), frame)
        for side in (-1, 1):
            scene.box((x + side * width / 2, -0.01, low + height / 2), (0.07, 0.1, height + 0.07), frame)
            scene.box((x, -0.01, low + height / 2 + side * height / 2), (width + 0.07, 0.1, 0.07), frame)
        scene.box((x, -0.08, low - 0.08), (width + 0.24, 0.24, 0.08), SILL)
        scene.box((x - 0.2 * width, 0.02, low + 0.75 * height), (0.5 * width, 0.06, 0.4 * height), things.WHITE)


def behind(scene: Scene, rng: np.random.Generator) -> None:
    """What stands behind the camera: windows and cars mirror it."""
    scene.sheet((6, -24, 4), (26, 8), BUFF, yaw=180)
    for x in (-11, -6.5, 15):
        plants.crown(scene, rng, (x, -16 + rng.normal(0, 2), 4.5), (3.0, 2.5, 2.6), 0.5, 700)
        scene.rod((x, -16, 0), (x, -16, 3), 0.2, plants.BARK)


def garden_path() -> Scene:
    """A paved path between lawns: a hedge on the left, trees that shade the ground, bicycles and a road."""
    scene, rng = Scene(), np.random.default_rng(104)
    scene.sheet((0, 16, -0.02), (90, 60), ASPHALT, tilt=0)
    scene.sheet((0.3, 14, 0.0), (4.2, 36), PAVING, tilt=0)
    for x in (-1.85, 2.45):
        scene.box((x, 14, 0.03), (0.12, 36, 0.1), KERB)
    plants.lawn(scene, rng, (-5.0, 3.0), (-1.92, 30.0), 90000, 0.07)
    plants.lawn(scene, rng, (2.52, 3.0), (3.6, 30.0), 36000, 0.07)
    scene.sheet((4.6, 14, -0.005), (2.0, 36), PAVING, tilt=0)
    scene.box((5.65, 14, 0.02), (0.14, 36, 0.12), KERB)
    plants.hedge(scene, rng, (-5.9, 5.0, 0.0), (-4.7, 27.0, 1.25), 0.075, 60000)
    plants.hedge(scene, rng, (-6.5, 27.0, 0.0), (-2.4, 28.2, 1.7), 0.1, 14000, plants.LAUREL)
    plants.hedge(scene, rng, (3.0, 27.0, 0.0), (9.5, 28.2, 1.5), 0.1, 16000, plants.LAUREL)
    for x, y, tall, spread, leaves in (
        (-3.4, 12.2, 3.0, 2.0, 2600), (-3.1, 19.5, 3.0, 2.2, 2600), (3.05, 15.5, 3.2, 1.9, 2200),
        (3.05, 24.5, 3.0, 2.2, 2200), (5.2, 3.2, 3.6, 2.4, 2600), (7.4, 9.0, 3.4, 2.3, 2600),
    ):  # fmt: skip
        plants.tree(scene.at(x, y), rng, tall, spread, leaves)
    plants.crown(scene, rng, (-3.6, 16.2, 0.45), (0.6, 0.7, 0.5), 0.08, 2500, plants.LAUREL)
    plants.litter(scene, rng, (-1.8, 4.0), (2.4, 26.0), 420)
    plants.litter(scene, rng, (-4.4, 9.0), (-2.0, 16.0), 260)
    things.lamp_post(scene.at(2.75, 11.3))
    for k, paint in enumerate((SIGN_BLUE, things.RED, things.BLACK, things.GREEN_BIN, SILVER_PAINT)):
        things.bicycle(scene.at(4.5 + 0.03 * k, 8.6 + 0.75 * k, 0, 8 + 5 * math.sin(2 * k)), paint)
    scene.path([(3.85, 8.2, 0), (3.85, 8.2, 0.7), (3.85, 12.2, 0.7), (3.85, 12.2, 0)], 0.025, things.STEEL)
    things.car(scene.at(7.3, 15.5, 0, 84), WHITE_PAINT)
    things.car(scene.at(7.5, 22.0, 0, 92), BLUE_PAINT)
    things.sign(scene.at(-2.3, 22.5), SIGN_BLUE, 0.6, 0.5, 1.6)
    things.bench(scene.at(-2.45, 14.6, 0, 90))
    things.bin_(scene.at(-2.4, 16.3, 0, 80))
    scene.rod((-0.9, 9.4, -0.01), (-0.9, 9.4, 0.004), 0.33, COVER)
    behind(scene, rng)
    # A building closes the view.
    house = scene.at(0, 31)
    house.sheet((0, 0, 4), (60, 9), BUFF)
    windows(house.at(0, -0.02), np.arange(-18, 19, 3.0), 1.1, 1.7, 1.7, things.WHITE)
    house.box((0, -0.05, 0.3), (60, 0.1, 0.6), CONCRETE)
    return scene


def square() -> Scene:
    """A square paved in two tones, before a brick building with steps and an entrance."""
    scene, rng = Scene(), np.random.default_rng(105)
    scene.sheet((0, 14, -0.01), (60, 50), LIGHT_SLABS, tilt=0)
    for x in np.arange(-10.8, 11, 3.6):
        scene.sheet((x, 12, 0.0), (1.2, 34), DARK_SLABS, tilt=0)
    for y in np.arange(5.4, 22, 3.6):
        scene.sheet((0, y, 0.001), (40, 1.2), DARK_SLABS, tilt=0)
    facade = scene.at(0, 21.0)
    facade.sheet((0, 0, 4), (44, 9), BRICK)
    facade.box((0, -0.04, 0.3), (44, 0.12, 0.6), CONCRETE)
    facade.box((0, -0.03, 3.55), (44, 0.12, 0.22), SILL)
    windows(
        facade.at(0, -0.02), np.array([-12.5, -9.9, -7.3, -4.7, 4.9, 7.5, 10.1, 12.7]), 1.15, 1.5, 1.9, things.WHITE
    )
    windows(facade.at(0, -0.02), np.arange(-12.5, 13, 2.6), 4.2, 1.5, 1.6, things.WHITE)
    # The entrance: steps, a frame of stone, glass doors, a canopy.
    for k in range(4):
        facade.box((0, -1.0 + 0.0 * k, 0.075 * (k + 1)), (5.2 - 0.5 * k, 2.6 - 0.62 * k, 0.15 * (k + 1)), SILL)
    facade.box((0, -0.05, 1.9), (4.0, 0.16, 3.0), SILL)
    for x in (-1.2, -0.4, 0.4, 1.2):
        facade.box((x, -0.14, 1.75), (0.72, 0.05, 2.3), things.GLASS)
        facade.box((x + 0.3, -0.19, 1.7), (0.03, 0.05, 0.5), things.STEEL)
    facade.box((0, -0.9, 3.15), (4.8, 1.9, 0.16), CONCRETE)
    for x in (-2.1, 2.1):
        facade.rod((x, -1.6, 0.15), (x, -1.6, 3.1), 0.11, CONCRETE)
        things.railing(facade.at(x * 1.25, -1.3, 0.3, 90), 1.9, 0.8, things.DARK_STEEL)
    facade.rod((3.35, -0.1, 0), (3.35, -0.1, 8), 0.05, things.GREY)
    things.poster(facade.at(-2.75, -0.08, 1.85), 0, 0.6, 0.8)
    for x in (-6.2, -4.8, -3.4, 3.3, 4.7, 6.1):
        things.bollard(scene.at(x, 18.0))
    for k, paint in enumerate((things.GREEN_BIN, things.CLOTH_BLUE, things.YELLOW)):
        things.bin_(scene.at(4.6 + 0.62 * k, 15.0, 0, -25), paint)
    # Planters to the left, a bench between them.
    for y in (9.3, 14.2):
        scene.box((-5.7, y, 0.28), (1.5, 2.4, 0.56), CONCRETE)
        scene.box((-5.7, y, 0.57), (1.3, 2.2, 0.03), plants.EARTH)
        plants.hedge(scene, rng, (-6.3, y - 1.05, 0.55), (-5.1, y + 1.05, 1.05), 0.075, 9000, plants.LAUREL)
    things.bench(scene.at(-5.3, 11.75, 0, 90))
    for x, y in ((-7.6, 16.9), (7.7, 18.4), (-8.3, 7.8)):
        plants.tree(scene.at(x, y), rng, 2.9, 1.7, 2600, plants.PALE_BARK)
        scene.box((x, y, 0.004), (1.1, 1.1, 0.02), plants.EARTH)
    things.car(scene.at(6.4, 11.2, 0, 100), SILVER_PAINT)
    things.sign(scene.at(3.9, 17.0), SIGN_BLUE, 0.45, 0.6, 2.2)
    things.bicycle(scene.at(-4.0, 19.4, 0, 3), things.BLACK)
    things.bicycle(scene.at(-5.6, 19.6, 0, -4), things.RED)
    scene.rod((1.3, 8.4, -0.01), (1.3, 8.4, 0.004), 0.33, COVER)
    scene.box((-2.2, 11.1, 0.0), (0.5, 0.3, 0.012), COVER)
    plants.litter(scene, rng, (-4.5, 5.0), (4.5, 18.0), 120)
    behind(scene, rng)
    return scene


def dark_yard() -> Scene:
    """A yard at night, lit by the camera alone: asphalt, a bright hedge, a wire fence, a car, a tree, a sign."""
    scene, rng = Scene(), np.random.default_rng(106)
    scene.sheet((0, 15, 0.0), (60, 50), OLD_ASPHALT, tilt=0)
    scene.sheet((1.2, 11, 0.003), (0.12, 18), LINE, tilt=0)
    for y in (7.4, 10.2, 13.0):
        scene.sheet((2.9, y, 0.004), (3.3, 0.1), LINE, tilt=0)
    scene.box((-2.75, 12, 0.05), (0.16, 24, 0.14), KERB)
    plants.lawn(scene, rng, (-5.5, 4.0), (-2.84, 20.0), 40000, 0.12)
    # A fence of wire on posts, bushes behind it.
    for y in np.arange(4.0, 17, 2.5):
        scene.rod((-3.9, y, 0), (-3.9, y, 1.9), 0.03, things.STEEL)
        scene.sheet((-3.9, y + 1.25, 0.95), (2.5, 1.75), WIRE, yaw=90, form=Form.MESH)
    scene.rod((-3.9, 4, 1.85), (-3.9, 17, 1.85), 0.02, things.STEEL)
    for k in range(9):
        centre = (-5.2 + rng.normal(0, 0.3), 5.5 + 1.6 * k, 0.7)
        plants.crown(scene, rng, centre, (0.9, 1.1, 0.9 + rng.uniform(0, 0.5)), 0.09, 4200, plants.HEDGE)
    plants.hedge(scene, rng, (-4.2, 16.2, 0.0), (7.0, 17.4, 1.7), 0.085, 60000)
    house = scene.at(2.0, 20.5)
    house.sheet((0, 0, 3), (26, 7), RENDER)
    windows(house.at(0, -0.02), np.array([-8.0, -4.6, -1.2, 5.6]), 1.4, 1.2, 1.5, things.WHITE)
    things.door(house.at(2.2, -0.05), things.TIN_DOOR, things.DARK_STEEL)
    house.rod((3.6, -0.1, 0), (3.6, -0.1, 6), 0.05, things.GREY)
    for x, y in ((-3.2, 9.6), (-3.3, 15.1), (5.6, 15.3)):
        plants.tree(scene.at(x, y), rng, 3.2, 2.0, 2400)
    things.car(scene.at(4.75, 8.9, 0, 4), WHITE_PAINT)
    things.car(scene.at(4.85, 11.7, 0, 2), BLUE_PAINT)
    things.sign(scene.at(-3.05, 12.4), SIGN_BLUE, 0.55, 0.7, 2.2)
    things.bin_(scene.at(2.9, 14.9, 0, -15))
    things.bin_(scene.at(3.5, 15.0, 0, 10), things.GREY)
    for x in (-1.9, -0.4, 1.1):
        things.bollard(scene.at(x, 15.0), things.YELLOW)
    scene.rod((-0.7, 9.0, -0.01), (-0.7, 9.0, 0.005), 0.33, COVER)
    plants.litter(scene, rng, (-2.6, 5.0), (3.0, 15.5), 520)
    return scene
