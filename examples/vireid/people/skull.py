"""The skull of the template, in directions from its centre."""

from __future__ import annotations

import functools

import numpy as np
from scipy.ndimage import gaussian_filter

from vireid.people.body import template
from vireid.people.hair_styles import CENTRE, SKULL_ROWS, SKULL_TURNS
from vireid.people.mesh import base_surface
from vireid.people.rings import look_up, ring_radii


def directions(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seen from the middle of the head: the angles down from the top and from the front to the left, the distance."""
    x, y, z = np.moveaxis(points - CENTRE, -1, 0)
    level = np.hypot(x, y)
    return np.arctan2(level, z), np.arctan2(x, -y), np.hypot(level, z)


@functools.cache
def skull() -> np.ndarray:
    """The distance [rows turns] of the template's skin from the middle of the head, without the ears."""
    surface = base_surface("body")
    vertices = surface.fit(template().vertices)
    ear = (np.abs(vertices[:, 0]) > 0.0725) & (vertices[:, 2] > 1.53) & (vertices[:, 1] > -0.065)
    faces = surface.triangles[(vertices[surface.triangles, 2] > 1.45).all(1) & ~ear[surface.triangles].any(1)]
    share = np.array([(a, b, 8 - a - b) for a in range(9) for b in range(9 - a)]) / 8
    points = np.einsum("ks,mse->mke", share, vertices[faces]).reshape(-1, 3)
    down, turn, far = directions(points)
    step, cell = down / np.pi * SKULL_ROWS, np.floor(turn / (2 * np.pi) * SKULL_TURNS)
    rings = ring_radii(step, cell, far, SKULL_ROWS, SKULL_TURNS)
    out: np.ndarray = gaussian_filter(rings, 1.0, mode=("nearest", "wrap"))
    return out


def on_skull(down: np.ndarray, turn: np.ndarray) -> np.ndarray:
    return look_up(skull(), down / np.pi * SKULL_ROWS, turn / (2 * np.pi) * SKULL_TURNS)


def placed(down: np.ndarray, turn: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Points in directions from the middle of the head."""
    level = far * np.sin(down)
    out: np.ndarray = CENTRE + np.stack([level * np.sin(turn), -level * np.cos(turn), far * np.cos(down)], -1)
    return out


def by_degrees(table: tuple[tuple[int, ...], tuple[float, ...]], turn: np.ndarray) -> np.ndarray:
    out: np.ndarray = np.interp(np.degrees(np.abs(turn)), *table)
    return out
