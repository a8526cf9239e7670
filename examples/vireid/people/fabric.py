"""The material of one garment: its colours in visible light and the near infrared, its pattern, how it is made up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.people.appearance import Appearance
from vireid.people.construction import Construction, construct
from vireid.people.kernels import compiled
from vireid.people.motif import DESIGNS
from vireid.people.palette import RGB
from vireid.people.pattern import shares
from vireid.people.spectrum import METAL_INFRARED, RETROREFLECTOR_INFRARED

REGION_OF: dict[str, str] = {
    **dict.fromkeys(
        ("t-shirt", "shirt", "polo", "sweater", "hoodie", "jacket", "blazer", "coat", "down", "vest", "tank"), "trunk"
    ),
    **dict.fromkeys(("blouse", "dress"), "trunk"),
    **dict.fromkeys(("trousers", "jeans", "suit-trousers", "shorts", "leggings", "skirt"), "legs"),
    "hat": "head",
    **dict.fromkeys(("shoes", "sole", "bag", "scarf"), "other"),
}
"""Each kind of garment, and which part of a person's template it is drawn on."""

WORDS: dict[str, str] = {
    "plain": "{0} {cloth}",
    "melange": "heathered {0} {cloth}",
    "rings": "{0} and {1} striped {cloth}",
    "verticals": "{0} and {1} vertically striped {cloth}",
    "tartan": "{0}, {1} and {2} tartan {cloth}",
    "gingham": "{0} and {1} gingham {cloth}",
    "windowpane": "{0} and {1} checked {cloth}",
    "dots": "{0} {cloth} with {1} dots",
    "block": "{0} and {1} two-tone {cloth}",
    "raglan": "{0} {cloth} with {1} sleeves",
    "chest band": "{0} {cloth} with a {1} chest band",
    "gradient": "{0} to {1} faded {cloth}",
    "camouflage": "{0}, {1} and {2} camouflage {cloth}",
    "floral": "{0} {cloth} with {1} flowers",
    "chest print": "{0} {cloth} with a {1} {design}",
    "logo": "{0} {cloth} with a small {1} logo",
    "side stripe": "{0} {cloth} with {1} side stripes",
    "yoke": "{0} {cloth} with a {1} yoke",
}

SURFACE_WORDS = {
    "rib": "ribbed ",
    "cable": "cable-knit ",
    "rows": "quilted ",
    "diamonds": "quilted ",
    "pleats": "pleated ",
}


@dataclass(frozen=True)
class Trim:
    """Another material on a garment: thread, buttons, a belt."""

    colour: RGB
    infrared: float


METAL = Trim((0.50, 0.48, 0.44), METAL_INFRARED)
RETROREFLECTOR = Trim((0.52, 0.53, 0.54), RETROREFLECTOR_INFRARED)
SHINE = (0.02, 0.25, 0.6, 0.3, 0.02, 0.3)
"""The gloss of the other materials, in their order."""


@dataclass(frozen=True)
class Fabric:
    """The material of one garment."""

    fibre: str
    pattern: str
    names: tuple[str, str, str]
    """The colours' names."""
    colours: tuple[RGB, RGB, RGB]
    """First, second and third colour, linear RGB."""
    infrared: tuple[float, float, float]
    """The same in the near infrared."""
    gloss: float
    fuzz: float
    period: float
    """Size of the pattern, in metres."""
    share: float
    """How much of the pattern the second colour takes."""
    phase: tuple[float, float]
    """Where the pattern begins, 0 to 1."""
    design: int
    """Which variant of the pattern."""
    made: Construction
    thread: Trim
    buttons: Trim
    leather: Trim
    inner: Trim
    """What is worn below, where a jacket is open at the neck."""

    def words(self) -> str:
        """The material in words, as in "navy and white striped cotton"."""
        surface = SURFACE_WORDS.get(self.made.surface, "")
        design = list(DESIGNS)[self.design % len(DESIGNS)]
        return WORDS[self.pattern].format(*self.names, cloth=surface + self.fibre, design=design)


@compiled
def mix(
    cloth: np.ndarray,
    gloss: float,
    part: np.ndarray,
    shade: np.ndarray,
    others: np.ndarray,
    material: np.ndarray,
    amount: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The colours of cloth [3, 4] by their shares, shaded, and under the other materials [6, 5]."""
    count = shade.shape[0]
    colour, infrared, shine = np.empty((count, 3), np.float32), np.empty(count, np.float32), np.empty(count, np.float32)
    for n in range(count):
        second, third = part[n, 0], part[n, 1]
        first, over = 1.0 - second - third, amount[n]
        shine[n] = gloss
        for k in range(4):
            value = (first * cloth[0, k] + second * cloth[1, k] + third * cloth[2, k]) * shade[n]
            if material[n]:
                value += over * (others[material[n] - 1, k] - value)
            value = min(max(value, 0.0), 1.0)
            if k < 3:
                colour[n, k] = value
            else:
                infrared[n] = value
        if material[n]:
            shine[n] += over * (others[material[n] - 1, 4] - shine[n])
    return colour, infrared, shine


def appearance(
    fabric: Fabric, uv: np.ndarray, place: np.ndarray, edge: np.ndarray, *, kind: str, arm: np.ndarray
) -> Appearance:
    """The fabric at points of a garment of a kind.

    `uv` [n, 2] are metres on the cloth, `place` [n, 3] the template's coordinates, `edge` [n] metres to the nearest
    hem, `arm` [n] whether a point is on a sleeve.
    """
    uv, place = np.ascontiguousarray(uv, np.float32), np.ascontiguousarray(place, np.float32)
    edge, arm = np.ascontiguousarray(edge, np.float32), np.ascontiguousarray(arm, bool)
    region = REGION_OF[kind]
    part = shares(
        fabric.pattern,
        uv,
        place,
        arm,
        region=region,
        period=fabric.period,
        share=fabric.share,
        phase=fabric.phase,
        design=fabric.design,
    )
    shade, height, material, amount = construct(fabric.made, fabric.fuzz, uv, place, edge, arm, region)
    cloth = np.column_stack([np.array(fabric.colours), np.array(fabric.infrared)]).astype(np.float32)
    trims = (fabric.thread, fabric.buttons, METAL, fabric.leather, fabric.inner, RETROREFLECTOR)
    others = np.array([[*trim.colour, trim.infrared, shine] for trim, shine in zip(trims, SHINE, strict=True)])
    colour, infrared, gloss = mix(cloth, fabric.gloss, part, shade, others.astype(np.float32), material, amount)
    return Appearance(colour, infrared, gloss, height)
