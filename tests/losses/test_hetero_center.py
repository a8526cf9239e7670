"""The hetero-center loss: the loop, symmetries, and the edge cases of a batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concordant import HeteroCenterLoss
from concordant.functional import hetero_center_loss
from support import oracles_metric
from support.models import close
from support.oracles import tensor
from support.strategies import KINDS, SEEDS, Batch, batches, permutation, values


@given(batches(), SEEDS, st.sampled_from(KINDS))
def test_agrees_with_the_loop(batch: Batch, seed: int, kind: str) -> None:
    features = values((len(batch.labels), 2, 3), seed, kind)
    identities = oracles_metric.hetero_center(features, *batch)
    terms = [term for parts in identities.values() for term in parts]
    close(HeteroCenterLoss(reduction="sum")(features, *batch), tensor(sum(terms)))
    close(HeteroCenterLoss()(features, *batch), tensor(sum(terms) / max(len(terms), 1)))
    rows = HeteroCenterLoss(reduction="none")(features, *batch)
    labels = batch.labels.tolist()
    close(rows, tensor([[t / labels.count(y) for t in identities.get(y, [0.0, 0.0])] for y in labels]))


@given(batches(), SEEDS)
def test_normalized_features_are_divided_by_their_norm_part_by_part(batch: Batch, seed: int) -> None:
    features = values((len(batch.labels), 2, 3), seed)
    expected = hetero_center_loss(features / features.square().sum(dim=2, keepdim=True).sqrt(), *batch)
    close(HeteroCenterLoss(l2_normalize=True)(features, *batch), expected)


@given(batches(), SEEDS, st.booleans())
def test_order_of_rows_parts_and_modalities_and_names_of_identities(batch: Batch, seed: int, divide: bool) -> None:
    n, (labels, modality) = len(batch.labels), batch
    features, loss = values((n, 3, 2), seed), HeteroCenterLoss(l2_normalize=divide, reduction="none")
    rows, parts = permutation(n, seed), permutation(3, seed)
    before = loss(features, labels, modality)
    close(loss(features[rows], labels[rows], modality[rows]), before[rows])
    close(loss(features[:, parts], labels, modality), before[:, parts])
    close(loss(features, 1000 - 7 * labels, 1 - modality), before)


@given(batches(), SEEDS)
def test_each_row_twice_changes_nothing(batch: Batch, seed: int) -> None:
    """Centers are means, and an identity counts once, with any number of rows."""
    features = values((len(batch.labels), 2, 3), seed)
    twice = [x.repeat_interleave(2, dim=0) for x in (features, *batch)]
    close(hetero_center_loss(*twice, reduction="sum"), hetero_center_loss(features, *batch, reduction="sum"))
    close(hetero_center_loss(*twice), hetero_center_loss(features, *batch))


@given(batches(), SEEDS, st.sampled_from(KINDS), st.booleans())
def test_first_and_second_gradients_are_finite(batch: Batch, seed: int, kind: str, divide: bool) -> None:
    """Also with zero vectors, equal rows, one identity, and one row per identity."""
    features = values((len(batch.labels), 2, 3), seed, kind).requires_grad_()
    loss = hetero_center_loss(features, *batch, l2_normalize=divide)
    (first,) = torch.autograd.grad(loss, features, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum() + first.sum(), features)
    assert loss.item() >= 0
    assert bool(first.isfinite().all() and second.isfinite().all())


@given(batches(), SEEDS, st.booleans())
def test_second_gradients_are_those_of_the_first(batch: Batch, seed: int, divide: bool) -> None:
    features = values((len(batch.labels), 2, 3), seed).requires_grad_()

    def loss(x: Tensor) -> Tensor:
        return hetero_center_loss(x, *batch, l2_normalize=divide)

    assert torch.autograd.gradgradcheck(loss, features, fast_mode=True)


@given(batches(), SEEDS, st.sampled_from(KINDS), st.booleans())
def test_transforms_of_torch_func(batch: Batch, seed: int, kind: str, divide: bool) -> None:
    features = values((2, len(batch.labels), 2, 3), seed, kind)

    def loss(x: Tensor) -> Tensor:
        return hetero_center_loss(x, *batch, l2_normalize=divide)

    leaf = features.clone().requires_grad_()
    alone = torch.stack([loss(x) for x in leaf])
    close(torch.func.vmap(loss)(features), alone.detach())
    close(torch.func.vmap(torch.func.grad(loss))(features), torch.autograd.grad(alone.sum(), leaf)[0])


def test_an_identity_of_one_modality_adds_nothing() -> None:
    features, labels, modality = values((4, 2, 3), 0), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
    expected = (features[0] - features[1]).square().sum(dim=1)
    close(hetero_center_loss(features, labels, modality, reduction="sum"), expected.sum())
    close(hetero_center_loss(features, labels, modality), expected.mean())
    assert hetero_center_loss(features, torch.arange(4), modality).item() == 0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_empty_batch_is_zero_with_a_gradient(reduction: str) -> None:
    features, nobody = torch.zeros(0, 2, 3, requires_grad=True), torch.zeros(0, dtype=torch.int64)
    loss = HeteroCenterLoss(reduction=reduction)(features, nobody, nobody)  # type: ignore[arg-type]
    loss.sum().backward()
    assert loss.sum().item() == 0
    assert features.grad is not None
