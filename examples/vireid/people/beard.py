"""Full beards: a shell over the jaw with a ragged edge, open at the mouth."""

from __future__ import annotations

import functools

import numpy as np

from vireid.people.body import Body
from vireid.people.hair import Drawing, finished
from vireid.people.mesh import Piece
from vireid.people.skull import by_degrees, on_skull, placed
from vireid.people.tube import bumps, compact, grid, lengths, ramp

BEARDS = {"short beard": 0.009, "full beard": 0.022}
"""Their thickness at the chin, in metres."""

UPPER = ((0, 12, 22, 36, 55, 68, 76, 82), (1.547, 1.546, 1.541, 1.522, 1.530, 1.560, 1.580, 1.590))
"""The height on the template of the upper edge, by degrees away from the front: moustache, cheeks, sideburns."""
LOWER = ((0, 30, 60, 75, 82), (1.470, 1.474, 1.500, 1.535, 1.560))


@functools.cache
def drawing(kind: str) -> Drawing:
    """A beard on the template."""
    down, turn = np.meshgrid(np.radians(np.linspace(92, 156, 17)), np.radians(np.linspace(-84, 84, 29)), indexing="ij")
    bare = on_skull(down, turn) - 0.005 * ramp(np.radians(58), np.radians(72), np.abs(turn))  # close to the cheeks
    skin = placed(down, turn, bare)
    x, z = skin[..., 0], skin[..., 2]
    edge = np.minimum(by_degrees(UPPER, turn) - z, z - by_degrees(LOWER, turn))
    mouth = (np.hypot(x / 0.024, (z - 1.524) / 0.008) - 1) * 0.008
    front = np.abs(np.degrees(turn)) < 35
    edge = np.where(front, np.minimum(edge, mouth), edge) + 0.0015 * bumps(skin, 0.009, 41)
    chin = np.exp(-((turn / 0.55) ** 2)) * ramp(1.525, 1.495, z)
    thick = 0.005 + (BEARDS[kind] - 0.005) * chin + 0.0015 * bumps(skin, 0.014, 42)
    thick = 0.002 + (thick - 0.002) * np.sqrt(np.clip(edge / 0.008, 0, 1))
    points = placed(down, turn, bare + thick)
    points[..., 2] -= 0.5 * BEARDS[kind] * chin * ramp(0.0, 0.01, edge)
    triangles = grid(*edge.shape, around=False)
    triangles = triangles[(edge.reshape(-1)[triangles] >= 0).any(1)]
    uv = np.stack([0.09 * np.abs(turn), lengths(points)], -1).reshape(-1, 2)
    flat, triangles, edge, uv = compact(points.reshape(-1, 3), triangles, edge.reshape(-1), uv)
    return finished(flat, triangles, edge, uv, np.zeros(len(flat)))


def make_beard(body: Body, kind: str) -> Piece:
    """A beard of one of BEARDS on a person."""
    part = drawing(kind)
    return Piece(part.near.carry(body, part.points), part.triangles, part.bones, part.points, part.uv, part.edge)
