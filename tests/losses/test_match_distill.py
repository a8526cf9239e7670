"""MatchDistill: L_kd1, L_kd2 and their matching."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concordant import MatchDistill, functional
from support import oracles
from support.models import close
from support.strategies import SEEDS, Sizes, distributions, permutation, sizes, values

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def inputs(size: Sizes, seed: int, kind: str = "normal") -> Inputs:
    return (
        distributions((size.b, size.p, size.t), 2, seed),
        distributions((size.b, size.p, size.t), 2, seed + 1),
        values((size.b, size.p, size.k), seed + 2, kind),
        values((size.b, size.p, size.k), seed + 3, kind),
    )


# One token makes every matching equally good, and the loop may choose another; the equation then has no one answer.
SIZES = sizes().filter(lambda size: size.t > 1)


@given(SIZES, SEEDS, st.sampled_from(["normal", "ties", "zeros"]))
def test_agrees_with_the_loop(size: Sizes, seed: int, kind: str) -> None:
    arguments = inputs(size, seed, kind)
    *edges, matching = oracles.match_distill(*arguments)
    kd1, kd2 = (oracles.tensor(terms).reshape(size.b, size.p) for terms in edges)
    for reduction, share in (("sum", 1), ("mean", max(size.b * size.p, 1))):
        distilled = MatchDistill(reduction=reduction)(*arguments)  # type: ignore[arg-type]
        close(distilled.kd1, kd1.sum() / share)
        close(distilled.kd2, kd2.sum() / share)
        assert distilled.matching.tolist() == matching
    distilled = MatchDistill(reduction="none")(*arguments)
    close(distilled.kd1, kd1)
    close(distilled.kd2, kd2)


@given(sizes(min_b=1), SEEDS)
def test_images_that_are_not_paired_are_as_if_they_were_not_there(size: Sizes, seed: int) -> None:
    arguments = inputs(size, seed)
    paired = values((size.b,), seed) > 0
    for reduction in ("sum", "mean"):
        loss = MatchDistill(reduction=reduction)
        found, expected = loss(*arguments, paired=paired), loss(*(x[paired] for x in arguments))
        close(found.kd1, expected.kd1)
        close(found.kd2, expected.kd2)
    each = MatchDistill(reduction="none")(*arguments, paired=paired)
    assert not bool(each.kd1[~paired].any())
    assert not bool(each.kd2[~paired].any())


@given(SIZES.filter(lambda size: size.b > 0), SEEDS)
def test_order_of_rows_tokens_and_parts(size: Sizes, seed: int) -> None:
    own, cross, own_logits, cross_logits = inputs(size, seed)
    rows, tokens = permutation(size.b, seed), permutation(size.t, seed)
    own_parts, cross_parts = permutation(size.p, seed), permutation(size.p, seed + 1)
    before = functional.match_distill(own, cross, own_logits, cross_logits)
    moved = functional.match_distill(
        own[rows][:, :, tokens], cross[rows][:, :, tokens], own_logits[rows], cross_logits[rows]
    )
    close(moved.kd1, before.kd1)
    close(moved.kd2, before.kd2)
    assert torch.equal(moved.matching, before.matching[rows])
    turned = functional.match_distill(
        own[:, own_parts], cross[:, cross_parts], own_logits[:, own_parts], cross_logits[:, cross_parts]
    )
    close(turned.kd1, before.kd1)
    close(turned.kd2, before.kd2)
    assert torch.equal(own_parts[turned.matching], before.matching[:, cross_parts])


@given(sizes(min_b=1), SEEDS)
def test_bounds(size: Sizes, seed: int) -> None:
    """An inner product of distributions is in 0 … 1, and KL >= 0."""
    distilled = functional.match_distill(*inputs(size, seed), reduction="none")
    assert bool(((-distilled.kd1 >= 0) & (-distilled.kd1 <= 1 + 1e-12)).all())
    assert bool((distilled.kd2 >= -1e-12).all())


def test_the_divergence_leads_from_cross_to_own() -> None:
    """KL(p || q) is infinite where q is zero and p is not, and harmless the other way round."""
    attention = torch.eye(1)[None]
    sure, even = torch.tensor([[[50.0, 0.0]]]), torch.zeros(1, 1, 2)
    assert functional.match_distill(attention, attention, sure, even).kd2.item() > 20
    assert functional.match_distill(attention, attention, even, sure).kd2.item() < 1


def test_equal_sides_agree_wholly() -> None:
    attention, logits = torch.eye(3)[None], torch.randn(1, 3, 5)
    distilled = functional.match_distill(attention, attention, logits, logits, reduction="sum")
    assert distilled.kd1.item() == -3
    assert distilled.kd2.item() == 0


def test_the_cosine_asks_only_that_maps_agree() -> None:
    """With the inner product, one token is better than many; with the cosine, all equal pairs are equally good."""
    logits = torch.zeros(1, 2, 3)
    for maps in (torch.tensor([[[1.0, 0, 0, 0], [0, 1, 0, 0]]]), torch.tensor([[[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]])):
        plain, cosine = (MatchDistill(cosine=x, reduction="sum")(maps, maps, logits, logits) for x in (False, True))
        assert plain.kd1.item() == pytest.approx(-maps.square().sum().item())
        assert cosine.kd1.item() == pytest.approx(-2.0)


def test_detach_cross_keeps_the_gradient_from_the_teacher() -> None:
    for detach in (False, True):
        arguments = [x.requires_grad_() for x in inputs(Sizes(2, 5, 3, 1, 4), 0)]
        distilled = MatchDistill(detach_cross=detach)(*arguments)
        (distilled.kd1 + distilled.kd2).backward()
        own, cross, own_logits, cross_logits = (x.grad is not None for x in arguments)
        assert own
        assert own_logits
        assert (cross, cross_logits) == (not detach, not detach)


def test_impossible_classes_have_finite_gradients() -> None:
    logits = torch.tensor([[[200.0, -200.0]]], requires_grad=True)
    attention = torch.ones(1, 1, 1)
    loss = functional.match_distill(attention, attention, logits, -logits.detach()).kd2
    loss.backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())
