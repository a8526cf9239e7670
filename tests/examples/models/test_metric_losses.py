"""What replaces L_pcl in the comparison, against literal loops over the equations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concordant import CAL
from vireid.config import LossSettings
from vireid.models.metric_losses import NAMES, center_loss, hetero_center_loss, metric_loss, triplet_loss
from vireid.models.objective import CALObjective


@st.composite
def batches(draw) -> tuple[Tensor, Tensor, Tensor]:
    """Features [n p c], labels and modality: identities of one row and of one modality, too."""
    n, p, c = draw(st.integers(1, 8)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    features = torch.randn(
        n, p, c, dtype=torch.float64, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))
    )
    labels, modality = (torch.tensor(draw(st.lists(st.integers(0, k), min_size=n, max_size=n))) for k in (3, 1))
    return features, labels, modality


def unit(row: Tensor) -> Tensor:
    return row / row.norm()


def mean_of(features: Tensor, rows: list[int], part: int) -> Tensor:
    return torch.stack([unit(features[row, part]) for row in rows]).mean(dim=0)


@given(batches())
def test_center_loss_is_its_equation(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    features, labels, _ = batch
    n, p, _ = features.shape
    total = 0.0
    for i in range(n):
        for k in range(p):
            center = mean_of(features, [j for j in range(n) if labels[j] == labels[i]], k)
            total += float((unit(features[i, k]) - center).square().sum()) / (n * p)
    assert float(center_loss(features, labels)) == pytest.approx(total, abs=1e-6)


@given(batches())
def test_hetero_center_loss_is_its_equation(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    features, labels, modality = batch
    terms = []
    for y in labels.unique():
        rows = [[j for j in range(len(labels)) if labels[j] == y and modality[j] == m] for m in (0, 1)]
        if all(rows):
            ends = [[mean_of(features, own, k) for own in rows] for k in range(features.shape[1])]
            terms.append(sum(float((a - b).square().sum()) for a, b in ends) / features.shape[1])
    expected = sum(terms) / max(len(terms), 1)
    assert float(hetero_center_loss(features, labels, modality)) == pytest.approx(expected, abs=1e-6)


def test_triplet_loss_is_batch_hard() -> None:
    features, labels = torch.randn(8, 2, 3), torch.arange(4).repeat(2)
    rows = torch.nn.functional.normalize(torch.nn.functional.normalize(features, dim=2).flatten(1), dim=1)
    terms = []
    for i in range(8):
        distances = [float((rows[i] - rows[j]).norm()) for j in range(8)]
        far = max(distances[j] for j in range(8) if labels[j] == labels[i])
        near = min(distances[j] for j in range(8) if labels[j] != labels[i])
        terms.append(max(far - near + 0.3, 0.0))
    above = [term for term in terms if term > 0]
    assert float(triplet_loss(features, labels)) == pytest.approx(sum(above) / len(above), abs=1e-4)


def model_output():
    model = CAL(torch.nn.Conv2d(3, 8, 4, stride=4), channels=8, num_classes=4, num_parts=2)
    labels, modality = torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4)
    return model(torch.randn(8, 3, 16, 8), labels, modality), labels, modality


@pytest.mark.parametrize("name", NAMES)
def test_each_name_gives_a_loss_that_moves_the_parts_it_reads(name: str) -> None:
    output, labels, modality = model_output()
    loss = metric_loss(name, output, labels, modality, margin=2.0)
    read = [output.own.features] if name == "direct" else [output.own.features, output.cross.features]
    assert loss.ndim == 0
    for gradient in torch.autograd.grad(loss, read):
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


def test_a_cross_refined_part_counts_to_the_modality_of_the_image_it_was_read_on() -> None:
    output, labels, modality = model_output()
    rows = torch.cat([output.own.features, output.cross.features])
    expected = hetero_center_loss(rows, labels.repeat(2), torch.cat([modality, 1 - modality]))
    assert torch.equal(metric_loss("hetero-center", output, labels, modality, margin=2.0), expected)


def test_the_direct_objective_reads_no_cross_refined_part() -> None:
    output, labels, modality = model_output()
    loss = metric_loss("direct", output, labels, modality, margin=2.0)
    assert torch.autograd.grad(loss, output.cross.features, allow_unused=True) == (None,)


def test_the_direct_objective_distils_and_matches_nothing() -> None:
    output, labels, modality = model_output()
    totals = []
    for weight in (0.0, 5.0):
        terms = CALObjective(LossSettings(metric="direct", kd1=weight, kd2=weight))(output, labels, modality)
        totals.append(terms.total)
        assert terms.matching.tolist() == [[0, 1]] * 8
    assert torch.equal(*totals)
    assert torch.autograd.grad(totals[0], output.cross.features, allow_unused=True) == (None,)


def test_an_unknown_name_is_refused() -> None:
    output, labels, modality = model_output()
    with pytest.raises(ValueError, match="`name` must be one of"):
        metric_loss("angular", output, labels, modality, margin=0.3)
