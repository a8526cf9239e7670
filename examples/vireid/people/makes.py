"""How garments of each kind are made up: closures, hems, pockets, waists."""

from __future__ import annotations

import numpy as np

from vireid.people.construction import Construction
from vireid.people.odds import pick


def t_shirt(rng: np.random.Generator) -> Construction:
    return Construction(pockets=pick(rng, {"none": 8, "patch": 1}))


def shirt(rng: np.random.Generator) -> Construction:
    return Construction(closure="buttons", pockets=pick(rng, {"none": 1, "patch": 1}))


def polo(rng: np.random.Generator) -> Construction:
    return Construction(closure="polo", hem=pick(rng, {"stitched": 1, "ribbed": 1}))


def sweater(rng: np.random.Generator) -> Construction:
    closure = pick(rng, {"none": 12, "buttons": 3, "half zip": 2})
    surface = pick(rng, {"smooth": 6, "rib": 3, "cable": 2})
    return Construction(closure=closure, hem="ribbed", surface=surface)


def hoodie(rng: np.random.Generator) -> Construction:
    closure = pick(rng, {"none": 1, "zip": 1})
    return Construction(closure=closure, hem="ribbed", pockets="kangaroo", drawn_hood=rng.random() < 0.8)


def jacket(rng: np.random.Generator) -> Construction:
    return Construction(
        closure=pick(rng, {"zip": 4, "buttons": 1}),
        hem=pick(rng, {"stitched": 2, "ribbed": 1}),
        pockets=pick(rng, {"welt": 3, "patch": 1}),
        surface=pick(rng, {"smooth": 10, "diamonds": 1}),
        reflective=rng.random() < 0.04,
    )


def blazer(rng: np.random.Generator) -> Construction:
    return Construction(closure="lapels", pockets="welt")


def coat(rng: np.random.Generator) -> Construction:
    closure = pick(rng, {"lapels": 4, "double-breasted": 3, "buttons": 2, "zip": 2})
    return Construction(closure=closure, pockets="welt", waist=pick(rng, {"none": 4, "sash": 1}))


def down(rng: np.random.Generator) -> Construction:
    return Construction(closure="zip", pockets="welt", surface=pick(rng, {"rows": 5, "diamonds": 1}))


def vest(rng: np.random.Generator) -> Construction:
    return Construction(
        closure=pick(rng, {"zip": 3, "buttons": 1}),
        pockets=pick(rng, {"welt": 2, "none": 1}),
        surface=pick(rng, {"smooth": 1, "rows": 1, "diamonds": 1}),
        reflective=rng.random() < 0.10,
    )


def tank(rng: np.random.Generator) -> Construction:
    return Construction(surface=pick(rng, {"smooth": 3, "rib": 1}))


def blouse(rng: np.random.Generator) -> Construction:
    return Construction(closure=pick(rng, {"none": 2, "buttons": 1}))


def dress(rng: np.random.Generator) -> Construction:
    closure = pick(rng, {"none": 6, "buttons": 1})
    return Construction(closure=closure, waist=pick(rng, {"none": 2, "sash": 1}))


def trousers(rng: np.random.Generator) -> Construction:
    style = pick(rng, {"chinos": 6, "cargo": 1.5, "jogging": 3})
    if style == "jogging":
        return Construction(hem=pick(rng, {"ribbed": 2, "stitched": 1}), pockets="slanted", waist="drawstring")
    pockets = "cargo" if style == "cargo" else "slanted"
    return Construction(pockets=pockets, waist=pick(rng, {"band": 1, "belt": 1}))


def jeans(rng: np.random.Generator) -> Construction:
    waist = pick(rng, {"band": 3, "belt": 2})
    return Construction(pockets="jeans", waist=waist, surface="twill", wear=float(rng.beta(1.3, 1.5)))


def suit_trousers(rng: np.random.Generator) -> Construction:
    return Construction(hem="raw", pockets="slanted", waist=pick(rng, {"belt": 4, "band": 1}), crease=True)


def shorts(rng: np.random.Generator) -> Construction:
    style = pick(rng, {"slanted": 5, "cargo": 2, "sports": 3})
    if style == "sports":
        return Construction(waist="drawstring")
    return Construction(pockets=style, waist=pick(rng, {"band": 1, "belt": 1}))


def leggings(rng: np.random.Generator) -> Construction:
    return Construction(hem="raw", waist="elastic")


def skirt(rng: np.random.Generator) -> Construction:
    return Construction(waist="elastic", seams=False, surface=pick(rng, {"smooth": 4, "pleats": 1}))


def shoes(rng: np.random.Generator) -> Construction:
    return Construction(laces=rng.random() < 0.7, surface="smooth")


def simple(rng: np.random.Generator) -> Construction:
    return Construction()


def hat(rng: np.random.Generator) -> Construction:
    return Construction(surface=pick(rng, {"smooth": 1, "rib": 1}))
