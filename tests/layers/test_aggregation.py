"""Top-k aggregation: what each part keeps, and the mean of it."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from concordant import TopKAggregator, functional
from concordant.layers.aggregation import num_selected
from support import oracles
from support.models import close
from support.strategies import SEEDS, Sizes, distributions, permutation, sizes, values

ALPHAS = st.sampled_from([Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(3, 2), Fraction(5)])


@given(sizes(), ALPHAS, SEEDS, st.sampled_from(["normal", "ties", "zeros"]))
def test_agrees_with_the_loop(size: Sizes, alpha: Fraction, seed: int, kind: str) -> None:
    tokens = values((size.b, size.t, size.c), seed)
    scores = distributions((size.b, size.p, size.t), 2, seed, kind)
    mined = TopKAggregator(float(alpha))(tokens, scores)
    features, selection = oracles.aggregate(tokens, scores, oracles.top_k_count(alpha, size.t, size.p))
    close(mined.selection, selection.reshape(scores.shape))
    close(mined.features, features.reshape(size.b, size.p, size.c))


@given(st.integers(1, 400), st.integers(1, 40), st.integers(1, 64))
def test_the_count_is_the_literal_one(tokens: int, parts: int, sixteenths: int) -> None:
    """`ceil(α·t / p)` in float64, as the equation reads; exact where α is exact in binary."""
    alpha = sixteenths / 16
    assert num_selected(tokens, parts, alpha) == min(math.ceil(alpha * tokens / parts), tokens)
    assert num_selected(tokens, parts, alpha) == oracles.top_k_count(Fraction(alpha), tokens, parts)


@given(sizes(min_b=1), ALPHAS, SEEDS)
def test_a_part_keeps_its_highest_scores(size: Sizes, alpha: Fraction, seed: int) -> None:
    scores = distributions((size.b, size.p, size.t), 2, seed)
    selection = functional.select_top_k(scores, float(alpha))
    kept = selection > 0
    count = oracles.top_k_count(alpha, size.t, size.p)
    assert bool((kept.sum(dim=2) == count).all())
    assert torch.equal(selection[kept], scores[kept])
    lowest = torch.where(kept, scores, torch.inf).amin(dim=2)
    highest_dropped = torch.where(kept, -torch.inf, scores).amax(dim=2)
    assert bool((lowest >= highest_dropped).all())


@given(sizes(min_b=1), SEEDS)
def test_order_of_tokens_and_parts(size: Sizes, seed: int) -> None:
    """Tokens in another order give the same features; parts in another order give them in that order."""
    tokens, scores = values((size.b, size.t, size.c), seed), distributions((size.b, size.p, size.t), 2, seed)
    aggregator, by_token, by_part = TopKAggregator(), permutation(size.t, seed), permutation(size.p, seed)
    before = aggregator(tokens, scores)
    moved = aggregator(tokens[:, by_token], scores[:, :, by_token])
    close(moved.features, before.features)
    close(moved.selection, before.selection[:, :, by_token])
    close(aggregator(tokens, scores[:, by_part]).features, before.features[:, by_part])


@given(sizes(min_b=1), SEEDS)
def test_features_lie_among_their_tokens(size: Sizes, seed: int) -> None:
    """A weighted mean stays within the smallest and largest token, channel by channel."""
    tokens, scores = values((size.b, size.t, size.c), seed), distributions((size.b, size.p, size.t), 2, seed)
    features = TopKAggregator()(tokens, scores).features
    assert bool((features >= tokens.amin(dim=1, keepdim=True) - 1e-12).all())
    assert bool((features <= tokens.amax(dim=1, keepdim=True) + 1e-12).all())


def test_equal_scores_go_to_the_earlier_token() -> None:
    selection = functional.select_top_k(torch.full((1, 1, 40), 0.025), alpha=0.25)
    assert (selection[0, 0] > 0).nonzero().flatten().tolist() == list(range(10))


def test_a_part_without_weight_is_zero_and_has_finite_gradients() -> None:
    tokens = torch.randn(1, 4, 3, requires_grad=True)
    selection = torch.zeros(1, 2, 4, requires_grad=True)
    features = functional.aggregate_tokens(tokens, selection)
    assert torch.equal(features, torch.zeros(1, 2, 3))
    features.sum().backward()
    assert tokens.grad is not None
    assert bool(tokens.grad.isfinite().all())


def test_gradient_reaches_scores_only_where_selected() -> None:
    scores = torch.rand(1, 2, 6).softmax(dim=2).requires_grad_()
    mined = TopKAggregator(0.5)(torch.randn(1, 6, 3), scores)
    mined.features.square().sum().backward()
    assert scores.grad is not None
    assert bool((scores.grad[mined.selection == 0] == 0).all())
    assert bool((scores.grad[mined.selection > 0] != 0).all())


def test_weights_may_be_of_either_sign() -> None:
    """The equation divides by their sum, whatever its sign."""
    tokens, scores = torch.tensor([[[1.0], [2.0], [4.0]]]), torch.tensor([[[-3.0, 1.0, 0.0]]])
    mined = TopKAggregator(alpha=3.0)(tokens, scores)
    assert mined.features.item() == pytest.approx((-3 * 1 + 1 * 2) / (-3 + 1))
    assert functional.aggregate_tokens(tokens, torch.tensor([[[1.0, -1.0, 0.0]]])).item() == 0


def test_a_score_of_minus_infinity_is_no_score() -> None:
    scores = torch.tensor([[[0.5, -torch.inf, 0.25]]], requires_grad=True)
    mined = TopKAggregator(alpha=3.0)(torch.tensor([[[1.0], [2.0], [4.0]]]), scores)
    assert mined.selection.tolist() == [[[0.5, 0.0, 0.25]]]
    assert mined.features.item() == 2.0
    mined.features.sum().backward()
    assert scores.grad is not None
    assert bool(scores.grad.isfinite().all())
