"""Retrieval by how queries were taken, on data whose conditions and answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vireid.datasets.dataset import Rows
from vireid.datasets.items import INFRARED, Item, Items
from vireid.datasets.sysu import Sysu
from vireid.evaluation.conditions import BINS, read_conditions, score_conditions
from vireid.evaluation.protocol import evaluate
from vireid.people.dataset import CONDITIONS

PEOPLE = range(1, 13)
TASK = "all_single"


def sysu(root: Path) -> Sysu:
    """Twelve people with two pictures in each camera; no picture is needed."""
    test = Items(
        Item(root / f"cam{camera}" / f"{who:04d}" / f"{picture:04d}.jpg", who, camera, int(camera in (3, 6)))
        for camera in range(1, 7)
        for who in PEOPLE
        for picture in (1, 2)
    )
    return Sysu(root, Items([]), test, (), tuple(PEOPLE), "seeded")


def draw(data: Sysu, seed: int, **changes: np.ndarray) -> dict[str, np.ndarray]:
    """Write conditions [n] of the test images, on the edges of bins and between, in another order than theirs."""
    rng = np.random.default_rng(seed)
    count = len(data.test)
    values = {
        "hidden": rng.choice([0, 0.1, 0.15, 0.1501, 0.8], count),
        "across": rng.choice([-0.2, -0.08, 0, 0.08, 0.1], count),
        "down": rng.choice([-0.2, -0.08, 0, 0, 0], count),
        "scale": rng.choice([0.8, 1.0, 1.1, 1.2, 1.3], count),
    } | changes
    lines = [
        ",".join((path.relative_to(data.root).as_posix(), *(f"{column[row]:.4f}" for column in values.values())))
        for row, path in enumerate(data.test.paths)
    ]
    (data.root / CONDITIONS).write_text("\n".join((",".join(("picture", *values)), *reversed(lines))) + "\n")
    return values


def test_conditions_are_those_of_the_image(tmp_path: Path) -> None:
    data = sysu(tmp_path)
    values = draw(data, 0)
    found = read_conditions(data)
    assert list(found) == list(BINS)
    np.testing.assert_allclose(found["hidden"], values["hidden"])
    np.testing.assert_allclose(found["scale"], values["scale"])
    np.testing.assert_allclose(found["shift"], np.maximum(abs(values["across"]), abs(values["down"])))


def test_a_bin_is_scored_by_its_own_queries_alone(tmp_path: Path) -> None:
    """Those of one bin find everybody, all others nobody; galleries are in no bin."""
    data = sysu(tmp_path)
    values = draw(data, 1)
    shift = np.maximum(abs(values["across"]), abs(values["down"]))
    same = torch.from_numpy(data.test.identity[:, None] == data.test.identity).float()
    query = data.test.modality == INFRARED
    inside = {
        ("hidden", "none"): values["hidden"] == 0,
        ("hidden", "up to 15 %"): (values["hidden"] > 0) & (values["hidden"] <= 0.15),
        ("hidden", "more"): values["hidden"] > 0.15,
        ("shift", "small"): shift <= 0.08,
        ("shift", "large"): shift > 0.08,
        ("scale", "cut"): values["scale"] <= 1,
        ("scale", "fit"): (values["scale"] > 1) & (values["scale"] <= 1.2),
        ("scale", "too large"): values["scale"] > 1.2,
    }
    assert [*inside] == [(condition, name) for condition, bins in BINS.items() for name in bins]
    for (condition, name), own in inside.items():
        right = torch.from_numpy(own)

        def similarity(queries: Rows, gallery: Rows, right: Tensor = right) -> Tensor:
            return same[queries][:, gallery] * torch.where(right[queries], 1.0, -1.0)[:, None]

        found = score_conditions(data, similarity, TASK)[condition]
        assert found[name] == {"mAP": pytest.approx(100), "queries": (own & query).sum()}
        assert all(found[other]["mAP"] < 20 for other in found if other != name)


def test_bins_together_are_all_queries(tmp_path: Path) -> None:
    data = sysu(tmp_path)
    draw(data, 2)
    matrix = torch.randn(len(data.test), len(data.test), generator=torch.Generator().manual_seed(0))

    def similarity(queries: Rows, gallery: Rows) -> Tensor:
        return matrix[queries][:, gallery]

    whole = evaluate(data, similarity, tasks=[TASK])[TASK]["mAP"]
    for bins in score_conditions(data, similarity, TASK).values():
        count = [figures["queries"] for figures in bins.values()]
        assert sum(count) == 2 * 2 * len(PEOPLE)
        assert np.average([figures["mAP"] for figures in bins.values()], weights=count) == pytest.approx(whole)


def test_bins_without_queries_are_left_out(tmp_path: Path) -> None:
    data = sysu(tmp_path)
    draw(data, 3, hidden=np.where(data.test.modality == INFRARED, 0.0, 0.9))
    found = score_conditions(data, lambda queries, gallery: torch.zeros(len(queries), len(gallery)), TASK)
    assert list(found["hidden"]) == ["none"]


def test_data_that_do_not_say_have_none_and_gaps_are_named(tmp_path: Path) -> None:
    data = sysu(tmp_path)
    assert score_conditions(data, lambda *_: torch.zeros(0), TASK) == {}
    (tmp_path / CONDITIONS).write_text("picture,hidden,across,down,scale\ncam1/0001/0001.jpg,0,0,0,1\n")
    with pytest.raises(ValueError, match=r"read_conditions: .*conditions.csv .* has none for cam1/0001/0002.jpg"):
        read_conditions(data)
