"""Casts rays into a scene: light from the sun or lamps with shadows, light from all around with one bounce, mirrors.

Results are in two parts, under a sun and a sky of strength one: any hour's picture is a weighted sum of them.
"""

from __future__ import annotations

import math

import numpy as np

from vireid.people.grain import chance, layered_noise
from vireid.people.kernels import compiled
from vireid.people.light import direct
from vireid.people.solids import FAR, Grid, first_hit, surface_at
from vireid.people.surfaces import BUMP, CLEAR, GLOSS, GLOW, MIRROR, ROUGH, colour_at

AMBIENT = 6  # rays of every other pixel to its surroundings; neighbours share theirs

Sun = tuple[
    np.ndarray, np.ndarray, np.ndarray, float, float, float
]  # direction, lamps, axis, reference, beam, softness


@compiled
def look(
    tree: Grid,
    stack: np.ndarray,
    table: np.ndarray,
    origin: np.ndarray,
    ray: np.ndarray,
    spread: float,
    point: np.ndarray,
    normal: np.ndarray,
    colour: np.ndarray,
) -> tuple[float, int, int]:
    """The first surface along a ray: writes its point, its normal toward the viewer and its colour; returns distance,
    solid and material. `spread` is the footprint's width at one metre."""
    t, s = first_hit(tree, stack, origin[0], origin[1], origin[2], ray[0], ray[1], ray[2], 300.0, False)
    if s < 0:
        return FAR, -1, -1
    centre, material = tree[1], tree[10]
    for a in range(3):
        point[a] = origin[a] + t * ray[a]
    u, v, face = surface_at(tree, s, point, normal)
    facing = ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2]
    if facing > 0:
        normal[0], normal[1], normal[2] = -normal[0], -normal[1], -normal[2]
    m = material[s]
    row = table[m]
    # Where one looks along a surface, a pixel covers more of it.
    width = spread * t / math.sqrt(max(abs(facing), 0.05))
    seed = int(centre[s, 0] * 977.0) + int(centre[s, 1] * 613.0) * 7 + int(centre[s, 2] * 389.0) * 13 + face
    colour_at(row, u, v, point[0], point[1], point[2], seed, width, colour)
    bump = row[BUMP]
    if bump > 0.0:
        i, j, k = int(point[0] * 60.0), int(point[1] * 60.0), int(point[2] * 60.0)
        for a in range(3):
            normal[a] += bump * (chance(i + 31 * a, j, k) - 0.5)
        size = math.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
        for a in range(3):
            normal[a] /= size
    return t, s, m


@compiled
def open_sky(ray: np.ndarray) -> float:
    """The radiance of the sky along a ray, with clouds."""
    z = max(ray[2], 0.03) + 0.15
    return 1.05 + 0.3 * layered_noise(ray[0] / z, ray[1] / z, 0.5, 4, 0.01)


