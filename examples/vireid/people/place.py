"""The place before a camera, without people: a plate, rendered once and cropped for every picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vireid.people.camera import Camera
from vireid.people.even import even_out
from vireid.people.grounds import dark_yard, garden_path, square
from vireid.people.kernels import compiled
from vireid.people.rooms import corridor, dark_store, hall
from vireid.people.scene import Scene
from vireid.people.sensor import resample
from vireid.people.tracer import sun_in_space, surroundings, trace

PLACES: dict[int, Callable[[], Scene]] = {
    1: corridor,
    2: hall,
    3: dark_store,
    4: garden_path,
    5: square,
    6: dark_yard,
}


STEP = 0.125
HIGHEST = 2.1


@dataclass(frozen=True)
class Plate:
    """`sun` and `sky` [h w c] are the radiance under a sun (or lamp) and surroundings of strength one: the picture's is
    `sun * light.sun + sky * light.sky`. `depth` [h w] lies along the viewing axis, `ground` [h w] is 1 where the floor
    is, on which people throw shadows. `reach` [z y x] is the share of the sun or lamps that reaches the points of a
    grid in space, `STEP` apart, whose first one is `corner`."""

    sun: np.ndarray
    sky: np.ndarray
    depth: np.ndarray
    ground: np.ndarray
    reach: np.ndarray
    corner: np.ndarray

    def sunlit(self, points: np.ndarray) -> np.ndarray:
        """The share of the sun or lamps that reaches points [n 3], past what stands about: [n]."""
        return interpolate(self.reach, np.asarray(points, np.float32), self.corner)


@compiled
def interpolate(grid: np.ndarray, points: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Values of a grid [z y x], which has a corner and points STEP apart, at points [n 3] given as x, y, z; its borders
    go on outside."""
    out, step = np.empty(len(points), np.float32), np.float32(STEP)
    for n in range(len(points)):
        x = min(max((points[n, 0] - corner[0]) / step, 0.0), grid.shape[2] - 1.001)
        y = min(max((points[n, 1] - corner[1]) / step, 0.0), grid.shape[1] - 1.001)
        z = min(max((points[n, 2] - corner[2]) / step, 0.0), grid.shape[0] - 1.001)
        i, j, k = int(x), int(y), int(z)
        u, v, w = x - i, y - j, z - k
        total = 0.0
        for a in range(2):
            for b in range(2):
                for c in range(2):
                    share = (u if a else 1.0 - u) * (v if b else 1.0 - v) * (w if c else 1.0 - w)
                    total += share * grid[k + c, j + b, i + a]
        out[n] = total
    return out


def plate(camera: Camera) -> Plate:
    """Render the place before a camera. The same bytes every time."""
    light, scene = camera.light, PLACES[camera.number]()
    grown = scene.tree()
    tree, table = grown.arrays, scene.table(camera.infrared)
    sun = (
        np.asarray(light.direction, np.float64),
        light.table.astype(np.float64),
        np.asarray(light.axis, np.float64),
        float(light.reference),
        float(light.beam),
        float(light.softness),
    )
    rows, columns = camera.frame
    lit, albedo, own_sun, own_sky, seen, depth, place, mixed = trace(
        tree, table, sun, camera.height, camera.pitch, float(camera.focal), rows, columns
    )
    ground = np.asarray(light.ground, np.float64)
    nearby = 2.5 if camera.indoor else 5.0
    of_sun, of_sky = surroundings(tree, table, sun, place, ground, float(light.bounce), nearby)
    around = even_out(np.concatenate((of_sun, of_sky), axis=2), place, depth, mixed, True)
    around = even_out(around, place, depth, mixed, False)
    lit *= even_out(seen[..., None], place, depth, mixed, False)
    channels = 1 if camera.infrared else 3
    of_sun, of_sky = lit + albedo * around[..., :3] + own_sun, albedo * around[..., 3:] + own_sky
    area = camera.area
    corner = np.array([max(area.left, -area.slope * area.far) - 0.5, area.near - 0.5, STEP / 2])
    far = np.array([min(area.right, area.slope * area.far) + 0.5, area.far + 0.5, HIGHEST])
    nx, ny, nz = np.ceil((far - corner) / STEP).astype(int)
    reach = sun_in_space(tree, sun, corner, STEP, (int(nz), int(ny), int(nx)))
    floor = (np.abs(place[..., 2]) < 0.03) & (place[..., 5] > 0.8)
    return Plate(
        np.minimum(of_sun[..., :channels], 60).astype(np.float16),
        np.minimum(of_sky[..., :channels], 60).astype(np.float16),
        depth,
        floor,
        reach,
        corner.astype(np.float32),
    )


def crop(plate: Plate, window: tuple[float, float, float, float], size: tuple[int, int]) -> Plate:
    """The plate within a window (x0, y0, x1, y1) of the frame, resampled to (height, width): by area where it shrinks,
    bilinear where it grows. `ground` becomes a share, as float32. Beyond the frame its border is repeated."""
    x0, y0, x1, y1 = window
    rows, columns = plate.depth.shape
    left, top = min(max(int(np.floor(x0)) - 2, 0), columns - 1), min(max(int(np.floor(y0)) - 2, 0), rows - 1)
    right, bottom = max(min(int(np.ceil(x1)) + 2, columns), left + 1), max(min(int(np.ceil(y1)) + 2, rows), top + 1)
    part = (slice(top, bottom), slice(left, right))
    channels = plate.sun.shape[2]
    stack = np.concatenate(
        (plate.sun[part], plate.sky[part], plate.depth[part][..., None], plate.ground[part][..., None]),
        axis=2,
        dtype=np.float32,
    )
    out = resample(stack, x0 - left, y0 - top, x1 - left, y1 - top, *size)
    return replace(
        plate,
        sun=out[..., :channels],
        sky=out[..., channels : 2 * channels],
        depth=np.ascontiguousarray(out[..., 2 * channels]),
        ground=out[..., 2 * channels + 1],
    )
