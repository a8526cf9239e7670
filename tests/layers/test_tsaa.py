"""TSAA: the equation, what it is indifferent to, and that its attention neither starts uniform nor on one token."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concordant import TSAA
from support import oracles
from support.models import close, mlp_of, tsaa_of
from support.strategies import KINDS, SEEDS, Sizes, permutation, sizes, values


def literal(tsaa: TSAA, tokens: Tensor, parts: Tensor, source: Tensor | None) -> tuple[Tensor, Tensor]:
    assert tsaa.gate_mlp is not None
    mlps = mlp_of(tsaa.token_mlp), mlp_of(tsaa.part_mlp), mlp_of(tsaa.gate_mlp)
    return oracles.tsaa(tokens, parts, source, *mlps, eps=tsaa.eps, activation=oracles.relu, gate=oracles.sigmoid)


@given(sizes(), SEEDS, st.sampled_from(KINDS), st.booleans(), st.sampled_from([None, 1, 3]))
def test_agrees_with_the_loop(size: Sizes, seed: int, kind: str, with_source: bool, dim: int | None) -> None:
    """Parameters are random and θ1, θ2 differ, so that none may stand in for another."""
    tsaa = tsaa_of(size.c, seed, dim=dim, eps=1e-3)
    tokens, parts = values((size.b, size.t, size.c), seed, kind), values((size.b, size.p, size.c), seed + 1, kind)
    source = values((size.b, 3, size.c), seed + 2, kind) if with_source else None
    refined = tsaa(tokens, parts, source)
    features, attention = literal(tsaa, tokens, parts, source)
    close(refined.attention, attention.reshape(size.b, size.p, size.t))
    close(refined.features, features.reshape(size.b, size.p, size.c))


@given(sizes(min_b=1), SEEDS)
def test_in_steps_is_the_same_as_at_once(size: Sizes, seed: int) -> None:
    tsaa = tsaa_of(size.c, seed)
    tokens, parts = values((size.b, size.t, size.c), seed), values((size.b, size.p, size.c), seed + 1)
    stepwise = tsaa.attend(tokens, tsaa.encode_tokens(tokens), tsaa.encode_parts(parts, tokens))
    at_once = tsaa(tokens, parts, tokens)
    assert torch.equal(stepwise.features, at_once.features)
    assert torch.equal(stepwise.attention, at_once.attention)


@given(sizes(min_b=1), SEEDS)
def test_order_of_tokens_and_parts(size: Sizes, seed: int) -> None:
    tsaa, by_token, by_part = tsaa_of(size.c, seed), permutation(size.t, seed), permutation(size.p, seed)
    tokens, parts = values((size.b, size.t, size.c), seed), values((size.b, size.p, size.c), seed + 1)
    before = tsaa(tokens, parts)
    moved = tsaa(tokens[:, by_token], parts)
    close(moved.features, before.features)
    close(moved.attention, before.attention[:, :, by_token])
    turned = tsaa(tokens, parts[:, by_part])
    close(turned.features, before.features[:, by_part])
    close(turned.attention, before.attention[:, by_part])


@given(sizes(min_b=1), SEEDS, st.sampled_from(KINDS))
def test_attention_is_a_distribution(size: Sizes, seed: int, kind: str) -> None:
    tokens, parts = values((size.b, size.t, size.c), seed, kind), values((size.b, size.p, size.c), seed + 1, kind)
    attention = tsaa_of(size.c, seed)(tokens, parts).attention
    assert bool((attention >= 0).all())
    close(attention.sum(dim=2), torch.ones(size.b, size.p, dtype=torch.float64))


@given(SEEDS, st.booleans())
def test_style_leaves_the_attention_as_it_was(seed: int, with_source: bool) -> None:
    """A scale and shift of each channel, own ones for each image. Only ε tells the styles apart: it adds ε / σ² to
    a variance of 1, so with ε = 1e-14 and σ² above 1e-4 logits of size 10 agree to about 1e-8."""
    tsaa = TSAA(4, eps=1e-14, dtype=torch.float64)
    tokens, parts = values((2, 8, 4), seed), values((2, 3, 4), seed + 1)
    scale, shift = values((2, 1, 4), seed + 2).exp(), 5 * values((2, 1, 4), seed + 3)
    styled = tokens * scale + shift
    before = tsaa(tokens, parts, tokens if with_source else None).attention
    # Parts mined elsewhere keep their style; parts mined from the styled tokens take it on.
    after = tsaa(styled, parts * scale + shift, styled).attention if with_source else tsaa(styled, parts).attention
    close(after, before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", [True, False, "tokens", "parts"])
def test_a_side_that_is_normalised_does_not_see_style(side: Any) -> None:
    tsaa, tokens, parts = TSAA(4, instance_norm=side), torch.randn(1, 8, 4), torch.randn(1, 3, 4)

    def moved(a: Tensor, b: Tensor) -> bool:
        return (tsaa(a, b).attention - tsaa(tokens, parts).attention).abs().max().item() > 0.05

    assert moved(5 * tokens + 3, parts) == (side not in (True, "tokens"))
    assert moved(tokens, 5 * parts + 3) == (side not in (True, "parts"))
    assert moved(tokens * torch.tensor([-1.0, 1.0, 1.0, 1.0]), parts)  # a sign is no style


def test_gate_is_applied_and_can_be_left_out() -> None:
    tokens, parts = values((1, 5, 4), 0), values((1, 2, 4), 1)
    gated, plain = tsaa_of(4, 3), tsaa_of(4, 3, channel_gate=False)
    plain.load_state_dict(gated.state_dict(), strict=False)
    gates = gated.encode_parts(parts).gates
    assert bool(((gates > 0) & (gates < 1)).all())
    close(gated(tokens, parts).features, plain(tokens, parts).features * gates)
    assert torch.equal(plain.encode_parts(parts).gates, torch.ones(1, 2, 4, dtype=torch.float64))


@pytest.mark.parametrize(("channels", "dim"), [(16, None), (64, None), (128, 64), (512, None), (512, 64)])
def test_the_start_is_neither_uniform_nor_one_token(channels: int, dim: int | None) -> None:
    """Twelve regions of six tokens: an attention that works at all finds a part's own region from the first step on.

    The range is far from both collapses (1 and 0) and holds for any width, for the sharpness does not depend on it.
    """
    regions, each = 12, 6
    centers = torch.randn(4, regions, 1, channels)
    tokens = (centers + 0.4 * torch.randn(4, regions, each, channels)).flatten(1, 2)
    parts = tokens.view(4, regions, each, channels).mean(dim=2)[:, :6]
    attention = TSAA(channels, dim)(tokens, parts, tokens).attention
    entropy = -(attention * attention.clamp_min(1e-30).log()).sum(dim=2).mean() / math.log(regions * each)
    own = attention.view(4, 6, regions, each).sum(dim=3)[:, range(6), range(6)].mean()
    overlap = torch.nn.functional.cosine_similarity(attention[:, :, None], attention[:, None], dim=3)
    overlap = overlap[:, ~torch.eye(6, dtype=torch.bool)].mean()
    assert 0.2 < entropy.item() < 0.75
    assert own.item() > 0.5
    assert overlap.item() < 0.4


def test_theta2_starts_as_a_copy_of_theta1_and_goes_its_own_way() -> None:
    tsaa = TSAA(8)
    first, second = tsaa.token_mlp.state_dict(), tsaa.part_mlp.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    weight, copy = (cast(Tensor, mlp[0].weight) for mlp in (tsaa.token_mlp, tsaa.part_mlp))
    with torch.no_grad():
        weight.add_(1)
    assert not torch.equal(weight, copy)


def test_zero_tokens_have_finite_gradients() -> None:
    tokens, parts = torch.zeros(1, 4, 8, requires_grad=True), torch.zeros(1, 2, 8, requires_grad=True)
    refined = TSAA(8)(tokens, parts)
    (refined.features.sum() + refined.attention.square().sum()).backward()
    assert tokens.grad is not None
    assert parts.grad is not None
    assert bool(tokens.grad.isfinite().all() and parts.grad.isfinite().all())
