"""Pictures: the same bytes for the same seed, labels that agree with what is seen, no picture empty."""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vireid.people.camera import CAMERAS
from vireid.people.fabric import Fabric
from vireid.people.figure import Figure, dress
from vireid.people.labels import PERSON, Part
from vireid.people.person import draw_family
from vireid.people.picture import Picture, Window, conditions_of, detect, render
from vireid.people.prepared import load_plate

SIZE = (192, 96)
REFERENCE = Path(__file__).with_name("reference.json")


@functools.cache
def figure(number: int) -> Figure:
    return dress(draw_family([21, number])[0])


@functools.cache
def picture(number: int, camera: int, index: int = 0) -> Picture:
    rng = np.random.default_rng([22, number, camera, index])
    return render(figure(number), CAMERAS[camera], load_plate(camera), rng, SIZE)


def digest(number: int, camera: int) -> str:
    seen = picture(number, camera)
    return hashlib.sha256(seen.image.tobytes() + seen.labels.tobytes()).hexdigest()


def test_pictures_have_the_size_and_channels_of_their_camera() -> None:
    for number, camera in CAMERAS.items():
        seen = picture(0, number)
        assert seen.image.shape == (SIZE if camera.infrared else (*SIZE, 3))
        assert seen.image.dtype == seen.labels.dtype == np.uint8
        assert seen.labels.shape == SIZE
        assert seen.labels.max() < len(Part)


