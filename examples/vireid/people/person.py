"""People: lasting attributes of their parts, and the materials of these parts."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

HAIRS = ("short", "bald", "long", "bun", "cap", "beanie", "hood")
UPPERS = ("t-shirt", "long sleeves", "open jacket", "coat", "vest", "tank top")
LOWERS = ("shorts", "trousers", "skirt", "long skirt", "wide trousers", "leggings")
SHOES = ("flat", "boots", "high boots")
BAGS = ("none", "backpack", "shoulder bag", "hand bag", "cross-body bag")

# A pattern's name, and how often a garment has it.
UPPER_PATTERNS = {
    "plain": 0.16,
    "rings": 0.13,
    "stripes": 0.13,
    "check": 0.11,
    "dots": 0.11,
    "two blocks": 0.10,
    "band": 0.10,
    "diagonals": 0.08,
    "two halves": 0.08,
}
LOWER_PATTERNS = {
    "plain": 0.34,
    "side stripe": 0.12,
    "check": 0.12,
    "rings": 0.12,
    "two blocks": 0.12,
    "dots": 0.08,
    "stripes": 0.10,
}

GROUPS = ("hair", "upper", "lower", "accessories")
FAMILY = 4


class Material(IntEnum):
    """Rows of `Person.colour` and of `Person.reflectance`."""

    SKIN = 0
    HAIR = 1
    UPPER = 2
    UPPER_PRINT = 3
    LOWER = 4
    LOWER_PRINT = 5
    INNER = 6  # what an open jacket or a vest is worn over
    SHOES = 7
    BAG = 8
    STRAP = 9


GROUP_MATERIALS = {
    "hair": [Material.HAIR],
    "upper": [Material.UPPER, Material.UPPER_PRINT, Material.INNER],
    "lower": [Material.LOWER, Material.LOWER_PRINT],
    "accessories": [Material.SHOES, Material.BAG, Material.STRAP],
}
PRINTS = ((Material.UPPER, Material.UPPER_PRINT), (Material.LOWER, Material.LOWER_PRINT))


@dataclass(frozen=True)
class Garment:
    """Lengths are in body heights; `duty` is the print's share of a period, `offset` where blocks and bands lie."""

    kind: str
    pattern: str
    period: float
    duty: float
    offset: float


@dataclass(frozen=True)
class Bag:
    """`side` is -1 or 1, the wearer's right or left; `size` is relative."""

    kind: str
    side: int
    size: float


@dataclass(frozen=True)
class Build:
    """`width` and `shoulders` are relative; `leg` (hip to sole) and `head` (radius) are in body heights."""

    width: float
    leg: float
    head: float
    shoulders: float


@dataclass(frozen=True, eq=False)
class Person:
    """The attributes of a person that do not depend on camera, pose or light.

    `colour` is [m 3] and `reflectance` [m], both in [0, 1], with m = len(Material) materials. The reflectance is what
    an infrared camera sees; it is drawn independently of the colour, as dyes are in life.
    """

    hair: str
    upper: Garment
    lower: Garment
    shoes: str
    bag: Bag
    build: Build
    colour: np.ndarray
    reflectance: np.ndarray


def draw_colours(rng: np.random.Generator, n: int) -> np.ndarray:
    """n colours [n 3] of any hue, rarely saturated, never black."""
    hue, saturation, value = rng.uniform(size=(3, n))
    return np.array([colorsys.hsv_to_rgb(*hsv) for hsv in zip(hue, 0.8 * saturation, 0.12 + 0.83 * value, strict=True)])


def draw_materials(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colour [m 3] and infrared reflectance [m], independent of one another.

    Both renders show every print, save that one print in eight all but vanishes in infrared. Which of the two
    materials is the brighter one is left to chance in each, so that contrast has no common sign.
    """
    colour = draw_colours(rng, len(Material))
    reflectance = rng.uniform(0.12, 0.95, len(Material))
    for cloth, print_ in PRINTS:
        while abs(colour[cloth].mean() - colour[print_].mean()) < 0.22:
            colour[print_] = draw_colours(rng, 1)[0]
        low, high = (0.22, 1.0) if rng.random() > 0.125 else (0.0, 0.08)
        while not low <= abs(reflectance[cloth] - reflectance[print_]) <= high:
            reflectance[print_] = rng.uniform(0.12, 0.95)
    colour[Material.SKIN] = np.array([0.85, 0.66, 0.52]) * rng.uniform(0.45, 1.08)
    reflectance[Material.SKIN] = rng.uniform(0.72, 0.88)  # skin of every tone is bright in the near infrared
    return colour, reflectance


def draw_garment(rng: np.random.Generator, kinds: tuple[str, ...], patterns: dict[str, float]) -> Garment:
    return Garment(
        kind=str(rng.choice(kinds)),
        pattern=str(rng.choice(list(patterns), p=list(patterns.values()))),
        period=rng.uniform(0.045, 0.105),
        duty=rng.uniform(0.35, 0.6),
        offset=rng.uniform(0.27, 0.7),
    )


def draw_person(rng: np.random.Generator) -> Person:
    """A person with sampled attributes and materials."""
    colour, reflectance = draw_materials(rng)
    return Person(
        hair=str(rng.choice(HAIRS)),
        upper=draw_garment(rng, UPPERS, UPPER_PATTERNS),
        lower=draw_garment(rng, LOWERS, LOWER_PATTERNS),
        shoes=str(rng.choice(SHOES)),
        bag=Bag(str(rng.choice(BAGS, p=[0.3, 0.2, 0.18, 0.16, 0.16])), int(rng.choice([-1, 1])), rng.uniform(0.7, 1.4)),
        build=Build(
            rng.uniform(0.85, 1.22), rng.uniform(0.45, 0.53), rng.uniform(0.058, 0.075), rng.uniform(0.9, 1.12)
        ),
        colour=colour,
        reflectance=reflectance,
    )


def form(person: Person, group: str) -> tuple[str, ...]:
    """The attributes of a group that both modalities show: its kinds and patterns, without its materials."""
    if group == "hair":
        return (person.hair,)
    if group == "accessories":
        return (person.shoes, person.bag.kind)
    garment: Garment = getattr(person, group)
    return (garment.kind, garment.pattern)


def redraw(person: Person, group: str, rng: np.random.Generator) -> Person:
    """The same person with one group sampled again. Its form changes, as infrared does not show another colour."""
    other = draw_person(rng)
    while form(other, group) == form(person, group):
        other = draw_person(rng)
    colour, reflectance = person.colour.copy(), person.reflectance.copy()
    rows = GROUP_MATERIALS[group]
    colour[rows], reflectance[rows] = other.colour[rows], other.reflectance[rows]
    names = ("shoes", "bag") if group == "accessories" else (group,)
    fresh = {name: getattr(other, name) for name in names}
    return replace(person, colour=colour, reflectance=reflectance, **fresh)


def draw_family(rng: np.random.Generator, size: int = FAMILY) -> list[Person]:
    """`size` look-alikes: each has two of the four groups of a common ancestor sampled again, and keeps the rest.

    A global impression then does not tell them apart: a matcher must look at the parts.
    """
    ancestor = draw_person(rng)
    members = []
    for _ in range(size):
        member = ancestor
        for group in rng.choice(GROUPS, size=2, replace=False):
            member = redraw(member, str(group), rng)
        members.append(member)
    return members
