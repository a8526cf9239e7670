"""Boxes, cylinders, ellipsoids and flat shapes, and a tree of boxes (BVH) to find the first one along a ray."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from vireid.people.kernels import compiled

FAR = 1e9
LEAST = 1e-4  # metres: a ray does not strike what it starts from
Grid = tuple[np.ndarray, ...]
LEAF = 3  # solids a node at the bottom of the tree
BINS = 12


class Form(IntEnum):
    """What a solid is, inside its frame of half extents: a flat one lies in x, y."""

    BOX = 0
    CYLINDER = 1
    ELLIPSOID = 2
    SHEET = 3
    LEAF = 4
    RING = 5
    MESH = 6
    BLADE = 7
    DISC = 8


BOX, CYLINDER, ELLIPSOID = int(Form.BOX), int(Form.CYLINDER), int(Form.ELLIPSOID)
LEAF_FORM, RING, MESH, BLADE, DISC = (int(f) for f in (Form.LEAF, Form.RING, Form.MESH, Form.BLADE, Form.DISC))


@dataclass(frozen=True)
class Solids:
    """n solids: `axes` [n 3 3] holds each frame's axes as rows, `half` [n 3] the half extents along them, `taper` [n]
    the change of a cylinder's or box's width from its middle to its upper end, `material` [n] a row of the table of
    materials."""

    form: np.ndarray
    centre: np.ndarray
    axes: np.ndarray
    half: np.ndarray
    taper: np.ndarray
    material: np.ndarray
    shadow: np.ndarray
    """Whether it throws shadows."""


@dataclass(frozen=True)
class Tree:
    """`bounds` [m 6] are the low and high corners of each node; `first` and `count` [m] are its solids, or its
    left child and 0."""

    solids: Solids
    bounds: np.ndarray
    first: np.ndarray
    count: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        s = self.solids
        unit = np.ascontiguousarray(s.axes / s.half[:, :, None])
        nodes = (self.bounds, self.first, self.count)
        return (s.form, s.centre, unit, s.half, s.taper, s.shadow, *nodes, s.axes, s.material)


@compiled
def covered(form: int, x: float, y: float, half_x: float, half_y: float) -> bool:
    """Whether a flat form has substance at (x, y), in its half extents."""
    if form == LEAF_FORM:
        return abs(y) < (1.0 - x * x) * (0.85 - 0.25 * x)
    if form == BLADE:
        return abs(x) < 0.5 - 0.5 * y
    if form == DISC:
        return x * x + y * y < 1.0
    if form == RING:
        r = math.sqrt(x * x + y * y)
        if r > 1.0:
            return False
        if r > 0.88 or r < 0.08:
            return True
        turn = math.atan2(y, x) * 9.0 / math.pi
        return abs(turn - math.floor(turn) - 0.5) * r < 0.02
    if form == MESH:
        # Diamonds of wire, 6 cm wide and 4 mm thick.
        u, v = (x * half_x + y * half_y) / 0.06, (x * half_x - y * half_y) / 0.06
        u, v = u - math.floor(u), v - math.floor(v)
        return u < 0.07 or v < 0.07
    return True


@compiled
def strike(
    form: np.ndarray, unit: np.ndarray, half: np.ndarray, taper: np.ndarray, s: int, ox: float, oy: float, oz: float,
    dx: float, dy: float, dz: float, most: float,
) -> float:  # fmt: skip
    """Where a ray strikes solid s, from its centre to the ray's origin (ox, oy, oz); FAR if not before `most`."""
    px = unit[s, 0, 0] * ox + unit[s, 0, 1] * oy + unit[s, 0, 2] * oz
    py = unit[s, 1, 0] * ox + unit[s, 1, 1] * oy + unit[s, 1, 2] * oz
    pz = unit[s, 2, 0] * ox + unit[s, 2, 1] * oy + unit[s, 2, 2] * oz
    qx = unit[s, 0, 0] * dx + unit[s, 0, 1] * dy + unit[s, 0, 2] * dz
    qy = unit[s, 1, 0] * dx + unit[s, 1, 1] * dy + unit[s, 1, 2] * dz
    qz = unit[s, 2, 0] * dx + unit[s, 2, 1] * dy + unit[s, 2, 2] * dz
    kind = form[s]
    near: float = -FAR
    far: float = FAR
    if kind == BOX:
        slope = taper[s]
        if slope != 0.0:
            # A truncated pyramid: four sides that lean, below them the two ends.
            for a in range(4):
                sign = 1.0 if a % 2 else -1.0
                room = 1.0 - (sign * (px if a < 2 else py) - slope * pz)
                speed = sign * (qx if a < 2 else qy) - slope * qz
                if abs(speed) < 1e-12:
                    if room < 0.0:
                        return FAR
                elif speed > 0.0:
                    far = min(far, room / speed)
                else:
                    near = max(near, room / speed)
        for a in range(2 if slope != 0.0 else 0, 3):
            p, q = (px, qx) if a == 0 else ((py, qy) if a == 1 else (pz, qz))
            if abs(q) < 1e-12:
                if abs(p) > 1.0:
                    return FAR
            else:
                inverse = 1.0 / q
                t0, t1 = (-1.0 - p) * inverse, (1.0 - p) * inverse
                near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
        if near > far:
            return FAR
        if LEAST < near < most:
            return near
        return far if LEAST < far < most else FAR
    if kind in (ELLIPSOID, CYLINDER):
        slope = taper[s]
        if kind == ELLIPSOID:
            a2 = qx * qx + qy * qy + qz * qz
            b = px * qx + py * qy + pz * qz
            c = px * px + py * py + pz * pz - 1.0
        else:
            radius = 1.0 + slope * pz
            a2 = qx * qx + qy * qy - slope * slope * qz * qz
            b = px * qx + py * qy - slope * qz * radius
            c = px * px + py * py - radius * radius
        best = FAR
        disc = b * b - a2 * c
        if disc >= 0.0 and abs(a2) > 1e-14:
            root = math.sqrt(disc)
            for t in ((-b - root) / a2, (-b + root) / a2):
                if LEAST < t < most and t < best and (kind == ELLIPSOID or abs(pz + t * qz) <= 1.0):
                    best = t
        if kind == CYLINDER and abs(qz) > 1e-12:
            for end in (-1.0, 1.0):
                t = (end - pz) / qz
                if LEAST < t < most and t < best:
                    x, y, r = px + t * qx, py + t * qy, 1.0 + slope * end
                    if x * x + y * y <= r * r:
                        best = t
        return best
    if abs(qz) < 1e-12:
        return FAR
    t = float(-pz / qz)
    if LEAST < t < most:
        x, y = px + t * qx, py + t * qy
        if abs(x) <= 1.0 and abs(y) <= 1.0 and covered(kind, x, y, half[s, 0], half[s, 1]):
            return t
    return FAR


