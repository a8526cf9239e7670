"""The attention's health: entropy as a share of ln t, and the overlap of parts."""

import pytest
import torch

from vireid.diagnostics import attention_health


def test_uniform_maps_are_one_and_one() -> None:
    health = attention_health(torch.full((2, 3, 8), 1 / 8))
    assert health["entropy"] == pytest.approx(1.0)
    assert health["overlap"] == pytest.approx(1.0)


def test_parts_on_a_token_each_are_zero_and_zero() -> None:
    health = attention_health(torch.eye(4).expand(2, 4, 4))
    assert health == pytest.approx({"entropy": 0.0, "overlap": 0.0})


def test_all_parts_on_one_token_overlap_fully() -> None:
    maps = torch.zeros(1, 3, 5)
    maps[:, :, 2] = 1
    assert attention_health(maps) == pytest.approx({"entropy": 0.0, "overlap": 1.0})


def test_maps_on_a_grid_are_maps() -> None:
    maps = torch.rand(2, 3, 4, 2).flatten(2).softmax(2)
    assert attention_health(maps) == attention_health(maps.unflatten(2, (4, 2)))
