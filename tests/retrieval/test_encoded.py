"""Encoded images: a sequence of n."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from concordant import Encoded, PartQueries


def images(n: int = 4) -> Encoded:
    return Encoded(torch.randn(n, 5, 3), torch.randn(n, 5, 2), PartQueries(torch.randn(n, 2, 2), torch.randn(n, 2, 3)))


def tensors(encoded: Encoded) -> list[Tensor]:
    return [encoded.tokens, encoded.keys, *encoded.part_queries]


@pytest.mark.parametrize("index", [slice(1, 3), torch.tensor([2, 0]), torch.tensor([True, False, True, False])])
def test_an_index_selects_images(index: slice | Tensor) -> None:
    encoded = images()
    for chosen, tensor in zip(tensors(encoded[index]), tensors(encoded), strict=True):
        assert torch.equal(chosen, tensor[index])


def test_it_is_a_sequence() -> None:
    encoded = images()
    assert len(encoded) == 4
    assert len(images(0)) == 0
    assert [len(one) for one in encoded] == [1, 1, 1, 1]  # type: ignore[attr-defined]
    for last in (-1, np.int64(3)):
        assert torch.equal(encoded[last].tokens, encoded.tokens[3:])
    with pytest.raises(IndexError):
        encoded[4]
    for both, tensor in zip(tensors(Encoded.cat([encoded[:1], encoded[1:]])), tensors(encoded), strict=True):
        assert torch.equal(both, tensor)


def test_it_moves_and_converts() -> None:
    assert {tensor.dtype for tensor in tensors(images().to(torch.float64))} == {torch.float64}
    assert {tensor.device.type for tensor in tensors(images().to("meta"))} == {"meta"}


def test_it_is_a_tree_of_tensors() -> None:
    doubled = torch.utils._pytree.tree_map(lambda x: 2 * x, encoded := images())
    assert isinstance(doubled, Encoded)
    assert torch.equal(doubled.part_queries.gates, 2 * encoded.part_queries.gates)
