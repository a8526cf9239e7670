"""The kinds of garments: what each is made of, how it is patterned and made up, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vireid.people import palette
from vireid.people.construction import Construction
from vireid.people.fabric import Fabric, Trim
from vireid.people.makes import (
    blazer,
    blouse,
    coat,
    down,
    dress,
    hat,
    hoodie,
    jacket,
    jeans,
    leggings,
    polo,
    shirt,
    shoes,
    shorts,
    simple,
    skirt,
    suit_trousers,
    sweater,
    t_shirt,
    tank,
    trousers,
    vest,
)
from vireid.people.odds import Odds, pick
from vireid.people.palette import DARK, RGB, draw_name, draw_shade
from vireid.people.spectrum import FIBRES, draw_leak, dyed

Maker = Callable[[np.random.Generator], Construction]

PERIODS: dict[str, tuple[float, float]] = {
    "rings": (0.026, 0.11),
    "verticals": (0.018, 0.06),
    "tartan": (0.06, 0.15),
    "gingham": (0.018, 0.05),
    "windowpane": (0.045, 0.10),
    "dots": (0.024, 0.06),
    "camouflage": (0.10, 0.20),
    "floral": (0.14, 0.34),
    "chest print": (0.17, 0.30),
    "logo": (0.11, 0.17),
    "side stripe": (0.07, 0.12),
}
"""The size of a pattern in metres; side stripes: their width with the share below."""

PRINTED = ("chest print", "logo")
"""Patterns printed with pigment, for the most part."""
PIECED = ("block", "raglan", "chest band", "yoke", "side stripe")
"""Patterns of several pieces of cloth, each dyed by itself."""

NEUTRAL = ("black", "charcoal", "grey", "light grey", "white", "cream", "navy", "beige")
"""Shades that go with every other one."""
CAMOUFLAGE = (("olive", "dark green", "khaki"), ("beige", "khaki", "brown"), ("grey", "charcoal", "light grey"))


@dataclass(frozen=True)
class Kind:
    """One kind of garment."""

    fibres: Odds
    patterns: Odds
    made: Maker
    colours: Odds = field(default_factory=lambda: palette.EVERYDAY)
    gloss: float = 1.0
    """Factor of the fibre's gloss."""


TOP_PATTERNS: Odds = {"plain": 40, "melange": 9, "rings": 12, "chest print": 16, "logo": 9, "block": 3, "raglan": 4}
TOP_PATTERNS |= {"chest band": 3, "gradient": 1.5, "camouflage": 1, "floral": 1.5, "dots": 1, "yoke": 1.5}
SPORT_PATTERNS: Odds = {"plain": 50, "block": 9, "yoke": 9, "raglan": 7, "chest band": 5, "side stripe": 5}
SPORT_PATTERNS |= {"logo": 12, "camouflage": 2}

