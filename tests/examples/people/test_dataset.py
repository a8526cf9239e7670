"""The rendered data set: deterministic, resumable, complete, and true to what it claims."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from vireid.files import read_json
from vireid.people.camera import CAMERAS
from vireid.people.config import LISTED, RenderConfig
from vireid.people.dataset import ATTRIBUTES, CONDITIONS, PICTURE_STREAM, render_dataset, render_identity
from vireid.people.figure import dress
from vireid.people.labels import PERSON, Part
from vireid.people.person import FAMILY
from vireid.people.picture import render
from vireid.people.prepared import load_plate
from vireid.people.sheet import contact_sheet

TINY = RenderConfig(
    train_identities=2,
    val_identities=1,
    test_identities=3,
    train_visible=1,
    train_infrared=2,
    test_visible=2,
    test_infrared=1,
    height=96,
    width=48,
)


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rendered") / "tiny"
    return render_dataset(root, TINY, workers=1, progress=False)


@pytest.mark.long
def test_the_same_bytes_from_any_number_of_workers(tiny: Path, tmp_path: Path) -> None:
    again = render_dataset(tmp_path / "again", TINY, workers=2, progress=False)
    assert digest(again) == digest(tiny)


def test_an_interrupted_call_is_continued(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[int] = []

    def until_the_third(root: Path, config: RenderConfig, identity: int) -> int:
        if len(rendered) == 2:
            raise KeyboardInterrupt
        rendered.append(identity)
        return render_identity(root, config, identity)

    monkeypatch.setattr("vireid.people.dataset.render_identity", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        render_dataset(tmp_path / "set", TINY, workers=1, progress=False)
    assert not (tmp_path / "set").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "set.unfinished").rglob("*.jpg")}
    assert len(kept) == sum(TINY.count(identity, camera) for identity in rendered for camera in CAMERAS)
    within = kept.popitem()[0]  # also if it ends within an identity
    within.unlink()
    monkeypatch.undo()
    again = render_dataset(tmp_path / "set", TINY, workers=1, progress=False)
    assert digest(again) == digest(tiny)
    for path, time in kept.items():
        assert (again / path.relative_to(tmp_path / "set.unfinished")).stat().st_mtime_ns == time


def test_what_another_configuration_left_unfinished_is_not_used(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "set.unfinished" / "cam1" / "0001").mkdir(parents=True)
    (tmp_path / "set.unfinished" / "cam1" / "0001" / "0001.jpg").write_bytes(b"of another set")
    assert digest(render_dataset(tmp_path / "set", TINY, workers=1, progress=False)) == digest(tiny)


def test_layout_is_complete(tiny: Path) -> None:
    splits = {}
    for name in ("train", "val", "test"):
        lines = (tiny / "exp" / f"{name}_id.txt").read_text().splitlines()
        assert len(lines) == 1
        splits[name] = [int(identity) for identity in lines[0].split(",")]
    assert {name: len(identities) for name, identities in splits.items()} == {"train": 2, "val": 1, "test": 3}
    assert sorted(identity for identities in splits.values() for identity in identities) == list(range(1, 7))
    for number in CAMERAS:
        for identity in range(1, 7):
            files = sorted((tiny / f"cam{number}" / f"{identity:04d}").iterdir())
            assert [file.name for file in files] == [
                f"{index:04d}.jpg" for index in range(1, TINY.count(identity, number) + 1)
            ]
            with Image.open(files[0]) as image:
                assert image.size == (48, 96)
    assert not list(tiny.parent.glob("*unfinished*"))


def test_gallery_draws_read_as_the_official_code_reads_them(tiny: Path) -> None:
    cells = loadmat(tiny / "exp" / "rand_perm_cam.mat")["rand_perm_cam"]
    assert cells.shape == (6, 1)
    for number in CAMERAS:
        lists = cells[number - 1][0].squeeze()
        assert len(lists) == LISTED[number] == (333 if number in (1, 2, 6) else 533)
        for identity in range(1, 7):
            draws = lists[identity - 1]
            count = TINY.count(identity, number)
            assert draws.shape == (10, count)
            assert (np.sort(draws, axis=1) == np.arange(1, count + 1)).all()
        assert all(lists[identity].size == 0 for identity in range(6, len(lists)))


def test_a_second_call_does_nothing(tiny: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    assert render_dataset(tiny, TINY, progress=False) == tiny
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == before


def test_a_foreign_directory_is_rejected(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"render_dataset: `root` must be a data set rendered before.*got"):
        render_dataset(tmp_path, TINY, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(ValueError, match=r"render_dataset: `root` must hold the data set of this configuration.*seed"):
        render_dataset(tiny, replace(TINY, seed=3), progress=False)
    for damaged in ("[]", "{}", '{"version": 1, "config": 3}', "{"):
        (tmp_path / "render.json").write_text(damaged)
        with pytest.raises(ValueError, match="render_dataset"):
            render_dataset(tmp_path, TINY, progress=False)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"train_identities": 0}, "`train_identities` must be at least 1; got 0"),
        ({"seed": -1}, "`seed` must be at least 0; got -1"),
        ({"test_identities": 334}, "`test_identities` must be at most 333"),
        ({"train_identities": 10_000}, "at most 9999"),
        ({"quality": 101}, "`quality` must be at most 100; got 101"),
        ({"height": 8}, "`height` must be at least 32; got 8"),
    ],
)
def test_bad_settings_are_named(setting: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RenderConfig(**setting)


def test_the_default_configuration_consists_of_whole_families() -> None:
    config = RenderConfig()
    for name in ("train", "val", "test"):
        assert len(config.split(name)) % FAMILY == 0
    assert config.split("test")[-1] <= min(LISTED.values())


def test_label_maps_on_disk_are_parts(tiny: Path) -> None:
    files = sorted((tiny / "parts").rglob("*.png"))
    assert len(files) == len(list(tiny.glob("cam*/*/*.jpg")))
    labels = np.stack([np.asarray(Image.open(file)) for file in files])
    assert labels.shape[1:] == (96, 48)
    assert labels.max() < len(Part)
    assert (np.isin(labels, PERSON).mean((1, 2)) > 0.05).all()


def test_attributes_describe_each_person(tiny: Path) -> None:
    attributes = read_json(tiny / ATTRIBUTES)
    assert list(attributes["people"]) == [f"{identity:04d}" for identity in range(1, 7)]
    assert attributes["people"]["0002"] == TINY.person(2).words()
    assert attributes["parts"]["4"] == "upper"


def test_conditions_tell_how_each_picture_was_taken(tiny: Path) -> None:
    with (tiny / CONDITIONS).open() as lines:
        rows = {row.pop("picture"): {name: float(row[name]) for name in row} for row in csv.DictReader(lines)}
    assert set(rows) == {path.relative_to(tiny).as_posix() for path in tiny.glob("cam*/*/*.jpg")}
    for camera in (3, 4):
        rng = np.random.default_rng([TINY.seed, PICTURE_STREAM, 2, camera, 1])
        seen = render(dress(TINY.person(2)), CAMERAS[camera], load_plate(camera), rng, (TINY.height, TINY.width))
        assert rows[f"cam{camera}/0002/0001.jpg"] == pytest.approx(asdict(seen.conditions), abs=5.1e-5)
    assert len({tuple(row.values()) for row in rows.values()}) == len(rows)
    for name, row in rows.items():
        labels = np.asarray(Image.open((tiny / "parts" / name).with_suffix(".png")))
        assert (labels == Part.OCCLUDER).any() or row["hidden"] < 0.01, name


def test_infrared_files_have_equal_channels(tiny: Path) -> None:
    for file in (*tiny.glob("cam3/*/*.jpg"), *tiny.glob("cam6/*/*.jpg")):
        pixels = np.asarray(Image.open(file).convert("RGB"))
        assert (pixels == pixels[..., :1]).all()


def test_contact_sheet(tiny: Path, tmp_path: Path) -> None:
    path = contact_sheet(tiny, tmp_path / "sheet.png", identities=range(1, 7), infrared=1)
    with Image.open(path) as sheet:
        assert sheet.width > 2 * 6 * 2 * 48
        assert sheet.height > 3 * 96
    with pytest.raises(ValueError, match=r"contact_sheet: .* must hold at least 2 pictures of identity 1 in camera 3"):
        contact_sheet(tiny, path, identities=[1], infrared=2)
