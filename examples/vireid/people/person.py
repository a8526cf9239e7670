"""Identities: what lasts of a person in all pictures, and families of look-alikes.

People of a family share all attributes but two. Each attribute has random numbers of its own, so that one can be drawn
anew without changing another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vireid.people.body import Shape
from vireid.people.fabric import Fabric
from vireid.people.hair_colour import HairTone, draw_hair
from vireid.people.kinds import draw_fabric
from vireid.people.odds import pick
from vireid.people.pose import Gait
from vireid.people.skin import Complexion, draw_complexion
from vireid.people.wardrobe import BOTTOMS, DRESSES, OVERS, TOPS

FAMILY = 3
"""Number of look-alikes in a family."""
OWN = 2
"""Number of attributes in which each differs from the first of its family."""


@dataclass(frozen=True)
class Worn:
    """A garment, a hat, shoes or a bag: its kind and what it is made of."""

    kind: str
    fabric: Fabric
    second: Fabric | None = None
    """Of soles, and of what is worn under."""

    def words(self) -> str:
        return f"{self.fabric.words()} {self.kind}"


@dataclass(frozen=True)
class Hair:
    style: str
    tone: HairTone

    def words(self) -> str:
        return "bald" if self.style == "bald" else f"{self.tone.name}, {self.style}"


SKIN_WORDS = ("very light", "light", "medium", "brown", "dark brown", "very dark")


@dataclass(frozen=True)
class Person:
    female: bool
    shape: Shape
    gait: Gait
    skin: Complexion
    hair: Hair
    hat: Worn | None
    top: Worn
    over: Worn | None
    bottom: Worn | None
    """None under a dress."""
    shoes: Worn
    bag: Worn | None

    def words(self) -> dict[str, str]:
        """The attributes in words."""
        age = round(5 * np.interp(self.shape.age, (1 / 3, 2 / 3, 1), (10, 25, 90)) / 5)
        tall = ("short", "middle-sized", "tall")[int(np.clip((self.shape.height - 0.2) / 0.2, 0, 2))]
        beard = ("", ", stubble", ", beard")[int(self.skin.beard > 0) + int(self.skin.beard > 0.5)]
        build = ("slim", "average", "heavy")[int(np.clip((self.shape.weight - 0.2) / 0.25, 0, 2))]
        return {
            "sex": "female" if self.female else "male",
            "age": f"about {age}",
            "body": f"{tall}, {build}",
            "skin": SKIN_WORDS[min(int(self.skin.melanin * len(SKIN_WORDS)), len(SKIN_WORDS) - 1)] + beard,
            "hair": self.hair.words(),
            "hat": self.hat.words() if self.hat else "none",
            "top": self.top.words(),
            "over": self.over.words() if self.over else "none",
            "bottom": self.bottom.words() if self.bottom else "none",
            "shoes": self.shoes.words(),
            "bag": self.bag.words() if self.bag else "none",
        }


TOP_ODDS = {
    True: {
        "T-shirt": 3, "loose T-shirt": 1, "long-sleeved T-shirt": 2, "polo shirt": 0.5, "shirt": 1.5, "blouse": 3,
        "tank top": 1.5, "sweater": 3, "turtleneck": 1.5, "hoodie": 2,
    },
    False: {
        "T-shirt": 4, "loose T-shirt": 2, "long-sleeved T-shirt": 2, "polo shirt": 2, "shirt": 3.5,
        "tank top": 0.5, "sweater": 2.5, "turtleneck": 0.7, "hoodie": 3,
    },
}  # fmt: skip
OVER_ODDS = {
    True: {
        "jacket": 2, "open jacket": 2.5, "blazer": 2, "down jacket": 2, "vest": 1, "coat": 2.5,
        "open coat": 2, "parka": 1.5,
    },
    False: {
        "jacket": 3, "open jacket": 3.5, "blazer": 3, "down jacket": 2, "vest": 1.3, "coat": 1.3,
        "open coat": 1.3, "parka": 2,
    },
}  # fmt: skip
BOTTOM_ODDS = {
    True: {
        "jeans": 2.5, "slim jeans": 4, "trousers": 2, "wide trousers": 2.5, "suit trousers": 1, "joggers": 0.7,
        "leggings": 2, "shorts": 1.2, "knee-length shorts": 0.7, "short skirt": 1.2, "pleated skirt": 1.2,
        "pencil skirt": 1, "knee-length skirt": 1.3, "long skirt": 1.2,
    },
    False: {
        "jeans": 5, "slim jeans": 3, "trousers": 4, "wide trousers": 1.5, "suit trousers": 2.5, "joggers": 2,
        "shorts": 1.2, "knee-length shorts": 2,
    },
}  # fmt: skip
HAIR_ODDS = {
    True: {
        "bob": 4, "long": 5, "long front": 3, "wavy": 4, "pony": 4, "bun": 2, "braid": 1.5, "curly": 1.5, "afro": 0.6,
        "side part": 0.7, "messy": 0.7,
    },
    False: {
        "buzz": 3, "side part": 6, "messy": 3, "curly": 1.5, "afro": 0.6, "receding": 1.5, "bald": 1, "bob": 0.4,
        "bun": 0.3,
    },
}  # fmt: skip


HAT_ODDS = {"cap": 4, "beanie": 3, "bucket": 1.2, "sun hat": 1, "helmet": 0.6, "hood": 0.6, "headscarf": 1}
SHOE_ODDS = {
    True: {
        "sneakers": 4, "running shoes": 3, "high-tops": 1.5, "ankle boots": 2.5, "high boots": 1.5, "flats": 2.5,
        "pumps": 1.3, "sandals": 1.2,
    },
    False: {"sneakers": 5, "running shoes": 4, "high-tops": 2, "ankle boots": 1.5, "dress shoes": 3, "sandals": 0.6},
}  # fmt: skip
BAG_ODDS = {
    True: {"backpack": 3, "shoulder bag": 3, "tote": 2, "handbag": 2.5, "waist bag": 0.6, "briefcase": 0.3},
    False: {"backpack": 4.5, "shoulder bag": 2, "tote": 1.2, "waist bag": 0.9, "briefcase": 1.2},
}  # fmt: skip


def draw_shape(rng: np.random.Generator, female: bool) -> Shape:
    age = 0.45 if rng.random() < 0.06 else float(np.clip(rng.normal(0.70, 0.09), 0.56, 0.97))
    mix = rng.dirichlet((0.5, 0.5, 0.5))
    return Shape(
        gender=float(np.clip((0.08 if female else 0.92) + rng.normal(0, 0.06), 0, 1)),
        age=age,
        muscle=float(rng.uniform(0.3, 0.75)),
        weight=float(np.clip(rng.normal(0.45, 0.19), 0.1, 0.95)),
        height=float(np.clip(rng.normal(0.36, 0.1), 0.12, 0.62)),
        proportions=float(rng.uniform(0.35, 0.8)),
        races=(float(mix[0]), float(mix[1]), float(mix[2])),
    )


def draw_gait(rng: np.random.Generator) -> Gait:
    return Gait(
        stride=float(np.clip(rng.normal(1.0, 0.13), 0.7, 1.3)),
        swing=float(rng.uniform(0.2, 0.6)),
        stoop=float(np.clip(rng.normal(0.06, 0.05), -0.04, 0.25)),
        toes_out=float(rng.normal(0.12, 0.09)),
        elbow=float(rng.uniform(0.15, 0.5)),
        carry=float(rng.uniform(0.12, 0.28)),
    )


def draw_head(rng: np.random.Generator, female: bool) -> Hair:
    return Hair(pick(rng, HAIR_ODDS[female]), draw_hair(rng))


def draw_hat(rng: np.random.Generator) -> Worn | None:
    return Worn(pick(rng, HAT_ODDS), draw_fabric(rng, "hat")) if rng.random() < 0.2 else None


def draw_top(rng: np.random.Generator, female: bool) -> Worn:
    if female and rng.random() < 0.14:
        kind = str(rng.choice(list(DRESSES)))
        return Worn(kind, draw_fabric(rng, "dress"))
    kind = pick(rng, TOP_ODDS[female])
    return Worn(kind, draw_fabric(rng, TOPS[kind].fabric))


def draw_over(rng: np.random.Generator, female: bool) -> Worn | None:
    if rng.random() < 0.58:
        return None
    kind = pick(rng, OVER_ODDS[female])
    return Worn(kind, draw_fabric(rng, OVERS[kind].fabric))


def draw_bottom(rng: np.random.Generator, female: bool) -> Worn:
    kind = pick(rng, BOTTOM_ODDS[female])
    return Worn(kind, draw_fabric(rng, BOTTOMS[kind].fabric))


def draw_shoes(rng: np.random.Generator, female: bool) -> Worn:
    return Worn(pick(rng, SHOE_ODDS[female]), draw_fabric(rng, "shoes"), draw_fabric(rng, "sole"))


def draw_bag(rng: np.random.Generator, female: bool) -> Worn | None:
    if rng.random() < 0.42:
        return None
    return Worn(pick(rng, BAG_ODDS[female]), draw_fabric(rng, "bag"))


DRAW: dict[str, Callable[[np.random.Generator, bool], Any]] = {
    "shape": draw_shape,
    "gait": lambda rng, female: draw_gait(rng),
    "skin": lambda rng, female: draw_complexion(rng, male=not female),
    "hair": draw_head,
    "hat": lambda rng, female: draw_hat(rng),
    "top": draw_top,
    "over": draw_over,
    "bottom": draw_bottom,
    "shoes": draw_shoes,
    "bag": draw_bag,
}
"""How each attribute is drawn, for a woman or a man."""


def draw_family(seed: list[int]) -> list[Person]:
    """A family of look-alikes, from the numbers of a seed: each but the first differs in OWN attributes from the first.

    Nobody wears a dress alone in a family: it would change top and bottom at once.
    """
    female = bool(np.random.default_rng([*seed, 0]).random() < 0.5)
    first = {
        name: draw(np.random.default_rng([*seed, 1, number]), female)
        for number, (name, draw) in enumerate(DRAW.items())
    }
    family = [make_person(female, first)]
    taken: set[str] = set()
    for member in range(1, FAMILY):
        rng = np.random.default_rng([*seed, 2, member])
        attributes = dict(first)
        free = [name for name in DRAW if name not in taken and not (name == "bottom" and first["top"].kind in DRESSES)]
        chosen = [str(name) for name in rng.choice(free, OWN, replace=False)]
        taken.update(chosen)
        for name in chosen:
            while attributes[name] == first[name] or (attributes["top"].kind in DRESSES) != (
                first["top"].kind in DRESSES
            ):
                attributes[name] = DRAW[name](rng, female)
        family.append(make_person(female, attributes))
    return family


def make_person(female: bool, attributes: dict[str, Any]) -> Person:
    bottom = None if attributes["top"].kind in DRESSES else attributes["bottom"]
    skin = replace(attributes["skin"], hair=attributes["hair"].tone)
    return Person(female=female, **{**attributes, "bottom": bottom, "skin": skin})
