"""L_div."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from concordant import DiversityLoss, functional
from support import oracles
from support.models import close
from support.strategies import KINDS, SEEDS, Sizes, distributions, permutation, sizes, values


@given(sizes(), SEEDS, st.sampled_from(KINDS))
def test_agrees_with_the_loop(size: Sizes, seed: int, kind: str) -> None:
    maps = values((size.b, size.p, size.t), seed, kind).abs()
    terms = oracles.tensor(oracles.diversity(maps)).reshape(size.b, size.p * (size.p - 1) // 2)
    close(DiversityLoss(reduction="sum")(maps), terms.sum())
    close(DiversityLoss()(maps), terms.sum() / max(terms.numel(), 1))
    close(DiversityLoss(reduction="none")(maps), terms)


@given(sizes(min_b=1), SEEDS)
def test_the_cosine_form_is_the_mean_cosine_of_pairs(size: Sizes, seed: int) -> None:
    maps = values((size.b, size.p, size.t), seed, "zero rows").abs()
    pairs = [oracles.cosine(m[i], m[j]) for m in maps.tolist() for i in range(size.p) for j in range(i)]
    close(DiversityLoss(cosine=True)(maps), oracles.tensor(sum(pairs) / max(len(pairs), 1)))


@given(st.integers(1, 12), st.integers(1, 5), SEEDS, st.booleans())
def test_zero_exactly_for_disjoint_selections(t: int, p: int, seed: int, cosine: bool) -> None:
    """Each token belongs to one part: zero. A token of two parts: above zero."""
    owner = torch.randint(p, (t,), generator=torch.Generator().manual_seed(seed))
    selection = torch.nn.functional.one_hot(owner, p).T[None] * (values((1, p, t), seed).abs() + 0.1)
    loss = DiversityLoss(cosine=cosine)
    assert float(loss(selection)) == 0
    if p > 1:
        selection[0, (owner[0] + 1) % p, 0] = 0.5
        assert float(loss(selection)) > 0


@given(sizes(min_b=1), SEEDS, st.booleans())
def test_order_of_rows_tokens_and_parts(size: Sizes, seed: int, cosine: bool) -> None:
    selection, loss = distributions((size.b, size.p, size.t), 2, seed), DiversityLoss(cosine=cosine)
    rows, tokens, parts = permutation(size.b, seed), permutation(size.t, seed), permutation(size.p, seed)
    close(loss(selection[rows][:, parts][:, :, tokens]), loss(selection))


@given(sizes(min_b=1), SEEDS)
def test_bounds(size: Sizes, seed: int) -> None:
    """Two distributions overlap by at most 1, and so do two directions of non-negative maps."""
    selection = distributions((size.b, size.p, size.t), 2, seed)
    for cosine in (False, True):
        loss = float(functional.diversity_loss(selection, cosine=cosine))
        assert 0 <= loss <= 1 + 1e-12


def test_cosine_of_empty_maps_is_zero_with_finite_gradients() -> None:
    selection = torch.zeros(1, 4, 3, requires_grad=True)
    loss = functional.diversity_loss(selection, cosine=True)
    loss.backward()
    assert loss.item() == 0
    assert selection.grad is not None
    assert bool(selection.grad.isfinite().all())
