"""The place before a camera, without people: a plate, rendered once and cropped for every picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vireid.people3d.camera import Camera
from vireid.people3d.grounds import dark_yard, garden_path, square
from vireid.people3d.rooms import corridor, dark_store, hall
from vireid.people3d.scene import Scene
from vireid.people3d.sensor import resample
from vireid.people3d.tracer import even_out, surroundings, trace

PLACES: dict[int, Callable[[], Scene]] = {
    1: corridor,
    2: hall,
    3: dark_store,
    4: garden_path,
    5: square,
    6: dark_yard,
}


@dataclass(frozen=True)
class Plate:
    """`sun` and `sky` [h w c] are the radiance under a sun (or lamp) and surroundings of strength one: the picture's is
    `sun * light.sun + sky * light.sky`. `depth` [h w] lies along the viewing axis, `ground` [h w] is 1 where the floor
    is, on which people throw shadows."""

    sun: np.ndarray
    sky: np.ndarray
    depth: np.ndarray
    ground: np.ndarray


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
    soft = camera.indoor and not camera.infrared
    rows, columns = camera.frame
    lit, albedo, own_sun, own_sky, seen, depth, place = trace(
        tree, table, sun, soft, camera.height, camera.pitch, float(camera.focal), rows, columns
    )
    ground = np.asarray(light.ground, np.float64)
    reach = 2.5 if camera.indoor else 5.0
    of_sun, of_sky = surroundings(tree, table, sun, place, ground, float(light.bounce), reach)
    around = even_out(np.concatenate((of_sun, of_sky), axis=2), place, depth, True)
    if soft:
        lit *= even_out(seen[..., None], place, depth, False)
    channels = 1 if camera.infrared else 3
    of_sun, of_sky = lit + albedo * around[..., :3] + own_sun, albedo * around[..., 3:] + own_sky
    floor = (np.abs(place[..., 2]) < 0.03) & (place[..., 5] > 0.8)
    return Plate(
        np.minimum(of_sun[..., :channels], 60).astype(np.float16),
        np.minimum(of_sky[..., :channels], 60).astype(np.float16),
        depth,
        floor,
    )


def crop(plate: Plate, window: tuple[float, float, float, float], size: tuple[int, int]) -> Plate:
    """The plate within a window (x0, y0, x1, y1) of the frame, resampled to (height, width): by area where it shrinks, bilinear
    where it grows. `ground` becomes a share, as float32. Beyond the frame its border is repeated."""
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
    return Plate(
        out[..., :channels], out[..., channels : 2 * channels], out[..., 2 * channels], out[..., 2 * channels + 1]
    )
