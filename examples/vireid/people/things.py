"""What stands about: furniture, doors, machines, cars, bicycles, posts. Each stands on z = 0, its front toward -y."""

from __future__ import annotations

import math

import numpy as np

from vireid.people.scene import Scene
from vireid.people.solids import Form
from vireid.people.surfaces import Material, Pattern

WHITE = Material("#dcdcd6", 0.62, varies=0.05, gloss=0.25, dirt=0.12)
BLACK = Material("#26272a", 0.12, varies=0.1, gloss=0.35)
GREY = Material("#7f8488", 0.42, varies=0.08, gloss=0.3, dirt=0.1)
STEEL = Material("#a9adb0", 0.5, varies=0.06, gloss=0.7, mirror=0.25, rough=0.25)
DARK_STEEL = Material("#44484c", 0.28, varies=0.1, gloss=0.5)
OAK = Material("#b08a5b", 0.58, "#8a6540", 0.5, Pattern.WOOD, (0.9, 1.0), varies=0.12, gloss=0.25)
WALNUT = Material("#7b5537", 0.5, "#54371f", 0.42, Pattern.WOOD, (0.7, 1.0), varies=0.12, gloss=0.35, mirror=0.015)
BEECH = Material("#c7a377", 0.62, "#b08a5f", 0.56, Pattern.WOOD, (0.14, 1.0), varies=0.16, gloss=0.2)
PLANKS = Material("#7f6a52", 0.45, "#5d4c3a", 0.36, Pattern.WOOD, (0.1, 1.0), varies=0.2, gloss=0.1)
GLASS = Material("#20282b", 0.05, varies=0.0, gloss=0.9, mirror=0.10, rough=0.01)
LIT_GLASS = Material("#c3d3da", 0.5, "#92a48b", 0.5, Pattern.BLOTCHES, (0.9, 0.6), varies=0.1, mirror=0.06, glow=1.1)
TIN_DOOR = Material("#6f7f78", 0.36, varies=0.08, gloss=0.3, dirt=0.25)
RUBBER = Material("#1d1d1e", 0.07, varies=0.15, gloss=0.1)
HEADLIGHT = Material("#e8eef2", 0.8, gloss=1.0, mirror=0.3)
CORK = Material("#a98252", 0.5, "#94703f", 0.44, Pattern.SOIL, (30.0, 1.0), varies=0.1)
CLOTH_BLUE = Material("#3a4f78", 0.35, varies=0.15)
CARDBOARD = Material("#a98a63", 0.55, "#94754f", 0.5, Pattern.BLOTCHES, (0.25, 0.1), varies=0.1, dirt=0.1)
RED = Material("#a32a25", 0.5, varies=0.05, gloss=0.4)
YELLOW = Material("#c9a227", 0.6, varies=0.08, gloss=0.3, dirt=0.2)
GREEN_BIN = Material("#2f5a41", 0.3, varies=0.08, gloss=0.25, dirt=0.3)
PAPERS = [
    Material(colour, nir, ink, 0.2, Pattern.PAPER, (0.09, 0.13), varies=0.0)
    for colour, nir, ink in (
        ("#e6e4da", 0.75, "#5a5a58"),
        ("#e2d7a6", 0.72, "#6b5a3a"),
        ("#cfe0e4", 0.73, "#2f4f72"),
        ("#e9e9e6", 0.75, "#a33c33"),
    )
]
POSTERS = [
    Material("#d8d2c0", 0.7, "#34557f", 0.4, Pattern.POSTER, (0.3, 0.45)),
    Material("#a8342e", 0.55, "#e3cf9c", 0.68, Pattern.POSTER, (0.35, 0.5)),
    Material("#dfe3df", 0.7, "#3c7a57", 0.42, Pattern.POSTER, (0.28, 0.42)),
]


