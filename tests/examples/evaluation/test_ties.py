"""Counting equal scores: against a loop over all pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vireid.datasets.items import Item, Items
from vireid.datasets.llcm import LLCM
from vireid.evaluation.ties import count_ties


@given(st.data())
def test_the_share_is_that_of_a_loop(data: st.DataObject) -> None:
    """LLCM with one image per identity and camera, so that nothing is left to draw, and some images are hidden."""
    cameras, people = (1, 2), range(data.draw(st.integers(1, 3)))
    rows = [Item(Path(), who, camera, m) for m in (0, 1) for who in people for camera in cameras]
    test, half = Items(rows), len(rows) // 2
    values = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=half * half, max_size=half * half))
    table = torch.tensor(values).view(half, half)
    found = count_ties(LLCM(Path(), Items([]), test, (), ()), lambda q, g: _both(table)[q][:, g])
    for task, side in (("visible_to_nir", 0), ("nir_to_visible", 1)):
        tied = 0
        queries = [row for row in range(2 * half) if test[row].modality == side]
        for q in queries:
            shown = [
                (float(_both(table)[q, g]), test[g].identity == test[q].identity)
                for g in range(2 * half)
                if test[g].modality != side and (test[g].identity, test[g].camera) != (test[q].identity, test[q].camera)
            ]
            right = {value for value, match in shown if match}
            tied += any(value in right for value, match in shown if not match)
        assert found[task] == pytest.approx(100 * tied / len(queries))


def _both(table: torch.Tensor) -> torch.Tensor:
    """Of all images with all, the visible ones first."""
    return torch.cat([torch.cat([0 * table, table], dim=1), torch.cat([table.T, 0 * table], dim=1)])


def test_a_similarity_may_be_on_a_device() -> None:
    """As plain similarities are after a run on a GPU: the numbers must be asked for on the CPU."""

    class There(torch.Tensor):
        @staticmethod
        def __new__(cls, values: torch.Tensor) -> There:
            return values.as_subclass(cls)

        def numpy(self, *, force: bool = False) -> Any:
            raise TypeError("can't convert a tensor of a device to numpy")

        def cpu(self, memory_format: Any = None) -> torch.Tensor:
            return self.as_subclass(torch.Tensor)

    rows = [Item(Path(), who, camera, m) for m in (0, 1) for who in (0, 1) for camera in (1, 2)]
    data = LLCM(Path(), Items([]), Items(rows), (), ())
    assert set(count_ties(data, lambda q, g: There(torch.ones(len(q), len(g)))).values()) == {100.0}
