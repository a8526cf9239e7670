"""Padded parts and padded tokens have no terms, in any loss, and no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from concordant import (
    CoverageLoss,
    DiscriminativeLoss,
    DiversityLoss,
    HeteroCenterLoss,
    MatchDistill,
    PartCenterLoss,
    functional,
)
from concordant._reduce import Reduction
from support import oracles_masked
from support.models import close
from support.oracles import tensor
from support.padding import HUGE, check_padding, masks
from support.strategies import KINDS, SEEDS, Batch, batches, distributions, values

EVERY = (0.0, HUGE, -HUGE, float("inf"))
LABELS = torch.tensor([0, 2, 1])


def summed(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss's terms, those of each row together."""
    return lambda **arguments: loss(**arguments).flatten(1).sum(dim=1)


@given(masks(3, 4), SEEDS, st.sampled_from([0.0, 0.3]))
def test_discriminative(part_mask: Tensor, seed: int, smoothing: float) -> None:
    logits, masked = values((3, 4, 5), seed), {"part_mask": (part_mask, "b p")}
    inputs = {"logits": (logits, "b p k"), "labels": (LABELS, "b")}
    each = DiscriminativeLoss(label_smoothing=smoothing, reduction="none")
    check_padding(each, inputs, masked, ["b p"], fills=EVERY)
    terms = each(logits, LABELS, part_mask=part_mask)
    mean = DiscriminativeLoss(label_smoothing=smoothing)(logits, LABELS, part_mask=part_mask)
    close(mean, terms[part_mask].sum() / part_mask.sum().clamp_min(1))
    assert not terms[~part_mask].any()


@given(masks(3, 6), masks(3, 4), SEEDS, st.booleans())
def test_diversity(mask: Tensor, part_mask: Tensor, seed: int, cosine: bool) -> None:
    maps, masked = distributions((3, 4, 6), 2, seed), {"mask": (mask, "b t"), "part_mask": (part_mask, "b p")}
    each = DiversityLoss(cosine=cosine, reduction="none")
    check_padding(summed(each), {"maps": (maps, "b p t")}, masked, ["b"], fills=EVERY)
    pairs = part_mask.sum(dim=1) * (part_mask.sum(dim=1) - 1) / 2
    mean = DiversityLoss(cosine=cosine)(maps, mask=mask, part_mask=part_mask)
    close(mean, each(maps, mask=mask, part_mask=part_mask).sum() / pairs.sum().clamp_min(1).double())


@given(masks(3, 6), masks(3, 4), SEEDS)
def test_coverage(mask: Tensor, part_mask: Tensor, seed: int) -> None:
    maps, saliency = distributions((3, 4, 6), 2, seed), values((3, 6), seed).sigmoid()
    inputs = {"maps": (maps, "b p t"), "saliency": (saliency, "b t")}
    masked = {"mask": (mask, "b t"), "part_mask": (part_mask, "b p")}
    check_padding(CoverageLoss(reduction="none"), inputs, masked, ["b"], fills=EVERY)
    terms = functional.coverage_loss(maps, saliency, mask=mask, part_mask=part_mask, reduction="none")
    some = mask.any(dim=1) & part_mask.any(dim=1)
    assert not terms[~some].any()
    close(CoverageLoss()(maps, saliency, mask=mask, part_mask=part_mask), terms.sum() / some.sum().clamp_min(1))


@given(masks(3, 6), masks(3, 4), masks(3, 3), SEEDS, st.booleans(), st.booleans())
def test_match_distill(
    mask: Tensor, cross_mask: Tensor, own_mask: Tensor, seed: int, cosine: bool, logits: bool
) -> None:
    """Three own parts and four cross parts; the edges of each row are those of its real parts alone."""
    own, cross = distributions((3, 3, 6), 2, seed), distributions((3, 4, 6), 2, seed + 1)
    inputs = {"own_attention": (own, "b q t"), "cross_attention": (cross, "b p t")}
    if logits:
        inputs["own_logits"] = (values((3, 3, 5), seed + 2), "b q k")
        inputs["cross_logits"] = (values((3, 4, 5), seed + 3), "b p k")
    masked = {"mask": (mask, "b t"), "own_mask": (own_mask, "b q"), "cross_mask": (cross_mask, "b p")}
    each = MatchDistill(cosine=cosine, reduction="none")
    check_padding(each, inputs, masked, ["b p", "b p"], fills=EVERY)
    arguments = {name: x for name, (x, _) in (inputs | masked).items()}
    distilled, mean = each(**arguments), MatchDistill(cosine=cosine)(**arguments)
    edges = distilled.matching >= 0
    assert not distilled.kd1[~edges].any()
    assert edges.sum(dim=1).tolist() == torch.minimum(own_mask.sum(dim=1), cross_mask.sum(dim=1)).tolist()
    close(mean.kd1, distilled.kd1.sum() / edges.sum().clamp_min(1))
    close(mean.kd2, distilled.kd2.sum() / edges.sum().clamp_min(1))
    paired = torch.tensor([True, False, True])
    some = MatchDistill(cosine=cosine)(**arguments, paired=paired)
    close(some.kd1, distilled.kd1[paired].sum() / edges[paired].sum().clamp_min(1))