@compiled
def first_hit(
    tree: Grid, stack: np.ndarray, x: float, y: float, z: float, dx: float, dy: float, dz: float, most: float,
    blocked: bool,
) -> tuple[float, int]:  # fmt: skip
    """The distance to the first solid along a ray and its number, or (FAR, -1). With `blocked`, any solid that throws
    shadows ends the search. `stack` [64 2] is room to work in."""
    form, centre, unit, half, taper, shadow, bounds, first, count = tree[:9]
    ix = 1.0 / dx if abs(dx) > 1e-12 else 1e12
    iy = 1.0 / dy if abs(dy) > 1e-12 else 1e12
    iz = 1.0 / dz if abs(dz) > 1e-12 else 1e12
    best, found = most, -1
    stack[0, 0], stack[0, 1], top = 0.0, 0.0, 1
    while top > 0:
        top -= 1
        if stack[top, 1] > best:
            continue
        node = int(stack[top, 0])
        while True:
            if count[node] > 0:
                for s in range(first[node], first[node] + count[node]):
                    if blocked and not shadow[s]:
                        continue
                    t = strike(
                        form,
                        unit,
                        half,
                        taper,
                        s,
                        x - centre[s, 0],
                        y - centre[s, 1],
                        z - centre[s, 2],
                        dx,
                        dy,
                        dz,
                        best,
                    )
                    if t < best:
                        best, found = t, s
                        if blocked:
                            return best, found
                break
            left = first[node]
            enter_left, enter_right = FAR, FAR
            for side in range(2):
                child = left + side
                t0, t1 = (bounds[child, 0] - x) * ix, (bounds[child, 3] - x) * ix
                near, far = min(t0, t1), max(t0, t1)
                t0, t1 = (bounds[child, 1] - y) * iy, (bounds[child, 4] - y) * iy
                near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
                t0, t1 = (bounds[child, 2] - z) * iz, (bounds[child, 5] - z) * iz
                near, far = max(near, min(t0, t1), 0.0), min(far, max(t0, t1))
                if near <= far and near < best:
                    if side == 0:
                        enter_left = near
                    else:
                        enter_right = near
            if enter_left >= FAR and enter_right >= FAR:
                break
            if enter_left <= enter_right:
                node = left
                if enter_right < FAR:
                    stack[top, 0], stack[top, 1] = left + 1, enter_right
                    top += 1
            else:
                node = left + 1
                if enter_left < FAR:
                    stack[top, 0], stack[top, 1] = left, enter_left
                    top += 1
    return (best, found) if found >= 0 else (FAR, -1)