@pytest.mark.long
def test_another_process_and_another_order_give_the_same_bytes() -> None:
    cameras = [1, 3, 4, 6]
    here = {number: digest(1, number) for number in cameras}
    code = (
        "import importlib.util, json, sys; sys.path[:0] = json.loads(sys.argv[1])\n"
        "spec = importlib.util.spec_from_file_location('again', sys.argv[2])\n"
        "again = importlib.util.module_from_spec(spec); spec.loader.exec_module(again)\n"
        f"print(json.dumps({{number: again.digest(1, number) for number in {cameras[::-1]}}}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(sys.path), __file__], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    there = {int(number): value for number, value in json.loads(run.stdout).items()}
    assert there == here


def test_no_picture_is_empty() -> None:
    for number in range(4):
        for camera in CAMERAS:
            labels = picture(number, camera).labels
            share = np.isin(labels, PERSON).mean()
            assert 0.05 < share < 0.85, (number, camera, share)
            assert np.ptp(picture(number, camera).image) > 40


def test_labels_agree_with_what_is_seen() -> None:
    """A person in a red top and green trousers: their pixels are red and green, and few others are."""
    base = next(
        p for p in (draw_family([23, k])[0] for k in range(99)) if p.over is None and p.bottom and p.bag is None
    )
    assert base.bottom is not None

    def plain(colour: tuple[float, float, float]) -> Fabric:
        return replace(base.top.fabric, pattern="plain", colours=(colour,) * 3)

    person = replace(
        base,
        top=replace(base.top, kind="sweater", fabric=plain((0.6, 0.02, 0.02))),
        bottom=replace(base.bottom, kind="trousers", fabric=plain((0.02, 0.5, 0.05))),
    )
    wearer = dress(person)
    for camera in (1, 4, 5):
        inside, outside = [], []
        for index in range(4):
            seen = render(wearer, CAMERAS[camera], load_plate(camera), np.random.default_rng([24, camera, index]), SIZE)
            r, g, b = (seen.image[..., k].astype(int) for k in range(3))
            red, green = r > 1.5 * np.maximum(g, b) + 12, g > 1.15 * np.maximum(r, b) + 6
            for part, own in ((Part.UPPER, red), (Part.LOWER, green)):
                here = seen.labels == part
                inside.append(own[here].mean() if here.sum() > 50 else 1.0)
            outside.append(red[seen.labels == Part.BACKGROUND].mean())
        assert np.mean(inside) > 0.75, (camera, inside)
        assert np.mean(outside) < 0.12, (camera, outside)


def test_the_infrared_does_not_see_dyes() -> None:
    base = draw_family([23, 1])[0]
    blue, red = (
        replace(base, top=replace(base.top, fabric=replace(base.top.fabric, colours=(colour,) * 3)))
        for colour in ((0.02, 0.03, 0.4), (0.5, 0.02, 0.02))
    )
    rng = [np.random.default_rng(5) for _ in range(2)]
    one, other = (render(dress(p), CAMERAS[3], load_plate(3), r, SIZE) for p, r in zip((blue, red), rng, strict=True))
    np.testing.assert_array_equal(one.image, other.image)


def test_what_stands_before_a_person_is_labelled() -> None:
    shares = [(picture(2, camera, index).labels == Part.OCCLUDER).mean() for camera in (1, 4, 6) for index in range(12)]
    assert 0.05 < np.mean(np.array(shares) > 0) < 0.5
    assert max(shares) < 0.7


def test_what_is_hidden_is_what_a_picture_without_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vireid.people.picture.OVER", 1)  # the label map has every pixel that was rendered

    def draw(camera: int, index: int) -> Picture:
        rng = np.random.default_rng([25, camera, index])
        return render(figure(2), CAMERAS[camera], load_plate(camera), rng, SIZE)

    drawn = {(camera, index): draw(camera, index) for camera in (3, 4) for index in range(16)}
    monkeypatch.setattr("vireid.people.picture.THING", 0.0)
    monkeypatch.setattr("vireid.people.picture.SOMEBODY", 0.0)
    for which, seen in drawn.items():
        whole = draw(*which)
        assert whole.conditions.hidden == 0
        person = np.isin(whole.labels, PERSON)
        assert seen.conditions.hidden == pytest.approx((seen.labels[person] == Part.OCCLUDER).mean())
        assert replace(seen.conditions, hidden=0) == whole.conditions
    hidden = np.array([seen.conditions.hidden for seen in drawn.values()])
    assert (hidden == 0).any()
    assert (hidden > 0.1).any()
    assert hidden.max() <= 1


@pytest.mark.parametrize(("across", "down", "scale"), [(0, 0, 1.1), (0.2, 0, 1.3), (-0.2, 0.05, 1.3), (0, -0.1, 1.5)])
def test_a_window_off_the_person_shows_it_off_the_centre(
    monkeypatch: pytest.MonkeyPatch, across: float, down: float, scale: float
) -> None:
    """By so much of the picture as the conditions say, and as small as they say."""
    height, width = SIZE

    def off(box: Window, _: np.random.Generator) -> Window:
        left, top, right, bottom = box
        tall = scale * (bottom - top)
        wide = tall * width / height
        x, y = (left + right) / 2 + across * wide, (top + bottom) / 2 + down * tall
        return x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2

    monkeypatch.setattr("vireid.people.picture.detect", off)
    monkeypatch.setattr("vireid.people.picture.THING", 0.0)
    monkeypatch.setattr("vireid.people.picture.SOMEBODY", 0.0)
    for camera in (1, 6):
        seen = render(figure(1), CAMERAS[camera], load_plate(camera), np.random.default_rng(26), SIZE)
        taken = seen.conditions
        assert (taken.across, taken.down, taken.scale) == pytest.approx((across, down, scale))
        rows, columns = np.nonzero(np.isin(seen.labels, PERSON))
        middle = [(some.min() + some.max() + 1) / 2 for some in (columns, rows)]
        assert middle == pytest.approx([width * (0.5 - across), height * (0.5 - down)], abs=1.5)
        assert np.ptp(rows) + 1 == pytest.approx(height / scale, abs=2)


def test_conditions_of_a_window() -> None:
    taken = conditions_of((100, 50, 140, 250), (90, 40, 190, 140), 0.25)
    assert (taken.hidden, taken.across, taken.down, taken.scale) == pytest.approx((0.25, 0.2, -0.6, 0.5))


def test_detectors_are_right_most_of_the_time() -> None:
    rng = np.random.default_rng(0)
    windows = np.array([detect((100, 50, 140, 250), rng) for _ in range(2000)])
    whole = (windows[:, 0] <= 100) & (windows[:, 2] >= 140) & (windows[:, 1] <= 50) & (windows[:, 3] >= 250)
    assert 0.65 < whole.mean() < 0.95
    aspect = (windows[:, 3] - windows[:, 1]) / (windows[:, 2] - windows[:, 0])
    assert 1.5 < np.median(aspect) < 2.6
    low = (250 - windows[:, 3]) / 200
    assert 0.04 < (low > 0.05).mean() < 0.15  # legs that are cut


def summary() -> dict[str, list[float]]:
    """Of a picture of each camera: the mean of each of 12 x 6 blocks."""
    means = {}
    for camera in CAMERAS:
        image = picture(3, camera).image.astype(np.float64)
        image = image if image.ndim == 2 else image.mean(2)
        means[str(camera)] = image.reshape(12, 16, 6, 16).mean((1, 3)).round(1).ravel().tolist()
    return means


def test_pictures_are_those_of_other_processors() -> None:
    """Bytes may differ between processors: their mathematics differ in the last bits. Pictures may not."""
    expected = json.loads(REFERENCE.read_text())
    for camera, means in summary().items():
        assert np.abs(np.array(means) - expected[camera]).mean() < 1.0, camera


if __name__ == "__main__":
    REFERENCE.write_text(json.dumps(summary(), indent=None) + "\n")