@compiled
def arrives(
    tree: Grid, stack: np.ndarray, point: np.ndarray, normal: np.ndarray, sun: Sun, a: float, b: float, c: float
) -> float:
    """1 if the sun, or one of the lamps, is seen from a point; three numbers in [0, 1) choose where on it."""
    direction, lamps, softness = sun[0], sun[1], sun[5]
    angle, radius = 2.0 * math.pi * a, softness * math.sqrt(b)
    reach = 200.0
    if len(lamps) == 0:
        dx, dy, dz = direction[0], direction[1], direction[2]
        # A disc across the direction.
        ux, uy = -dy, dx
        size = math.hypot(ux, uy) + 1e-9
        ux, uy = ux / size, uy / size
        vx, vy, vz = -uy * dz, ux * dz, uy * dx - ux * dy
        p, q = radius * math.cos(angle), radius * math.sin(angle)
        dx, dy, dz = dx + p * ux + q * vx, dy + p * uy + q * vy, dz + q * vz
    else:
        # One lamp, by what it gives.
        total = 0.0
        for k in range(len(lamps)):
            lx, ly, lz = lamps[k, 0] - point[0], lamps[k, 1] - point[1], lamps[k, 2] - point[2]
            square = lx * lx + ly * ly + lz * lz
            total += max(normal[0] * lx + normal[1] * ly + normal[2] * lz, 0.0) / (square * math.sqrt(square))
        if total <= 0.0:
            return 1.0
        chosen, passed = 0, 0.0
        for k in range(len(lamps)):
            lx, ly, lz = lamps[k, 0] - point[0], lamps[k, 1] - point[1], lamps[k, 2] - point[2]
            square = lx * lx + ly * ly + lz * lz
            passed += max(normal[0] * lx + normal[1] * ly + normal[2] * lz, 0.0) / (square * math.sqrt(square))
            if passed >= c * total:
                chosen = k
                break
        dx = lamps[chosen, 0] + radius * math.cos(angle) - point[0]
        dy = lamps[chosen, 1] + radius * math.sin(angle) - point[1]
        dz = lamps[chosen, 2] - point[2]
        reach = math.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx / reach, dy / reach, dz / reach
    x, y, z = point[0] + 2e-3 * normal[0], point[1] + 2e-3 * normal[1], point[2] + 2e-3 * normal[2]
    _, s = first_hit(tree, stack, x, y, z, dx, dy, dz, reach - 0.05, True)
    return 0.0 if s >= 0 else 1.0