@compiled
def surface_at(tree: Grid, s: int, point: np.ndarray, normal: np.ndarray) -> tuple[float, float, int]:
    """The outward normal (written to `normal`) at a point of the surface of solid s; coordinates on the surface in
    metres, and the face of a box (axis * 2 + side)."""
    centre, form, axes, half, taper = tree[1], tree[0][s], tree[9][s], tree[3][s], tree[4][s]
    ox, oy, oz = point[0] - centre[s, 0], point[1] - centre[s, 1], point[2] - centre[s, 2]
    px = axes[0, 0] * ox + axes[0, 1] * oy + axes[0, 2] * oz
    py = axes[1, 0] * ox + axes[1, 1] * oy + axes[1, 2] * oz
    pz = axes[2, 0] * ox + axes[2, 1] * oy + axes[2, 2] * oz
    nx, ny, nz = 0.0, 0.0, 1.0
    u, v, face = px, py, 5
    if form == BOX:
        wide = 1.0 + taper * pz / half[2]
        ax, ay, az = abs(px) / half[0] / wide, abs(py) / half[1] / wide, abs(pz) / half[2]
        if ax >= ay and ax >= az:
            nx, nz, u, v, face = math.copysign(1.0, px), -taper * half[0] / half[2], py, pz, 0 + (px > 0)
        elif ay >= az:
            ny, nz, u, v, face = math.copysign(1.0, py), -taper * half[1] / half[2], px, pz, 2 + (py > 0)
        else:
            nz, face = math.copysign(1.0, pz), 4 + (pz > 0)
    elif form == CYLINDER:
        if abs(pz) > half[2] * 0.9999:
            nz, face = math.copysign(1.0, pz), 4 + (pz > 0)
        else:
            nx, ny = px / (half[0] * half[0]), py / (half[1] * half[1])
            size = math.sqrt(nx * nx + ny * ny) + 1e-12
            nx, ny, nz = nx / size, ny / size, -taper * half[0] / half[2]
            u, v, face = math.atan2(py, px) * half[0], pz, 0
    elif form == ELLIPSOID:
        nx, ny, nz = px / (half[0] * half[0]), py / (half[1] * half[1]), pz / (half[2] * half[2])
        u, v = math.atan2(py, px) * half[0], pz
    size = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
    nx, ny, nz = nx / size, ny / size, nz / size
    for a in range(3):
        normal[a] = nx * axes[0, a] + ny * axes[1, a] + nz * axes[2, a]
    return u, v, face
