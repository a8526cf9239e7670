"""Coordinates on the cloth: places on the template, unrolled from the trunk, the arms and the legs."""

from __future__ import annotations

import functools

import numpy as np

from vireid.people.body import template
from vireid.people.kernels import compiled

TRUNK_RADIUS, ARM_RADIUS, LEG_RADIUS = 0.15, 0.05, 0.085
"""Radii with which angles become metres around the trunk, an arm and a leg of the template."""
SHOULDER = 1.42
"""The height at which sleeves begin, where the arm's length is 0."""


@functools.cache
def arm_line() -> np.ndarray:
    """[3 3] shoulder, elbow and wrist of the template's left arm."""
    heads = template().heads
    return np.stack([heads[f"{bone}.L"] for bone in ("upperarm01", "lowerarm01", "wrist")]).astype(np.float32)


def along_arm(place: np.ndarray) -> np.ndarray:
    """How far places [n 3] lie down the arm from the shoulder joint, in metres; negative toward the trunk."""
    along: np.ndarray = unrolled_arm(np.ascontiguousarray(place, np.float32), arm_line())[:, 1]
    return along


def beyond_armhole(place: np.ndarray) -> np.ndarray:
    """How far places [n 3] lie beyond the armhole, to the outside, in metres; negative on the trunk and the legs."""
    beyond: np.ndarray = past_armhole(np.ascontiguousarray(place, np.float32))
    return beyond


@compiled
def past_armhole(place: np.ndarray) -> np.ndarray:
    out = np.empty(place.shape[0], np.float32)
    seam, slant, pit = np.float32(0.172), np.float32(0.28), np.float32(1.27)
    for i in range(place.shape[0]):
        x, z = place[i, 0], place[i, 2]
        out[i] = abs(x) - seam - slant * max(pit - z, np.float32(0)) if z > np.float32(0.9) else np.float32(-1)
    return out


@compiled
def unrolled_arm(place: np.ndarray, line: np.ndarray) -> np.ndarray:
    """[n 2]: the angle about the arm (0 at its front), and the distance along it."""
    out = np.empty((place.shape[0], 2), np.float32)
    first = line[1] - line[0]
    second = line[2] - line[1]
    long1 = np.sqrt((first * first).sum())
    long2 = np.sqrt((second * second).sum())
    first = first / long1
    second = second / long2
    for i in range(place.shape[0]):
        x, y, z = abs(place[i, 0]), place[i, 1], place[i, 2]
        t1 = (x - line[0, 0]) * first[0] + (y - line[0, 1]) * first[1] + (z - line[0, 2]) * first[2]
        t2 = (x - line[1, 0]) * second[0] + (y - line[1, 1]) * second[1] + (z - line[1, 2]) * second[2]
        if t2 <= 0:
            d0, d1, d2, start, t = first[0], first[1], first[2], line[0], min(t1, long1)
            out[i, 1] = t
        else:
            d0, d1, d2, start, t = second[0], second[1], second[2], line[1], t2
            out[i, 1] = long1 + t
        ax, ay, az = x - start[0] - t * d0, y - start[1] - t * d1, z - start[2] - t * d2
        # sideways is the arm's direction crossed with the front
        sx, sz = d2, -d0
        length = np.sqrt(sx * sx + sz * sz)
        sx, sz = sx / length, sz / length
        fx, fy, fz = d1 * sz, d2 * sx - d0 * sz, -d1 * sx
        out[i, 0] = np.arctan2(ax * sx + az * sz, ax * fx + ay * fy + az * fz)
    return out


def unroll(place: np.ndarray) -> np.ndarray:
    """Metres on the cloth [n 2] of places on the template [n 3]: around the trunk or limb (0 at the front), and up."""
    place = np.ascontiguousarray(place, np.float32)
    uv = np.empty((len(place), 2), np.float32)
    low, sleeve = place[:, 2] < 0.80, beyond_armhole(place) > 0  # sleeves end above
    trunk, legs, arms = np.flatnonzero(~(low | sleeve)), np.flatnonzero(low), np.flatnonzero(sleeve)
    if len(trunk):
        x, y, z = place.take(trunk, 0).T
        uv[trunk] = np.stack([TRUNK_RADIUS * np.arctan2(x, -y), z], 1)
    if len(legs):
        x, y, z = place.take(legs, 0).T
        middle = np.sign(x) * np.interp(z, (0.07, 0.49, 0.9), (0.181, 0.141, 0.106)).astype(np.float32)
        uv[legs] = np.stack([LEG_RADIUS * np.arctan2(x - middle, -(y + 0.01)), z], 1)
    if len(arms):
        arm = unrolled_arm(place.take(arms, 0), arm_line())
        uv[arms] = np.stack([ARM_RADIUS * arm[:, 0], SHOULDER - arm[:, 1]], 1)
    return uv
