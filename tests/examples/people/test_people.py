"""Rendered people and their pictures: what they are drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from vireid.people import (
    CAMERAS,
    INFRARED_CAMERAS,
    PARTS,
    VISIBLE_CAMERAS,
    Part,
    draw_family,
    draw_person,
    render,
)
from vireid.people.camera import Placement
from vireid.people.config import RenderConfig
from vireid.people.pattern import PATTERNS
from vireid.people.person import GROUPS, LOWER_PATTERNS, UPPER_PATTERNS, Material, Person, form
from vireid.people.picture import Picture


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [draw_person(np.random.default_rng([5, number])) for number in range(300)]


@pytest.fixture(scope="module")
def pictures(people: list[Person]) -> list[tuple[int, Picture]]:
    """Two hundred and forty pictures, with the camera of each."""
    return [
        (number, render(person, CAMERAS[number], np.random.default_rng([6, index, number])))
        for index, person in enumerate(people[:40])
        for number in CAMERAS
    ]


def test_families_lie_within_a_split() -> None:
    config = RenderConfig(train_identities=4, val_identities=4, test_identities=8)
    by_identity = [config.person(identity) for identity in range(1, config.identities + 1)]
    families = [by_identity[start : start + 4] for start in range(0, len(by_identity), 4)]
    assert all(len({member.build for member in family}) == 1 for family in families)
    assert len({family[0].build for family in families}) == len(families)
    with pytest.raises(ValueError, match=r"`identity` must be in 1..16; got 17"):
        config.person(17)


def test_family_members_share_what_they_should() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        ancestor = draw_person(np.random.default_rng(seed))
        family = draw_family(rng)
        assert len(family) == 4
        for member in family:
            changed = [group for group in GROUPS if form(member, group) != form(ancestor, group)]
            assert len(changed) == 2
            assert member.build == ancestor.build
            kept = {
                "hair": Material.HAIR,
                "upper": Material.UPPER,
                "lower": Material.LOWER,
                "accessories": Material.BAG,
            }
            for group, material in kept.items():
                same = (member.colour[material] == ancestor.colour[material]).all()
                assert same == (group not in changed)
                assert same == (member.reflectance[material] == ancestor.reflectance[material])
            assert (member.colour[Material.SKIN] == ancestor.colour[Material.SKIN]).all()


def test_infrared_reflectance_is_no_function_of_colour(people: list[Person]) -> None:
    colour = np.stack([person.colour for person in people])
    reflectance = np.stack([person.reflectance for person in people])
    for material in Material:
        for values in (*colour[:, material].T, colour[:, material].mean(1)):
            assert abs(np.corrcoef(values, reflectance[:, material])[0, 1]) < 0.2, material  # 3.5 standard errors
    # Nor does a print that is the brighter one in colours tend to be so in infrared.
    brighter = colour[:, Material.UPPER_PRINT].mean(1) > colour[:, Material.UPPER].mean(1)
    reflecting = reflectance[:, Material.UPPER_PRINT] > reflectance[:, Material.UPPER]
    assert abs((brighter == reflecting).mean() - 0.5) < 0.1


def test_prints_can_be_seen(people: list[Person]) -> None:
    contrast = np.array([abs(p.colour[Material.UPPER].mean() - p.colour[Material.UPPER_PRINT].mean()) for p in people])
    infrared = np.array([abs(p.reflectance[Material.UPPER] - p.reflectance[Material.UPPER_PRINT]) for p in people])
    assert contrast.min() >= 0.22
    assert 0.06 < (infrared <= 0.08).mean() < 0.2
    assert ((infrared <= 0.08) | (infrared >= 0.22)).all()


def test_every_pattern_is_drawn_and_partly_covers() -> None:
    assert set(PATTERNS) == set(UPPER_PATTERNS) | set(LOWER_PATTERNS)
    garment = draw_person(np.random.default_rng(0)).upper
    across, along = (axis.ravel() for axis in np.meshgrid(np.linspace(-0.1, 0.1, 60), np.linspace(0, 0.4, 120)))
    for name, pattern in PATTERNS.items():
        covered = pattern(garment, across, along, (0.1, 0.4))
        assert covered.shape == across.shape
        assert covered.dtype == bool
        assert covered.any() == (name != "plain")
        assert not covered.all()


def test_a_picture_depends_on_its_random_stream_alone(people: list[Person]) -> None:
    for number in (1, 3):
        first, again, other = (render(people[0], CAMERAS[number], np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert (first.image == again.image).all()
        assert (first.parts == again.parts).all()
        assert (first.image != other.image).any()


def test_pictures_and_part_maps_agree(pictures: list[tuple[int, Picture]]) -> None:
    seen = np.zeros(len(PARTS), int)
    for number, picture in pictures:
        assert picture.image.shape == (96, 48, 3)
        assert picture.image.dtype == picture.parts.dtype == np.uint8
        assert picture.parts.shape == (96, 48)
        equal = (picture.image == picture.image[..., :1]).all()
        assert equal == (number in INFRARED_CAMERAS)
        seen += np.bincount(picture.parts.ravel(), minlength=len(PARTS)) > 0
    assert len(seen) == len(PARTS) == len(Part)
    assert (seen > 0.15 * len(pictures)).all(), dict(zip(PARTS, seen, strict=True))
    body = [(picture.parts != Part.BACKGROUND).mean() for _, picture in pictures]
    assert 0.1 < np.median(body) < 0.6


def test_pictures_of_other_sizes(people: list[Person]) -> None:
    picture = render(people[0], CAMERAS[2], np.random.default_rng(0), size=(60, 40))
    assert picture.image.shape == (60, 40, 3)
    assert picture.parts.shape == (60, 40)


def test_heads_are_above_shoes(pictures: list[tuple[int, Picture]]) -> None:
    rows = np.arange(96)[:, None].repeat(48, 1)
    for _, picture in pictures:
        head, shoes = (rows[picture.parts == part] for part in (Part.HEAD, Part.SHOES))
        if len(head) and len(shoes):
            assert head.mean() < shoes.mean()


def test_cameras_are_those_of_the_layout() -> None:
    assert VISIBLE_CAMERAS == (1, 2, 4, 5)
    assert INFRARED_CAMERAS == (3, 6)
    assert [number for number, camera in CAMERAS.items() if camera.indoor] == [1, 2, 3]


def test_placements_stay_within_their_ranges() -> None:
    rng = np.random.default_rng(0)
    for camera in CAMERAS.values():
        places = [camera.place(rng) for _ in range(300)]
        scales = np.array([place.scale for place in places]) / camera.scale
        assert 0.8 <= scales.min() < 0.85
        assert 1.15 < scales.max() <= 1.2
        assert np.abs([place.x - 0.5 for place in places]).max() <= 0.15
        assert np.abs([place.y - 0.5 - camera.shift for place in places]).max() <= 0.15


def test_placement_goes_there_and_back() -> None:
    place = Placement(scale=0.9, x=0.45, y=0.55, angle=0.1, stretch=1.05)
    points = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    x, y = place.to_picture(points, (96, 48)).T
    assert np.allclose(np.stack(place.to_body(x, y, (96, 48)), axis=1), points)
