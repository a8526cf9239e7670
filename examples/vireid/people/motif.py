"""Emblems, lettering and flowers as signed distance fields: prints whose edges stay smooth at every size."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

Canvas = ImageDraw.ImageDraw

WIDE, HIGH = 320, 240
"""Size at which an emblem is drawn."""
SHRINK = 4
TILE = 256
"""Size at which a tile of flowers is drawn."""


def polygon(centre: tuple[float, float], radii: list[float], turn: float) -> list[tuple[float, float]]:
    """Corners at even angles, of the radii given in turn."""
    angles = turn + np.arange(len(radii)) * 2 * np.pi / len(radii)
    return [
        (centre[0] + r * float(np.cos(a)), centre[1] + r * float(np.sin(a))) for r, a in zip(radii, angles, strict=True)
    ]


def star(draw: Canvas) -> None:
    draw.ellipse((60, 20, 260, 220), outline=255, width=20)
    draw.polygon(polygon((160, 120), [72, 30] * 5, -np.pi / 2), fill=255)


def peaks(draw: Canvas) -> None:
    draw.polygon([(20, 210), (120, 40), (165, 120), (205, 70), (300, 210)], fill=255)
    draw.polygon([(95, 110), (120, 64), (146, 110), (128, 98), (114, 118)], fill=0)


def heart(draw: Canvas) -> None:
    draw.ellipse((60, 30, 165, 135), fill=255)
    draw.ellipse((155, 30, 260, 135), fill=255)
    draw.polygon([(68, 108), (252, 108), (160, 222)], fill=255)


def bolt(draw: Canvas) -> None:
    draw.polygon([(190, 10), (90, 135), (150, 135), (120, 232), (235, 95), (172, 95)], fill=255)


def number(draw: Canvas) -> None:
    draw.line([(50, 40), (130, 40), (130, 120), (50, 120), (50, 205), (135, 205)], fill=255, width=32, joint="curve")
    draw.line([(190, 40), (275, 40), (215, 205)], fill=255, width=32, joint="curve")


def sunset(draw: Canvas) -> None:
    draw.ellipse((60, 20, 260, 220), fill=255)
    for top in (130, 156, 180, 201):
        draw.rectangle((40, top, 280, top + 10), fill=0)


def bars(draw: Canvas) -> None:
    for k in range(3):
        draw.polygon([(40 + 80 * k, 200), (100 + 80 * k, 40), (150 + 80 * k, 40), (90 + 80 * k, 200)], fill=255)


def shield(draw: Canvas) -> None:
    draw.polygon([(80, 20), (240, 20), (240, 130), (160, 228), (80, 130)], fill=255)
    draw.polygon([(98, 38), (222, 38), (222, 86), (98, 86)], fill=0)
    draw.rectangle((150, 86, 170, 200), fill=0)


def flower(draw: Canvas) -> None:
    for x, y in polygon((160, 120), [66] * 6, 0.3):
        draw.ellipse((x - 38, y - 38, x + 38, y + 38), fill=255)
    draw.ellipse((128, 88, 192, 152), fill=0)


def glyphs(draw: Canvas, count: int, top: float, height: float, seed: int) -> None:
    """A line of made-up letters: strokes between the six points of a box."""
    rng = np.random.default_rng(seed)
    step = 290 / count
    for k in range(count):
        left, right = 18 + k * step, 18 + k * step + 0.66 * step
        points = [(x, top + y * height) for y in (0, 0.5, 1) for x in (left, right)]
        strokes = [(0, 4)] if rng.random() < 0.6 else [(1, 5)]
        pool = [(0, 1), (2, 3), (4, 5), (1, 3), (3, 5), (0, 3), (3, 4), (2, 5), (0, 2)]
        strokes += [pool[j] for j in rng.choice(len(pool), 3, replace=False)]
        for a, b in strokes:
            draw.line([points[a], points[b]], fill=255, width=max(12, int(height / 5)), joint="curve")


def one_line(draw: Canvas) -> None:
    glyphs(draw, 6, 80, 80, 3)


def two_lines(draw: Canvas) -> None:
    glyphs(draw, 5, 30, 74, 5)
    draw.rectangle((18, 126, 302, 140), fill=255)
    glyphs(draw, 9, 162, 46, 8)


def label(draw: Canvas) -> None:
    draw.rounded_rectangle((14, 50, 306, 190), 24, fill=255)
    reverse = Image.new("L", (WIDE, HIGH))
    glyphs(ImageDraw.Draw(reverse), 5, 84, 72, 12)
    draw.bitmap((0, 0), reverse, fill=0)


def waves(draw: Canvas) -> None:
    x = np.linspace(20, 300, 60)
    for top in (60, 120, 180):
        draw.line(list(zip(x, top + 24 * np.sin(x / 22), strict=True)), fill=255, width=24, joint="curve")


DESIGNS: dict[str, Callable[[Canvas], None]] = {
    "star": star,
    "lettering": one_line,
    "mountain": peaks,
    "number": number,
    "heart": heart,
    "slogan": two_lines,
    "sunset": sunset,
    "bolt": bolt,
    "label": label,
    "shield": shield,
    "bars": bars,
    "flower": flower,
    "waves": waves,
}


def signed(filled: np.ndarray) -> np.ndarray:
    """Distance to the outline, positive inside, in pixels."""
    # The outline lies half-way between pixels; each transform measures to the other side's nearest one.
    inside, outside = distance_transform_edt(filled), distance_transform_edt(~filled)
    return np.asarray(np.where(filled, inside - 0.5, 0.5 - outside))


@functools.cache
def emblems() -> np.ndarray:
    """Each design's distance to its outline, positive inside, in its width [designs, HIGH / 4, WIDE / 4]."""
    fields = []
    for design in DESIGNS.values():
        image = Image.new("L", (WIDE, HIGH))
        design(ImageDraw.Draw(image))
        field = signed(np.asarray(image) > 127) / WIDE
        fields.append(field.reshape(HIGH // SHRINK, SHRINK, WIDE // SHRINK, SHRINK).mean((1, 3)))
    return np.stack(fields).astype(np.float32)


def blossom(draw: Canvas, centre: tuple[float, float], size: float, turn: float) -> None:
    for x, y in polygon(centre, [0.6 * size] * 5, turn):
        draw.ellipse((x - 0.48 * size, y - 0.48 * size, x + 0.48 * size, y + 0.48 * size), fill=255)


def leaf(draw: Canvas, centre: tuple[float, float], size: float, turn: float) -> None:
    draw.polygon(polygon(centre, [1.3 * size, 0.62 * size, 0.36 * size, 0.62 * size] * 2, turn)[:5], fill=255)


@functools.cache
def flowers() -> np.ndarray:
    """Tiles of blossoms and leaves: distances, positive inside, in the tile's side [tiles, 2, TILE / 2, TILE / 2]."""
    rng = np.random.default_rng(77)
    tiles = []
    for count, size in ((3, 46.0), (7, 27.0), (14, 15.0)):
        layers = [Image.new("L", (3 * TILE, 3 * TILE)) for _ in range(2)]
        centres: list[np.ndarray] = []
        while len(centres) < 2 * count:
            new = rng.uniform(0, TILE, 2)
            apart = [np.abs((new - old + TILE / 2) % TILE - TILE / 2) for old in centres]
            if all(np.hypot(*gap) > 1.25 * size for gap in apart):
                centres.append(new)
        for k, centre in enumerate(centres):
            turn, scale = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.8, 1.1)
            shape, layer = (blossom, layers[0]) if k < count else (leaf, layers[1])
            for dx in range(3):
                for dy in range(3):
                    place = (float(centre[0]) + dx * TILE, float(centre[1]) + dy * TILE)
                    shape(ImageDraw.Draw(layer), place, scale, turn)
        middle = slice(TILE, 2 * TILE)
        fields = [signed(np.asarray(layer) > 127)[middle, middle] / TILE for layer in layers]
        tiles.append([field.reshape(TILE // 2, 2, TILE // 2, 2).mean((1, 3)) for field in fields])
    return np.array(tiles, np.float32)