def door(
    scene: Scene, leaf: Material, frame: Material, width: float = 0.92, height: float = 2.1, pane: bool = False
) -> None:
    """A closed door in a wall that lies behind it."""
    for side in (-1, 1):
        scene.box((side * (width / 2 + 0.045), -0.03, height / 2), (0.09, 0.1, height), frame)
    scene.box((0, -0.03, height + 0.045), (width + 0.18, 0.1, 0.09), frame)
    scene.box((0, 0.0, height / 2), (width, 0.05, height), leaf)
    for low, high in ((0.15, 0.9), (1.05, 1.9)):
        for edge in (-0.33, 0.33):
            scene.box((edge * width, -0.027, (low + high) / 2), (0.025, 0.02, high - low), leaf)
        for edge in (low, high):
            scene.box((0, -0.027, edge), (0.66 * width, 0.02, 0.025), leaf)
    if pane:
        scene.box((0, -0.02, 1.5), (0.34 * width, 0.04, 0.75), GLASS)
    scene.box((width * 0.42, -0.03, 1.03), (0.045, 0.02, 0.2), STEEL)
    scene.path([(width * 0.42, -0.03, 1.05), (width * 0.42, -0.08, 1.05), (width * 0.3, -0.085, 1.05)], 0.011, STEEL)
    scene.box((0.02, -0.028, 1.72), (0.16, 0.01, 0.06), WHITE)


def notice_board(scene: Scene, rng: np.random.Generator, width: float, height: float, frame: Material = OAK) -> None:
    """A board with sheets of paper, hung with its middle at z = 0."""
    scene.box((0, -0.01, 0), (width, 0.03, height), CORK)
    for side in (-1, 1):
        scene.box((side * width / 2, -0.02, 0), (0.04, 0.05, height + 0.04), frame)
        scene.box((0, -0.02, side * height / 2), (width, 0.05, 0.04), frame)
    columns, rows = int(width / 0.26), int(height / 0.34)
    for i in range(columns):
        for j in range(rows):
            if rng.random() < 0.8:
                x = (i + 0.5) / columns * width - width / 2 + rng.normal(0, 0.02)
                z = (j + 0.5) / rows * height - height / 2 + rng.normal(0, 0.02)
                paper = PAPERS[rng.integers(len(PAPERS))]
                scene.box((x, -0.028, z), (0.21, 0.004, 0.297), paper)


def poster(scene: Scene, kind: int, width: float, height: float) -> None:
    scene.box((0, -0.01, 0), (width, 0.01, height), POSTERS[kind])
    scene.box((0, -0.016, 0.36 * height), (0.8 * width, 0.006, 0.12 * height), WHITE)


def desk(scene: Scene, rng: np.random.Generator) -> None:
    scene.box((0, 0, 0.74), (1.4, 0.65, 0.03), BEECH)
    for x in (-0.66, 0.66):
        scene.box((x, 0, 0.365), (0.03, 0.6, 0.73), GREY)
    scene.box((0, 0.28, 0.5), (1.3, 0.02, 0.4), BEECH)
    scene.box((0.42, -0.02, 0.55), (0.42, 0.55, 0.34), GREY)
    scene.box((-0.15, 0.12, 1.0), (0.52, 0.03, 0.32), BLACK, yaw=12)
    scene.box((-0.15, 0.13, 0.81), (0.06, 0.05, 0.12), BLACK)
    scene.box((-0.15, -0.12, 0.765), (0.44, 0.14, 0.02), BLACK, yaw=4)
    for k in range(5):
        paper = PAPERS[k % 4] if k else CLOTH_BLUE
        scene.box((0.42, 0.05, 0.76 + 0.02 * k), (0.22, 0.3, 0.018), paper, yaw=float(rng.normal(0, 8)))
    scene.rod((0.1, -0.2, 0.755), (0.1, -0.2, 0.85), 0.04, RED)


def mop(scene: Scene) -> None:
    """A mop in its bucket, against a wall behind."""
    scene.rod((0, 0, 0.02), (0, 0, 0.3), 0.13, YELLOW, 0.16)
    scene.rod((0.02, 0, 0.1), (0.1, 0.22, 1.35), 0.012, BEECH)


def ladder(scene: Scene) -> None:
    """Leans against a wall behind."""
    for x in (-0.2, 0.2):
        scene.rod((x, -0.4, 0), (x, 0, 2.2), 0.022, STEEL)
    for k in range(1, 8):
        z = 0.28 * k
        scene.rod((-0.2, -0.4 * (1 - z / 2.2), z), (0.2, -0.4 * (1 - z / 2.2), z), 0.014, STEEL)