@pytest.mark.parametrize("parts", [(3, 5), (5, 3), (4, 4)])
@given(seed=SEEDS)
def test_sides_of_different_numbers_of_parts(parts: tuple[int, int], seed: int) -> None:
    p, q = parts
    cross, own = distributions((2, p, 6), 2, seed), distributions((2, q, 6), 2, seed + 1)
    logits = values((2, q, 5), seed + 2), values((2, p, 5), seed + 3)
    distilled = functional.match_distill(own, cross, *logits, reduction="none")
    weights = cross @ own.transpose(1, 2)
    for row, found in enumerate(distilled.matching.tolist()):
        assert found == oracles_masked.matching(weights[row].tolist(), [True] * p, [True] * q)
        for u, v in enumerate(found):
            close(distilled.kd1[row, u], -weights[row, u, v] if v >= 0 else weights.new_zeros(()))
            if v < 0:
                assert distilled.kd2[row, u] == 0
    mean = functional.match_distill(own, cross, *logits)
    close(mean.kd2, distilled.kd2.sum() / (2 * min(p, q)))


def test_without_logits_there_is_no_second_loss() -> None:
    own, cross = (distributions((2, 3, 6), 2, seed) for seed in (0, 1))
    logits = values((2, 3, 5), 2), values((2, 3, 5), 3)
    with_them, without = MatchDistill()(own, cross, *logits), MatchDistill()(own, cross)
    close(without.kd1, with_them.kd1)
    assert torch.equal(without.matching, with_them.matching)
    assert without.kd2.item() == 0
    assert MatchDistill(reduction="none")(own, cross).kd2.shape == (2, 3)


@st.composite
def parted(draw: st.DrawFn) -> tuple[Batch, Tensor]:
    """A batch, and which of three parts are real in each of its rows."""
    batch = draw(batches())
    return batch, draw(masks(len(batch.labels), 3))


@settings(max_examples=100)
@given(parted(), SEEDS, st.sampled_from(KINDS), st.sampled_from([0.5, 3.0]))
def test_part_centers_agree_with_the_loop(drawn: tuple[Batch, Tensor], seed: int, kind: str, margin: float) -> None:
    batch, part_mask = drawn
    own, cross = (values((len(batch.labels), 3, 2), seed + i, kind) for i in range(2))
    pulls, pushes = oracles_masked.part_center(own, cross, *batch, part_mask, margin)
    table = torch.zeros(len(own), len(own), dtype=torch.float64)
    for (i, j), term in [*pulls.items(), *pushes.items()]:
        table[i, j] += term
    close(PartCenterLoss(margin=margin, reduction="none")(own, cross, *batch, part_mask=part_mask), table)
    means = [tensor(sum(terms.values()) / max(len(terms), 1)) for terms in (pulls, pushes)]
    close(PartCenterLoss(margin=margin)(own, cross, *batch, part_mask=part_mask), means[0] + means[1])


