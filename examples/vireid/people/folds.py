"""Folds of cloth: where joints bend, where cloth is too long, and where it is pulled."""

from __future__ import annotations

import numpy as np

from vireid.people.kernels import compiled
from vireid.people.noise import TABLE, at
from vireid.people.unroll import SHOULDER

STIFFNESS = {
    "leggings": 0.25, "t-shirt": 0.8, "polo": 0.7, "tank": 0.7, "shirt": 1.0, "blouse": 0.9, "sweater": 0.7,
    "hoodie": 0.9, "jacket": 1.0, "blazer": 0.6, "coat": 0.6, "down": 0.5, "vest": 0.5, "dress": 0.8, "trousers": 1.0,
    "jeans": 0.9, "suit-trousers": 0.6, "shorts": 0.8, "skirt": 0.5,
}  # fmt: skip
"""How deeply each kind of garment folds."""

DEPTH = 0.007
"""Depth of a deep fold, in metres."""


@compiled
def folds(
    place: np.ndarray,
    uv: np.ndarray,
    sleeve: np.ndarray,
    legs: bool,
    bends: np.ndarray,
    start: np.ndarray,
    table: np.ndarray,
) -> np.ndarray:
    """The height [n] of folds at places [n 3] with uv [n 2].

    `bends` are those of the left and right elbow and of the left and right knee (0 to 1); `start` [2] is where the
    noise is read, so that the folds of a garment are its own.
    """
    out = np.empty(place.shape[0], np.float32)
    for i in range(place.shape[0]):
        x, y, z = place[i, 0], place[i, 1], place[i, 2]
        u, v = uv[i, 0] + start[0], uv[i, 1] + start[1]
        warp = 0.02 * at(table, 14 * u, 9 * v)
        rings = at(table, 9 * u + 2 * v, 34 * (v + warp))
        drapes = at(table, 26 * (u + warp), 4 * v + 3 * u)
        drags = at(table, 11 * u + 9 * v, 11 * u - 14 * v)
        if sleeve[i]:
            along = SHOULDER - uv[i, 1]
            bend = bends[0] if x > 0 else bends[1]
            near = np.exp(-(((along - 0.27) / 0.09) ** 2))
            cuff = np.exp(-(((along - 0.48) / 0.06) ** 2))
            arm = np.exp(-((along / 0.09) ** 2))
            height = (0.25 + (0.5 + bend) * near + 0.5 * cuff) * rings + 0.4 * arm * drags
        elif legs and z < 0.86:
            bend = bends[2] if x > 0 else bends[3]
            near = np.exp(-(((z - 0.49) / 0.10) ** 2))
            cuff = np.exp(-(((z - 0.10) / 0.07) ** 2))
            hip = np.exp(-(((z - 0.83) / 0.07) ** 2)) * (1.0 if y < 0.0 else 0.6)
            height = (0.15 + (0.35 + bend) * near + 0.8 * cuff) * rings + 0.6 * hip * drags + 0.25 * drapes
        else:
            waist = np.exp(-(((z - 1.03) / 0.08) ** 2))
            chest = np.exp(-(((z - 1.28) / 0.08) ** 2)) * min(abs(x) / 0.12, 1.0)
            low = min(max((1.18 - z) / 0.3, 0.0), 1.0)
            height = 0.45 * waist * rings + (0.15 + 0.5 * chest) * drags + (0.15 + 0.5 * low) * drapes
        out[i] = height
    return out


def fold_heights(
    kind: str, place: np.ndarray, uv: np.ndarray, sleeve: np.ndarray, bends: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Metres [n] by which the cloth of a kind of garment is folded at places of the template."""
    if kind not in STIFFNESS:
        return np.zeros(len(place), np.float32)
    depth = np.float32(DEPTH * STIFFNESS[kind])
    legs = kind in ("trousers", "jeans", "suit-trousers", "shorts", "leggings")
    heights: np.ndarray = depth * folds(place, uv, sleeve, legs, bends, start, TABLE)
    return heights
