"""What the visible surfaces of a figure are made of: the colour, infrared reflectance and relief of each fragment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.people.fabric import appearance
from vireid.people.figure import Figure, Soup
from vireid.people.folds import fold_heights
from vireid.people.fragments import Fragments
from vireid.people.hair_colour import hair
from vireid.people.kernels import compiled
from vireid.people.labels import Part
from vireid.people.pose import Action
from vireid.people.skin import skin
from vireid.people.unroll import beyond_armhole, unroll

FINE = 0.4
"""Share of the relief of fabrics that is left at this resolution: finer forms are below a pixel."""


@dataclass(frozen=True)
class Surfaces:
    """What the fragments of a figure are made of."""

    colour: np.ndarray
    infrared: np.ndarray
    gloss: np.ndarray
    relief: np.ndarray
    part: np.ndarray


def surfaces_of(figure: Figure, soup: Soup, seen: Fragments, bends: np.ndarray) -> Surfaces:
    """Reflectance, relief and part of each fragment."""
    count = len(seen.owner)
    infrared, gloss, relief = np.zeros((3, count), np.float32)
    out = np.zeros((count, 3), np.float32), infrared, gloss, relief, np.zeros(count, np.uint8)
    kinds = list(zip(map(id, soup.materials), soup.unrolled.tolist(), strict=True))
    first = [kinds.index(kind) for kind in kinds]  # surfaces of one material are looked at together
    group = np.array(first)[seen.owner]
    for number in sorted(set(first)):
        material, unrolled = soup.materials[number], soup.unrolled[number]
        mine = np.flatnonzero(group == number)
        if not len(mine):
            continue
        place, uv, edge = seen.place.take(mine, 0), seen.uv.take(mine, 0), seen.edge.take(mine)
        part = np.full(len(mine), material.part, np.uint8)
        if material.kind == "skin":
            look = skin(figure.person.skin, place, uv)
            relief = look.relief
            part[place[:, 2] > 1.47] = Part.FACE
        elif material.kind == "hair":
            look = hair(figure.person.hair.tone, uv[:, 1], uv[:, 0])
            relief = look.relief
        else:
            assert material.fabric is not None
            uv = unroll(place) if unrolled else uv
            sleeve = beyond_armhole(place) > 0
            look = appearance(material.fabric, uv, place, np.maximum(edge, 0), kind=material.kind, arm=sleeve)
            start = np.array(material.fabric.phase, np.float32) * 40
            relief = FINE * look.relief + fold_heights(material.kind, place, uv, sleeve, bends, start)
        scatter(mine, (look.colour, look.infrared, look.gloss, relief, part), out)
    return Surfaces(*out)


@compiled
def scatter(mine: np.ndarray, values: tuple[np.ndarray, ...], out: tuple[np.ndarray, ...]) -> None:
    """Put the fields of `Surfaces` of some fragments [n] where those of all are."""
    colour, infrared, gloss, relief, part = values
    for i in range(len(mine)):
        p = mine[i]
        for c in range(3):
            out[0][p, c] = colour[i, c]
        out[1][p], out[2][p], out[3][p], out[4][p] = infrared[i], gloss[i], relief[i], part[i]


def bends_of(action: Action) -> np.ndarray:
    """How far the left and right elbow and the left and right knee are bent, 0 to 1."""
    elbow = {"phone": 0.9, "call": 1.0, "hold": 0.8, "strap": 1.0, "pocket": 0.4}
    arms = [elbow.get(mode, 0.2) for mode in action.arms]
    if not action.walks:
        return np.array([*arms, 0.1, 0.1], np.float32)
    phase = 2 * np.pi * action.phase
    return np.array([*arms, 0.5 + 0.4 * np.cos(phase - 4.6), 0.5 + 0.4 * np.cos(phase - 1.5)], np.float32)