@settings(max_examples=100)
@given(parted(), SEEDS, st.sampled_from(KINDS))
def test_hetero_centers_agree_with_the_loop(drawn: tuple[Batch, Tensor], seed: int, kind: str) -> None:
    batch, part_mask = drawn
    features = values((len(batch.labels), 3, 2), seed, kind)
    terms = oracles_masked.hetero_center(features, *batch, part_mask)
    close(HeteroCenterLoss(reduction="sum")(features, *batch, part_mask=part_mask), tensor(sum(terms.values())))
    mean = sum(terms.values()) / max(len(terms), 1)
    close(HeteroCenterLoss()(features, *batch, part_mask=part_mask), tensor(mean))
    rows = HeteroCenterLoss(reduction="none")(features, *batch, part_mask=part_mask)
    for i, j in part_mask.nonzero().tolist():
        sharing = part_mask[batch.labels == batch.labels[i], j].sum()
        close(rows[i, j], tensor(terms.get((int(batch.labels[i]), j), 0.0)) / sharing)
    assert not rows[~part_mask].any()


def test_a_row_does_not_stand_for_a_part_that_it_lacks() -> None:
    """Its identity has the part in both modalities, from other rows."""
    features, part_mask = torch.tensor([[[0.0]], [[2.0]], [[4.0]]]), torch.tensor([[True], [False], [True]])
    batch = torch.zeros(3, dtype=torch.int64), torch.tensor([0, 0, 1])
    rows = functional.hetero_center_loss(features, *batch, part_mask=part_mask, reduction="none")
    assert rows.tolist() == [[8.0], [0.0], [8.0]]
    assert functional.hetero_center_loss(features, *batch, part_mask=part_mask).item() == 16.0


@pytest.mark.parametrize("name", ["part centers", "hetero-centers"])
@given(drawn=parted(), seed=SEEDS, l2=st.booleans(), same=st.booleans())
def test_padded_parts_of_centers(name: str, drawn: tuple[Batch, Tensor], seed: int, l2: bool, same: bool) -> None:
    batch, part_mask = drawn
    own, cross = (values((len(batch.labels), 3, 2), seed + i) for i in range(2))
    if same:
        part_mask = part_mask[:1].expand(len(own), 3)
    inputs, masked = {"own": (own, "n p c")}, {"part_mask": (part_mask, "n p")}
    if name == "part centers":
        inputs["cross"] = (cross, "n p c")

    def losses(own: Tensor, cross: Tensor = cross, part_mask: Tensor | None = None) -> list[Tensor]:
        if name == "hetero-centers":
            return [
                functional.hetero_center_loss(own, *batch, part_mask=part_mask, l2_normalize=l2, reduction=reduction)
                for reduction in ("sum", "mean")
            ]
        return [
            functional.part_center_loss(
                own, cross, *batch, part_mask=part_mask, margin=2.0, l2_normalize=l2, reduction=reduction
            )
            for reduction in ("sum", "mean")
        ]

    check_padding(losses, inputs, masked, ["", ""], alone="batch" if same else "never", fills=EVERY)


REAL = {"part_mask": torch.ones(3, 3, dtype=torch.bool)}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_wholly_real_mask_is_no_mask(reduction: str) -> None:
    maps, other, own, modality = torch.rand(3, 3, 6), torch.rand(3, 3, 6), torch.randn(3, 3, 2), torch.arange(3) % 2
    labels, tokens = torch.tensor([0, 0, 1]), {"mask": torch.ones(3, 6, dtype=torch.bool)}
    sides = {"own_mask": REAL["part_mask"], "cross_mask": REAL["part_mask"]}
    cases: list[tuple[Callable[..., Any], tuple[Tensor, ...], dict[str, Tensor]]] = [
        (functional.discriminative_loss, (own, labels), REAL),
        (functional.diversity_loss, (maps,), REAL | tokens),
        (functional.coverage_loss, (maps, maps[:, 0]), REAL | tokens),
        (functional.part_center_loss, (own, own + 1, labels, modality), REAL),
        (functional.hetero_center_loss, (own, labels, modality), REAL),
        (functional.match_distill, (maps, other), tokens | sides),
    ]
    for loss, arguments, masked in cases:
        plain, found = loss(*arguments, reduction=reduction), loss(*arguments, **masked, reduction=reduction)
        torch.testing.assert_close(found, plain)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_without_own_parts_there_is_no_edge(reduction: Reduction) -> None:
    cross = torch.rand(1, 2, 4, requires_grad=True)
    found = functional.match_distill(torch.rand(1, 0, 4), cross, reduction=reduction)
    assert found.matching.tolist() == [[-1, -1]]
    assert found.kd1.sum() == found.kd2.sum() == 0
    assert found.kd1.shape == ((1, 2) if reduction == "none" else ())
    found.kd1.sum().backward()
    assert cross.grad is not None
