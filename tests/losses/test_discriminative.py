"""L_dis."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from concordant import DiscriminativeLoss, functional
from support import oracles
from support.models import close
from support.strategies import KINDS, SEEDS, Sizes, permutation, sizes, values


@given(sizes(), SEEDS, st.sampled_from(KINDS))
def test_agrees_with_the_loop(size: Sizes, seed: int, kind: str) -> None:
    logits = values((size.b, size.p, size.k), seed, kind)
    labels = torch.randint(size.k, (size.b,), generator=torch.Generator().manual_seed(seed))
    images = oracles.discriminative(logits, labels)
    close(DiscriminativeLoss(reduction="sum")(logits, labels), oracles.tensor(sum(images)))
    close(DiscriminativeLoss()(logits, labels), oracles.tensor(sum(images) / max(size.b * size.p, 1)))
    terms = DiscriminativeLoss(reduction="none")(logits, labels)
    assert terms.shape == (size.b, size.p)
    close(terms.sum(dim=1), oracles.tensor(images).reshape(size.b))


@given(sizes(min_b=1), SEEDS)
def test_order_of_rows_and_parts(size: Sizes, seed: int) -> None:
    logits = values((size.b, size.p, size.k), seed)
    labels = torch.randint(size.k, (size.b,), generator=torch.Generator().manual_seed(seed))
    rows, parts = permutation(size.b, seed), permutation(size.p, seed)
    moved = functional.discriminative_loss(logits[rows][:, parts], labels[rows])
    close(moved, functional.discriminative_loss(logits, labels))


@given(sizes(min_b=1), SEEDS)
def test_never_negative_and_indifferent_to_a_shift(size: Sizes, seed: int) -> None:
    logits, labels = values((size.b, size.p, size.k), seed), torch.zeros(size.b, dtype=torch.int64)
    loss = functional.discriminative_loss(logits, labels, reduction="none")
    assert bool((loss >= 0).all())
    close(functional.discriminative_loss(logits + 100, labels, reduction="none"), loss)


def test_sure_and_right_is_zero_sure_and_wrong_is_large() -> None:
    logits = 100 * torch.eye(2)[None]
    assert float(functional.discriminative_loss(logits[:, :1], torch.tensor([0]))) == 0
    assert float(functional.discriminative_loss(logits[:, :1], torch.tensor([1]))) == 100


@pytest.mark.parametrize("label", [-100, -1, 5])
def test_a_label_that_is_none_is_an_error(label: int) -> None:
    """Also the label that torch's cross-entropy ignores, whose row means would count."""
    with pytest.raises(IndexError, match="out of bounds"):
        DiscriminativeLoss()(torch.zeros(2, 3, 5), torch.tensor([0, label]))
