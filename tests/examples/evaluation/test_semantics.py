"""How mined parts are compared with the parts of people, on maps whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vireid.datasets.items import INFRARED, VISIBLE, Item, Items
from vireid.evaluation.semantics import pair_people, person_shares, profiles, read_parts, same_parts, semantic_scores
from vireid.people.labels import PARTS, Part

UPPER, LOWER, NOBODY = int(Part.UPPER), int(Part.LOWER), int(Part.BACKGROUND)


def pixels() -> Tensor:
    """Two pictures of 32 × 16 pixels, on a grid of 4 × 2: upper garment above, lower below, nobody on the right."""
    parts = torch.full((2, 32, 16), UPPER, dtype=torch.uint8)
    parts[:, 16:] = LOWER
    parts[:, :, 8:] = NOBODY
    return parts


def on(*cells: tuple[int, int]) -> Tensor:
    """An attention map [4 2] spread evenly over some cells."""
    attention = torch.zeros(4, 2)
    for row, column in cells:
        attention[row, column] = 1 / len(cells)
    return attention


def maps(*parts: Tensor) -> Tensor:
    return torch.stack([torch.stack(parts)] * 2)


def test_a_profile_is_the_share_of_attention_on_each_part() -> None:
    found = profiles(maps(on((0, 0)), on((0, 0), (3, 0), (3, 1), (2, 1))), pixels())
    expected = torch.zeros(2, 2, len(PARTS))
    expected[:, 0, UPPER] = 1
    expected[:, 1, UPPER], expected[:, 1, LOWER], expected[:, 1, NOBODY] = 0.25, 0.25, 0.5
    assert torch.allclose(found, expected)
    attention = torch.rand(2, 3, 4, 2)
    attention /= attention.sum(dim=(2, 3), keepdim=True)
    assert torch.allclose(profiles(attention, pixels()).sum(dim=2), torch.ones(2, 3))


def test_shares_on_the_person_by_part_and_of_uniform_attention() -> None:
    shares, uniform = person_shares(maps(on((0, 0), (2, 0)), on((0, 0), (3, 0), (3, 1), (2, 1)), on((1, 1))), pixels())
    assert torch.allclose(shares, torch.tensor([1.0, 0.5, 0.0]))
    assert uniform == pytest.approx(0.5)
    hidden = pixels()
    hidden[:, :16, :8] = int(Part.OCCLUDER)
    assert torch.allclose(person_shares(maps(on((0, 0), (2, 0))), hidden)[0], torch.tensor([0.5]))


def test_scores_of_perfect_parts_and_of_swapped_ones() -> None:
    upper, lower = on((0, 0), (1, 0)), on((2, 0), (3, 0))
    visible, infrared = (profiles(maps(*parts), pixels()) for parts in ((upper, lower), (lower, upper)))
    right = semantic_scores(visible, infrared, torch.tensor([1, 0]))
    wrong = semantic_scores(visible, infrared, torch.tensor([0, 1]))
    for name in ("purity", "person", "constancy", "agreement"):
        assert right[name] == 100, name
    assert right["agreement_without"] == wrong["agreement"] == 0
    assert right["agreement_chance"] == 50


def test_purity_counts_the_part_that_is_covered_most_and_constancy_the_usual_one() -> None:
    mixed = profiles(maps(on((0, 0), (1, 0), (2, 0), (0, 1))), pixels())
    scores = semantic_scores(mixed, mixed, torch.tensor([0]))
    assert scores["purity"] == pytest.approx(50)
    assert scores["person"] == pytest.approx(75)
    changing = torch.stack([maps(on((0, 0)))[0], maps(on((3, 0)))[0]])  # upper in one picture, lower in the other
    both = profiles(changing, pixels())
    assert semantic_scores(both, both, torch.tensor([0]))["constancy"] == 50


def test_agreement_on_the_person_leaves_parts_of_the_background_out() -> None:
    upper, lower, nobody = on((0, 0)), on((2, 0)), on((0, 1), (1, 1))
    visible, infrared = (profiles(maps(*parts), pixels()) for parts in ((upper, lower, nobody), (lower, lower, nobody)))
    scores = semantic_scores(visible, infrared, torch.arange(3))
    assert scores["agreement"] == pytest.approx(200 / 3)
    assert scores["agreement_person"] == scores["agreement_without_person"] == 50
    assert scores["agreement_chance_person"] == pytest.approx((0 + 200 / 3) / 2)
    empty = profiles(maps(nobody), pixels())
    assert semantic_scores(empty, empty, torch.tensor([0]))["agreement_person"] is None


def test_parts_of_two_models_are_matched_before_they_are_compared() -> None:
    profile = np.eye(3)[:, [0, 1, 2]]
    assert same_parts(profile, profile[[2, 0, 1]]) == pytest.approx(100)
    assert same_parts(np.eye(4)[:2], np.eye(4)[2:]) == pytest.approx(0)


def test_people_are_paired_across_modalities() -> None:
    rows = [(7, 1, VISIBLE), (7, 2, VISIBLE), (7, 3, INFRARED), (8, 1, VISIBLE), (9, 6, INFRARED), (5, 4, VISIBLE)]
    rows += [(5, 6, INFRARED), (5, 6, INFRARED), (5, 6, INFRARED)]
    items = Items(Item(Path(f"{i}.jpg"), *row) for i, row in enumerate(rows))
    pairs = pair_people(items)
    assert items.identity[pairs.visible].tolist() == items.identity[pairs.infrared].tolist() == [5, 5, 7, 7]
    assert set(items.modality[pairs.visible]) == {VISIBLE}
    assert set(items.modality[pairs.infrared]) == {INFRARED}
    assert pairs.infrared.tolist() == [6, 8, 2, 2]


def test_a_set_without_semantic_parts_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no semantic parts at .*parts/cam1/0001/0001.png"):
        read_parts(tmp_path, [tmp_path / "cam1" / "0001" / "0001.jpg"])
