"""The three sources of part queries."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from concordant import HorizontalParts, LearnableParts, PartMiner
from concordant.layers.mining import to_tokens
from support import oracles
from support.models import close, linear_of, randomize
from support.strategies import SEEDS, values


@given(SEEDS, st.sampled_from([0.5, 1.0, 2.0]))
def test_miner_is_scorer_then_aggregation(seed: int, alpha: float) -> None:
    miner = PartMiner(4, 3, alpha=alpha, pool_sizes=(1, 3), reduction_ratio=2, dtype=torch.float64)
    randomize(miner, seed)
    maps = values((2, 4, 4, 2), seed)
    scorer = miner.scorer
    reducers = [linear_of(conv) for conv in scorer.reduce]
    scores = oracles.part_scores(maps, (1, 3), reducers, linear_of(scorer.score), oracles.relu)
    tokens = oracles.tensor([[[c[y][x] for c in image] for y in range(4) for x in range(2)] for image in maps.tolist()])
    features, selection = oracles.aggregate(tokens, scores, math.ceil(alpha * 8 / 3))
    mined = miner(maps)
    close(mined.selection, selection)
    close(mined.features, features)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), SEEDS)
def test_tokens_run_row_by_row(c: int, h: int, w: int, seed: int) -> None:
    maps = values((2, c, h, w), seed)
    tokens = to_tokens(maps)
    assert all(torch.equal(tokens[:, y * w + x], maps[:, :, y, x]) for y in range(h) for x in range(w))


@given(st.integers(1, 7), st.integers(1, 3), st.integers(1, 9), SEEDS)
def test_stripes_are_adaptive_pooling(h: int, w: int, p: int, seed: int) -> None:
    """More stripes than rows included: stripes then share rows, and none is empty."""
    maps = values((2, 3, h, w), seed)
    mined = HorizontalParts(p)(maps)
    expected = nn.functional.adaptive_avg_pool2d(maps, (p, 1)).squeeze(3).transpose(1, 2)
    close(mined.features, expected)
    close(mined.selection.sum(dim=2), torch.ones(2, p, dtype=torch.float64))


@given(st.integers(0, 3), SEEDS)
def test_learned_parts_are_the_same_for_every_image(b: int, seed: int) -> None:
    source = LearnableParts(4, 3, dtype=torch.float64)
    mined = source(values((b, 4, 3, 2), seed))
    close(mined.features, source.parts.detach().expand(b, 3, 4))
    close(mined.selection, torch.full((b, 3, 6), 1 / 6, dtype=torch.float64))


def test_learned_parts_learn() -> None:
    source = LearnableParts(4, 3)
    source(torch.randn(2, 4, 3, 2)).features.sum().backward()
    assert source.parts.grad is not None
    assert torch.equal(source.parts.grad, torch.full((3, 4), 2.0))


@pytest.mark.parametrize("source", [PartMiner(4, 3), LearnableParts(4, 3), HorizontalParts(3)])
@pytest.mark.parametrize("b", [0, 1, 2])
def test_one_interface(source: nn.Module, b: int) -> None:
    mined = source(torch.randn(b, 4, 2, 1))  # two tokens for three parts
    assert mined.features.shape == (b, 3, 4)
    assert mined.selection.shape == (b, 3, 2)
