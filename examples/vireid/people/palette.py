"""Colours of clothes, with their names."""

from __future__ import annotations

import functools

import numpy as np

from vireid.people.odds import pick

RGB = tuple[float, float, float]

SHADES: dict[str, tuple[int, int, int]] = {
    "black": (33, 33, 35),
    "charcoal": (54, 55, 59),
    "grey": (116, 117, 120),
    "light grey": (176, 177, 178),
    "white": (232, 232, 229),
    "cream": (226, 216, 192),
    "navy": (32, 39, 64),
    "blue": (48, 84, 148),
    "light blue": (146, 176, 208),
    "turquoise": (58, 140, 150),
    "beige": (194, 174, 142),
    "khaki": (146, 132, 98),
    "camel": (176, 130, 80),
    "brown": (88, 62, 46),
    "olive": (84, 86, 56),
    "dark green": (34, 62, 48),
    "green": (58, 124, 76),
    "light green": (150, 188, 132),
    "burgundy": (94, 30, 42),
    "red": (172, 40, 44),
    "coral": (214, 112, 96),
    "pink": (216, 158, 172),
    "orange": (208, 104, 44),
    "mustard": (192, 146, 52),
    "yellow": (222, 196, 84),
    "purple": (92, 56, 112),
    "lilac": (172, 152, 196),
    "dark indigo": (38, 46, 68),
    "indigo": (62, 82, 116),
    "stone-washed": (114, 136, 164),
    "bleached": (164, 182, 200),
    "tan": (150, 102, 62),
    "signal yellow": (208, 218, 60),
    "signal orange": (226, 98, 40),
}
"""sRGB values, 0 to 255, of dyed cloth in daylight: none is as pure as a display's primaries."""

DARK = ("black", "charcoal", "navy", "dark indigo")
"""Shades deep enough that carbon black may be in them."""

EVERYDAY: dict[str, float] = {
    "black": 17,
    "charcoal": 8,
    "grey": 9,
    "light grey": 7,
    "white": 12,
    "cream": 3,
    "navy": 11,
    "blue": 5,
    "light blue": 5,
    "turquoise": 1.5,
    "beige": 5,
    "khaki": 3,
    "camel": 1.5,
    "brown": 2.5,
    "olive": 3.5,
    "dark green": 2,
    "green": 2,
    "light green": 1,
    "burgundy": 3,
    "red": 4,
    "coral": 1.2,
    "pink": 3,
    "orange": 1.2,
    "mustard": 1.5,
    "yellow": 1.5,
    "purple": 1.5,
    "lilac": 1.2,
}
LOUD: dict[str, float] = {
    **EVERYDAY,
    "black": 8,
    "charcoal": 4,
    "red": 9,
    "blue": 9,
    "yellow": 4,
    "coral": 4,
    "pink": 6,
    "turquoise": 4,
}
SOBER: dict[str, float] = {"black": 24, "charcoal": 14, "grey": 9, "navy": 17, "beige": 4, "camel": 4, "brown": 4}
SOBER |= {"olive": 4, "dark green": 2, "burgundy": 3, "light grey": 2, "cream": 2, "red": 1.5, "khaki": 2}
SUITS: dict[str, float] = {"black": 12, "charcoal": 12, "navy": 12, "grey": 7, "beige": 2, "brown": 2}
TROUSERS: dict[str, float] = {"black": 30, "charcoal": 12, "navy": 14, "grey": 9, "khaki": 8, "beige": 8, "brown": 4}
TROUSERS |= {"olive": 6, "white": 2, "light grey": 2, "burgundy": 1, "cream": 1}
JEANS: dict[str, float] = {"dark indigo": 32, "indigo": 28, "stone-washed": 16, "bleached": 5, "black": 14, "grey": 5}
SHOES: dict[str, float] = {"black": 34, "white": 18, "brown": 9, "tan": 6, "grey": 8, "navy": 6, "beige": 4, "red": 3}
SHOES |= {"blue": 2, "burgundy": 2, "pink": 1.5}
SOLES: dict[str, float] = {"white": 10, "black": 9, "tan": 2, "cream": 2}
BAGS: dict[str, float] = {"black": 34, "navy": 9, "grey": 9, "brown": 9, "tan": 7, "olive": 4, "red": 5, "blue": 5}
BAGS |= {"beige": 4, "pink": 3, "burgundy": 3, "mustard": 2, "turquoise": 2, "orange": 1.5, "purple": 1.5}
SIGNAL: dict[str, float] = {"signal yellow": 2, "signal orange": 1}


def linear(shade: tuple[int, int, int]) -> np.ndarray:
    """sRGB, 0 to 255, as linear light."""
    value = np.asarray(shade, np.float64) / 255
    return np.asarray(np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4))


def draw_name(rng: np.random.Generator, palette: dict[str, float], apart_from: str | None = None) -> str:
    """A colour's name, by the palette's weights; `apart_from` a colour that it must be told from."""
    apart = {n: odd for n, odd in palette.items() if apart_from is None or contrast(n, apart_from) > 0.12}
    return pick(rng, apart)


@functools.cache
def contrast(one: str, other: str) -> float:
    """How far apart two shades look: their distance in the square roots of linear light, about sRGB / √3."""
    difference = np.sqrt(linear(SHADES[one])) - np.sqrt(linear(SHADES[other]))
    return float(np.sqrt(np.mean(difference**2)))


def draw_shade(rng: np.random.Generator, name: str) -> RGB:
    """One dye lot of a named colour, in linear light."""
    base = linear(SHADES[name])
    grey = base.mean()
    lot = (
        (grey + (base - grey) * rng.uniform(0.75, 1.12)) * np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.03, 3))
    )
    r, g, b = np.clip(lot, 0.004, 0.86)
    return float(r), float(g), float(b)
