"""The foot and the lower leg of the template: outlines, heights and rings that shoes are built around."""

from __future__ import annotations

import functools

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, grey_dilation
from scipy.spatial import cKDTree

from vireid.people.body import template
from vireid.people.kernels import normals
from vireid.people.mesh import base_surface
from vireid.people.rings import convex, look_up, ring_radii
from vireid.people.tube import ramp

AROUND = 36
"""Points around a shoe, from the heel along its outer side to the toes."""
LEG_ROWS, LEG_TURNS, LEG_LOW, LEG_TOP = 33, 24, 0.005, 0.50
CELL = 0.004
"""Of the map of the foot's upper side, in metres."""
GAP = 0.006
"""Between the foot and the shoe, in metres."""


@functools.cache
def foot() -> tuple[np.ndarray, np.ndarray]:
    """The vertices of the template's left foot and shin, and their numbers in the base mesh."""
    surface = base_surface("body")
    vertices = surface.fit(template().vertices)
    own = (vertices[:, 0] > 0.05) & (vertices[:, 2] < LEG_TOP)
    return vertices[own], surface.ends[own, 0]


@functools.cache
def outline(margin: float, toe: float, point: float) -> np.ndarray:
    """The outline [AROUND 2] of the sole, evenly spaced, from the heel along the outer side; x and y."""
    points = foot()[0]
    points = points[points[:, 2] < 0.055]
    low, high = points[:, 1].min(), points[:, 1].max()
    stations = np.linspace(low, high, 33)
    inner, outer = np.empty(33), np.empty(33)
    for k, y in enumerate(stations):
        close = points[np.abs(points[:, 1] - y) < 0.009]
        inner[k], outer[k] = close[:, 0].min(), close[:, 0].max()
    middle = gaussian_filter1d(0.5 * (inner + outer), 3)
    half = gaussian_filter1d(0.5 * (outer - inner), 1.2) + margin
    front, back = low - toe, high + margin
    at = np.linspace(0, 1, 61)
    y = front + (back - front) * (0.5 - 0.5 * np.cos(np.pi * at))
    width = np.interp(y, stations, half)
    ball = low + 0.35 * 0.26  # before the ball, the sides close to a rounded toe
    forward = np.clip((ball - y) / (ball - front), 0, 1)
    full = np.interp(ball, stations, half)
    closing = full * (1 - forward ** (2.6 - 0.9 * point)) ** (0.5 + 0.25 * point)
    width = np.where(forward > 0, np.minimum(np.maximum(width, closing), closing), width)
    backward = np.clip((y - (back - 0.035)) / 0.035, 0, 1)
    width = width * np.sqrt(np.maximum(1 - backward**2, 0))
    # The big toe keeps the inner side straight.
    centre = np.interp(y, stations, middle) - 0.010 * ramp(0.2, 0.9, forward) * (1 - 0.6 * point)
    loop = np.concatenate([np.stack([centre + width, y], 1)[::-1], np.stack([centre - width, y], 1)[1:-1]])
    closed = np.concatenate([loop, loop[:1]])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    even = np.linspace(0, along[-1], AROUND, endpoint=False)
    return np.stack([np.interp(even, along, closed[:, 0]), np.interp(even, along, closed[:, 1])], 1)


@functools.cache
def upper_side() -> np.ndarray:
    """The height of the foot's upper side on a grid of CELLs from x = 0.1, y = -0.26; toes are spanned."""
    points = foot()[0]
    points = points[points[:, 2] < 0.14]
    height = np.zeros((40, 90), np.float32)
    cell = ((points[:, :2] - [0.1, -0.26]) / CELL).astype(int)
    np.maximum.at(height, (cell[:, 0], cell[:, 1]), points[:, 2])
    span = grey_dilation(height, (7, 7))
    out: np.ndarray = gaussian_filter(span, 1.5)
    return out


def foot_height(xy: np.ndarray) -> np.ndarray:
    i = np.clip(((xy[..., 0] - 0.1) / CELL).astype(int), 0, 39)
    j = np.clip(((xy[..., 1] + 0.26) / CELL).astype(int), 0, 89)
    out: np.ndarray = upper_side()[i, j]
    return out


