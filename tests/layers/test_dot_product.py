"""The plain dot-product attention."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concordant import DotProductAttention, functional
from concordant.layers.attention import PartAttention
from support import oracles
from support.models import close
from support.strategies import KINDS, SEEDS, Sizes, permutation, sizes, values


@given(sizes(), SEEDS, st.sampled_from(KINDS))
def test_agrees_with_the_loop(size: Sizes, seed: int, kind: str) -> None:
    tokens, parts = values((size.b, size.t, size.c), seed, kind), values((size.b, size.p, size.c), seed + 1, kind)
    refined = DotProductAttention()(tokens, parts)
    features, attention = oracles.dot_product_attention(tokens, parts)
    close(refined.attention, attention.reshape(size.b, size.p, size.t))
    close(refined.features, features.reshape(size.b, size.p, size.c))


@given(sizes(min_b=1), SEEDS)
def test_order_of_tokens_and_parts(size: Sizes, seed: int) -> None:
    tokens, parts = values((size.b, size.t, size.c), seed), values((size.b, size.p, size.c), seed + 1)
    attention, by_token, by_part = DotProductAttention(), permutation(size.t, seed), permutation(size.p, seed)
    before = attention(tokens, parts)
    moved = attention(tokens[:, by_token], parts)
    close(moved.features, before.features)
    close(moved.attention, before.attention[:, :, by_token])
    turned = attention(tokens, parts[:, by_part])
    close(turned.features, before.features[:, by_part])
    close(turned.attention, before.attention[:, by_part])


@given(sizes(min_b=1), SEEDS)
def test_similarity_is_a_distribution(size: Sizes, seed: int) -> None:
    queries, keys = values((size.b, size.p, size.c), seed), values((size.b, size.t, size.c), seed + 1)
    similarity = functional.spatial_similarity(queries, keys)
    assert bool((similarity >= 0).all())
    close(similarity.sum(dim=2), torch.ones(size.b, size.p, dtype=torch.float64))


def test_source_is_taken_and_not_used() -> None:
    attention, tokens, parts = DotProductAttention(), torch.randn(1, 5, 4), torch.randn(1, 2, 4)
    assert torch.equal(attention(tokens, parts, torch.randn(1, 9, 4)).features, attention(tokens, parts).features)


def test_refine_gates_channel_by_channel() -> None:
    tokens, attention = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[0.25, 0.75]]])
    assert functional.refine(tokens, attention, torch.tensor([[[2.0, 0.0]]])).tolist() == [[[5.0, 0.0]]]


@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_does_not_overflow(autocast: bool) -> None:
    """300 · 300 · √256 is beyond float16."""
    queries, keys = torch.full((1, 1, 256), 300.0), torch.full((1, 2, 256), 300.0)
    keys[:, 1] *= 0.5
    with torch.autocast("cpu", dtype=torch.float16, enabled=autocast):
        dtype = torch.float32 if autocast else torch.float16
        attention = functional.spatial_similarity(queries.to(dtype), keys.to(dtype))
    assert attention.tolist() == [[[1.0, 0.0]]]


def test_an_attention_must_encode_tokens_and_parts() -> None:
    class Half(PartAttention):
        def encode_tokens(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
            return tokens

    with pytest.raises(TypeError, match="encode_parts"):
        Half()  # type: ignore[abstract]
