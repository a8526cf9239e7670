"""What replaces L_pcl in the comparison, against literal loops over the equations."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from concordant import CAL, CALOutput
from concordant.functional import hetero_center_loss
from vireid.config import LossSettings
from vireid.models.metric_losses import CenterLoss, HardTripletLoss, HeteroCenters
from vireid.models.objective import CALObjective

NAMES = get_args(get_type_hints(LossSettings)["metric"])


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Own and cross-refined parts [n p c], labels and modality: identities of one row and of one modality, too."""
    n, p, c = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    own, cross = torch.randn(2, n, p, c, dtype=torch.float64, generator=generator)
    labels, modality = (torch.tensor(draw(st.lists(st.integers(0, k), min_size=n, max_size=n))) for k in (3, 1))
    return own, cross, labels, modality


def rows_of(own: Tensor, cross: Tensor, labels: Tensor) -> list[tuple[Tensor, int]]:
    """Both kinds of parts as rows [p c] of norm 1, with their labels."""
    rows = torch.cat([own, cross])
    return [(row / row.norm(dim=1, keepdim=True), int(y)) for row, y in zip(rows, labels.repeat(2), strict=True)]


@given(batches())
def test_center_loss_is_its_equation(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    own, cross, labels, modality = batch
    rows, total = rows_of(own, cross, labels), 0.0
    for row, label in rows:
        for k in range(own.shape[1]):
            center = torch.stack([other[k] for other, y in rows if y == label]).mean(dim=0)
            total += float((row[k] - center).square().sum()) / (len(rows) * own.shape[1])
    assert float(CenterLoss()(own, cross, labels, modality)) == pytest.approx(total, abs=1e-6)


@given(batches())
def test_a_cross_refined_part_counts_to_the_modality_of_the_image_it_was_read_on(batch: tuple[Tensor, ...]) -> None:
    own, cross, labels, modality = batch
    rows = (torch.cat([own, cross]), labels.repeat(2), torch.cat([modality, 1 - modality]))
    expected = hetero_center_loss(*rows, l2_normalize=True)
    assert torch.equal(HeteroCenters()(own, cross, labels, modality), expected)


def test_triplet_loss_is_batch_hard() -> None:
    own, cross = torch.randn(2, 4, 2, 3)
    labels, modality = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    rows = [(row.flatten() / row.flatten().norm(), y) for row, y in rows_of(own, cross, labels)]
    terms = []
    for i, (row, label) in enumerate(rows):
        near = [float((row - other).norm()) for j, (other, y) in enumerate(rows) if y == label and j != i]
        far = [float((row - other).norm()) for other, y in rows if y != label]
        terms.append(max(max(near) - min(far) + 0.3, 0.0))
    above = [term for term in terms if term > 0]
    expected = sum(above) / len(above)
    assert float(HardTripletLoss()(own, cross, labels, modality)) == pytest.approx(expected, abs=1e-4)


def model_output() -> tuple[CALOutput, Tensor, Tensor]:
    model = CAL(nn.Conv2d(3, 8, 4, stride=4), channels=8, num_parts=2, num_classes=4)
    labels, modality = torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4)
    return model(torch.randn(8, 3, 16, 8), labels, modality), labels, modality


@pytest.mark.parametrize("name", NAMES)
def test_each_name_gives_a_loss_that_moves_the_parts_it_reads(name: Any) -> None:
    output, labels, modality = model_output()
    loss = CALObjective(LossSettings(metric=name, margin=2.0))(output, labels, modality).pcl
    assert loss.ndim == 0
    own, cross = torch.autograd.grad(loss, [output.own.features, output.cross.features], allow_unused=True)
    assert own.isfinite().all()
    assert own.abs().sum() > 0
    assert (cross is None) == (name == "direct")


def test_the_direct_objective_distils_and_matches_nothing() -> None:
    output, labels, modality = model_output()
    totals = []
    for weight in (0.0, 5.0):
        terms = CALObjective(LossSettings(metric="direct", kd1=weight, kd2=weight))(output, labels, modality)
        totals.append(terms.total)
        assert terms.matching.tolist() == [[0, 1]] * 8
    assert torch.equal(totals[0], totals[1])
    read = [output.cross.features, output.cross.attention, output.cross_logits]
    assert set(torch.autograd.grad(totals[0], read, allow_unused=True)) == {None}
