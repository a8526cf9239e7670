"""The decoded-image cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vireid.datasets import cache
from vireid.datasets.cache import cache_images
from vireid.datasets.sysu import read_sysu
from vireid.pictures import open_picture

EXAMPLES = Path(__file__).parents[3] / "examples"

MakeTree = Callable[..., Path]


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_rows_are_the_resized_files_in_order(make_tree: MakeTree) -> None:
    root = make_tree(pictures=2)
    paths = read_sysu(root).train.paths[::-1]
    array = cache_images(paths, (10, 6), root=root, progress=False)
    assert isinstance(array, np.memmap)
    assert array.shape == (len(paths), 10, 6, 3)
    assert not array.flags.writeable
    for row, path in zip(array, paths, strict=True):
        with Image.open(path) as image:
            expected = np.asarray(image.convert("RGB").resize((6, 10), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(row, expected)
        if "cam3" in path.parts or "cam6" in path.parts:
            assert (row == row[..., :1]).all()
    assert len({row.tobytes() for row in array}) > len(paths) // 2  # the fixture's images do differ


def test_more_images_than_a_chunk(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree(pictures=1)
    paths = read_sysu(root).train.paths
    whole = np.array(cache_images(paths, (4, 4), root=root, progress=False))
    monkeypatch.setattr(cache, "CHUNK", 5)
    again = cache_images(paths, (4, 4), root=root, cache_dir=root / "other", workers=3, progress=False)
    np.testing.assert_array_equal(again, whole)


def test_it_is_made_once_and_anew_when_something_changed(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree(pictures=1)
    paths = [item.path for item in read_sysu(root).test if item.modality]
    cache_images(paths, (4, 2), root=root, progress=False)
    names = _files(root / ".cache")
    assert len(names) == 1
    with monkeypatch.context() as patch:
        patch.setattr(cache, "decode_image", lambda *_: pytest.fail("decoded again"))
        moved = root.rename(root.parent / "moved").absolute()
        paths = [moved / path.relative_to(root) for path in paths]
        cache_images(paths, (4, 2), root=moved, progress=False)
    cache_images(paths, (2, 4), root=moved, progress=False)
    cache_images(paths[::-1], (4, 2), root=moved, progress=False)
    cache_images(paths[1:], (4, 2), root=moved, progress=False)
    os.utime(paths[0], ns=(1, 1))
    cache_images(paths, (4, 2), root=moved, progress=False)
    Image.new("L", (30, 50), 9).save(paths[1])
    array = cache_images(paths, (4, 2), root=moved, progress=False)
    assert (array[1] == 9).all()
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    cache_images(paths, (4, 2), root=moved, progress=False)
    assert len(_files(moved / ".cache")) == 7


def test_broken_images_are_all_named(make_tree: MakeTree) -> None:
    root = make_tree(pictures=3)
    paths = read_sysu(root).train.paths
    whole = paths[4].read_bytes()
    paths[4].write_bytes(whole[: len(whole) // 2])
    paths[9].write_bytes(b"no image")
    with pytest.raises(ValueError, match=f"2 of {len(paths)} cannot be decoded") as caught:
        cache_images(paths, (10, 6), root=root, progress=False)
    assert str(paths[4]) in str(caught.value)
    assert str(paths[9]) in str(caught.value)
    assert _files(root / ".cache") == []
    for path in paths[:14]:
        path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="; and 4 more"):
        cache_images(paths, (10, 6), root=root, progress=False)
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        cache_images([root / "gone.jpg"], (10, 6), root=root, progress=False)


def test_wide_pixels_keep_their_scale(tmp_path: Path) -> None:
    deep = np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4)
    paths = [tmp_path / name for name in ("deep.png", "ink.jpg", "bits.png", "glass.png")]
    Image.fromarray(deep).save(paths[0])
    colours = Image.fromarray((deep[:, :, None] // [257, 300, 400]).astype(np.uint8))
    for path, mode in zip(paths[1:], ("CMYK", "1", "RGBA"), strict=True):
        colours.convert(mode).save(path)
    array = cache_images(paths, (4, 4), root=tmp_path, progress=False)
    np.testing.assert_array_equal(array[0], np.repeat((deep / 257).round().astype(np.uint8)[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(array[3], np.asarray(colours))
    for path, mode in ((tmp_path / "a.tif", "F"), (tmp_path / "b.tif", "I")):
        Image.fromarray(deep.astype(np.float32 if mode == "F" else np.int32)).save(path)
        with pytest.raises(ValueError, match=rf"{path.name} \(pixels must be of 8 or 16 bits; .* is {mode}\)"):
            cache_images([path], (4, 4), root=tmp_path, progress=False)


def test_a_narrow_range_of_wide_pixels_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / name for name in ("a.png", "b.png", "wide.png")]
    for path, (low, high) in zip(paths, ((20000, 21500), (100, 178), (0, 65535)), strict=True):
        Image.fromarray(np.linspace(low, high, 10000).round().astype(np.uint16).reshape(100, 100)).save(path)
    for _ in range(2):
        cache_images(paths, (4, 4), root=tmp_path, progress=False)
    assert capsys.readouterr().out.strip() == (
        f"note: cache_images: pixels of 16 bits are divided by 257; {paths[0]}, with values 20000 … 21500, "
        "keeps 7 of 1501 greys; 1 more files are similar"
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".mpo"])
def test_images_are_turned_upright(tmp_path: Path, suffix: str) -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    upright, root = np.kron(pixels, np.ones((16, 16), np.uint8)), tmp_path
    stored = [upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1]]  # by EXIF's orientation
    stored += [image.T for image in stored]
    more: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (9, 9))]} if suffix == ".mpo" else {}
    paths = []
    for orientation, image in enumerate(stored, start=1):
        exif = Image.Exif()
        exif[0x0112], exif[0x011A] = orientation, 72.0
        paths.append(root / f"{orientation}{suffix}")
        picture = Image.fromarray(np.stack([image] * 3, axis=2))
        picture.save(paths[-1], exif=exif, **more)
    for orientation, image in enumerate(cache_images(paths, (32, 48), root=root, progress=False), start=1):
        np.testing.assert_allclose(image[8::16, 8::16, 0], pixels, atol=8, err_msg=str(orientation))


def test_damaged_words_about_an_image_do_not_hide_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0132] = 6, "2020:01:01 00:00:00"
    words = exif.tobytes().replace(b"\x32\x01\x02\x00", b"\x32\x01\x05\x00")  # text that is called a fraction
    Image.new("RGB", (20, 40)).save(tmp_path / "a.jpg", exif=words)
    assert open_picture(tmp_path / "a.jpg").size == (40, 20)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "GIF", "ICO", "PPM"])
def test_other_kinds_of_files_are_rejected_whatever_they_are_called(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "link.jpg"
    Image.new("RGB", (20, 40)).save(path, format=kind)
    with pytest.raises(ValueError, match=rf"complete and JPEG, .*; 1 of 1 cannot be decoded: {path} \(cannot identify"):
        cache_images([path], (4, 4), root=tmp_path, progress=False)
    with pytest.raises(ValueError, match=rf"open_picture: {path} must be a complete image \(JPEG, .*\); ") as caught:
        open_picture(path)
    assert "\n" not in str(caught.value)


def test_no_image_is_opened_by_any_decoder() -> None:
    """All examples read images by `open_picture`."""
    found = [path.name for path in EXAMPLES.rglob("*.py") if "Image.open(" in path.read_text()]
    assert found == ["pictures.py"]


def test_a_cut_file_is_made_again_and_leftovers_go(make_tree: MakeTree) -> None:
    root = make_tree(pictures=1)
    paths = [item.path for item in read_sysu(root).test if item.modality]
    whole = np.array(cache_images(paths, (8, 4), root=root, progress=False))
    file = root / ".cache" / _files(root / ".cache")[0]
    file.write_bytes(file.read_bytes()[:-1])
    (root / ".cache" / f".{file.stem}-killed.tmp").write_bytes(b"what a killed process leaves")
    np.testing.assert_array_equal(cache_images(paths, (8, 4), root=root, progress=False), whole)
    assert _files(root / ".cache") == [file.name]


def test_a_place_that_cannot_be_written_is_named(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree(pictures=1)
    paths = [item.path for item in read_sysu(root).test if item.modality]
    (root / "file").write_text("in the way")
    with pytest.raises(OSError, match="cache_dir"):
        cache_images(paths, (8, 4), root=root, cache_dir=root / "file", progress=False)
    usage = shutil.disk_usage(root)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="are free"):
        cache_images(paths, (8, 4), root=root, progress=False)
    with pytest.raises(ValueError, match="at least one image"):
        cache_images([], (8, 4), root=root, progress=False)
    for size, workers in (((0, 4), None), ((8, 4), 0)):
        with pytest.raises(ValueError, match="at least 1"):
            cache_images(paths, size, root=root, workers=workers, progress=False)


_BUILDER = """
import sys, time
from pathlib import Path
sys.path.append(sys.argv[2])
from vireid.datasets import cache
assert "torch" not in sys.modules  # or the two would not start together
root, decode = Path(sys.argv[1]), cache.decode_image
decoded = []
def slow(*arguments):
    decoded.append(arguments)
    time.sleep(0.05)
    return decode(*arguments)
cache.decode_image = slow
paths = sorted(root.glob("cam*/*/*.jpg"))
array = cache.cache_images(paths, (6, 4), root=root, workers=2, progress=False)
print(len(decoded), int(array.sum()))
"""


def test_two_processes_at_once_decode_once(make_tree: MakeTree) -> None:
    root = make_tree(pictures=1)
    command = [sys.executable, "-c", _BUILDER, str(root), str(EXAMPLES)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    images = len(list(root.glob("cam*/*/*.jpg")))
    assert sorted(int(decoded) for decoded, _ in said) == [0, images]
    assert said[0][1] == said[1][1]
    assert len(_files(root / ".cache")) == 1