def chair(scene: Scene, seat: Material = CLOTH_BLUE) -> None:
    scene.box((0, 0, 0.45), (0.44, 0.44, 0.05), seat)
    scene.box((0, 0.22, 0.75), (0.42, 0.04, 0.36), seat, tilt=-8)
    for x in (-0.19, 0.19):
        scene.rod((x, -0.19, 0), (x, -0.17, 0.44), 0.014, DARK_STEEL)
        scene.path([(x, 0.24, 0), (x, 0.19, 0.45), (x, 0.25, 0.9)], 0.014, DARK_STEEL)
        scene.rod((x, -0.18, 0.12), (x, 0.22, 0.12), 0.01, DARK_STEEL)


def cupboard(scene: Scene, body: Material, width: float = 0.9, depth: float = 0.42, height: float = 1.85) -> None:
    scene.box((0, 0, height / 2 + 0.03), (width, depth, height - 0.06), body)
    scene.box((0, 0.02, 0.03), (width - 0.06, depth - 0.06, 0.06), BLACK)
    for side in (-1, 1):
        for low, high in ((0.08, 0.75), (0.79, height - 0.02)):
            middle = (side * width / 4, -depth / 2 - 0.009, (low + high) / 2)
            scene.box(middle, (width / 2 - 0.012, 0.018, high - low), body)
            scene.box((side * 0.05, -depth / 2 - 0.03, middle[2]), (0.015, 0.025, 0.14), STEEL)
    scene.box((0.1, 0, height + 0.1), (0.4, 0.3, 0.2), CARDBOARD, yaw=8)


def dispenser(scene: Scene) -> None:
    """A water dispenser with its bottle."""
    scene.box((0, 0, 0.48), (0.31, 0.32, 0.96), WHITE)
    scene.box((0, -0.14, 0.72), (0.24, 0.06, 0.2), GREY)
    for x, tap in ((-0.05, RED), (0.05, CLOTH_BLUE)):
        scene.box((x, -0.19, 0.78), (0.025, 0.05, 0.03), tap)
    bottle = Material("#8fb3cf", 0.35, varies=0.05, gloss=0.8, mirror=0.08)
    scene.rod((0, 0, 0.96), (0, 0, 1.03), 0.05, bottle, 0.13)
    scene.rod((0, 0, 1.03), (0, 0, 1.33), 0.135, bottle)
    scene.ellipsoid((0, 0, 1.33), (0.13, 0.13, 0.05), bottle)


def extinguisher(scene: Scene) -> None:
    scene.rod((0, -0.08, 0.02), (0, -0.08, 0.46), 0.07, RED)
    scene.ellipsoid((0, -0.08, 0.46), (0.07, 0.07, 0.05), RED)
    scene.rod((0, -0.08, 0.5), (0, -0.08, 0.56), 0.02, BLACK)
    scene.path([(0, -0.08, 0.55), (0.1, -0.1, 0.45), (0.09, -0.1, 0.2)], 0.012, BLACK)


def vending_machine(scene: Scene, rng: np.random.Generator) -> None:
    scene.box((0, 0, 0.95), (0.95, 0.75, 1.86), RED)
    scene.box((-0.1, -0.37, 1.12), (0.66, 0.03, 1.3), BLACK)
    for j in range(6):
        scene.box((-0.1, -0.39, 0.56 + 0.2 * j), (0.62, 0.03, 0.012), WHITE)
        for i in range(7):
            tone = f"#{int(rng.integers(0x404040, 0xE0E0E0)):06x}"
            drink = Material(tone, float(rng.uniform(0.2, 0.7)), glow=0.25)
            scene.rod((-0.37 + 0.09 * i, -0.4, 0.57 + 0.2 * j), (-0.37 + 0.09 * i, -0.4, 0.69 + 0.2 * j), 0.03, drink)
    scene.box((0.36, -0.38, 1.2), (0.14, 0.02, 0.4), GREY)
    scene.box((0.36, -0.392, 1.3), (0.09, 0.01, 0.06), Material("#8fd0ff", 0.3, glow=0.8))
    scene.box((-0.1, -0.38, 0.3), (0.5, 0.02, 0.16), BLACK)