@functools.cache
def leg() -> tuple[np.ndarray, np.ndarray]:
    """The middle of the ankle and shin [rows 2], and their radii [rows turns], from LEG_LOW up."""
    points = foot()[0]
    points = points[(points[:, 2] > LEG_LOW) & (points[:, 1] > -0.085)]
    row = (points[:, 2] - LEG_LOW) / (LEG_TOP - LEG_LOW) * LEG_ROWS
    middle = np.zeros((LEG_ROWS, 2))
    for s in range(LEG_ROWS):
        close = points[np.abs(row - s - 0.5) < 1.5]
        if s < 7:  # at the ankle, without the instep
            close = close[close[:, 1] > -0.055]
        middle[s] = 0.5 * (close[:, :2].min(0) + close[:, :2].max(0))
    middle = gaussian_filter1d(middle, 1.5, axis=0, mode="nearest")
    at = np.arange(LEG_ROWS) + 0.5
    xy = points[:, :2] - np.stack([np.interp(row, at, middle[:, k]) for k in (0, 1)], 1)
    turn = np.floor(np.arctan2(xy[:, 0], xy[:, 1]) / (2 * np.pi) * LEG_TURNS)
    rings = convex(ring_radii(row, turn, np.hypot(*xy.T), LEG_ROWS, LEG_TURNS))
    return middle, gaussian_filter(rings, (0.8, 0.6), mode=("nearest", "wrap"))


def around_leg(z: np.ndarray, angle: np.ndarray, gap: float) -> np.ndarray:
    """Points around the leg at heights; angle 0 at the heel, a quarter turn at the outer side."""
    middle, rings = leg()
    row = (z - LEG_LOW) / (LEG_TOP - LEG_LOW) * LEG_ROWS
    at = np.arange(LEG_ROWS) + 0.5
    radius = look_up(rings, row, angle / (2 * np.pi) * LEG_TURNS) + gap
    x = np.interp(row, at, middle[:, 0]) + radius * np.sin(angle)
    y = np.interp(row, at, middle[:, 1]) + radius * np.cos(angle)
    return np.stack([x, y, z], -1)


def beyond_heel(points: np.ndarray) -> np.ndarray:
    """Points [n 3] around the heel and the ankle, moved outward to a gap over the skin."""
    middle, _ = leg()
    row = (points[:, 2] - LEG_LOW) / (LEG_TOP - LEG_LOW) * LEG_ROWS
    at = np.arange(LEG_ROWS) + 0.5
    away = points[:, :2] - np.stack([np.interp(row, at, middle[:, k]) for k in (0, 1)], 1)
    wanted = around_leg(points[:, 2], np.arctan2(away[:, 0], away[:, 1]), GAP)
    lack = np.hypot(*(wanted[:, :2] - points[:, :2] + away).T) - np.hypot(*away.T)
    share = (lack > 0) * ramp(-0.045, -0.015, points[:, 1]) * ramp(0.016, 0.026, points[:, 2])
    out: np.ndarray = (points + share[:, None] * (wanted - points)).astype(np.float32)
    return out


def beyond_instep(points: np.ndarray) -> np.ndarray:
    """Points [n 3] behind the toes, moved outward to a gap over the skin."""
    surface = base_surface("body")
    vertices = surface.fit(template().vertices)
    outward = normals(vertices, surface.triangles)
    own = np.flatnonzero((vertices[:, 0] > 0.05) & (vertices[:, 2] < 0.13) & (vertices[:, 1] > -0.15))
    tree, out = cKDTree(vertices[own]), points.copy()
    for _ in range(3):
        _, near = tree.query(out)
        normal = outward[own][near]
        lack = np.maximum(GAP - 0.001 - ((out - vertices[own][near]) * normal).sum(1), 0)
        lack *= ramp(-0.145, -0.13, out[:, 1]) * ramp(0.004, 0.012, out[:, 2])
        out = out + np.minimum(lack, 0.01)[:, None] * normal
    return out.astype(np.float32)
