"""The weighted-regularised triplet loss: the loop, symmetries, and the edge cases of a batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concordant import WeightedTripletLoss
from concordant.functional import weighted_triplet_loss
from support import oracles_metric
from support.models import close
from support.oracles import tensor
from support.strategies import KINDS, SEEDS, Batch, batches, permutation, values


@given(batches(), SEEDS, st.sampled_from(KINDS))
def test_agrees_with_the_loop(batch: Batch, seed: int, kind: str) -> None:
    features, labels = 3 * values((len(batch.labels), 4), seed, kind), batch.labels
    terms = oracles_metric.weighted_triplet(features, labels)
    taking = [term for term in terms if term is not None]
    close(WeightedTripletLoss(reduction="none")(features, labels), tensor([term or 0.0 for term in terms]))
    close(WeightedTripletLoss(reduction="sum")(features, labels), tensor(sum(taking)))
    close(WeightedTripletLoss()(features, labels), tensor(sum(taking) / max(len(taking), 1)))


def test_large_terms_are_exact() -> None:
    """Where softplus differs from its argument by 1e-9: between torch's bound for float32 and that of float64."""
    features, labels = tensor([[0.0], [21.0], [0.0], [21.0]]), torch.tensor([0, 0, 1, 1])
    terms = oracles_metric.weighted_triplet(features, labels)
    close(weighted_triplet_loss(features, labels, reduction="none"), tensor(terms), rtol=0, atol=1e-12)


@given(batches(), SEEDS, st.sampled_from(KINDS))
def test_order_of_rows_and_names_of_identities(batch: Batch, seed: int, kind: str) -> None:
    n = len(batch.labels)
    features, rows = values((n, 3), seed, kind), permutation(n, seed)
    before = weighted_triplet_loss(features, batch.labels, reduction="none")
    close(weighted_triplet_loss(features[rows], batch.labels[rows], reduction="none"), before[rows])
    close(weighted_triplet_loss(features, 1000 - 7 * batch.labels, reduction="none"), before)


@given(SEEDS)
def test_rotation_and_shift_change_nothing(seed: int) -> None:
    features, labels = values((6, 3), seed), torch.tensor([0, 0, 1, 1, 2, 0])
    rotation = torch.linalg.qr(values((3, 3), seed + 1))[0]
    moved = features @ rotation + values((3,), seed + 2)
    close(weighted_triplet_loss(moved, labels), weighted_triplet_loss(features, labels))


@given(batches(), SEEDS, st.sampled_from(KINDS))
def test_first_and_second_gradients_are_finite(batch: Batch, seed: int, kind: str) -> None:
    """Also with zero vectors, equal rows, one identity, and one row per identity."""
    features = values((len(batch.labels), 3), seed, kind).requires_grad_()
    loss = weighted_triplet_loss(features, batch.labels)
    (first,) = torch.autograd.grad(loss, features, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum() + first.sum(), features)
    assert loss.item() >= 0
    assert bool(first.isfinite().all() and second.isfinite().all())


@given(batches(min_rows=2), SEEDS)
def test_second_gradients_are_those_of_the_first(batch: Batch, seed: int) -> None:
    features = values((len(batch.labels), 3), seed).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: weighted_triplet_loss(x, batch.labels), features, fast_mode=True)


@given(batches(), SEEDS, st.sampled_from(KINDS))
def test_transforms_of_torch_func(batch: Batch, seed: int, kind: str) -> None:
    features, labels = values((2, len(batch.labels), 3), seed, kind), batch.labels

    def loss(x: Tensor) -> Tensor:
        return weighted_triplet_loss(x, labels)

    leaf = features.clone().requires_grad_()
    alone = torch.stack([loss(x) for x in leaf])
    close(torch.func.vmap(loss)(features), alone.detach())
    close(torch.func.vmap(torch.func.grad(loss))(features), torch.autograd.grad(alone.sum(), leaf)[0])


def test_small_distances_of_long_vectors_survive_float32() -> None:
    """A float32 product would lose them."""
    features, labels = (1000 + values((40, 3), 0)).float(), torch.arange(40) % 4
    expected = weighted_triplet_loss(features.double(), labels, reduction="none")
    close(weighted_triplet_loss(features, labels, reduction="none"), expected.float(), rtol=1e-5, atol=1e-6)


def test_rows_that_lack_a_positive_or_a_negative_take_no_part() -> None:
    features, labels = values((5, 3), 0), torch.tensor([0, 0, 1, 2, 3])
    terms = weighted_triplet_loss(features, labels, reduction="none")
    assert terms.count_nonzero() == 2
    close(weighted_triplet_loss(features, labels), terms[:2].mean())
    for others in (torch.arange(5), torch.zeros(5, dtype=torch.int64)):
        assert weighted_triplet_loss(features, others).item() == 0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_empty_batch_is_zero_with_a_gradient(reduction: str) -> None:
    features = torch.zeros(0, 3, requires_grad=True)
    loss = WeightedTripletLoss(reduction=reduction)(features, torch.zeros(0, dtype=torch.int64))  # type: ignore[arg-type]
    loss.sum().backward()
    assert loss.sum().item() == 0
    assert features.grad is not None
