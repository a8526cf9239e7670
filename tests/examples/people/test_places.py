"""The places, cameras and sensors of the renderer in three dimensions."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vireid.people.camera import CAMERAS, TALLEST, Camera
from vireid.people.light import shade
from vireid.people.occluders import draw_occluders, occluder
from vireid.people.place import PLACES, Plate, crop, plate
from vireid.people.scene import Scene
from vireid.people.sensor import develop, resample
from vireid.people.solids import FAR, Form, first_hit
from vireid.people.surfaces import Material

numbers = pytest.mark.parametrize("number", sorted(CAMERAS))
GREY = Material("#808080", 0.3)


def small(camera: Camera) -> Camera:
    """The same view in an eighth of the pixels along each side."""
    rows, columns = camera.frame
    return replace(camera, frame=(rows // 8, columns // 8), focal=camera.focal / 8)


@pytest.fixture(scope="module")
def plates() -> dict[int, Plate]:
    return {number: plate(small(camera)) for number, camera in CAMERAS.items()}


def points_in(camera: Camera, count: int = 200) -> np.ndarray:
    rng = np.random.default_rng(camera.number)
    return np.stack([camera.area.draw(rng) for _ in range(count)])


@numbers
def test_rays_pass_through_what_is_projected(number: int) -> None:
    camera = CAMERAS[number]
    flat = points_in(camera, 50)
    points = np.concatenate((flat, np.random.default_rng(0).uniform(0, 2, (50, 1))), axis=1)
    x, y, depth = camera.project(points)
    assert (depth > 0).all()
    np.testing.assert_allclose(camera.position + camera.rays(x, y) * depth[:, None], points, atol=1e-9)


@numbers
def test_a_tall_person_is_inside_the_frame_everywhere(number: int) -> None:
    camera = CAMERAS[number]
    flat = points_in(camera)
    assert camera.area.contains(flat).all()
    corners = [
        np.concatenate((flat + [side, 0], np.full((len(flat), 1), z)), axis=1)
        for side in (-0.3, 0.3)
        for z in (0.0, TALLEST)
    ]
    x, y, _ = camera.project(np.concatenate(corners))
    rows, columns = camera.frame
    assert 0 <= x.min() <= x.max() <= columns
    assert 0 <= y.min() <= y.max() <= rows


@numbers
def test_people_have_the_size_of_surveillance_pictures(number: int) -> None:
    camera = CAMERAS[number]
    flat = points_in(camera)
    feet, head = (camera.project(np.concatenate((flat, np.full((len(flat), 1), z)), axis=1))[1] for z in (0.0, 1.7))
    assert (feet - head).min() > 100
    assert (feet - head).max() < 430


@numbers
def test_nobody_stands_inside_of_a_thing(number: int) -> None:
    """From above each place where one may stand, the first thing met is the ground: nothing stands there."""
    tree = PLACES[number]().tree().arrays
    stack = np.empty((64, 2))
    for x, y in points_in(CAMERAS[number], 400):
        distance, _ = first_hit(tree, stack, x, y, 2.0, 0.0, 0.0, -1.0, 10.0, False)
        assert distance > 1.9, (x, y)


def test_every_place_is_finite_lit_and_full(plates: dict[int, Plate]) -> None:
    for number, found in plates.items():
        camera = small(CAMERAS[number])
        assert found.sun.shape == found.sky.shape == (*camera.frame, 1 if camera.infrared else 3)
        assert found.sun.dtype == found.sky.dtype == np.float16
        for values in (found.sun, found.sky, found.depth, found.reach):
            assert np.isfinite(values).all()
            assert values.min() >= 0
        assert found.depth.min() > 1
        assert 0.15 < found.ground.mean() < 0.75
        both = (found.sun + found.sky).astype(float).mean(axis=2)
        assert (both > 1e-3).mean() > 0.97
        # No large part is of one tone.
        blocks = both[: both.shape[0] // 10 * 10, : both.shape[1] // 16 * 16].reshape(-1, 10, both.shape[1] // 16, 16)
        assert (blocks.std(axis=(1, 3)) > 1e-3).mean() > 0.85
        assert found.reach.max() <= 1
        assert found.reach.mean() > 0.5


def test_a_plate_is_the_same_every_time(plates: dict[int, Plate]) -> None:
    again = plate(small(CAMERAS[3]))
    for name in ("sun", "sky", "depth", "ground", "reach"):
        np.testing.assert_array_equal(getattr(again, name), getattr(plates[3], name))


def test_the_ground_is_where_the_camera_sees_it(plates: dict[int, Plate]) -> None:
    for number, found in plates.items():
        camera = small(CAMERAS[number])
        rows, columns = np.nonzero(found.ground)
        points = camera.position + camera.rays(columns + 0.5, rows + 0.5) * found.depth[rows, columns, None]
        # The ray of a pixel is not through its middle: half a pixel, at most.
        assert np.abs(points[:, 2]).max() < 0.5 * camera.height * (1 / camera.focal) * found.depth[rows, columns].max()


def test_places_differ(plates: dict[int, Plate]) -> None:
    tones = {n: (p.sun + p.sky).astype(np.float32).mean(axis=2) for n, p in plates.items()}
    for a, b in pairwise(sorted(tones)):
        assert abs(np.corrcoef(tones[a].ravel(), tones[b].ravel())[0, 1]) < 0.8


def test_whole_windows_are_slices(plates: dict[int, Plate]) -> None:
    whole = plates[4]
    part = crop(whole, (20, 10, 60, 70), (60, 40))
    for name in ("sun", "sky", "depth", "ground"):
        np.testing.assert_allclose(getattr(part, name), getattr(whole, name)[10:70, 20:60], rtol=1e-6)


def test_cropping_keeps_means_and_repeats_the_border(plates: dict[int, Plate]) -> None:
    whole = plates[5]
    part = crop(whole, (16, 8, 80, 72), (16, 16))
    np.testing.assert_allclose(part.sun.mean(), whole.sun[8:72, 16:80].astype(float).mean(), rtol=1e-3)
    beyond = crop(whole, (-10, -10, 0, 0), (4, 4))
    np.testing.assert_allclose(beyond.depth, whole.depth[0, 0])


def test_growing_interpolates() -> None:
    ramp = np.arange(8, dtype=np.float32)[None, :, None].repeat(4, 0)
    grown = resample(ramp, 2.0, 0.0, 6.0, 4.0, 8, 8)
    np.testing.assert_allclose(np.diff(grown[0, :, 0]), 0.5, rtol=1e-5)


@numbers
def test_developing_is_deterministic_and_keeps_the_level(number: int) -> None:
    camera = CAMERAS[number]
    level = 0.2 / camera.sensor.exposure
    radiance = np.full((96, 48, 1 if camera.infrared else 3), level, np.float32)
    pictures = [develop(radiance, camera, np.random.default_rng(seed), 80) for seed in range(12)]
    again = develop(radiance, camera, np.random.default_rng(0), 80)
    np.testing.assert_array_equal(pictures[0], again)
    assert again.dtype == np.uint8
    assert again.shape == ((96, 48) if camera.infrared else (96, 48, 3))
    # Gamma 2.2 puts 0.2 at 123; contrast and vignetting move it a little.
    assert 90 < np.mean(pictures) < 150
    assert not np.array_equal(pictures[0], pictures[1])


def test_more_light_gives_a_brighter_picture() -> None:
    for camera in CAMERAS.values():
        shape = (48, 24, 1 if camera.infrared else 3)
        levels = [
            develop(np.full(shape, value, np.float32), camera, np.random.default_rng(1), 96).mean()
            for value in (0.0, 0.05, 0.2, 0.8, 3.0)
        ]
        assert all(a < b for a, b in pairwise(levels))
        assert levels[0] < 60
        assert levels[-1] > 215


def test_light_changes_a_little_and_the_infrared_has_no_colour() -> None:
    for camera in CAMERAS.values():
        changed = [camera.light.at(np.random.default_rng(seed)) for seed in range(20)]
        for light in changed:
            assert np.linalg.norm(light.direction) == pytest.approx(1, abs=1e-6)
            assert np.dot(light.direction, camera.light.direction) > 0.95
            assert 0.1 < light.sun[1] / camera.light.sun[1] < 1.6
            if camera.infrared:
                assert len(set(light.sun)) == len(set(light.sky)) == 1
        assert len({light.sun for light in changed}) == 20


def test_shading_follows_distance_facing_and_shadow() -> None:
    lamp, sun = CAMERAS[3].light, CAMERAS[4].light
    one, up = np.ones(1, np.float32), np.array([[0.0, 0.0, 1.0]])
    toward = np.array([[0.0, -1.0, 0.0]])

    def infrared(distance: float, around: float = 0.0) -> float:
        light = replace(lamp, sky=(around,) * 3, bounce=0.0, beam=0.0)
        place = np.array([[0.05, distance, lamp.lamps[0][2]]])
        return float(shade(light, 0.5 * one, toward, place, one, one, 0 * one, toward)[0])

    assert infrared(4) / infrared(8) == pytest.approx(4, rel=1e-3)
    assert infrared(6) == pytest.approx(0.5, rel=1e-3)
    assert infrared(6, 0.2) > infrared(6)
    colour, place = np.array([[0.5, 0.4, 0.3]]), np.zeros((1, 3))
    lit = shade(sun, colour, up, place, one, one, 0 * one, up)
    dark = shade(sun, colour, up, place, 0 * one, one, 0 * one, up)
    assert lit.shape == (1, 3)
    np.testing.assert_allclose(lit - dark, colour * sun.sun * sun.direction[2], rtol=1e-4)
    assert (shade(sun, colour, up, place, one, one, one, np.array([sun.direction])) >= lit - 1e-6).all()


def test_solids_are_struck_where_they_are() -> None:
    scene = Scene()
    scene.box((0, 5, 0), (2, 2, 2), GREY)
    scene.ellipsoid((0, 0, 5), (1, 2, 1.5), GREY)
    scene.rod((5, 0, -1), (5, 0, 1), 0.5, GREY, 1.0)
    scene.sheet((-4, 0, 0), (2, 2), GREY, yaw=90)
    scene.box((0, -5, 0), (2, 2, 2), GREY, taper=-0.5)
    tree, stack = scene.tree().arrays, np.empty((64, 2))

    def hit(start: tuple[float, float, float], way: tuple[float, float, float]) -> float:
        return float(first_hit(tree, stack, start[0], start[1], start[2], way[0], way[1], way[2], 100.0, False)[0])

    assert hit((0, 0, 0), (0, 1, 0)) == pytest.approx(4)
    assert hit((0, 0, 0), (0, 0, 1)) == pytest.approx(3.5)
    assert hit((0, 0, 0), (1, 0, 0)) == pytest.approx(4.25)
    assert hit((0, 0, 0), (-1, 0, 0)) == pytest.approx(4)
    # Half as wide at the middle of its upper half as at that of its lower half, and so on.
    assert hit((0, 0, 0.5), (0, -1, 0)) == pytest.approx(4.25)
    assert hit((0, 0, -0.5), (0, -1, 0)) == pytest.approx(3.75)
    assert hit((0, 0, 0), (0, 0, -1)) == FAR


def test_a_tree_finds_what_a_search_of_all_finds() -> None:
    rng = np.random.default_rng(5)
    scene = Scene()
    for _ in range(120):
        centre, half = rng.uniform(-4, 4, 3), rng.uniform(0.1, 0.6, 3)
        form = (Form.BOX, Form.CYLINDER, Form.ELLIPSOID, Form.LEAF, Form.DISC)[rng.integers(5)]
        axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        scene.add(form, centre, axes, half, GREY)
    singles = []
    for part in scene.parts:
        alone = Scene()
        alone.parts.append(part)
        singles.append(alone.tree().arrays)
    tree, stack = scene.tree().arrays, np.empty((64, 2))
    for _ in range(150):
        way = rng.standard_normal(3)
        way /= np.linalg.norm(way)
        start = -6 * way + rng.uniform(-3, 3, 3)
        ray = (start[0], start[1], start[2], way[0], way[1], way[2], 50.0, False)
        nearest = min(first_hit(one, stack, *ray)[0] for one in singles)
        assert first_hit(tree, stack, *ray)[0] == pytest.approx(nearest, abs=1e-4)


@numbers
def test_occluders_hide_a_part_of_a_person(number: int) -> None:
    camera = CAMERAS[number]
    hidden = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        point = camera.area.draw(rng)
        thing = occluder(camera, rng, point)
        x, y, depth = camera.project(np.array([[*point, 0.0], [*point, 1.75]]))
        tall = y[0] - y[1]
        window = (x.mean() - tall / 4, y[1], x.mean() + tall / 4, y[0])
        layer = draw_occluders(thing, camera, window, (96, 48))
        assert layer.colour.shape == ((96, 48) if camera.infrared else (96, 48, 3))
        assert np.isfinite(layer.colour).all()
        if layer.mask.any():
            assert layer.depth[layer.mask].min() > 0.5
            assert layer.depth[layer.mask].mean() < depth.max()
            np.testing.assert_allclose(np.linalg.norm(layer.normal[layer.mask], axis=1), 1, rtol=1e-3)
            seen = camera.project(layer.position[layer.mask])[2]
            np.testing.assert_allclose(seen, layer.depth[layer.mask], rtol=1e-3)
        hidden.append(layer.mask.mean())
    assert np.median(hidden) > 0.05
    assert np.mean(hidden) < 0.6
