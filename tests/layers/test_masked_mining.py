"""Masks where parts are found: padding is not scored, not selected, not pooled."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from concordant import HorizontalParts, LearnableParts, PartMiner, PartScorer, TokenGate, TopKAggregator, functional
from concordant.layers.aggregation import num_selected
from support import oracles
from support.models import close, linear_of, randomize
from support.padding import HUGE, check_padding, masks
from support.strategies import SEEDS, distributions, values

ALPHAS = st.sampled_from([0.25, 0.5, 1.0, 1.5, 5.0])
EVERY = (0.0, HUGE, -HUGE, float("inf"))


@given(masks(3, 6), ALPHAS, SEEDS, st.sampled_from(["normal", "ties", "zeros"]))
def test_each_row_selects_among_its_real_tokens(mask: Tensor, alpha: float, seed: int, kind: str) -> None:
    tokens, scores = values((3, 6, 2), seed), distributions((3, 2, 6), 2, seed, kind)
    mined = TopKAggregator(alpha)(tokens, scores, mask)
    inputs = {"tokens": (tokens, "b t c"), "scores": (scores, "b p t")}
    check_padding(TopKAggregator(alpha), inputs, {"mask": (mask, "b t")}, ["b p c", "b p t"])
    assert not mined.selection.transpose(1, 2)[~mask].any()
    for row, kept in enumerate(mask):
        if not kept.any():
            assert not mined.features[row].any()
            continue
        count = oracles.top_k_count(Fraction(alpha), int(kept.sum()), 2)
        features, selection = oracles.aggregate(tokens[row : row + 1, kept], scores[row : row + 1, :, kept], count)
        close(mined.selection[row][:, kept], selection[0])
        close(mined.features[row], features[0])


@given(st.integers(1, 400), st.integers(1, 40), st.floats(0.01, 20))
def test_the_count_of_real_tokens_is_that_of_so_many_tokens(tokens: int, parts: int, alpha: float) -> None:
    """To the last bit of α·t / p."""
    mask = torch.arange(400)[None] < tokens
    scores = torch.ones(1, parts, 400)
    kept = (functional.select_top_k(scores, alpha, mask) > 0).sum(dim=2)
    assert kept.tolist() == [[num_selected(tokens, parts, alpha)] * parts]


@given(masks(3, 6), SEEDS)
def test_scores_and_pooled_tokens(mask: Tensor, seed: int) -> None:
    maps, tokens, gate = values((3, 2, 6), seed), values((3, 6, 4), seed + 1), values((3, 6), seed + 2)
    masked = {"mask": (mask, "b t")}

    def scores(maps: Tensor, mask: Tensor | None = None) -> Tensor:
        return functional.part_scores(maps, mask)

    check_padding(scores, {"maps": (maps, "b p t")}, masked, ["b p t"], fills=EVERY)
    inputs = {"tokens": (tokens, "b t c"), "log_gate": (gate, "b t")}
    check_padding(functional.pool_tokens, inputs, masked, ["b c"])
    assert not scores(maps, mask).transpose(1, 2)[~mask].any()
    assert not functional.pool_tokens(tokens, gate, mask)[~mask.any(dim=1)].any()


@given(masks(3, 6), SEEDS)
def test_the_gate_of_padding_is_closed(mask: Tensor, seed: int) -> None:
    gate, tokens = randomize(TokenGate(4, dtype=torch.float64), seed), values((3, 6, 4), seed)
    parameters = list(gate.parameters())
    check_padding(
        gate, {"tokens": (tokens, "b t c")}, {"mask": (mask, "b t")}, ["b t"], parameters=parameters, fills=EVERY
    )
    assert gate(tokens, mask)[~mask].eq(-8).all()


@pytest.mark.parametrize("alpha", [0.5, 2.0])
@given(mask=masks(3, 6), seed=SEEDS)
def test_parts_of_tokens_without_a_grid(alpha: float, mask: Tensor, seed: int) -> None:
    miner = randomize(PartMiner(4, 2, alpha=alpha, pool_sizes=(1,), dtype=torch.float64), seed)
    tokens = values((3, 6, 4), seed)
    parameters = list(miner.parameters())
    check_padding(
        miner, {"features": (tokens, "b t c")}, {"mask": (mask, "b t")}, ["b p c", "b p t"], parameters=parameters
    )
    as_a_grid = tokens.transpose(1, 2).unflatten(2, (2, 3))
    for one, other in zip(miner(tokens, mask), miner(as_a_grid, mask), strict=True):
        close(one, other)


def test_pools_need_a_grid() -> None:
    with pytest.raises(ValueError, match=r"PartScorer: tokens without a grid need `pool_sizes=\(1,\)`.*; got \(1, 3"):
        PartMiner(4, 2)(torch.randn(2, 6, 4))


@given(masks(2, 12), SEEDS)
def test_no_pool_sees_padding(mask: Tensor, seed: int) -> None:
    """The literal pipeline over the real places of a grid of 4 × 3."""
    scorer = randomize(PartScorer(2, 2, pool_sizes=(1, 3, 5), reduction_ratio=1, dtype=torch.float64), seed)
    maps = values((2, 2, 4, 3), seed)
    unseen = maps.where(mask.view(2, 1, 4, 3), -math.inf)
    reducers, head = [linear_of(conv) for conv in scorer.reduce], linear_of(scorer.score)
    scores = scorer(maps.where(mask.view(2, 1, 4, 3), HUGE), mask)
    for image, kept, found in zip(unseen.tolist(), mask, scores, strict=True):
        pooled = [[oracles.max_pool(channel, size) for channel in image] for size in scorer.pool_sizes]
        logits = []
        for place in kept.nonzero().flatten().tolist():
            y, x = divmod(place, 3)
            hidden = []
            for channels, reducer in zip(pooled, reducers, strict=True):
                hidden += [oracles.relu(v) for v in oracles.linear([channel[y][x] for channel in channels], reducer)]
            logits.append(oracles.linear(hidden, head))
        for part in range(2):
            expected = oracles.softmax([row[part] for row in logits]) if logits else []
            close(found[part][kept], oracles.tensor(expected))
        assert not found[:, ~kept].any()


@given(st.integers(1, 4), st.integers(1, 3), SEEDS)
def test_a_padded_grid_is_the_smaller_grid(h: int, w: int, seed: int) -> None:
    """With its gradients, of the first and second order: rows below and columns to the right are padding."""
    miner = randomize(PartMiner(2, 2, dtype=torch.float64), seed)
    inner = torch.zeros(4, 3, dtype=torch.bool)
    inner[:h, :w] = True
    maps = values((2, 2, 4, 3), seed).where(inner, HUGE)
    weight = values((2, 2, 2), seed + 1)
    found = []
    for features, mask in ((maps, inner.flatten().expand(2, 12)), (maps[:, :, :h, :w], None)):
        leaf = features.detach().clone().requires_grad_()
        mined = miner(leaf, mask)
        (first,) = torch.autograd.grad((mined.features * weight).sum(), leaf, create_graph=True)
        second = torch.autograd.grad(first.square().sum(), list(miner.parameters()))
        found.append([mined.features, first[:, :, :h, :w], *second])
        assert not first.masked_fill(inner if mask is not None else torch.ones(h, w, dtype=torch.bool), 0).any()
    for one, other in zip(*found, strict=True):
        close(one, other, rtol=1e-7, atol=1e-7)


@given(masks(2, 12), SEEDS)
def test_stripes_and_learned_parts(mask: Tensor, seed: int) -> None:
    maps = values((2, 2, 4, 3), seed)
    tokens = maps.flatten(2).transpose(1, 2)
    mined = HorizontalParts(2)(maps.where(mask.view(2, 1, 4, 3), HUGE), mask)
    for row, kept in enumerate(mask):
        for part, stripe in enumerate((kept & (torch.arange(12) < 6), kept & (torch.arange(12) >= 6))):
            expected = tokens[row][stripe].mean(dim=0) if stripe.any() else torch.zeros(2, dtype=torch.float64)
            close(mined.features[row, part], expected)
            close(mined.selection[row, part], stripe / stripe.sum().clamp_min(1).double())
    learned = LearnableParts(2, 3, dtype=torch.float64)
    for features in (maps, tokens):
        selection = learned(features, mask).selection
        close(selection, (mask / mask.sum(dim=1, keepdim=True).clamp_min(1).double())[:, None].expand(2, 3, 12))
        close(learned(features).selection, torch.full((2, 3, 12), 1 / 12, dtype=torch.float64))


@pytest.mark.parametrize("source", [PartMiner(4, 3), LearnableParts(4, 3), HorizontalParts(3)])
def test_a_wholly_real_mask_is_no_mask(source: nn.Module) -> None:
    maps = torch.randn(2, 4, 3, 2)
    for one, other in zip(source(maps, torch.ones(2, 6, dtype=torch.bool)), source(maps), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("source", [PartMiner(4, 3), LearnableParts(4, 3), HorizontalParts(3)])
def test_an_exported_source_takes_batches_of_any_size(source: nn.Module, masked: bool) -> None:
    def batch(b: int) -> tuple[Tensor, ...]:
        return torch.randn(b, 4, 3, 2), *([torch.arange(6).expand(b, 6) < 4] if masked else [])

    rows = torch.export.Dim("rows", min=1, max=64)
    shapes = tuple({0: rows} for _ in batch(2))
    program = torch.export.export(source, batch(5), dynamic_shapes=shapes)
    arguments = batch(3)
    for one, other in zip(program.module()(*arguments), source(*arguments), strict=True):
        torch.testing.assert_close(one, other)


def test_a_batch_without_a_real_token_has_finite_gradients() -> None:
    for source in (PartMiner(4, 3), HorizontalParts(3)):
        maps = torch.randn(2, 4, 3, 2, requires_grad=True)
        mined = source(maps, torch.zeros(2, 6, dtype=torch.bool))
        mined.features.square().sum().backward()
        assert not mined.features.any()
        assert not cast(Tensor, maps.grad).any()


@given(masks(4, 6), SEEDS)
def test_transforms_of_torch_func(mask: Tensor, seed: int) -> None:
    """Each row in a batch of one: `vmap` sees what a loop sees, and its gradients."""
    tokens, parts = values((4, 1, 6, 2), seed), values((4, 1, 3, 2), seed + 1)
    rows = mask[:, None]

    def total(tokens: Tensor, parts: Tensor, mask: Tensor) -> Tensor:
        normed = functional.instance_norm(tokens, mask=mask)
        scores = functional.spatial_similarity(parts, normed, mask)
        mined = functional.aggregate_tokens(tokens, functional.select_top_k(scores, 1.0, mask), mask)
        loss = functional.diversity_loss(scores, mask=mask) + functional.pool_tokens(tokens, scores[:, 0], mask).sum()
        return loss + mined.square().sum()

    leaf = tokens.clone().requires_grad_()
    alone = torch.stack([total(*row) for row in zip(leaf, parts, rows, strict=True)])
    close(torch.func.vmap(total)(tokens, parts, rows), alone.detach())
    expected = torch.autograd.grad(alone.sum(), leaf)[0]
    close(torch.func.vmap(torch.func.grad(total))(tokens, parts, rows), expected)
