"""Part scores: one distribution over the tokens a part."""

from __future__ import annotations

from itertools import chain

import torch
from hypothesis import given
from hypothesis import strategies as st

from concordant import PartScorer, functional
from support import oracles
from support.models import close, linear_of, randomize
from support.strategies import KINDS, SEEDS, values


@given(st.integers(0, 2), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), SEEDS, st.sampled_from(KINDS))
def test_scores_are_the_softmax_over_space(b: int, p: int, h: int, w: int, seed: int, kind: str) -> None:
    maps = values((b, p, h, w), seed, kind)
    scores = functional.part_scores(maps)
    expected = [[oracles.softmax(list(chain(*part))) for part in image] for image in maps.tolist()]
    close(scores, oracles.tensor(expected).reshape(b, p, h * w))


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), SEEDS, st.sampled_from(KINDS))
def test_scorer_is_the_literal_pipeline(c: int, h: int, w: int, seed: int, kind: str) -> None:
    """Pools wider than the map and odd sizes of the map are where padding goes wrong."""
    scorer = PartScorer(c, 3, pool_sizes=(1, 3, 5), reduction_ratio=2, dtype=torch.float64)
    randomize(scorer, seed)
    maps = values((1, c, h, w), seed + 1, kind)
    reducers = [linear_of(conv) for conv in scorer.reduce]
    expected = oracles.part_scores(maps, scorer.pool_sizes, reducers, linear_of(scorer.score), oracles.relu)
    close(scorer(maps), expected)


@given(st.integers(1, 3), SEEDS, st.sampled_from(KINDS))
def test_each_part_is_a_distribution(b: int, seed: int, kind: str) -> None:
    scores = PartScorer(4, 3, dtype=torch.float64)(values((b, 4, 4, 3), seed, kind))
    assert bool((scores >= 0).all())
    close(scores.sum(dim=2), torch.ones(b, 3, dtype=torch.float64))


@given(SEEDS)
def test_without_pools_tokens_may_be_permuted(seed: int) -> None:
    """A pool of size 1 looks at one token: then the grid does not matter."""
    scorer = PartScorer(4, 3, pool_sizes=(1,), dtype=torch.float64)
    maps = values((1, 4, 1, 6), seed)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    close(scorer(maps[..., order]), scorer(maps)[:, :, order])


@given(SEEDS)
def test_permuting_the_score_maps_permutes_the_parts(seed: int) -> None:
    scorer = PartScorer(4, 3, dtype=torch.float64)
    maps, order = values((2, 4, 4, 3), seed), torch.tensor([2, 0, 1])
    before = scorer(maps)
    with torch.no_grad():
        scorer.score.weight.copy_(scorer.score.weight[order])
        assert scorer.score.bias is not None
        scorer.score.bias.copy_(scorer.score.bias[order])
    close(scorer(maps), before[:, order])


def test_large_scores_do_not_overflow() -> None:
    scores = functional.part_scores(torch.tensor([[[[1e4, -1e4]]]]))
    assert scores.flatten().tolist() == [1.0, 0.0]


def test_the_order_of_pool_sizes_does_not_matter() -> None:
    """Weights belong to a size, so a model saved under one order reads under the other."""
    a, b = PartScorer(4, 2, pool_sizes=(5, 1, 3)), PartScorer(4, 2, pool_sizes=(1, 3, 5))
    b.load_state_dict(a.state_dict())
    maps = torch.randn(1, 4, 5, 4)
    assert torch.equal(a(maps), b(maps))
