"""Scenes: the background behind a person, and the occluder in front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from vireid.people.camera import Camera

Colour = tuple[int, ...]
Box = tuple[float, float, float, float]
OCCLUDED = 0.28
"""The share of pictures with an occluder in front of the person."""


class Canvas:
    """A picture to draw clutter on, in the camera's colours. Places and lengths are shares of its width and height."""

    def __init__(self, radiance: np.ndarray, camera: Camera, rng: np.random.Generator) -> None:
        self.h, self.w, channels = radiance.shape
        pixels = (radiance.clip(0, 1) * 255).astype(np.uint8)
        self.image = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
        self.draw = ImageDraw.Draw(self.image)
        self.camera, self.rng = camera, rng

    def colour(self, spread: float = 0.10) -> Colour | int:
        """A shade near the camera's usual background."""
        shade = self.camera.level + self.rng.normal(0, 0.22) + self.rng.normal(0, spread, self.camera.channels)
        levels = tuple(int(255 * level) for level in shade.clip(0, 1))
        return levels if len(levels) == 3 else levels[0]

    def box(self) -> Box:
        """A random box (x0, y0, x1, y1) in pixels, which may be partly outside."""
        x, y = self.rng.uniform(-0.2, 1, 2)
        dx, dy = self.rng.uniform(0.05, 0.5, 2)
        return x * self.w, y * self.h, (x + dx) * self.w, (y + dy) * self.h

    def radiance(self) -> np.ndarray:
        """[h w channels] in [0, 1]."""
        pixels = np.asarray(self.image, np.float32) / 255
        return pixels if pixels.ndim == 3 else pixels[..., None]


def panel(canvas: Canvas) -> None:
    canvas.draw.rectangle(canvas.box(), fill=canvas.colour())


def beam(canvas: Canvas) -> None:
    start, end = canvas.rng.uniform(-0.1, 1.1, (2, 2)) * (canvas.w, canvas.h)
    canvas.draw.line((*start, *end), fill=canvas.colour(), width=int(canvas.rng.integers(2, 7)))


def blob(canvas: Canvas) -> None:
    x0, y0, x1, y1 = canvas.box()
    canvas.draw.ellipse((x0, y0, x1, y0 + 0.6 * (y1 - y0)), fill=canvas.colour())


def fence(canvas: Canvas) -> None:
    x, top, _, bottom = canvas.box()
    colour, step = canvas.colour(), canvas.rng.uniform(0.06, 0.22) * canvas.w
    for post in range(6):
        canvas.draw.line((x + post * step, top, x + post * step, bottom), fill=colour, width=3)


def window(canvas: Canvas) -> None:
    """A framed pane: a door, a window, a notice board."""
    x0, y0, x1, y1 = canvas.box()
    canvas.draw.rectangle((x0, y0, x1, y1), fill=canvas.colour(), outline=canvas.colour(), width=2)
    middle = (x0 + x1) / 2
    canvas.draw.line((middle, y0, middle, y1), fill=canvas.colour(), width=2)


def tiles(canvas: Canvas) -> None:
    """Floor tiles: lines that run towards a vanishing point, under the horizon."""
    colour, x = canvas.colour(0.03), canvas.rng.uniform(0, canvas.w)
    top = canvas.rng.uniform(0.6, 0.8) * canvas.h
    for share in np.linspace(-1, 2, 7):
        canvas.draw.line((x + 0.4 * (share * canvas.w - x), top, share * canvas.w, canvas.h), fill=colour, width=1)


def foliage(canvas: Canvas) -> None:
    """A dozen leaves of one colour around a place."""
    colour, (x, y) = canvas.colour(), canvas.rng.uniform(0, 1, 2) * (canvas.w, canvas.h)
    for dx, dy in canvas.rng.normal(0, 0.08, (12, 2)) * canvas.h:
        canvas.draw.ellipse((x + dx - 3, y + dy - 3, x + dx + 4, y + dy + 4), fill=colour)


INDOORS: tuple[Callable[[Canvas], None], ...] = (panel, beam, blob, fence, window, tiles)
OUTDOORS: tuple[Callable[[Canvas], None], ...] = (panel, beam, blob, fence, fence, foliage)


def draw_background(camera: Camera, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A wall and a floor under uneven light, with three to eight objects: [h w channels] in [0, 1]."""
    h, w = size
    y, x = np.linspace(0, 1, h)[:, None], np.linspace(0, 1, w)[None]
    horizon = rng.uniform(0.35, 0.7)
    slope_x, slope_y = rng.normal(0, 0.2, 2)
    shade = camera.level + rng.normal(0, 0.08) + slope_x * (x - 0.5) + slope_y * (y - 0.5)
    shade = shade + (y > horizon) * rng.normal(0, 0.10)
    radiance = shade[..., None] + rng.normal(0, 0.05, camera.channels)
    canvas = Canvas(radiance, camera, rng)
    things = INDOORS if camera.indoor else OUTDOORS
    for _ in range(rng.integers(3, 9)):
        things[rng.integers(len(things))](canvas)
    radiance = canvas.radiance()
    if camera.infrared:  # the lamp reaches people before it reaches walls
        radiance *= np.float32(rng.uniform(0.6, 1.0))
    return radiance


def draw_occluder(camera: Camera, rng: np.random.Generator) -> tuple[Box, np.ndarray] | None:
    """Perhaps a pole, a low wall or a box before the person: its box (x0, y0, x1, y1) in shares of the picture, and its
    colour [channels]."""
    if rng.random() >= OCCLUDED:
        return None
    colour = (rng.uniform(0.1, 0.9) + rng.normal(0, 0.12, camera.channels)).clip(0, 1)
    kind = rng.integers(3)
    if kind == 0:
        x = rng.uniform(0, 0.9)
        return (x, 0.0, x + rng.uniform(0.06, 0.16), 1.0), colour
    if kind == 1:
        width = rng.uniform(0.5, 1.0)
        x = 0.0 if rng.random() < 0.5 else 1.0 - width
        return (x, rng.uniform(0.66, 0.9), x + width, 1.0), colour
    x, y = rng.uniform(-0.1, 0.8), rng.uniform(0.2, 0.8)
    return (x, y, x + rng.uniform(0.2, 0.4), y + rng.uniform(0.15, 0.3)), colour
