"""Attention statistics: entropy as a share of ln t, and the overlap of parts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from concordant import AttentionStatistics, attention_statistics
from support import oracles_metric
from support.models import close
from support.oracles import tensor
from support.strategies import KINDS, SEEDS, Sizes, distributions, permutation, sizes, values


def found(statistics: AttentionStatistics) -> tuple[float, float]:
    return statistics.entropy.item(), statistics.overlap.item()


@given(sizes(), SEEDS, st.sampled_from(KINDS), st.sampled_from([1.0, 5.0, 1000.0]))
def test_agrees_with_the_loop(size: Sizes, seed: int, kind: str, sharpness: float) -> None:
    attention = (sharpness * values((size.b, size.p, size.t), seed, kind)).softmax(dim=2)  # zeros among them
    entropy, overlap = attention_statistics(attention)
    expected = oracles_metric.attention_statistics(attention)
    assert entropy.shape == overlap.shape == ()
    close(entropy, tensor(expected[0]))
    close(overlap, tensor(expected[1]))


@given(sizes(min_b=1), SEEDS)
def test_order_of_images_parts_and_tokens_and_bounds(size: Sizes, seed: int) -> None:
    attention = distributions((size.b, size.p, size.t), 2, seed)
    before = found(attention_statistics(attention))
    for dim, length in enumerate((size.b, size.p, size.t)):
        moved = attention.index_select(dim, permutation(length, seed))
        assert found(attention_statistics(moved)) == pytest.approx(before)
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in before)


def test_even_maps_are_one_and_one() -> None:
    assert found(attention_statistics(torch.full((2, 3, 8), 1 / 8))) == pytest.approx((1.0, 1.0))


def test_parts_on_a_token_each_are_zero_and_zero() -> None:
    assert found(attention_statistics(torch.eye(4).expand(2, 4, 4))) == (0.0, 0.0)


def test_all_parts_on_one_token_overlap_fully() -> None:
    maps = torch.zeros(1, 3, 5)
    maps[:, :, 2] = 1
    assert found(attention_statistics(maps)) == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 3, 1), (2, 1, 1), (0, 1, 1)])
def test_one_token_one_part_and_no_image(shape: tuple[int, int, int]) -> None:
    entropy, overlap = found(attention_statistics(torch.ones(shape)))
    assert entropy == 0
    assert overlap == pytest.approx(float(shape[0] > 0 and shape[1] > 1))


def test_half_precision_is_measured_in_float32() -> None:
    halves = distributions((2, 3, 70), 2, 0).half()
    with torch.autocast("cpu", torch.bfloat16):
        statistics = attention_statistics(halves)
    assert {x.dtype for x in statistics} == {torch.float32}
    assert torch.equal(torch.stack(statistics), torch.stack(attention_statistics(halves.float())))


@pytest.mark.slow
def test_it_compiles_in_one_graph_and_maps_over_batches() -> None:
    attention = distributions((4, 2, 3, 5), 3, 0)
    expected = [torch.stack(column) for column in zip(*map(attention_statistics, attention), strict=True)]
    for x, y in zip(torch.func.vmap(attention_statistics)(attention), expected, strict=True):
        close(x, y)
    torch.compiler.reset()
    compiled = torch.compile(attention_statistics, fullgraph=True, backend="aot_eager")
    for x, y in zip(compiled(attention[0]), attention_statistics(attention[0]), strict=True):
        close(x, y)
