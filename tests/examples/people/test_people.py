"""Rendered people and their pictures: what they are drawn from, and what pretraining reads of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vireid.people import (
    ATTRIBUTES,
    CAMERAS,
    INFRARED_CAMERAS,
    NOT_APPLICABLE,
    PARTS,
    VISIBLE_CAMERAS,
    Part,
    attribute_targets,
    draw_family,
    draw_person,
    render,
)
from vireid.people import config as config_module
from vireid.people import dataset as dataset_module
from vireid.people import pretraining as attributes
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


def test_attribute_targets_lie_within_bounds(people: list[Person]) -> None:
    targets = np.array([list(attribute_targets(person).values()) for person in people])
    assert list(attribute_targets(people[0])) == list(ATTRIBUTES)
    for column, (name, classes) in enumerate(ATTRIBUTES.items()):
        assert set(targets[:, column]) - {NOT_APPLICABLE} == set(range(classes)), name  # every class occurs, too
    by_name = dict(zip(ATTRIBUTES, targets.T, strict=True))
    plain = by_name["upper_pattern"] == list(UPPER_PATTERNS).index("plain")
    assert (by_name["upper_period"][plain] == NOT_APPLICABLE).all()
    assert (by_name["bag_size"][by_name["bag"] == 0] == NOT_APPLICABLE).all()


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


def test_people_of_pretraining_need_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    with pytest.raises(OSError, match=r"set must have room for 7 MiB; 1 are free"):
        attributes.render_people(tmp_path / "set", attributes.PeopleConfig(0, 100), workers=1)


def test_people_of_pretraining_are_in_no_data_set() -> None:
    streams = {config_module.PEOPLE_STREAM, dataset_module.PICTURE_STREAM, dataset_module.GALLERY_STREAM}
    assert not streams & {attributes.PEOPLE_STREAM, attributes.PICTURE_STREAM}
    images, parts, modality, targets = attributes.render_block(attributes.PeopleConfig(0, 3, pictures=2), 0)
    assert images.shape == (6, 96, 48, 3)
    assert parts.shape == (6, 96, 48)
    assert modality.tolist() == [0, 1] * 3
    assert targets.shape == (6, len(ATTRIBUTES))
    assert (targets[::2] == targets[1::2]).all()


def test_attributes_of_unseen_parts_teach_nothing() -> None:
    targets = torch.zeros(2, len(ATTRIBUTES), dtype=torch.long)
    parts = torch.full((2, 96, 48), int(Part.BACKGROUND))
    parts[1, 80:90, 10:20] = Part.SHOES
    shown = attributes.visible_targets(targets, parts)
    assert (shown[0] == NOT_APPLICABLE).all()
    seen = {name for name, target in zip(ATTRIBUTES, shown[1].tolist(), strict=True) if target != NOT_APPLICABLE}
    assert seen == {"shoes", "bag", "bag_size", "width", "leg"}  # the latter are read from the whole body
    cover = attributes.part_cover(parts, 8)
    assert cover.shape == (2, 12, 6, len(PARTS))
    assert torch.allclose(cover.sum(3), torch.ones(2, 12, 6))


def test_attribute_loss_is_one_for_a_blind_guess_and_none_for_a_perfect_one() -> None:
    targets = torch.tensor([[classes - 1 for classes in ATTRIBUTES.values()], [NOT_APPLICABLE] * len(ATTRIBUTES)])
    blind = torch.zeros(2, sum(ATTRIBUTES.values()))
    assert attributes.attribute_loss(blind, targets).item() == pytest.approx(1)
    perfect = blind.clone()
    perfect[0, np.cumsum(list(ATTRIBUTES.values())) - 1] = 100.0
    assert attributes.attribute_loss(perfect, targets).item() == pytest.approx(0)
    assert set(attributes.accuracies(perfect, targets).values()) == {1.0}
    reader = attributes.AttributeReader(8)
    whole, local = reader(torch.rand(2, 8, 12, 6), attributes.part_cover(torch.randint(9, (2, 96, 48)), 8))
    assert whole.shape == local.shape == blind.shape