def bench(scene: Scene, slats: Material = PLANKS, length: float = 1.7, back: bool = True) -> None:
    for k in range(4):
        scene.box((0, -0.18 + 0.11 * k, 0.44), (length, 0.09, 0.035), slats)
    for x in (-0.4 * length, 0.4 * length):
        scene.box((x, 0, 0.21), (0.05, 0.4, 0.42), DARK_STEEL)
        if back:
            scene.box((x, 0.24, 0.62), (0.05, 0.05, 0.45), DARK_STEEL, tilt=-10)
    if back:
        for k in range(3):
            scene.box((0, 0.22 + 0.015 * k, 0.58 + 0.12 * k), (length, 0.03, 0.09), slats, tilt=-10)


def lockers(
    scene: Scene, body: Material, columns: int, rows: int = 3, width: float = 0.38, height: float = 1.8
) -> None:
    scene.box((0, 0.02, height / 2), (columns * width, 0.46, height), body)
    tall = (height - 0.08) / rows
    for i in range(columns):
        for j in range(rows):
            x, z = (i + 0.5 - columns / 2) * width, 0.06 + (j + 0.5) * tall
            scene.box((x, -0.215, z), (width - 0.018, 0.02, tall - 0.02), body)
            for k in range(3):
                scene.box((x, -0.228, z + tall / 2 - 0.07 - 0.025 * k), (0.14, 0.006, 0.008), BLACK)
            scene.box((x + width * 0.36, -0.23, z), (0.03, 0.02, 0.07), STEEL)
            scene.box((x - width * 0.2, -0.228, z + 0.02), (0.07, 0.004, 0.04), WHITE)


def shelves(scene: Scene, rng: np.random.Generator, width: float, height: float = 2.0, depth: float = 0.45) -> None:
    """A steel rack full of boxes and folders."""
    for x in (-width / 2, width / 2):
        for y in (-depth / 2, depth / 2):
            scene.box((x, y, height / 2), (0.04, 0.04, height), DARK_STEEL)
    levels = 5
    for j in range(levels):
        z = 0.1 + j * (height - 0.15) / (levels - 1)
        scene.box((0, 0, z), (width, depth, 0.03), GREY)
        x = -width / 2 + 0.05
        while j < levels - 1 and x < width / 2 - 0.1:
            if rng.random() < 0.5:
                wide, tall = rng.uniform(0.2, 0.42), rng.uniform(0.15, 0.36)
                wide = min(wide, width / 2 - x - 0.03)
                box = CARDBOARD if rng.random() < 0.6 else WHITE
                scene.box((x + wide / 2, rng.normal(0, 0.03), z + 0.015 + tall / 2), (wide, 0.34, tall), box)
                scene.box((x + wide / 2, -0.172, z + 0.06 + tall / 2), (min(0.1, wide), 0.01, 0.06), PAPERS[0])
                x += wide + 0.03
            else:
                for _ in range(rng.integers(2, 6)):
                    if x > width / 2 - 0.08:
                        break
                    tone = (BLACK, GREY, CLOTH_BLUE, WHITE, CARDBOARD)[rng.integers(5)]
                    scene.box((x + 0.035, -0.02, z + 0.175), (0.065, 0.28, 0.31), tone)
                    scene.box((x + 0.035, -0.162, z + 0.2), (0.04, 0.006, 0.12), PAPERS[0])
                    x += 0.07
                x += rng.uniform(0.02, 0.15)


def railing(scene: Scene, length: float, height: float = 1.05, material: Material = STEEL) -> None:
    """Along x, with thin bars."""
    scene.rod((-length / 2, 0, height), (length / 2, 0, height), 0.028, material)
    scene.rod((-length / 2, 0, 0.12), (length / 2, 0, 0.12), 0.014, material)
    for x in np.arange(-length / 2, length / 2 + 0.01, 0.13):
        thick = 0.022 if round((x + length / 2) / 0.13) % 9 == 0 else 0.008
        scene.rod((x, 0, 0), (x, 0, height), thick, material)


