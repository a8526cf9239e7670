"""The token gate: its values, what it pools, and what it does to attention."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from concordant import DotProductAttention, PartQueries, TokenGate, functional
from concordant.layers.attention import PartAttention, spatial_similarity
from support import oracles_parts
from support.models import close, randomize, tsaa_of
from support.oracles import tensor
from support.strategies import KINDS, SEEDS, Sizes, permutation, sizes, values


@given(sizes(), SEEDS, st.sampled_from(KINDS), st.sampled_from([1.0, 30.0]))
def test_agrees_with_the_loop(size: Sizes, seed: int, kind: str, sharpness: float) -> None:
    gate = randomize(TokenGate(size.c, dtype=torch.float64), seed)
    with torch.no_grad():
        gate.score.weight.mul_(sharpness)
    tokens = values((size.b, size.t, size.c), seed, kind)
    weight, bias = gate.score.weight.flatten().tolist(), gate.score.bias.item()
    expected = oracles_parts.gate(tokens, weight, bias, gate.norm.weight.tolist(), gate.norm.bias.tolist())
    close(gate(tokens), tensor(expected).view(size.b, size.t))


@given(sizes(min_b=1), SEEDS, st.sampled_from(KINDS))
def test_pooling_agrees_with_the_loop(size: Sizes, seed: int, kind: str) -> None:
    tokens, log_gate = values((size.b, size.t, size.c), seed, kind), -values((size.b, size.t), seed + 1).abs()
    close(functional.pool_tokens(tokens, log_gate), tensor(oracles_parts.pool(tokens, log_gate)))
    close(functional.pool_tokens(tokens, torch.zeros_like(log_gate)), tokens.mean(dim=1))


@given(sizes(min_b=1), SEEDS)
def test_gated_attention_agrees_with_the_loop(size: Sizes, seed: int) -> None:
    queries, keys = (values((size.b, n, size.c), seed + n) for n in (size.p, size.t))
    log_gate = -3 * values((size.b, size.t), seed).abs()
    longer, gated = functional.gate_attention(keys, PartQueries(queries, torch.ones_like(queries)), log_gate)
    found = spatial_similarity(gated.queries, longer)
    close(found, tensor(oracles_parts.gated_attention(queries, keys, log_gate)))


@given(SEEDS)
def test_an_open_gate_changes_no_attention(seed: int) -> None:
    tokens, parts = values((2, 5, 4), seed), values((2, 3, 4), seed + 1)
    attentions: list[PartAttention] = [tsaa_of(), DotProductAttention()]
    for attention in attentions:
        plain = attention(tokens, parts, tokens)
        for value in (0.0, -2.0):  # the same for all tokens
            gated = attention(tokens, parts, tokens, torch.full((2, 5), value, dtype=torch.float64))
            close(gated.attention, plain.attention)
            close(gated.features, plain.features)


def test_a_closed_token_is_left_out_by_any_parts() -> None:
    """By the parts of another image, too: the gate belongs to the tokens."""
    attention, tokens, parts = tsaa_of(), values((2, 5, 4), 0), values((2, 3, 4), 1)
    log_gate = torch.zeros(2, 5, dtype=torch.float64)
    log_gate[0, 1] = -60.0
    gated = attention(tokens, parts, tokens, log_gate)
    other = PartQueries(*(x.flip(0) for x in gated.part_queries))
    for maps in (gated.attention, attention.attend(tokens, gated.keys, other).attention):
        assert maps[0, :, 1].max() < 1e-15
        assert maps[1, :, 1].max() > 1e-4


@given(sizes(min_b=1), SEEDS)
def test_order_of_tokens_and_scale(size: Sizes, seed: int) -> None:
    gate, tokens = randomize(TokenGate(size.c, dtype=torch.float64)), values((size.b, size.t, size.c), seed)
    order = permutation(size.t, seed)
    close(gate(tokens[:, order]), gate(tokens)[:, order])
    close(gate(tokens + 3.0), gate(tokens), rtol=1e-6, atol=1e-6)


def test_starts_half_open_and_is_bounded() -> None:
    gate, tokens = TokenGate(6), 1e4 * torch.randn(2, 5, 6)
    assert gate(tokens).exp().unique().tolist() == [0.5]
    with torch.no_grad():
        gate.score.bias.fill_(-1e4)
    assert gate(tokens).unique().tolist() == [-8.0]
    assert gate(tokens).requires_grad
