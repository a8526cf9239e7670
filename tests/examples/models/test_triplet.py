"""The weighted-regularised triplet loss against a loop."""

import math

import pytest
import torch

from vireid.models.triplet import weighted_triplet_loss


def test_it_agrees_with_a_loop() -> None:
    features, labels = torch.randn(8, 5), torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])
    total = 0.0
    for i in range(8):
        distances = [math.dist(features[i].tolist(), features[j].tolist()) for j in range(8)]
        near = [d for j, d in enumerate(distances) if labels[j] == labels[i] and j != i]
        far = [d for j, d in enumerate(distances) if labels[j] != labels[i]]
        pull = sum(d * math.exp(d) for d in near) / sum(math.exp(d) for d in near)
        push = sum(d * math.exp(-d) for d in far) / sum(math.exp(-d) for d in far)
        total += math.log1p(math.exp(pull - push)) / 8
    assert weighted_triplet_loss(features, labels).item() == pytest.approx(total, abs=1e-4)


def test_rows_without_a_positive_or_a_negative_take_no_part() -> None:
    features = torch.randn(5, 3, requires_grad=True)
    assert weighted_triplet_loss(features, torch.arange(5)).item() == 0.0
    assert weighted_triplet_loss(features, torch.zeros(5, dtype=torch.long)).item() == 0.0
    loss = weighted_triplet_loss(features, torch.tensor([0, 0, 1, 2, 3]))
    loss.backward()
    assert torch.isfinite(features.grad).all()
