"""How mined parts are compared with the parts of people, on maps whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vireid.datasets.items import INFRARED, VISIBLE, Item, Items
from vireid.evaluation.semantics import (
    BODY,
    exact_shares,
    pair_people,
    profiles,
    read_parts,
    same_parts,
    semantic_scores,
)
from vireid.people.labels import PARTS, PERSON, Part

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


def scores(one: Tensor, other: Tensor, order: list[int], labels: Tensor | None = None) -> dict[str, Any]:
    """Of the maps of two visible and two infrared pictures of one kind."""
    labels = pixels() if labels is None else labels
    even = torch.full((4, 1, 4, 2), 1 / 8)
    visible, infrared = (profiles(each, labels) for each in (one, other))
    return semantic_scores(visible, infrared, profiles(even, torch.cat([labels] * 2)), torch.tensor(order))


def test_classes_of_the_body_are_all_that_is_of_a_person() -> None:
    every = [part for parts in BODY.values() for part in parts]
    assert sorted(every) == sorted(PERSON)
    assert len(set(every)) == len(every)


def test_shares_on_the_person_by_part_and_of_uniform_attention() -> None:
    some = maps(on((0, 0), (2, 0)), on((0, 0), (3, 0), (3, 1), (2, 1)), on((1, 1)))
    assert scores(some, some, [0, 1, 2])["person"] == {"parts": [1.0, 0.5, 0.0], "uniform": 0.5}
    hidden = pixels()
    hidden[:, :16, :8] = int(Part.OCCLUDER)
    assert scores(some, some, [0, 1, 2], hidden)["person"] == {"parts": [0.5, 0.25, 0.0], "uniform": 0.25}


def test_a_map_cannot_be_more_on_the_person_than_its_tokens_are() -> None:
    labels = pixels()
    labels[0, 16:, :4] = NOBODY  # of the first picture's lower garment, half of each token is left
    found = exact_shares(labels, stride=8)
    assert found == {"upper": 1.0, "lower": pytest.approx((0.5 + 1) / 2)}
    labels[1, 16:, :8] = UPPER
    assert exact_shares(labels, stride=8)["lower"] == pytest.approx(0.5)  # it is in one picture only
    exactly = maps(on((2, 0), (3, 0)))[:1]
    person = profiles(exactly, labels[:1])[..., [int(part) for part in PERSON]].sum()
    assert float(person) == pytest.approx(exact_shares(labels[:1], stride=8)["lower"])


def test_matched_parts_are_put_together() -> None:
    visible, infrared = maps(on((0, 0)), on((0, 1))), maps(on((1, 1)), on((1, 0)))
    assert scores(visible, infrared, [1, 0])["person"]["parts"] == [1, 0]
    assert scores(visible, infrared, [0, 1])["person"]["parts"] == [0.5, 0.5]
    turned = maps(on((0, 1)), on((0, 0)), on((2, 0)))  # a matching that is not its own inverse
    found = scores(maps(on((0, 0)), on((2, 0)), on((0, 1))), turned, [1, 2, 0])
    assert found["person"]["parts"] == [1, 1, 0]
    assert found["agreement"] == pytest.approx(2 / 3)


def test_scores_of_perfect_parts_and_of_swapped_ones() -> None:
    upper, lower = on((0, 0), (1, 0)), on((2, 0), (3, 0))
    right = scores(maps(upper, lower), maps(lower, upper), [1, 0])
    wrong = scores(maps(upper, lower), maps(lower, upper), [0, 1])
    for name in ("constancy", "agreement"):
        assert right[name] == 1, name
    for name in ("purity", "person"):
        assert right[name] == {"parts": [1, 1], "uniform": 0.5}, name
    assert right["agreement_without"] == wrong["agreement"] == 0
    assert right["agreement_chance"] == 0.5


def test_purity_is_of_the_attention_on_the_person() -> None:
    mixed = maps(on((0, 0), (1, 0), (2, 0), (0, 1)))
    assert scores(mixed, mixed, [0])["purity"]["parts"] == [pytest.approx(2 / 3, abs=1e-4)]
    assert scores(mixed, mixed, [0])["person"]["parts"] == [0.75]
    faint = torch.stack([on((0, 0), (2, 0)), 0.9 * on((0, 1)) + 0.1 * on((0, 0))])[:, None]  # hardly on the person
    assert scores(faint, faint, [0])["purity"]["parts"] == [pytest.approx((0.5 + 0.1) / 1.1, abs=1e-4)]


def test_classes_are_merged_before_the_main_one_is_sought() -> None:
    """Hair and face are less than the garment each, and more together."""
    labels = pixels()
    labels[:, :8], labels[:, 8:16] = int(Part.HAIR), int(Part.FACE)
    head = maps(0.3 * on((0, 0)) + 0.3 * on((1, 0)) + 0.4 * on((2, 0)))
    assert scores(head, head, [0], labels)["purity"]["parts"] == [pytest.approx(0.6)]


def test_constancy_is_the_share_of_the_usual_class() -> None:
    changing = torch.stack([maps(on((0, 0)))[0], maps(on((3, 0)))[0]])  # upper in one picture, lower in the other
    assert scores(changing, changing, [0])["constancy"] == 0.5


def test_agreement_leaves_the_background_out() -> None:
    upper, lower, nobody = on((0, 0)), on((2, 0)), on((0, 1), (1, 1))
    beside = 0.8 * nobody + 0.2 * upper  # mostly on the background, and of the person on the garment
    assert scores(maps(beside), maps(upper), [0])["agreement"] == 1
    found = scores(maps(upper, lower, nobody), maps(lower, lower, nobody), [0, 1, 2])
    assert found["agreement"] == pytest.approx(1 / 3)  # who is on nobody agrees with nobody
    assert found["agreement_chance"] == pytest.approx(2 / 9)
    assert found["purity"]["parts"][2] == 0


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
