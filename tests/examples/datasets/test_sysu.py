"""Reading and checking a SYSU-MM01 tree."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from vireid.datasets import sysu
from vireid.datasets.counts import counts_table, describe, verify, verify_published
from vireid.datasets.items import Item, Items
from vireid.datasets.sysu import Sysu, read_sysu

MakeTree = Callable[..., Path]


def test_lists_images_and_names_are_read(make_tree: MakeTree) -> None:
    root = make_tree(pictures=2, counts={(4, 5): 0, (6, 40): 1, (2, 2): 11})
    data = read_sysu(root)
    assert data.train_identities == (1, 2, 4, 5)
    assert data.test_identities == (3, 6, 12, 40)
    assert len(data.train) == 4 * 6 * 2 - 2 + 9
    assert len(data.test) == 4 * 6 * 2 - 1
    for items in (data.train, data.test):
        assert items.modality.tolist() == [int(camera in (3, 6)) for camera in items.camera.tolist()]
        assert [(i.camera, i.identity, i.path.name) for i in items] == sorted(
            (i.camera, i.identity, i.path.name) for i in items
        )
        assert all(i.path == root / f"cam{i.camera}" / f"{i.identity:04d}" / i.path.name for i in items)
    assert not ((data.train.camera == 4) & (data.train.identity == 5)).any()


def test_names_are_parsed_not_cut_at_offsets(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree("cam9/0077", pictures=1)
    for camera in range(1, 7):
        (root / f"cam{camera}" / "0003").rename(root / f"cam{camera}" / "3")
    (root / "cam1" / "0006" / "0001.jpg").rename(root / "cam1" / "0006" / "00000123.JPG")
    (root / "cam1" / "0006" / "._0001.jpg").write_bytes(b"left by a file manager")
    for litter in ("__MACOSX/cam1/0006/0001.jpg", "cam1/__MACOSX/0001.jpg", "cam1/0006/@eaDir/0001.jpg/thumb.jpg"):
        (root / litter).parent.mkdir(parents=True)
        (root / litter).write_bytes(b"left by a system")
    for litter in ("cam1/0006/Thumbs.db", "cam1/.DS_Store", "cam1/0006/desktop.ini", "cam1/0006/notes.txt"):
        (root / litter).write_bytes(b"left by another")
    (root / "cam1" / "notes").mkdir()
    monkeypatch.chdir(root)
    data = read_sysu(".")
    assert data.test_identities == tuple(data.test.identities) == (3, 6, 12, 40)
    assert [i.path.name for i in data.test if (i.camera, i.identity) == (1, 6)] == ["00000123.JPG"]


def rename(camera: Path, suffix: str) -> None:
    picture = camera / "0003" / "0001.jpg"
    picture.rename(picture.with_suffix(suffix))


def test_files_that_would_be_ignored_are_rejected(make_tree: MakeTree, tmp_path: Path) -> None:
    scattered = tmp_path / "scattered"
    (scattered / "a").mkdir(parents=True)
    for name in ("a/b.png", "c.bmp", "d.jpg"):
        (scattered / name).touch()

    def rejected(name: str, rule: str, change: Callable[[Path], object]) -> None:
        root = make_tree(name, pictures=1)
        change(root / "cam4")
        with pytest.raises(ValueError, match=rule):
            read_sysu(root)

    rejected("a", r"one folder; .*cam4/3 is also 0003$", lambda cam: shutil.copytree(cam / "0003", cam / "3"))

    def ignored(name: str, found: str, change: Callable[[Path], object]) -> None:
        rejected(name, rf"cam4 must be identity/image\.jpg; {found} would be ignored$", change)

    ignored("b", "0099", lambda cam: (cam / "0099").touch())
    ignored("c", "p3/0001.jpg", lambda cam: (cam / "0003").rename(cam / "p3"))
    ignored("d", "0003/0003/0001.jpg", lambda cam: shutil.copytree(cam / "0003", cam / "0003/0003"))
    ignored("e", "id0003/a/b.png and 2 more", lambda cam: shutil.copytree(scattered, cam / "id0003"))
    ignored("f", "0001.jpg", lambda cam: (cam / "0003/0001.jpg").rename(cam / "0001.jpg"))
    ignored("g", "0003/again.jpg/0001.jpg", lambda cam: shutil.copytree(cam / "0003", cam / "0003/again.jpg"))
    for suffix in (".PNG", ".jpeg", ".jfif", ".heic", ""):
        renamed = partial(rename, suffix=suffix)
        ignored(f"h{suffix}", f"0003/0001{re.escape(suffix)}", renamed)


@pytest.mark.parametrize(
    "text", ["3,6,12,40", " 3, 6 ,12,\t40 \r\n\n", "3,6,12,40,\n", "\ufeff40,12,6,3", "3,6\n12,40"]
)
def test_lists_tolerate_spaces_and_line_ends(make_tree: MakeTree, text: str) -> None:
    root = make_tree(pictures=1)
    (root / "exp" / "test_id.txt").write_text(text, encoding="utf-8")
    assert read_sysu(root).test_identities == (3, 6, 12, 40)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"3,6,x12,40", "'x12'"),
        (b"3,,6", "''"),
        (b"3,-6", "'-6'"),
        (b"0,6", "'0'"),
        (b"\xff\xfe3", "text"),
        ("3,6".encode("utf-16-le"), "text"),
        (b"3," + 5000 * b"9", "'999"),
    ],
)
def test_an_unreadable_list_is_named_with_its_token(make_tree: MakeTree, content: bytes, named: str) -> None:
    root = make_tree(pictures=1)
    (root / "exp" / "val_id.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"val_id\.txt") as caught:
        read_sysu(root)
    assert named in str(caught.value)
    assert str(root) in str(caught.value)


def test_only_the_validation_list_may_be_blank(make_tree: MakeTree) -> None:
    root = make_tree(pictures=1)
    (root / "exp" / "val_id.txt").write_text(" \n")
    assert read_sysu(root).train_identities == (1, 2, 5)
    (root / "exp" / "test_id.txt").write_text(" \n")
    with pytest.raises(ValueError, match=r"test_id\.txt must name at least one identity; it is blank"):
        read_sysu(root)


def test_everything_missing_is_in_one_message(make_tree: MakeTree, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_sysu(tmp_path / "nowhere")
    root = make_tree(pictures=1)
    shutil.rmtree(root / "cam3")
    shutil.rmtree(root / "cam6")
    (root / "exp" / "val_id.txt").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        read_sysu(root)
    message = str(caught.value)
    assert "missing in " + str(root) + ": cam3/, cam6/, exp/val_id.txt" in message
    (root.parent / "__MACOSX" / "cam1").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="its SYSU/ has cam1"):
        read_sysu(root.parent)


def test_half_copied_trees_are_rejected(make_tree: MakeTree) -> None:
    nobody = {(camera, identity): 0 for camera in range(1, 7) for identity in (5, 40)}
    with pytest.raises(ValueError, match=r"2 identities .* 0005, 0040"):
        read_sysu(make_tree("a", pictures=1, counts=nobody))
    no_infrared = {(camera, identity): 0 for camera in (3, 6) for identity in (1, 2, 4, 5)}
    with pytest.raises(ValueError, match="no infrared train images"):
        read_sysu(make_tree("b", pictures=1, counts=no_infrared))
    no_visible = {(camera, identity): 0 for camera in (1, 2, 4, 5) for identity in (1, 2, 4, 5)}
    with pytest.raises(ValueError, match="no visible train images"):
        read_sysu(make_tree("c", pictures=1, counts=no_visible))
    root = make_tree("d", pictures=1)
    (root / "cam4" / "0012" / "0001.jpg").write_bytes(b"")
    (root / "cam3" / "0001" / "0001.jpg").write_bytes(b"")
    (root / "cam5" / "0003" / "0002.jpg").symlink_to(root / "nowhere.jpg")
    with pytest.raises(ValueError, match=r"3 .* files: cam3/0001/0001.jpg, cam4/0012/0001.jpg, cam5/0003/0002.jpg"):
        read_sysu(root)
    root = make_tree("e", pictures=1)
    (root / "exp" / "test_id.txt").write_text("2,3,6")
    with pytest.raises(ValueError, match=r"both training and test: 2$"):
        read_sysu(root)


def test_counts_are_compared_with_the_published_ones(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_sysu(make_tree(pictures=2, counts={(1, 6): 0}))
    counts = describe(data)
    assert counts["train"] == {"identities": 4, "visible": 32, "infrared": 16}
    assert counts["test"] == {"identities": 4, "visible": 30, "infrared": 16}
    assert counts["gallery_draw"] == "official"
    camera_1, *_, camera_6 = counts["cameras"]
    assert (camera_1["camera"], camera_1["modality"]) == (1, "visible")
    assert camera_1["test"] == {"identities": 3, "images": 6}
    assert camera_6["train"] == {"identities": 4, "images": 8}
    assert counts["published"] is None
    # The real set cannot be here: let this tree's counts be the published ones, then miss one of them.
    with pytest.raises(ValueError, match="train identities: 4, not 395, test identities: 4, not 96"):
        verify_published(data)
    monkeypatch.setattr(Sysu, "published_identities", (4, 4))
    monkeypatch.setattr(sysu, "PUBLISHED_TRAIN_IMAGES", (32, 16))
    cameras = {1: (3, 6), **dict.fromkeys((2, 3, 4, 5, 6), (4, 8))}
    monkeypatch.setattr(sysu, "PUBLISHED_TEST_CAMERAS", cameras)
    assert describe(data)["published"] is True
    verify(data)
    verify_published(data)
    monkeypatch.setattr(sysu, "PUBLISHED_TEST_CAMERAS", {**cameras, 5: (4, 9)})
    assert describe(data)["published"] is False
    with pytest.raises(ValueError, match="camera 5's test images: 8 found, 9 published"):
        verify(data)
    verify(data, complete=False)
    with pytest.raises(ValueError, match="camera 5's test images: 8, not 9"):
        verify_published(data)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(counts_table(data))
    assert "NOT as published; camera 5's test images: 8, not 9" in console.export_text()


def test_the_published_counts_add_up() -> None:
    per_camera = sysu.PUBLISHED_TEST_CAMERAS
    assert sum(per_camera[camera][1] for camera in (3, 6)) == 3803
    assert sum(per_camera[camera][0] for camera in (1, 2, 4, 5)) == 301
    assert sum(per_camera[camera][0] for camera in (1, 2)) == 112


def test_items_are_columns_with_labels() -> None:
    items = Items(
        Item(Path(f"{i}.jpg"), identity, 1, modality)
        for i, (identity, modality) in enumerate([(9, 0), (2, 1), (9, 1), (30, 0)])
    )
    assert items.identities.tolist() == [2, 9, 30]
    assert items.labels.tolist() == [1, 0, 1, 2]
    some = items.select(items.modality == 0)
    assert (some.identity.tolist(), some.labels.tolist()) == ([9, 30], [0, 1])
    assert [item.path.name for item in items.select([3, 0])] == ["3.jpg", "0.jpg"]
    assert len(items.select([])) == 0
    with pytest.raises(ValueError, match=r"must be \(n,\) = \(4,\); got \(3,\)"):
        items.select(np.ones(3, dtype=bool))
    with pytest.raises(ValueError, match="one axis of integers"):
        items.select([0.5])
