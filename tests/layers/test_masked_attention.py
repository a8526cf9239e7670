"""Masks of tokens, parts and sources of statistics: padding changes nothing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from concordant import TSAA, DotProductAttention, functional
from concordant.layers.attention import PartAttention
from support import oracles
from support.models import close, tsaa_of
from support.padding import HUGE, check_padding, masks
from support.strategies import KINDS, SEEDS, values

SIDES = st.sampled_from([True, False, "tokens", "parts"])
EVERY = (0.0, HUGE, -HUGE, float("inf"))


@given(masks(3, 5), SEEDS, st.sampled_from(KINDS))
def test_padding_is_not_in_the_statistics(mask: torch.Tensor, seed: int, kind: str) -> None:
    features, source = values((3, 4, 2), seed), values((3, 5, 2), seed + 1, kind)

    def norm(features: torch.Tensor, source: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return functional.instance_norm(features, source, mask=mask, eps=1e-3)

    def own(source: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return functional.instance_norm(source, mask=mask, eps=1e-3)

    masked = {"mask": (mask, "b s")}
    check_padding(norm, {"features": (features, "b l c"), "source": (source, "b s c")}, masked, ["b l c"], fills=EVERY)
    check_padding(own, {"source": (source, "b s c")}, masked, ["b s c"], fills=EVERY)
    assert not own(source, mask)[~mask].any()
    assert not norm(features, source, mask)[~mask.any(dim=1)].any()
    for row, kept, found in zip(source, mask, own(source, mask), strict=True):
        if kept.any():
            close(found[kept], oracles.tensor(oracles.instance_norm(row[kept].tolist(), row[kept].tolist(), 1e-3)))


@given(masks(3, 5), SEEDS)
def test_padding_has_no_attention(mask: torch.Tensor, seed: int) -> None:
    queries, keys, gates = values((3, 2, 4), seed), values((3, 5, 4), seed + 1), values((3, 2, 4), seed + 2)

    def attend(queries, keys, gates, mask=None):  # type: ignore[no-untyped-def]
        attention = functional.spatial_similarity(queries, keys, mask)
        return attention, functional.refine(keys, attention, gates)

    inputs = {"queries": (queries, "b p d"), "keys": (keys, "b t d"), "gates": (gates, "b p d")}
    check_padding(attend, inputs, {"mask": (mask, "b t")}, ["b p t", "b p d"])
    attention = functional.spatial_similarity(queries, keys, mask)
    assert not attention.transpose(1, 2)[~mask].any()
    close(attention.sum(dim=2), mask.any(dim=1, keepdim=True).expand(3, 2).double())


@given(masks(3, 5), masks(3, 4), masks(3, 6), SEEDS, SIDES, st.booleans(), st.booleans(), st.booleans())
def test_padding_changes_no_refined_part(
    mask: torch.Tensor,
    part_mask: torch.Tensor,
    norm_mask: torch.Tensor,
    seed: int,
    side: bool | str,
    with_source: bool,
    gated: bool,
    plain: bool,
) -> None:
    attention: PartAttention = DotProductAttention() if plain else tsaa_of(3, seed, instance_norm=side, eps=1e-3)
    inputs = {"tokens": (values((3, 5, 3), seed), "b t c"), "parts": (values((3, 4, 3), seed + 1), "b p c")}
    given_masks = {"mask": (mask, "b t"), "part_mask": (part_mask, "b p")}
    if with_source:
        inputs["norm_source"] = (values((3, 6, 3), seed + 2), "b s c")
        given_masks["norm_mask"] = (norm_mask, "b s")
    if gated:
        inputs["log_gate"] = (-values((3, 5), seed + 3).abs(), "b t")
    d = "b t d"
    check_padding(
        attention,
        inputs,
        given_masks,
        ["b p c", "b p t", d, "b p d", "b p c"],
        parameters=list(attention.parameters()),
    )


@given(masks(2, 5), SEEDS)
def test_in_steps_is_the_same_as_at_once(mask: torch.Tensor, seed: int) -> None:
    tsaa, tokens, parts = tsaa_of(3, seed), values((2, 5, 3), seed), values((2, 4, 3), seed + 1)
    at_once = tsaa(tokens, parts, tokens, mask=mask, norm_mask=mask)
    keys, queries = tsaa.encode_tokens(tokens, mask), tsaa.encode_parts(parts, tokens, mask)
    stepwise = tsaa.attend(tokens, keys, queries, mask)
    assert torch.equal(stepwise.features, at_once.features)
    assert torch.equal(stepwise.attention, at_once.attention)


@pytest.mark.parametrize("attention", [TSAA(4), DotProductAttention()])
def test_a_row_without_a_real_token_has_zero_features(attention: PartAttention) -> None:
    tokens, parts = torch.randn(2, 5, 4, requires_grad=True), torch.randn(2, 3, 4, requires_grad=True)
    mask = torch.tensor([[True] * 5, [False] * 5])
    refined = attention(tokens, parts, tokens, mask=mask, norm_mask=mask)
    assert not refined.features[1].any()
    assert not refined.attention[1].any()
    refined.features.square().sum().backward()
    assert all(bool(x.grad.isfinite().all()) for x in (tokens, parts) if x.grad is not None)


@given(SEEDS, SIDES)
def test_a_wholly_real_mask_is_no_mask(seed: int, side: bool | str) -> None:
    tsaa, tokens, parts = tsaa_of(3, seed, instance_norm=side), values((2, 5, 3), seed), values((2, 4, 3), seed + 1)
    real, parts_real = torch.ones(2, 5, dtype=torch.bool), torch.ones(2, 4, dtype=torch.bool)
    for source in (None, tokens):
        plain = tsaa(tokens, parts, source)
        norm_mask = None if source is None else real
        masked = tsaa(tokens, parts, source, mask=real, part_mask=parts_real, norm_mask=norm_mask)
        close(masked.features, plain.features)
        close(masked.attention, plain.attention)


@pytest.mark.parametrize("attention", [TSAA(8), TSAA(8, instance_norm="tokens"), DotProductAttention()])
def test_a_mask_that_does_not_fit_is_named(attention: PartAttention) -> None:
    parts, real = torch.randn(2, 3, 8), torch.ones(2, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"encode_parts: `mask` must be of the 3 rows that it speaks of; got 4"):
        attention.encode_parts(parts, None, real)
    with pytest.raises(ValueError, match=r"encode_parts: `mask` must be \(b, s\) = \(2, 5\); got \(2, 4\)"):
        attention.encode_parts(parts, torch.randn(2, 5, 8), real)
    with pytest.raises(ValueError, match=r"`norm_mask` must come with its `norm_source`; got no `norm_source`"):
        attention(parts, parts, norm_mask=real)