@compiled
def trace(
    tree: Grid,
    table: np.ndarray,
    sun: Sun,
    height: float,
    pitch: float,
    focal: float,
    rows: int,
    columns: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a camera sees: [rows columns 3] the direct light, the albedo, the mirrored and own light of the sun's and of
    the sky's part; [rows columns] how much of the light arrives, and the depth; [rows columns 6] the point and the
    normal of the first ray; [rows columns] whether rays of a pixel met several solids."""
    lit = np.zeros((rows, columns, 3), np.float32)
    albedo = np.zeros((rows, columns, 3), np.float32)
    own_sun = np.zeros((rows, columns, 3), np.float32)
    own_sky = np.zeros((rows, columns, 3), np.float32)
    seen = np.zeros((rows, columns), np.float32)
    depth = np.zeros((rows, columns), np.float32)
    place = np.zeros((rows, columns, 6), np.float32)
    mixed = np.zeros((rows, columns), np.bool_)
    direction, lamps, axis, reference, beam, _ = sun
    origin, stack = np.array([0.0, 0.0, height]), np.empty((64, 2))
    ray, point, normal, colour, view = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    out, mirrored, far_point, far_normal, far_colour = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    sin, cos = math.sin(pitch), math.cos(pitch)
    for i in range(rows):
        for j in range(columns):
            taken, alike, met, before, lighter = 0, True, -1, 0.0, 0.0
            for n in range(4):
                # The quarters of a pixel: a diagonal first, and the others only where these two differ.
                if n == 2 and alike:
                    break
                taken += 1
                y = i + 0.5 * ((1.35 if n in (1, 2) else 0.35) + 0.3 * chance(i, j, 4 * n + 0))
                x = j + 0.5 * ((1.35 if n in (1, 3) else 0.35) + 0.3 * chance(i, j, 4 * n + 1))
                right, up = (x - 0.5 * columns) / focal, (0.5 * rows - y) / focal
                ray[0], ray[1], ray[2] = right, cos + up * sin, -sin + up * cos
                size = math.sqrt(1.0 + right * right + up * up)
                for a in range(3):
                    ray[a] /= size
                    view[a] = -ray[a]
                t, s, m = look(tree, stack, table, origin, ray, 0.5 / focal, point, normal, colour)
                if n == 0:
                    depth[i, j] = t / size if s >= 0 else 1000.0
                    for a in range(3):
                        place[i, j, a], place[i, j, 3 + a] = point[a], normal[a] if s >= 0 else 0.0
                if n > 0 and s != met:
                    alike, mixed[i, j] = False, True
                met = s
                if s < 0:
                    for c in range(3):
                        own_sky[i, j, c] += open_sky(ray)
                    continue
                row = table[m]
                if row[GLOW] > 0.0:
                    for c in range(3):
                        own_sky[i, j, c] += row[GLOW] * colour[c]
                elif row[GLOW] < 0.0:
                    for c in range(3):
                        own_sun[i, j, c] -= row[GLOW] * colour[c]
                facing = abs(normal[0] * view[0] + normal[1] * view[1] + normal[2] * view[2])
                share = 0.0
                if row[MIRROR] > 0.0:
                    share = row[MIRROR] + (1.0 - row[MIRROR]) * 0.7 * (1.0 - facing) ** 5
                    twice = 2.0 * (ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2])
                    for a in range(3):
                        mirrored[a] = ray[a] - twice * normal[a] + row[ROUGH] * (chance(i, j, 90 + 3 * n + a) - 0.5)
                        out[a] = point[a] + 2e-3 * normal[a]
                    size = math.sqrt(mirrored[0] ** 2 + mirrored[1] ** 2 + mirrored[2] ** 2)
                    for a in range(3):
                        mirrored[a] /= size
                    _, other, k = look(
                        tree, stack, table, out, mirrored, 3.0 / focal, far_point, far_normal, far_colour
                    )
                    if other < 0:
                        for c in range(3):
                            own_sky[i, j, c] += share * open_sky(mirrored)
                    else:
                        glow = table[k, GLOW]
                        arriving, _ = direct(far_point, far_normal, view, 0.0, direction, lamps, axis, reference, beam)
                        for c in range(3):
                            tone = share * far_colour[c]
                            own_sun[i, j, c] += tone * (0.7 * arriving + max(-glow, 0.0))
                            own_sky[i, j, c] += tone * (0.6 + max(glow, 0.0))
                scattered, shine = direct(point, normal, view, row[GLOSS], direction, lamps, axis, reference, beam)
                if row[CLEAR] > 0.0:
                    for a in range(3):
                        out[a] = -normal[a]
                    through, _ = direct(point, out, view, 0.0, direction, lamps, axis, reference, beam)
                    scattered += row[CLEAR] * through
                arriving = 1.0
                if scattered > 0.0:
                    if row[CLEAR] > 0.0:
                        # A leaf is no obstacle to itself: start toward the light.
                        for a in range(3):
                            out[a] = direction[a]
                        arriving = arrives(
                            tree, stack, point, out, sun, chance(i, j, 50 + n), chance(i, j, 60 + n), 0.5
                        )
                    else:
                        arriving = arrives(
                            tree,
                            stack,
                            point,
                            normal,
                            sun,
                            chance(i, j, 50 + n),
                            chance(i, j, 60 + n),
                            chance(i, j, 70 + n),
                        )
                # Leaves have their own shadows each; those on other things are evened out later.
                seen[i, j] += 1.0 if row[CLEAR] > 0.0 else arriving
                brightness = arriving * scattered * colour[1]
                if n > 0 and (abs(brightness - lighter) > 0.05 or abs(colour[1] - before) > 0.04):
                    alike = False
                lighter, before = brightness, colour[1]
                if row[CLEAR] == 0.0:
                    arriving = 1.0
                for c in range(3):
                    lit[i, j, c] += arriving * ((1.0 - share) * colour[c] * scattered + shine)
                    albedo[i, j, c] += (1.0 - share) * colour[c]
            for c in range(3):
                lit[i, j, c] /= taken
                albedo[i, j, c] /= taken
                own_sun[i, j, c] /= taken
                own_sky[i, j, c] /= taken
            seen[i, j] /= taken
    return lit, albedo, own_sun, own_sky, seen, depth, place, mixed


@compiled
def surroundings(
    tree: Grid, table: np.ndarray, sun: Sun, place: np.ndarray, ground: np.ndarray, bounce: float, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """What comes to each pixel's point from all around, [rows columns 3] of the sun's part and of the sky's: the open
    sky or ground beyond `reach` metres, and what nearer things give back."""
    rows, columns = place.shape[:2]
    of_sun, of_sky = np.zeros((rows, columns, 3), np.float32), np.zeros((rows, columns, 3), np.float32)
    direction, lamps, axis, reference, beam, _ = sun
    count = 8 * AMBIENT
    origin, point, normal, ray = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    material, stack = tree[10], np.empty((64, 2))
    for i in range(rows):
        for j in range(i % 2, columns, 2):
            nx, ny, nz = place[i, j, 3], place[i, j, 4], place[i, j, 5]
            if nx == 0.0 and ny == 0.0 and nz == 0.0:
                continue
            for a in range(3):
                origin[a] = place[i, j, a] + 3e-3 * place[i, j, 3 + a]
            # Two axes across the normal (Duff et al., 2017).
            sign = math.copysign(1.0, nz)
            p = -1.0 / (sign + nz)
            q = nx * ny * p
            for k in range(AMBIENT):
                # The 8 pixels of a block of 4 x 4 that are taken share out the directions.
                index = (i % 4) * 2 + (j % 4) // 2 + 8 * k
                first = (index + chance(i, j, 200 + k)) / count
                second = (index * 0.6180339887498949 + 0.1 * chance(i, j, 300 + k)) % 1.0
                r, angle = math.sqrt(first), 2.0 * math.pi * second
                x, y, z = r * math.cos(angle), r * math.sin(angle), math.sqrt(max(1.0 - first, 0.0))
                ray[0] = x * (1.0 + sign * nx * nx * p) + y * q + z * nx
                ray[1] = x * sign * q + y * (sign + ny * ny * p) + z * ny
                ray[2] = -x * sign * nx - y * ny + z * nz
                t, s = first_hit(tree, stack, origin[0], origin[1], origin[2], ray[0], ray[1], ray[2], reach, False)
                if s < 0:
                    for c in range(3):
                        of_sky[i, j, c] += 1.0 if ray[2] > 0.0 else ground[c]
                        of_sun[i, j, c] += bounce * (0.5 if ray[2] > 0.0 else 1.0)
                    continue
                for a in range(3):
                    point[a] = origin[a] + t * ray[a]
                surface_at(tree, s, point, normal)
                if ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2] > 0.0:
                    for a in range(3):
                        normal[a] = -normal[a]
                row = table[material[s]]
                given, _ = direct(point, normal, ray, 0.0, direction, lamps, axis, reference, beam)
                if given > 0.01:
                    given *= arrives(tree, stack, point, normal, sun, 0.0, 0.0, chance(i, j, k))
                for c in range(3):
                    colour = 0.6 * row[c] + 0.4 * row[3 + c]
                    of_sky[i, j, c] += colour * (0.45 + max(row[GLOW], 0.0))
                    of_sun[i, j, c] += colour * (given + 0.5 * bounce + max(-row[GLOW], 0.0))
    return of_sun / AMBIENT, of_sky / AMBIENT


@compiled
def sun_in_space(tree: Grid, sun: Sun, corner: np.ndarray, step: float, shape: tuple[int, int, int]) -> np.ndarray:
    """The share of the sun or lamps that reaches the points [z y x] of a grid in space."""
    out = np.zeros(shape, np.float32)
    stack, point, normal = np.empty((64, 2)), np.zeros(3), np.zeros(3)
    direction, lamps = sun[0], sun[1]
    count = 24
    for k in range(shape[0]):
        for j in range(shape[1]):
            for i in range(shape[2]):
                for n in range(count):
                    point[0] = corner[0] + step * (i + chance(i, j, 9 * n + k) - 0.5)
                    point[1] = corner[1] + step * (j + chance(i, j, 9 * n + k + 1000) - 0.5)
                    point[2] = corner[2] + step * (k + chance(i, j, 9 * n + k + 2000) - 0.5)
                    for a in range(3):
                        normal[a] = direction[a]
                    if len(lamps):
                        normal[0], normal[1], normal[2] = 0.0, 0.0, 1.0
                    out[k, j, i] += arrives(
                        tree, stack, point, normal, sun, chance(n, i, j), chance(n, j, k), (n + 0.5) / count
                    )
    return out / count
