"""Encoded images: a sequence of n."""

from __future__ import annotations

import pickle

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


def masked(n: int, t: int, p: int) -> Encoded:
    """Images whose last token and first part are padding."""
    queries = PartQueries(torch.randn(n, p, 2), torch.randn(n, p, 3))
    mask, part_mask = torch.arange(t).expand(n, -1) < t - 1, torch.arange(p).expand(n, -1) > 0
    return Encoded(torch.randn(n, t, 3), torch.randn(n, t, 2), queries, mask, part_mask)


def test_masks_go_with_the_images() -> None:
    encoded = masked(4, 5, 3)
    chosen = encoded[torch.tensor([2, 0])]
    assert chosen.mask is not None
    assert chosen.part_mask is not None
    assert (len(chosen), chosen.mask.shape, chosen.part_mask.shape) == (2, (2, 5), (2, 3))
    assert [len(piece) for piece in encoded.split(3)] == [3, 1]
    half, copy = encoded.to(torch.float16), pickle.loads(pickle.dumps(encoded))
    for other in (half, copy, half.to("meta")):
        assert [x.dtype for x in other.tensors()[4:]] == [torch.bool] * 2
    assert half.tokens.dtype == torch.float16
    assert torch.equal(copy.tensors()[4], encoded.tensors()[4])


def test_without_part_queries_there_are_no_parts() -> None:
    bare = Encoded(torch.randn(4, 5, 3), torch.randn(4, 5, 2))
    assert [x.shape for x in bare.part_queries] == [(4, 0, 2), (4, 0, 3)]
    assert [x.shape for x in bare[:2].part_queries] == [(2, 0, 2), (2, 0, 3)]


def test_several_are_padded_to_the_longest() -> None:
    one, other, bare = images(2), masked(3, 7, 4), Encoded(torch.randn(1, 6, 3), torch.randn(1, 6, 2))
    every = Encoded.cat([one, other, bare])
    assert every.mask is not None
    assert every.part_mask is not None
    assert every.mask.sum(dim=1).tolist() == [5, 5, 6, 6, 6, 6]
    assert every.part_mask.sum(dim=1).tolist() == [2, 2, 3, 3, 3, 0]
    for piece, rows in ((one, slice(0, 2)), (other, slice(2, 5)), (bare, slice(5, 6))):
        _, t, p = (*piece.tokens.shape[:2], piece.part_queries.queries.shape[1])
        found = every[rows]
        for x, y in zip(tensors(found), tensors(piece), strict=True):
            assert torch.equal(x[:, : y.shape[1]], y)
            assert not x[:, y.shape[1] :].any()
        if piece.mask is not None:
            assert torch.equal(every.mask[rows, :t], piece.mask)
        if piece.part_mask is not None:
            assert torch.equal(every.part_mask[rows, :p], piece.part_mask)
    assert Encoded.cat([one, images(3)]).mask is None
    assert Encoded.cat([one, images(3)]).part_mask is None
    assert one.gather() is one


@pytest.mark.slow
@pytest.mark.parametrize("encoded", [images(), masked(4, 5, 3), Encoded(torch.randn(4, 5, 3), torch.randn(4, 5, 2))])
def test_it_passes_through_a_compiled_graph(encoded: Encoded) -> None:
    torch.compiler.reset()

    def halves(encoded: Encoded) -> Encoded:
        first, second = encoded.split(2)
        return Encoded.cat([first, second[torch.tensor([1, 0])]]).to(torch.float64)

    found = torch.compile(halves, fullgraph=True, backend="aot_eager")(encoded)
    for x, y in zip(found.tensors(), halves(encoded).tensors(), strict=True):
        assert torch.equal(x, y)