KINDS: dict[str, Kind] = {
    "t-shirt": Kind({"cotton": 8, "polyester": 2}, TOP_PATTERNS, t_shirt, palette.LOUD),
    "shirt": Kind(
        {"cotton": 8, "linen": 1, "denim": 1},
        {"plain": 38, "verticals": 18, "tartan": 18, "gingham": 8, "windowpane": 7, "dots": 4, "floral": 4},
        shirt,
    ),
    "polo": Kind(
        {"cotton": 3, "polyester": 1},
        {"plain": 45, "rings": 18, "logo": 15, "chest band": 6, "block": 5, "raglan": 3, "melange": 8},
        polo,
        palette.LOUD,
    ),
    "sweater": Kind(
        {"wool": 4, "cotton": 2, "fleece": 0.5},
        {"plain": 42, "melange": 18, "rings": 16, "block": 4, "chest band": 5, "yoke": 4, "raglan": 3, "gradient": 2},
        sweater,
    ),
    "hoodie": Kind(
        {"cotton": 6, "fleece": 2, "polyester": 1},
        {"plain": 36, "melange": 16, "chest print": 18, "logo": 10, "raglan": 5, "block": 5, "camouflage": 3},
        hoodie,
    ),
    "jacket": Kind({"nylon": 5, "polyester": 3, "cotton": 3, "leather": 1.5, "denim": 1}, SPORT_PATTERNS, jacket),
    "blazer": Kind(
        {"wool": 4, "cotton": 1, "linen": 1},
        {"plain": 60, "verticals": 10, "windowpane": 8, "melange": 14, "tartan": 3},
        blazer,
        palette.SOBER,
    ),
    "coat": Kind(
        {"wool": 5, "cotton": 2, "polyester": 1},
        {"plain": 70, "melange": 14, "tartan": 5, "windowpane": 4},
        coat,
        palette.SOBER,
    ),
    "down": Kind({"nylon": 3, "polyester": 1}, {"plain": 70, "block": 10, "yoke": 12, "logo": 10}, down),
    "vest": Kind({"nylon": 3, "fleece": 1, "polyester": 1}, {"plain": 60, "yoke": 10, "logo": 10, "block": 6}, vest),
    "tank": Kind(
        {"cotton": 3, "polyester": 1}, {"plain": 50, "rings": 14, "chest print": 14, "logo": 8}, tank, palette.LOUD
    ),
    "blouse": Kind(
        {"viscose": 3, "cotton": 2, "polyester": 1},
        {"plain": 40, "floral": 22, "dots": 12, "verticals": 8, "rings": 6, "gradient": 3},
        blouse,
        palette.LOUD,
    ),
    "dress": Kind(
        {"viscose": 3, "cotton": 3, "polyester": 1},
        {"plain": 38, "floral": 26, "dots": 10, "rings": 8, "block": 4, "gradient": 3, "tartan": 2, "verticals": 3},
        dress,
        palette.LOUD,
    ),
    "trousers": Kind(
        {"cotton": 6, "polyester": 2, "corduroy": 1, "linen": 0.7},
        {"plain": 80, "side stripe": 9, "tartan": 2, "camouflage": 3, "verticals": 1, "logo": 4},
        trousers,
        palette.TROUSERS,
    ),
    "jeans": Kind({"denim": 1}, {"plain": 1}, jeans, palette.JEANS),
    "suit-trousers": Kind(
        {"wool": 4, "polyester": 1},
        {"plain": 78, "verticals": 10, "melange": 8, "windowpane": 3},
        suit_trousers,
        palette.SUITS,
    ),
    "shorts": Kind(
        {"cotton": 5, "polyester": 3, "denim": 1},
        {"plain": 70, "side stripe": 10, "tartan": 5, "camouflage": 4, "floral": 3, "logo": 5},
        shorts,
        palette.TROUSERS,
    ),
    "leggings": Kind(
        {"polyester": 3, "cotton": 1},
        {"plain": 80, "side stripe": 8, "melange": 5, "block": 3},
        leggings,
        palette.TROUSERS,
    ),
    "skirt": Kind(
        {"cotton": 3, "viscose": 2, "denim": 1, "wool": 1},
        {"plain": 55, "floral": 12, "tartan": 12, "dots": 6, "rings": 5, "verticals": 3},
        skirt,
    ),
    "shoes": Kind({"leather": 4, "polyester": 3, "cotton": 1}, {"plain": 1}, shoes, palette.SHOES),
    "sole": Kind({"rubber": 1}, {"plain": 1}, simple, palette.SOLES),
    "bag": Kind(
        {"nylon": 4, "polyester": 2, "leather": 3, "cotton": 1},
        {"plain": 80, "logo": 14, "rings": 3, "dots": 2},
        simple,
        palette.BAGS,
    ),
    "hat": Kind(
        {"cotton": 3, "wool": 3, "polyester": 1, "straw": 0.4},
        {"plain": 70, "logo": 14, "rings": 8, "melange": 6},
        hat,
        palette.LOUD,
    ),
    "scarf": Kind(
        {"wool": 4, "viscose": 1}, {"plain": 50, "tartan": 18, "rings": 12, "verticals": 6, "melange": 10}, simple
    ),
}
"""Each kind of garment."""


def draw_made(rng: np.random.Generator, kind: Kind, fibre: str, pattern: str) -> Construction:
    """How it is made up, where that follows from the cloth and its pattern."""
    made = kind.made(rng)
    values = dict(vars(made))
    if fibre == "corduroy":
        values["surface"] = "cord"
    elif fibre == "leather" and made.surface == "smooth":
        values["surface"] = "grain"
    elif fibre == "denim":
        values["surface"] = "twill"
    if pattern == "raglan":
        values["raglan"] = True
    if pattern == "camouflage" and made.surface in ("rib", "cable"):
        values["surface"] = "smooth"
    return Construction(**values)


def draw_names(rng: np.random.Generator, kind: Kind, fibre: str, pattern: str) -> tuple[str, str, str]:
    """The names of the three colours."""
    colours = kind.colours
    if fibre == "denim":
        colours = palette.JEANS
    elif fibre == "leather" and colours is palette.EVERYDAY:
        colours = {"black": 5, "brown": 3, "tan": 1, "burgundy": 0.5}
    elif fibre == "straw":
        colours = {"beige": 1, "camel": 1}
    if pattern == "camouflage":
        return CAMOUFLAGE[int(rng.choice(len(CAMOUFLAGE), p=(0.6, 0.22, 0.18)))]
    first = draw_name(rng, colours)
    if pattern == "melange":
        # A melange mixes a shade with white or black fibre.
        return first, ("black" if palette.contrast(first, "black") > 0.35 else "light grey"), first
    if pattern in PRINTED:
        second = draw_name(rng, {"white": 8, "black": 6, "red": 2, "mustard": 2, "light grey": 2, "navy": 2}, first)
    elif pattern in ("rings", "verticals", "gingham", "side stripe") and rng.random() < 0.6:
        second = draw_name(rng, {"white": 6, "navy": 2, "black": 2, "light grey": 1, "cream": 1}, first)
    elif first not in NEUTRAL and rng.random() < 0.75:
        second = draw_name(rng, {name: palette.EVERYDAY[name] for name in NEUTRAL}, first)
    else:
        second = draw_name(rng, palette.LOUD, first)
    return first, second, draw_name(rng, palette.LOUD, second)


