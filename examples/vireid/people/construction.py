"""How a garment is made up: seams, hems, closures, pockets, belts, wear, and the surface of its cloth.

Everything is drawn as a factor of shade, a height for bump shading, and the share of another material (buttons, zips,
belts). Lines are about half a centimetre wide, wider than real stitches: a thinner one would be less than a sample of
a picture, and flicker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vireid.people.kernels import compiled
from vireid.people.noise import TABLE, at
from vireid.people.pattern import HEAD, LEGS, OTHER, REGIONS, TRUNK, leg_centre, step
from vireid.people.strokes import bell, box, line, segment, surface_of

CLOSURES = ("none", "buttons", "polo", "zip", "half zip", "lapels", "double-breasted")
HEMS = ("raw", "stitched", "ribbed")
POCKETS = ("none", "patch", "kangaroo", "welt", "jeans", "slanted", "cargo")
WAISTS = ("none", "band", "belt", "drawstring", "elastic", "sash")
SURFACES = ("smooth", "rib", "cable", "twill", "cord", "rows", "diamonds", "grain", "pleats")

OWN, THREAD, TRIM, METAL, LEATHER, INNER, RETROREFLECTOR = range(7)
"""The other materials of a garment."""


@dataclass(frozen=True)
class Construction:
    """How one garment is made up."""

    closure: str = "none"
    hem: str = "stitched"
    pockets: str = "none"
    waist: str = "none"
    surface: str = "smooth"
    seams: bool = True
    raglan: bool = False
    crease: bool = False
    """Trousers pressed along the middle of each leg."""
    laces: bool = False
    drawn_hood: bool = False
    """Cords hang from a hood."""
    reflective: bool = False
    wear: float = 0.0
    """How much knees, thighs and seat have faded: 0 to 1."""


@compiled
def make_up(
    uv: np.ndarray,
    place: np.ndarray,
    edge: np.ndarray,
    arm: np.ndarray,
    region: int,
    closure: int,
    hem: int,
    pockets: int,
    waist: int,
    surface: int,
    seams: bool,
    raglan: bool,
    crease: bool,
    laces: bool,
    drawn_hood: bool,
    reflective: bool,
    wear: float,
    fuzz: float,
    table: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    count = uv.shape[0]
    shades, heights = np.empty(count, np.float32), np.empty(count, np.float32)
    material, amount = np.zeros(count, np.uint8), np.zeros(count, np.float32)
    for n in range(count):
        u, v, x, y, z = uv[n, 0], uv[n, 1], place[n, 0], place[n, 1], place[n, 2]
        hung, side, on_arm = edge[n], abs(x), arm[n]
        height, shade = surface_of(surface, u, v, table)
        # Yarns are uneven, and dye takes unevenly.
        shade *= 1 + (0.022 + 0.035 * fuzz) * at(table, u * 260, v * 260) + 0.018 * at(table, u * 21, v * 13)
        other, cover = OWN, 0.0

        if region == TRUNK:
            depth = -0.042 + 0.032 * min(max((z - 1.2) / 0.15, 0.0), 1.0)
            front = not on_arm and y < depth
            centre, off, from_seam = 0.0, y - depth, y - depth
        else:
            centre, depth = leg_centre(z)
            off, front = y - depth, y < depth
            from_seam = off
            if z > 0.80:
                # The pelvis: trousers meet in the middle.
                from_seam = off if side > 0.06 else x
        inner = side - centre

        if region in (LEGS, TRUNK):
            # Hems and cuffs, and the collar's edge.
            shade *= 1 - 0.16 * step(0.002 - hung)
            if hem == 1 and hung < 0.04:
                height += 0.0008 * step(0.021 - hung)
                shade *= 1 - 0.20 * line(hung - 0.021, 0.002)
            elif hem == 2 and hung < 0.08:
                deep = 0.058 if on_arm or z < 1.2 else 0.022
                if hung < deep:
                    rib = 0.5 + 0.5 * np.cos(u * (2 * np.pi / 0.010))
                    height += 0.0010 * rib
                    shade *= 0.86 + 0.14 * rib
                shade *= 1 - 0.28 * line(hung - deep, 0.0025)

        if seams and region == TRUNK:
            seam = 0.0
            if not on_arm:
                if z < 1.28 and side > 0.06:
                    seam = line(off, 0.0025)
                elif z > 1.36 and side > 0.05:
                    seam = line(y + 0.008, 0.0025)
            if raglan:
                seam = max(seam, line((side - 0.06) * 0.843 + (z - 1.44) * 0.538, 0.0025))
            elif z > 1.24 and side > 0.13:
                seam = max(seam, line(side - 0.176 - 0.14 * (z - 1.33), 0.003))
            shade *= 1 - 0.30 * seam
            height -= 0.0010 * seam
        elif seams and region == LEGS:
            seam = line(from_seam, 0.0025)
            shade *= 1 - 0.30 * seam
            height -= 0.0010 * seam
            if wear > 0:
                # Seams of washed denim rub pale and dark by turns.
                shade *= 1 + 0.35 * wear * bell(from_seam, 0.012) * at(table, v * 70, u * 20)

        if front and region == TRUNK and closure > 0:
            near = abs(u)
            if closure == 1 or (closure == 2 and z > 1.27):
                shade *= 1 - 0.17 * line(near - 0.017, 0.002)
                height += 0.0010 * step(0.017 - near)
                t = v / 0.085
                t = (t - np.floor(t + 0.5)) * 0.085
                if near < 0.02 and hung > 0.012:
                    inside = step(0.0062 - np.sqrt(u * u + t * t))
                    if inside > 0:
                        other, cover = TRIM, inside
                        height += 0.0015 * inside
                    shade *= 1 - 0.25 * (step(0.0095 - np.sqrt(u * u + (t + 0.002) ** 2)) - inside)
            elif closure == 3 or (closure == 4 and z > 1.24):
                shade *= 1 - 0.32 * line(near - 0.009, 0.003)
                inside = step(0.0042 - near)
                if inside > 0:
                    other, cover = TRIM, inside
                if near < 0.009 and abs(z - 1.36) < 0.014 and closure == 3:
                    other, cover = METAL, step(0.005 - near)
            elif closure >= 5:
                # The lapels' outer edge, the gorge above it, and the front edge below the break.
                breaks, outer = 1.13, 0.125
                if z > breaks:
                    t = (z - breaks) / 0.27
                    edge_at = outer * min(t, 1.0)
                    inside = step(edge_at - near) * step(near - 0.58 * edge_at)
                    height += 0.0025 * inside
                    shade *= 1 - 0.38 * line(near - edge_at - 0.002, 0.003) + 0.05 * inside
                    if t > 0.62:
                        shade *= 1 - 0.3 * line(z - 1.31 - 0.4 * (near - 0.06), 0.0025) * step(outer * t - near)
                    # The shirt below shows where the garment itself is not cut open.
                    below = step(0.58 * edge_at - near)
                    if below > 0:
                        other, cover = INNER, below
                else:
                    shade *= 1 - 0.34 * line(u - 0.014, 0.003)
                across = near - 0.055 if closure == 6 else u
                t = min(abs(z - 1.11), abs(z - 1.00)) if closure == 5 else min(abs(z - 1.10), abs(z - 0.98))
                if abs(across) < 0.02 and t < 0.02:
                    away = np.sqrt(across * across + t * t)
                    inside = step(0.0105 - away)
                    shade *= 1 - 0.25 * (step(0.014 - away) - inside)
                    if inside > 0:
                        other, cover = TRIM, inside

        if region == TRUNK and not on_arm and pockets > 0:
            near = abs(u)
            if pockets == 1 and front:
                inside = min(box(u, z, 0.04, 0.125, 1.1, 1.30), 0.95 * (z - 1.185 - 0.35 * abs(u - 0.0825)))
                height += 0.0009 * step(inside)
                shade *= 1 - 0.26 * line(inside, 0.002) - 0.10 * line(inside - 0.022, 0.002) * step(z - 1.27)
            elif pockets == 2 and front:
                inside = min(box(near, z, -1.0, 0.145, 0.955, 1.115), (0.145 - near) + 0.62 * (1.035 - z))
                height += 0.0016 * step(inside)
                shade *= 1 - 0.34 * line(inside, 0.003)
            elif pockets == 3 and front:
                away = segment(near, z, 0.10, 1.06, 0.135, 0.94)
                height += 0.0012 * step(0.009 - away)
                shade *= 1 - 0.42 * step(0.004 - away) - 0.12 * line(away - 0.010, 0.002)
                if closure >= 5:
                    shade *= 1 - 0.3 * line(box(u, z, 0.06, 0.135, 1.235, 1.255), 0.002)
        elif region == LEGS and pockets > 0 and z > 0.45:
            if pockets == 4:
                if front:
                    # Pockets cut in a curve from the waistband to the side.
                    away = np.sqrt((side - 0.165) ** 2 + (z - 1.0) ** 2) - 0.085
                    stitched = line(away, 0.0025) if z > 0.90 else 0.0
                else:
                    inside = min(box(side, z, 0.03, 0.135, 0.7, 0.925), 0.9 * (z - 0.775 - 0.5 * abs(side - 0.0825)))
                    stitched = max(line(inside, 0.0025), line(z - 0.955 + 0.35 * (side - 0.08) * -1, 0.0025))
                    height += 0.0012 * step(inside)
                    shade *= 1 + 0.05 * step(inside)
                if stitched > 0:
                    shade *= 1 - 0.26 * stitched
                    other, cover = THREAD, 0.32 * stitched
            elif pockets == 5:
                if front:
                    away = segment(side, z, 0.088, 1.02, 0.142, 0.87)
                else:
                    away = segment(side, z, 0.04, 0.915, 0.13, 0.915)
                shade *= 1 - 0.38 * step(0.0035 - away)
            elif pockets == 6 and side > centre:
                inside = box(off, z, -0.075, 0.065, 0.53, 0.68)
                height += 0.004 * step(inside)
                shade *= 1 - 0.36 * line(inside, 0.003) - 0.25 * line(z - 0.645, 0.003) * step(inside)

        if region == LEGS and z > 0.70:
            if waist == 1 or waist == 2:
                shade *= 1 - 0.24 * line(hung - 0.040, 0.002) * step(z - 0.85)
                if front:
                    # The fly: its stitches turn to the middle at the bottom.
                    reach = 0.034 * np.sqrt(max(1 - ((0.90 - min(z, 0.90)) / 0.06) ** 2, 0.0))
                    shade *= 1 - 0.30 * line(x, 0.002) * step(z - 0.83)
                    if z > 0.84:
                        shade *= 1 - 0.18 * line(x - reach, 0.002)
                if z > 0.85 and hung < 0.04:
                    if waist == 2:
                        loop = max(line(side - 0.075, 0.005), line(side - 0.13, 0.005))
                        band = line(hung - 0.019, 0.016)
                        other, cover = LEATHER, band * (1 - loop)
                        height += 0.002 * band
                        if front:
                            frame = box(x, hung, -0.024, 0.024, 0.0, 0.038)
                            held = line(frame - 0.004, 0.0045)
                            if held > 0.2:
                                other, cover = METAL, held
                    elif front:
                        inside = step(0.0085 - np.sqrt(x * x + (hung - 0.019) ** 2))
                        if inside > 0:
                            other, cover = METAL, inside
            elif waist == 3 or waist == 4:
                if hung < 0.04 and z > 0.85:
                    gather = at(table, u * 110, 3.0 + 6 * hung)
                    shade *= 1 + 0.13 * gather
                    height += 0.0015 * gather
                if waist == 3 and front and z > 0.84:
                    cord = line(side - 0.010 - 0.12 * max(0.97 - z, 0.0), 0.0038) * step(hung - 0.012)
                    if cord > 0:
                        other, cover = THREAD, cord
        elif region == TRUNK and waist == 5 and not on_arm:
            band = line(z - 1.02, 0.022)
            shade *= 1 - 0.35 * line(abs(z - 1.02) - 0.024, 0.003)
            if band > 0:
                other, cover = LEATHER, band
                height += 0.0015 * band
            if front and line(box(u, z, -0.028, 0.028, 0.996, 1.044) - 0.004, 0.0045) > 0.2:
                other, cover = METAL, 1.0

        if drawn_hood and front and region == TRUNK and 1.24 < z < 1.40:
            cord = line(abs(u) - 0.030 - 0.05 * (z - 1.30), 0.0035)
            if cord > 0:
                other, cover = THREAD, cord
        if region == LEGS and crease:
            fold = bell(inner, 0.008) * min(max((0.88 - z) / 0.15, 0.0), 1.0)
            height += 0.0010 * fold
            shade *= 1 + 0.07 * fold
        if region == LEGS and wear > 0:
            rubbed = 0.0
            if front:
                rubbed = bell(inner, 0.055) * (bell(z - 0.66, 0.15) + 0.6 * bell(z - 0.46, 0.06))
                whisker = at(table, x * 16 + z * 20, z * 75 - side * 60)
                rubbed += 0.5 * max(whisker, 0.0) * bell(z - 0.81, 0.06)
            else:
                rubbed = 0.7 * bell(side - 0.085, 0.05) * bell(z - 0.83, 0.09)
            shade *= 1 + wear * (0.85 * rubbed + 0.10 * at(table, u * 40, v * 25))
        if laces and region == OTHER and y < -0.055 and y > -0.155 and z > 0.035:
            tongue = step(0.024 - abs(side - 0.172))
            t = y / 0.017 - np.floor(y / 0.017)
            shade *= 1 - 0.25 * tongue
            if tongue > 0:
                other, cover = THREAD, tongue * step((0.25 - abs(t - 0.5)) * 0.017)
        if reflective:
            band = 0.0
            if region == TRUNK:
                band = line(side - 0.29, 0.022) if on_arm else max(line(z - 1.06, 0.022), line(z - 1.18, 0.022))
            elif region == LEGS:
                band = line(z - 0.30, 0.022)
            if band > 0:
                other, cover = RETROREFLECTOR, band
        if region == HEAD:
            shade *= 1 - 0.22 * line(hung - 0.030, 0.002)
        elif region == OTHER:
            shade *= 1 - 0.22 * line(hung - 0.012, 0.002)
        shades[n], heights[n] = max(shade, 0.0), height
        material[n], amount[n] = other, min(max(cover, 0.0), 1.0)
    return shades, heights, material, amount


def construct(
    made: Construction,
    fuzz: float,
    uv: np.ndarray,
    place: np.ndarray,
    edge: np.ndarray,
    arm: np.ndarray,
    region: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shade, height in metres, the number of another material, and its share, at each point."""
    shade, height, material, amount = make_up(
        uv,
        place,
        edge,
        arm,
        REGIONS[region],
        CLOSURES.index(made.closure),
        HEMS.index(made.hem),
        POCKETS.index(made.pockets),
        WAISTS.index(made.waist),
        SURFACES.index(made.surface),
        made.seams,
        made.raglan,
        made.crease,
        made.laces,
        made.drawn_hood,
        made.reflective,
        made.wear,
        fuzz,
        TABLE,
    )
    return shade, height, material, amount
