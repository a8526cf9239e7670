"""L_pcl: the double sum, the paper's five terms, and the edge cases of a batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from concordant import PartCenterLoss, functional
from support import oracles
from support.models import close
from support.strategies import KINDS, SEEDS, Batch, batches, permutation, values


@given(batches(), SEEDS, st.sampled_from(KINDS), st.sampled_from([0.0, 0.5, 3.0]))
def test_the_double_sum_is_the_five_terms(batch: Batch, seed: int, kind: str, margin: float) -> None:
    """The condition m_i >= m_j counts infrared against visible once, not twice: s(I, V) but no s(V, I)."""
    own, cross = (values((len(batch.labels), 2, 3), seed + i, kind) for i in range(2))
    five = oracles.part_center_five_terms(own, cross, *batch, margin)
    assert five == pytest.approx(oracles.part_center_double_sum(own, cross, *batch, margin), rel=1e-12, abs=1e-12)


@given(batches(), SEEDS, st.sampled_from(KINDS), st.sampled_from([0.0, 0.5, 3.0]))
def test_agrees_with_the_loop(batch: Batch, seed: int, kind: str, margin: float) -> None:
    own, cross = (values((len(batch.labels), 2, 3), seed + i, kind) for i in range(2))
    total = oracles.part_center_five_terms(own, cross, *batch, margin)
    pairs = oracles.part_center_pairs(own, cross, *batch, margin)
    close(PartCenterLoss(margin=margin, reduction="sum")(own, cross, *batch), oracles.tensor(total))
    close(PartCenterLoss(margin=margin, reduction="none")(own, cross, *batch), pairs)
    same = batch.labels[:, None] == batch.labels
    near = same & (batch.modality[:, None] == batch.modality)
    far = ~same & (batch.modality[:, None] >= batch.modality)
    mean = pairs[near].sum() / near.sum().clamp_min(1) + pairs[far].sum() / far.sum().clamp_min(1)
    close(PartCenterLoss(margin=margin)(own, cross, *batch), mean)


@given(batches(), SEEDS)
def test_normalised_features_are_divided_by_their_norm_part_by_part(batch: Batch, seed: int) -> None:
    own, cross = (values((len(batch.labels), 2, 3), seed + i) for i in range(2))
    lengths = [x.square().sum(dim=2, keepdim=True).sqrt() for x in (own, cross)]
    expected = oracles.part_center_five_terms(own / lengths[0], cross / lengths[1], *batch, 0.7)
    close(PartCenterLoss(margin=0.7, l2_normalize=True, reduction="sum")(own, cross, *batch), oracles.tensor(expected))


@given(batches(), SEEDS)
def test_order_of_rows_and_parts_and_names_of_identities(batch: Batch, seed: int) -> None:
    n = len(batch.labels)
    own, cross = (values((n, 3, 2), seed + i) for i in range(2))
    loss, rows, parts = PartCenterLoss(margin=1.0), permutation(n, seed), permutation(3, seed)
    before = loss(own, cross, *batch)
    close(loss(own[rows], cross[rows], batch.labels[rows], batch.modality[rows]), before)
    close(loss(own[:, parts], cross[:, parts], *batch), before)
    close(loss(own, cross, 1000 - 7 * batch.labels, batch.modality), before)


@given(batches(), SEEDS, st.sampled_from(KINDS), st.booleans())
def test_never_negative_and_gradients_are_finite(batch: Batch, seed: int, kind: str, normalize: bool) -> None:
    """Also with zero vectors and equal centers: a distance has no gradient at zero, and must not give NaN."""
    n = len(batch.labels)
    own, cross = (values((n, 2, 3), seed + i, kind).requires_grad_() for i in range(2))
    loss = PartCenterLoss(margin=1.0, l2_normalize=normalize)(own, cross, *batch)
    loss.backward()
    assert loss.item() >= 0
    assert own.grad is not None
    assert cross.grad is not None
    assert bool(own.grad.isfinite().all() and cross.grad.isfinite().all())


@given(SEEDS, st.sampled_from([0.0, 1.0]))
def test_rotating_every_feature_changes_nothing(seed: int, margin: float) -> None:
    own, cross = values((4, 2, 3), seed), values((4, 2, 3), seed + 1)
    rotation = torch.linalg.qr(values((3, 3), seed + 2))[0]
    labels, modality = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    before = functional.part_center_loss(own, cross, labels, modality, margin=margin)
    close(functional.part_center_loss(own @ rotation, cross @ rotation, labels, modality, margin=margin), before)


def test_far_centers_and_exact_cross_features_cost_nothing() -> None:
    own = torch.tensor([[[0.0, 0.0]], [[9.0, 0.0]], [[0.0, 9.0]], [[9.0, 9.0]]])
    labels, modality = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    assert PartCenterLoss(margin=1.0)(own, own, labels, modality).item() == 0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_empty_batch_is_zero_with_a_gradient(reduction: str) -> None:
    own, cross = (torch.zeros(0, 2, 3, requires_grad=True) for _ in range(2))
    nobody = torch.zeros(0, dtype=torch.int64)
    loss = PartCenterLoss(margin=1.0, reduction=reduction)(own, cross, nobody, nobody)  # type: ignore[arg-type]
    loss.sum().backward()
    assert loss.sum().item() == 0
    assert own.grad is not None


@settings(max_examples=10)
@given(batches(), SEEDS, st.booleans(), st.sampled_from(["sum", "mean", "none"]))
def test_second_derivatives_are_those_of_the_value(batch: Batch, seed: int, l2: bool, reduction: Any) -> None:
    """A gradient penalty needs them."""
    own, cross = (values((len(batch.labels), 2, 3), seed + i).requires_grad_() for i in range(2))
    loss = PartCenterLoss(margin=3.0, l2_normalize=l2, reduction=reduction)
    torch.autograd.gradgradcheck(lambda a, b: loss(a, b, *batch), (own, cross), fast_mode=True, atol=1e-4)


@given(batches(), SEEDS, st.sampled_from(KINDS), st.booleans())
def test_derivatives_are_finite_to_the_second_order(batch: Batch, seed: int, kind: str, l2: bool) -> None:
    own, cross = (values((len(batch.labels), 2, 3), seed + i, kind).requires_grad_() for i in range(2))
    loss = PartCenterLoss(margin=1.0, l2_normalize=l2)(own, cross, *batch)
    first = torch.autograd.grad(loss, (own, cross), create_graph=True)
    penalty = torch.stack([g.square().sum() for g in first]).sum()
    assert all(
        bool(g.isfinite().all()) for g in torch.autograd.grad(penalty, (own, cross), allow_unused=True) if g is not None
    )


@given(batches(), SEEDS, st.sampled_from(["sum", "mean", "none"]))
def test_functional_transforms(batch: Batch, seed: int, reduction: Any) -> None:
    """`torch.func.grad` and `vmap` see the loss that autograd and a loop see."""
    own, cross = (values((4, len(batch.labels), 2, 3), seed + i) for i in range(2))

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return functional.part_center_loss(a, b, *batch, margin=1.0, reduction=reduction)

    close(torch.func.vmap(loss)(own, cross), torch.stack([loss(*pair) for pair in zip(own, cross, strict=True)]))
    leaf = own[0].clone().requires_grad_()
    expected = torch.autograd.grad(loss(leaf, cross[0]).sum(), leaf)[0]
    close(torch.func.grad(lambda a: loss(a, cross[0]).sum())(own[0]), expected)


def test_centers_that_rounding_cannot_tell_apart_do_not_push_each_other() -> None:
    """Nor do they change the gradients of other rows."""

    def gradient(apart: float) -> Tensor:
        own = values((3, 1, 64), 0, dtype=torch.float32)
        own[1] = own[0]
        own[:2, 0, 0] = torch.tensor([0.0, apart])
        own.requires_grad_()
        labels, modality = torch.arange(3), torch.zeros(3, dtype=torch.int64)
        loss = PartCenterLoss(margin=99.0, reduction="sum")(own, own.detach(), labels, modality)
        return torch.autograd.grad(loss, own)[0]

    close(gradient(1e-15), gradient(0.0))
