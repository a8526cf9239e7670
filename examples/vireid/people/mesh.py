"""Surfaces that follow a body: a piece of a person's geometry, and surfaces cut from those of the base mesh."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from vireid.people.source import load_source, strongest

Bones = tuple[np.ndarray, np.ndarray]
"""The four bones that move each vertex [n 4], and their weights [n 4]."""
FAR = 1.0
"""The distance to a hem that stands for: there is none near."""


@dataclass(frozen=True)
class Piece:
    """A surface on one person, unposed."""

    vertices: np.ndarray
    """[n 3] in metres."""
    triangles: np.ndarray
    """[m 3]"""
    bones: Bones
    """The four bones that move each vertex [n 4], and their weights [n 4]."""
    place: np.ndarray
    """[n 3] the same points on the template body."""
    uv: np.ndarray | None
    """[n 2] metres on the cloth: around (0 at the front), and up. None: unrolled from `place` at each pixel."""
    edge: np.ndarray
    """[n] metres to the nearest hem; below 0 there is no cloth."""


@dataclass(frozen=True)
class Surface:
    """A surface of the base mesh, or a part of it: each vertex lies between two vertices of the base."""

    ends: np.ndarray
    """[n 2] vertices of the base mesh, whose mean each vertex is."""
    triangles: np.ndarray
    corners: np.ndarray
    """[m 3 2] texture coordinates."""

    def fit(self, base: np.ndarray) -> np.ndarray:
        """The vertices [n 3] on the base vertices [19158 k] of a body."""
        middles: np.ndarray = 0.5 * (base[self.ends[:, 0]] + base[self.ends[:, 1]])
        return middles

    def part(self, keep: np.ndarray) -> Surface:
        """The triangles of which a vertex is in the mask `keep` [n]."""
        faces = keep[self.triangles].any(1)
        used, inverse = np.unique(self.triangles[faces], return_inverse=True)
        return Surface(self.ends[used], inverse.reshape(-1, 3).astype(np.int32), self.corners[faces])


@functools.cache
def base_surface(name: str) -> Surface:
    """A surface of the base mesh as it is."""
    faces, corners = load_source().faces[name]
    used, inverse = np.unique(faces, return_inverse=True)
    return Surface(np.stack([used, used], 1), inverse.reshape(-1, 3).astype(np.int32), corners)


@functools.cache
def fine_surface(name: str) -> Surface:
    """A surface of the base mesh with each triangle in four."""
    coarse = base_surface(name)
    pairs = np.sort(coarse.triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=2)  # [m 3 2]
    edges, inverse = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    n = len(coarse.ends)
    a, b, c = coarse.triangles.T
    ab, bc, ca = (inverse.reshape(-1, 3) + n).T
    triangles = np.concatenate([np.stack(face, 1) for face in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    ends = np.concatenate([coarse.ends, coarse.ends[edges, 0]])
    return Surface(ends, triangles.astype(np.int32), np.zeros((len(triangles), 3, 2), np.float32))


def dense_skin(ends: np.ndarray) -> np.ndarray:
    """[n bones] weights of all bones at vertices between two of the base."""
    known = load_source()
    dense = np.zeros((len(ends), len(known.bones)), np.float32)
    rows = np.arange(len(ends))[:, None]
    for side in (0, 1):
        np.add.at(dense, (rows, known.skin[0][ends[:, side]]), 0.5 * known.skin[1][ends[:, side]])
    return dense


def bones_of(ends: np.ndarray) -> Bones:
    """The four strongest bones of vertices between two of the base."""
    return strongest(dense_skin(ends))
