"""A directory of images in two modalities: how it is read, and what is wrong with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support import oracles_protocol as field
from vireid.datasets.counts import counts_table, describe
from vireid.datasets.folder import _numbers, read_folder
from vireid.evaluation.protocol import evaluate
from vireid.evaluation.similarity import cosine

MakeFolder = Callable[..., Path]


def test_images_are_read_by_half_modality_and_identity(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(tmp_path, train=("0002", "0001"), test=("10", "3"))
    (root / "test" / "sketch" / "3" / "notes.txt").write_text("not an image")
    (root / "test" / ".DS_Store").write_text("litter")
    shutil.copy(root / "test" / "photo" / "3" / "0.jpg", root / "test" / "photo" / "3" / "more.PNG")
    data = read_folder(root)
    assert data.modalities == ("photo", "sketch")
    assert (data.train_identities, data.test_identities) == ((1, 2), (3, 10))
    found = [(str(item.path.relative_to(root)), item.identity, item.camera, item.modality) for item in data.train]
    assert found[:3] == [
        ("train/photo/0001/0.jpg", 1, 1, 0),
        ("train/photo/0001/1.jpg", 1, 1, 0),
        ("train/photo/0002/0.jpg", 2, 1, 0),
    ]
    assert found[-1] == ("train/sketch/0002/1.jpg", 2, 2, 1)
    assert len(data.test) == 9
    assert counts_table(data).caption is None
    assert describe(data)["train"] == {"identities": 2, "photo": 4, "sketch": 4}


def test_modalities_may_be_named(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(tmp_path, names=("depth", "infrared", "visible"))
    data = read_folder(root, ("visible", "infrared"))
    assert data.modalities == ("visible", "infrared")
    assert {path.parent.parent.name for path in data.train.paths} == {"visible", "infrared"}
    assert data.train[0].path.parent.parent.name == "visible"
    with pytest.raises(ValueError, match=r"must have two directories.*got depth, infrared, visible"):
        read_folder(root)
    with pytest.raises(FileNotFoundError, match="thermal"):
        read_folder(root, ("visible", "thermal"))
    with pytest.raises(ValueError, match="`modalities` must be two directories; got depth, depth"):
        read_folder(root, ("depth", "depth"))


@given(st.sets(st.text("0123456789ab", min_size=1, max_size=3), min_size=1))
def test_each_identity_has_a_number_of_its_own(names: set[str]) -> None:
    numbers = _numbers(sorted(names))
    assert len(set(numbers.values())) == len(names)
    if all(name.isdecimal() for name in names) and len({int(name) for name in names}) == len(names):
        assert all(int(name) == number for name, number in numbers.items())
    else:
        assert sorted(numbers.values()) == list(range(1, len(names) + 1))


def test_results_are_those_of_the_literal_loop(make_folder: MakeFolder, tmp_path: Path) -> None:
    data = read_folder(make_folder(tmp_path, test=tuple("abcdefgh"), pictures=3))
    embeddings = torch.randn(len(data.test), 5, generator=torch.Generator().manual_seed(0))
    rows = [(x.tolist(), item.identity, item.camera) for x, item in zip(embeddings, data.test, strict=True)]
    one, other = ([row for row in rows if row[2] == camera] for camera in (1, 2))
    results = evaluate(data, cosine(embeddings, data.test))
    for task, sides in {"photo_to_sketch": (one, other), "sketch_to_photo": (other, one)}.items():
        np.testing.assert_allclose(list(results[task].values()), field.regdb(*sides), rtol=0, atol=1e-6)


def _without(*names: str) -> Callable[[Path], None]:
    def remove(root: Path) -> None:
        for name in names:
            shutil.rmtree(root / name)

    return remove


def _with(name: str) -> Callable[[Path], None]:
    def add(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "train" / "photo" / "1" / "0.jpg", root / name)

    return add


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_without("test"), FileNotFoundError, "missing in .*own: test/"),
        (_without("train/sketch"), ValueError, "must have two directories, one per modality.*got photo"),
        (_without("test/sketch"), FileNotFoundError, "missing in .*own: test/sketch/"),
        (_without("train/sketch/1"), ValueError, "train must have images of both.*got 1 without sketch images: 1"),
        (_without("test/photo/4"), ValueError, "test must have images of both.*got 1 without photo images: 4"),
        (_without("test/photo/3", "test/photo/4", "test/sketch/3", "test/sketch/4"), ValueError, "got no images"),
        (_with("test/photo/1/a.jpg"), ValueError, "test must have images of both.*without sketch images: 1"),
        (_with("test/other/3/a.jpg"), ValueError, "must be in photo or sketch; other/3/a.jpg would be ignored"),
        (_with("train/photo/a.jpg"), ValueError, "must be identity/image.*a.jpg would be ignored"),
        (_with("train/photo/1/a.gif"), ValueError, "1/a.gif would be ignored"),
        (_with("train/photo/1/more/a.jpg"), ValueError, "1/more/a.jpg would be ignored"),
        (lambda root: (root / "train/photo/1/0.jpg").write_bytes(b""), ValueError, "1 empty or missing files"),
    ],
)
def test_what_is_wrong_is_named(
    change: Callable[[Path], None], error: type[Exception], message: str, make_folder: MakeFolder, tmp_path: Path
) -> None:
    root = make_folder(tmp_path)
    change(root)
    with pytest.raises(error, match=message) as caught:
        read_folder(root)
    assert "\n" not in str(caught.value)


def test_no_identity_is_in_both_halves(make_folder: MakeFolder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be in train or in test; .*own has in both: 2"):
        read_folder(make_folder(tmp_path, train=("1", "2"), test=("2", "3")))
