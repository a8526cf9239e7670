"""The rendered people and their data set: deterministic, complete, and true to what it claims."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat

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
from vireid.people.dataset import LISTED, RenderConfig, render_dataset
from vireid.people.pattern import PATTERNS
from vireid.people.person import GROUPS, LOWER_PATTERNS, UPPER_PATTERNS, Material, form
from vireid.people.sheet import contact_sheet

TINY = RenderConfig(
    train_identities=3,
    val_identities=1,
    test_identities=4,
    train_visible=1,
    train_infrared=2,
    test_visible=2,
    test_infrared=1,
)


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rendered") / "tiny"
    return render_dataset(root, TINY, workers=1, progress=False, with_parts=True)


@pytest.fixture(scope="module")
def people():
    return [draw_person(np.random.default_rng([5, number])) for number in range(300)]


@pytest.fixture(scope="module")
def pictures(people):
    """Two hundred and forty pictures, with the camera of each."""
    return [
        (number, render(person, CAMERAS[number], np.random.default_rng([6, index, number])))
        for index, person in enumerate(people[:40])
        for number in CAMERAS
    ]


def test_the_same_bytes_from_any_number_of_workers(tiny, tmp_path):
    again = render_dataset(tmp_path / "again", TINY, workers=2, progress=False, with_parts=True)
    assert digest(again) == digest(tiny)


def test_another_seed_gives_other_pictures(tiny, tmp_path):
    config = replace(TINY, seed=1, train_identities=1, val_identities=0, test_identities=1)
    other = render_dataset(tmp_path / "other", config, workers=1, progress=False)
    name = "cam1/0001/0001.jpg"
    assert (other / name).read_bytes() != (tiny / name).read_bytes()


def test_layout_is_complete(tiny):
    splits = {}
    for name in ("train", "val", "test"):
        lines = (tiny / "exp" / f"{name}_id.txt").read_text().splitlines()
        assert len(lines) == 1
        splits[name] = [int(identity) for identity in lines[0].split(",")]
    assert {name: len(identities) for name, identities in splits.items()} == {"train": 3, "val": 1, "test": 4}
    assert sorted(identity for identities in splits.values() for identity in identities) == list(range(1, 9))
    for number in CAMERAS:
        for identity in range(1, 9):
            files = sorted((tiny / f"cam{number}" / f"{identity:04d}").iterdir())
            assert [file.name for file in files] == [
                f"{index:04d}.jpg" for index in range(1, TINY.count(identity, number) + 1)
            ]
            with Image.open(files[0]) as image:
                assert (image.size, image.mode) == ((48, 96), "RGB")
    assert not list(tiny.parent.glob("*unfinished*"))


def test_gallery_draws_read_as_the_official_code_reads_them(tiny):
    cells = loadmat(tiny / "exp" / "rand_perm_cam.mat")["rand_perm_cam"]
    assert cells.shape == (6, 1)
    for number in CAMERAS:
        lists = cells[number - 1][0].squeeze()
        assert len(lists) == LISTED[number] == (333 if number in (1, 2, 6) else 533)
        for identity in range(1, 9):
            draws = lists[identity - 1]
            count = TINY.count(identity, number)
            assert draws.shape == (10, count)
            assert (np.sort(draws, axis=1) == np.arange(1, count + 1)).all()
        assert all(lists[identity].size == 0 for identity in range(8, len(lists)))


def test_a_second_call_does_nothing(tiny):
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    assert render_dataset(tiny, TINY, progress=False) == tiny
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == before


def test_a_foreign_directory_is_refused(tiny, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"render_dataset: `root` must be a data set rendered before.*got"):
        render_dataset(tmp_path, TINY, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(ValueError, match=r"render_dataset: `root` must hold the data set of this configuration.*seed"):
        render_dataset(tiny, replace(TINY, seed=3), progress=False)
    for damaged in ("[]", "{}", '{"version": 1, "config": 3, "parts": true}', "{"):
        (tmp_path / "render.json").write_text(damaged)
        with pytest.raises(ValueError, match="render_dataset"):
            render_dataset(tmp_path, TINY, progress=False)


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no space")

    monkeypatch.setattr("vireid.people.dataset.write_protocol", fail)
    config = replace(TINY, train_identities=1, val_identities=0, test_identities=1)
    with pytest.raises(RuntimeError, match="no space"):
        render_dataset(tmp_path / "set", config, workers=1, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"train_identities": 0}, "`train_identities` must be at least 1; got 0"),
        ({"seed": -1}, "`seed` must be at least 0; got -1"),
        ({"test_identities": 334}, "`test_identities` must be at most 333"),
        ({"train_identities": 10_000}, "at most 9999"),
        ({"quality": 101}, "`quality` must be at most 100; got 101"),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        RenderConfig(**setting)


def test_default_configuration_is_the_documented_one():
    config = RenderConfig()
    assert (len(config.split("train")), len(config.split("val")), len(config.split("test"))) == (280, 40, 76)
    assert config.split("test")[-1] <= min(LISTED.values())
    total = sum(config.count(identity, number) for identity in range(1, config.identities + 1) for number in CAMERAS)
    assert total == 320 * (4 * 2 + 2 * 4) + 76 * (4 * 10 + 2 * 6)


def test_families_lie_within_a_split():
    config = RenderConfig(train_identities=4, val_identities=4, test_identities=8)
    by_identity = [config.person(identity) for identity in range(1, config.identities + 1)]
    families = [by_identity[start : start + 4] for start in range(0, len(by_identity), 4)]
    assert all(len({member.build for member in family}) == 1 for family in families)
    assert len({family[0].build for family in families}) == len(families)
    with pytest.raises(ValueError, match=r"`identity` must be in 1..16; got 17"):
        config.person(17)


def test_family_members_share_what_they_should():
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


def test_infrared_reflectance_is_no_function_of_colour(people):
    colour = np.stack([person.colour for person in people])
    reflectance = np.stack([person.reflectance for person in people])
    for material in Material:
        for values in (*colour[:, material].T, colour[:, material].mean(1)):
            assert abs(np.corrcoef(values, reflectance[:, material])[0, 1]) < 0.2, material  # 3.5 standard errors
    # Nor does a print that is the brighter one in colours tend to be so in infrared.
    brighter = colour[:, Material.UPPER_PRINT].mean(1) > colour[:, Material.UPPER].mean(1)
    reflecting = reflectance[:, Material.UPPER_PRINT] > reflectance[:, Material.UPPER]
    assert abs((brighter == reflecting).mean() - 0.5) < 0.1


def test_prints_can_be_seen(people):
    contrast = np.array([abs(p.colour[Material.UPPER].mean() - p.colour[Material.UPPER_PRINT].mean()) for p in people])
    infrared = np.array([abs(p.reflectance[Material.UPPER] - p.reflectance[Material.UPPER_PRINT]) for p in people])
    assert contrast.min() >= 0.22
    assert 0.06 < (infrared <= 0.08).mean() < 0.2
    assert ((infrared <= 0.08) | (infrared >= 0.22)).all()


def test_attribute_targets_lie_within_bounds(people):
    targets = np.array([list(attribute_targets(person).values()) for person in people])
    assert list(attribute_targets(people[0])) == list(ATTRIBUTES)
    for column, (name, classes) in enumerate(ATTRIBUTES.items()):
        assert set(targets[:, column]) - {NOT_APPLICABLE} == set(range(classes)), name  # every class occurs, too
    by_name = dict(zip(ATTRIBUTES, targets.T, strict=True))
    plain = by_name["upper_pattern"] == list(UPPER_PATTERNS).index("plain")
    assert (by_name["upper_period"][plain] == NOT_APPLICABLE).all()
    assert (by_name["bag_size"][by_name["bag"] == 0] == NOT_APPLICABLE).all()


def test_every_pattern_is_drawn_and_partly_covers():
    assert set(PATTERNS) == set(UPPER_PATTERNS) | set(LOWER_PATTERNS)
    garment = draw_person(np.random.default_rng(0)).upper
    across, along = (axis.ravel() for axis in np.meshgrid(np.linspace(-0.1, 0.1, 60), np.linspace(0, 0.4, 120)))
    for name, pattern in PATTERNS.items():
        covered = pattern(garment, across, along, (0.1, 0.4))
        assert covered.shape == across.shape
        assert covered.dtype == bool
        assert covered.any() == (name != "plain")
        assert not covered.all()


def test_a_picture_depends_on_its_random_stream_alone(people):
    for number in (1, 3):
        first, again, other = (render(people[0], CAMERAS[number], np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert (first.image == again.image).all()
        assert (first.parts == again.parts).all()
        assert (first.image != other.image).any()


def test_pictures_and_part_maps_agree(pictures):
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


def test_pictures_of_other_sizes(people):
    picture = render(people[0], CAMERAS[2], np.random.default_rng(0), size=(60, 40))
    assert picture.image.shape == (60, 40, 3)
    assert picture.parts.shape == (60, 40)


def test_heads_are_above_shoes(pictures):
    rows = np.arange(96)[:, None].repeat(48, 1)
    for _, picture in pictures:
        head, shoes = (rows[picture.parts == part] for part in (Part.HEAD, Part.SHOES))
        if len(head) and len(shoes):
            assert head.mean() < shoes.mean()


def test_cameras_are_those_of_the_layout():
    assert VISIBLE_CAMERAS == (1, 2, 4, 5)
    assert INFRARED_CAMERAS == (3, 6)
    assert [number for number, camera in CAMERAS.items() if camera.indoor] == [1, 2, 3]


def test_placements_stay_within_their_ranges():
    rng = np.random.default_rng(0)
    for camera in CAMERAS.values():
        places = [camera.place(rng) for _ in range(300)]
        scales = np.array([place.scale for place in places]) / camera.scale
        assert 0.8 <= scales.min() < 0.85
        assert 1.15 < scales.max() <= 1.2
        assert np.abs([place.x - 0.5 for place in places]).max() <= 0.15
        assert np.abs([place.y - 0.5 - camera.shift for place in places]).max() <= 0.15


def test_placement_goes_there_and_back():
    place = Placement(scale=0.9, x=0.45, y=0.55, angle=0.1, stretch=1.05)
    points = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    x, y = place.to_picture(points, (96, 48)).T
    assert np.allclose(np.stack(place.to_body(x, y, (96, 48)), axis=1), points)


def test_part_maps_on_disk_are_indices(tiny):
    files = sorted((tiny / "parts").rglob("*.png"))
    assert len(files) == len(list(tiny.glob("cam*/*/*.jpg")))
    labels = np.stack([np.asarray(Image.open(file)) for file in files])
    assert labels.shape[1:] == (96, 48)
    assert labels.max() < len(PARTS)


def test_infrared_files_have_equal_channels(tiny):
    for file in (*tiny.glob("cam3/*/*.jpg"), *tiny.glob("cam6/*/*.jpg")):
        pixels = np.asarray(Image.open(file))
        assert (pixels == pixels[..., :1]).all()


def test_contact_sheet(tiny, tmp_path):
    path = contact_sheet(tiny, tmp_path / "sheet.png", identities=range(1, 9), infrared=1)
    with Image.open(path) as sheet:
        assert sheet.width > 2 * 6 * 2 * 48
        assert sheet.height > 4 * 2 * 96
    with pytest.raises(ValueError, match=r"contact_sheet: .* must hold at least 2 pictures of identity 1 in camera 3"):
        contact_sheet(tiny, path, identities=[1], infrared=2)


def test_people_of_pretraining_are_in_no_data_set():
    streams = {config_module.PEOPLE_STREAM, dataset_module.PICTURE_STREAM, dataset_module.GALLERY_STREAM}
    assert not streams & {attributes.PEOPLE_STREAM, attributes.PICTURE_STREAM}
    images, parts, modality, targets = attributes.render_block(attributes.PeopleConfig(0, 3, pictures=2), 0)
    assert images.shape == (6, 96, 48, 3)
    assert parts.shape == (6, 96, 48)
    assert modality.tolist() == [0, 1] * 3
    assert targets.shape == (6, len(ATTRIBUTES))
    assert (targets[::2] == targets[1::2]).all()


def test_attributes_of_unseen_parts_teach_nothing():
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


def test_attribute_loss_is_one_for_a_blind_guess_and_none_for_a_perfect_one():
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