def bicycle(scene: Scene, paint: Material) -> None:
    """Along x, on its stand."""
    lean = scene
    for x in (-0.52, 0.52):
        lean.sheet((x, 0, 0.34), (0.68, 0.68), RUBBER, form=Form.RING)
        lean.sheet((x, 0.02, 0.34), (0.66, 0.66), RUBBER, form=Form.RING)
        lean.rod((x, -0.05, 0.34), (x, 0.05, 0.34), 0.025, STEEL)
    joint = (-0.05, 0, 0.3)
    saddle, head, low_head = (-0.2, 0, 0.78), (0.36, 0, 0.82), (0.4, 0, 0.7)
    for a, b in ((joint, saddle), (joint, low_head), (saddle, head), (head, low_head), (low_head, (0.52, 0, 0.34)),
                 (joint, (-0.52, 0, 0.34)), (saddle, (-0.52, 0, 0.34))):  # fmt: skip
        lean.rod(a, b, 0.018, paint)
    lean.rod(saddle, (-0.23, 0, 0.93), 0.014, STEEL)
    lean.ellipsoid((-0.23, 0, 0.95), (0.14, 0.07, 0.035), BLACK)
    lean.rod(head, (0.34, 0, 1.0), 0.014, STEEL)
    lean.path([(0.25, -0.27, 1.0), (0.36, -0.15, 1.02), (0.36, 0.15, 1.02), (0.25, 0.27, 1.0)], 0.013, BLACK)
    for k in range(6):
        mesh = (0.5 + 0.28 * math.cos(k * math.pi / 3), 0, 0.82)
        lean.rod(
            (mesh[0], 0.14 * math.sin(k * math.pi / 3), 0.75),
            (mesh[0], 0.14 * math.sin(k * math.pi / 3), 0.98),
            0.006,
            STEEL,
        )
    lean.box((0.52, 0, 0.86), (0.3, 0.32, 0.2), DARK_STEEL)
    lean.box((-0.55, 0, 0.74), (0.4, 0.14, 0.02), BLACK)
    for x in (-0.58, 0.5):
        lean.rod((x - 0.3, 0.0, 0.53), (x + 0.25, 0.0, 0.7), 0.02, BLACK)


def car(scene: Scene, paint: Material) -> None:
    """Along x, its bonnet toward -x."""
    scene.box((0, 0, 0.46), (4.2, 1.72, 0.44), paint, taper=0.012)
    scene.box((0, 0, 0.78), (4.25, 1.74, 0.2), paint, taper=-0.035)
    scene.ellipsoid((-1.4, 0, 0.85), (0.72, 0.72, 0.065), paint)
    scene.box((0.3, 0, 1.13), (2.75, 1.5, 0.52), GLASS, taper=-0.17)
    scene.box((0.3, 0, 1.41), (2.3, 1.24, 0.06), paint, taper=-0.03)
    scene.ellipsoid((0.3, 0, 1.43), (1.05, 0.56, 0.035), paint)
    for y in (-1, 1):
        # Pillars along the edges of the glass.
        for low, high in ((-1.31, -0.84), (1.91, 1.44)):
            scene.rod((low, y * 0.87, 0.86), (high, y * 0.63, 1.4), 0.045, paint)
        scene.rod((0.35, y * 0.87, 0.86), (0.35, y * 0.64, 1.4), 0.04, BLACK)
        scene.rod((-0.84, y * 0.63, 1.4), (1.44, y * 0.63, 1.4), 0.04, paint)
        scene.box((-0.72, y * 0.93, 0.95), (0.1, 0.18, 0.12), paint)
        for x in (-0.62, 0.35, 1.2):
            scene.box((x, y * 0.858, 0.58), (0.012, 0.02, 0.52), BLACK)
        for x in (0.2, 1.05):
            scene.box((x, y * 0.87, 0.77), (0.16, 0.02, 0.03), STEEL)
        scene.box((0, y * 0.865, 0.3), (2.2, 0.02, 0.1), BLACK)
        for x in (-1.3, 1.3):
            scene.rod((x, y * 0.6, 0.36), (x, y * 0.872, 0.36), 0.385, BLACK)
            scene.rod((x, y * 0.6, 0.31), (x, y * 0.88, 0.31), 0.31, RUBBER)
            scene.rod((x, y * 0.6, 0.31), (x, y * 0.885, 0.31), 0.2, GREY)
            scene.rod((x, y * 0.6, 0.31), (x, y * 0.89, 0.31), 0.06, DARK_STEEL)
            for k in range(5):
                c, s = math.cos(1.257 * k), math.sin(1.257 * k)
                scene.rod((x, y * 0.885, 0.31), (x + 0.19 * c, y * 0.885, 0.31 + 0.19 * s), 0.022, STEEL)
        scene.ellipsoid((-2.04, y * 0.62, 0.72), (0.14, 0.2, 0.09), HEADLIGHT)
        scene.ellipsoid((2.06, y * 0.68, 0.76), (0.1, 0.16, 0.12), RED)
    scene.box((-2.11, 0, 0.62), (0.06, 0.8, 0.13), BLACK)
    scene.box((-2.13, 0, 0.36), (0.06, 1.5, 0.1), BLACK)
    for x in (-2.15, 2.13):
        scene.box((x, 0, 0.46), (0.03, 0.46, 0.12), WHITE)
    scene.box((0, 0, 0.25), (4.0, 1.6, 0.1), RUBBER)