def draw_infrared(
    rng: np.random.Generator, fibre: str, pattern: str, names: tuple[str, str, str], colours: tuple[RGB, RGB, RGB]
) -> tuple[float, float, float]:
    """The near-infrared reflectance of the three colours, from fibre and dye, not from the hue."""
    known = FIBRES[fibre]
    base = rng.uniform(*known.infrared)
    light, dark = draw_leak(rng, known.dyes), draw_leak(rng, known.black_dyes)
    found = []
    for k, (name, colour) in enumerate(zip(names, colours, strict=True)):
        if k and pattern in PIECED:
            light, dark = draw_leak(rng, known.dyes), draw_leak(rng, known.black_dyes)
            base = rng.uniform(*known.infrared)
        if k and pattern in PRINTED and rng.random() < 0.75:
            found.append(draw_pigment(rng, base, name, colour))
        else:
            found.append(dyed(base * rng.uniform(0.97, 1.02), dark if name in DARK else light, colour))
    return found[0], found[1], found[2]


def draw_pigment(rng: np.random.Generator, base: float, name: str, colour: RGB) -> float:
    """A print of pigment: white is titanium dioxide, dark shades hold carbon black, the others some of it."""
    if name in ("white", "cream"):
        return float(rng.uniform(0.80, 0.90))
    return dyed(base, draw_leak(rng, (("carbon", 1.0),)) if name in DARK else float(rng.uniform(0.02, 0.3)), colour)


def draw_trim(rng: np.random.Generator, fibre: str, name: str) -> Trim:
    colour = draw_shade(rng, name)
    known = FIBRES[fibre]
    dyes = known.black_dyes if name in DARK else known.dyes
    return Trim(colour, dyed(rng.uniform(*known.infrared), draw_leak(rng, dyes), colour))


def draw_thread(rng: np.random.Generator, fibre: str, first: str) -> Trim:
    """Top stitches, cords and laces."""
    if fibre == "denim" and first != "black" and rng.random() < 0.7:
        return draw_trim(rng, "polyester", "camel")
    return draw_trim(rng, "cotton", pick(rng, {"white": 3, "light grey": 1, "black": 1.5, first: 2}))


def draw_fabric(rng: np.random.Generator, kind: str, *, long_sleeves: bool = False) -> Fabric:
    """The material of a garment of a kind, with the frequencies of a street."""
    known = KINDS[kind]
    fibre = pick(rng, known.fibres)
    patterns = {"plain": 1.0} if fibre in ("leather", "denim", "corduroy", "straw") else dict(known.patterns)
    if not long_sleeves and kind in ("t-shirt", "polo"):
        # Short sleeves hold no side stripe, and rarely contrast.
        patterns["raglan"] = 0.4 * patterns.get("raglan", 0.0)
    pattern = pick(rng, patterns)
    made = draw_made(rng, known, fibre, pattern)
    if made.reflective and kind == "vest":
        names = (draw_name(rng, palette.SIGNAL), "black", "white")
    else:
        names = draw_names(rng, known, fibre, pattern)
    colours = (draw_shade(rng, names[0]), draw_shade(rng, names[1]), draw_shade(rng, names[2]))
    share = float(rng.uniform(0.25, 0.6))
    if pattern == "verticals" and (kind in ("blazer", "suit-trousers") or rng.random() < 0.4):
        share = float(rng.uniform(0.10, 0.18))
    elif pattern == "melange":
        share = float(rng.uniform(0.3, 0.6))
    low, high = PERIODS.get(pattern, (0.1, 0.1))
    zipped = made.closure in ("zip", "half zip")
    button = pick(rng, {"black": 2.1, names[0]: 5, "white": 0.4} if zipped else {"white": 2, "black": 2, names[0]: 3})
    return Fabric(
        fibre=fibre,
        pattern=pattern,
        names=names,
        colours=colours,
        infrared=draw_infrared(rng, fibre, pattern, names, colours),
        gloss=float(rng.uniform(*FIBRES[fibre].gloss)) * known.gloss,
        fuzz=FIBRES[fibre].fuzz,
        period=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
        share=share,
        phase=(float(rng.random()), float(rng.random())),
        design=int(rng.integers(0, 1 << 16)),
        made=made,
        thread=draw_thread(rng, fibre, names[0]),
        buttons=draw_trim(rng, "rubber", button),
        leather=draw_trim(rng, "leather", pick(rng, {"black": 3, "brown": 2, "tan": 1})),
        inner=draw_trim(rng, "cotton", pick(rng, {"white": 6, "light blue": 2, "black": 2, "grey": 1, "navy": 1})),
    )
