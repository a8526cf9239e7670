"""Where the parts together lie."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from concordant import CoverageLoss
from concordant.functional import coverage_loss
from support import oracles_parts
from support.models import close
from support.oracles import tensor
from support.strategies import SEEDS, Sizes, distributions, permutation, sizes, values


@given(sizes(), SEEDS, st.sampled_from([1.0, 40.0]))
def test_agrees_with_the_loop(size: Sizes, seed: int, sharpness: float) -> None:
    maps = (sharpness * values((size.b, size.p, size.t), seed)).softmax(dim=2)  # some below 1e-6
    saliency = values((size.b, size.t), seed + 1).sigmoid()
    terms = tensor(oracles_parts.coverage(maps, saliency)).view(size.b)
    close(CoverageLoss(reduction="none")(maps, saliency), terms)
    close(CoverageLoss(reduction="sum")(maps, saliency), terms.sum())
    close(CoverageLoss()(maps, saliency), terms.sum() / max(size.b, 1))


@given(sizes(min_b=1), SEEDS)
def test_order_scale_and_bound(size: Sizes, seed: int) -> None:
    maps, saliency = distributions((size.b, size.p, size.t), 2, seed), values((size.b, size.t), seed).exp()
    before = coverage_loss(maps, saliency, reduction="none")
    assert (before >= -1e-9).all()
    close(coverage_loss(maps, 7 * saliency, reduction="none"), before)
    close(coverage_loss(maps[:, permutation(size.p, seed)], saliency, reduction="none"), before)
    order = permutation(size.t, seed)
    close(coverage_loss(maps[:, :, order], saliency[:, order], reduction="none"), before)


def test_parts_that_share_the_salient_tokens_cost_nothing() -> None:
    saliency = torch.tensor([[1.0, 1.0, 0.0, 1.0, 1.0]])
    maps = torch.tensor([[[0.5, 0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.5, 0.5]]])
    assert coverage_loss(maps, saliency).abs() < 1e-6
    apart = torch.tensor([[[0.5, 0.5, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0, 0.0]]])
    assert coverage_loss(apart, saliency) > 1


def test_no_saliency_at_all_costs_nothing() -> None:
    assert coverage_loss(torch.eye(3)[None], torch.zeros(1, 3)).item() == 0