def bollard(scene: Scene, material: Material = DARK_STEEL) -> None:
    scene.rod((0, 0, 0), (0, 0, 0.85), 0.06, material)
    scene.ellipsoid((0, 0, 0.85), (0.06, 0.06, 0.05), material)
    scene.rod((0, 0, 0.66), (0, 0, 0.75), 0.063, WHITE)
    scene.rod((0, 0, 0), (0, 0, 0.03), 0.1, material)


def bin_(scene: Scene, material: Material = GREEN_BIN) -> None:
    scene.box((0, 0, 0.5), (0.46, 0.5, 0.9), material)
    scene.box((0, -0.02, 0.98), (0.5, 0.56, 0.07), material, tilt=-5)
    for x in (-0.18, 0.18):
        scene.rod((x - 0.03, 0.24, 0.09), (x + 0.03, 0.24, 0.09), 0.09, RUBBER)
    scene.box((0, -0.255, 0.7), (0.22, 0.01, 0.16), WHITE)


def lamp_post(scene: Scene, height: float = 4.5) -> None:
    scene.rod((0, 0, 0), (0, 0, 0.5), 0.085, DARK_STEEL)
    scene.rod((0, 0, 0.5), (0, 0, height), 0.055, DARK_STEEL, 0.04)
    scene.rod((0, 0, 0), (0, 0, 0.04), 0.15, DARK_STEEL)
    scene.rod((0, 0, height), (0, 0, height + 0.35), 0.16, WHITE, 0.24)


def sign(scene: Scene, board: Material, width: float = 0.5, height: float = 0.5, top: float = 2.1) -> None:
    scene.rod((0, 0.03, 0), (0, 0.03, top), 0.025, STEEL)
    scene.box((0, 0, top - height / 2), (width, 0.015, height), board)
    scene.box((0, -0.01, top - height * 0.3), (0.7 * width, 0.01, 0.14 * height), BLACK)
    scene.box((0, -0.01, top - height * 0.6), (0.5 * width, 0.01, 0.22 * height), BLACK)


def trolley(scene: Scene) -> None:
    """A cart with two decks and boxes on it."""
    for z in (0.2, 0.75):
        scene.box((0, 0, z), (0.85, 0.5, 0.04), GREY)
    for x in (-0.4, 0.4):
        for y in (-0.22, 0.22):
            scene.rod((x, y, 0.1), (x, y, 0.95), 0.014, STEEL)
            scene.rod((x - 0.02, y - 0.015, 0.05), (x - 0.02, y + 0.015, 0.05), 0.05, RUBBER)
        scene.rod((x, -0.22, 0.95), (x, 0.22, 0.95), 0.014, STEEL)
    scene.box((-0.15, 0, 0.37), (0.4, 0.4, 0.3), CARDBOARD, yaw=5)
    scene.box((0.12, 0.02, 0.87), (0.42, 0.34, 0.2), CARDBOARD, yaw=-7)
