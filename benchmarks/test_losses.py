"""The losses at the size of a training batch, beside the centre and triplet losses of pytorch-metric-learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import SoftTripleLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner

from concordant import MatchDistill, PartCenterLoss

LABELS = torch.arange(16).repeat_interleave(4).repeat(2)
MODALITY = torch.arange(2).repeat_interleave(64)
PART_CENTER, PART_CENTER_SHAPE = "`PartCenterLoss`, {} × {}", "n 128, p {}, c {}, forward and backward"


def step(loss: Any, *inputs: torch.Tensor) -> None:
    """Forward and backward."""
    result = loss(*inputs)
    sum(term for term in (result if isinstance(result, tuple) else (result,)) if term.requires_grad).backward()


def features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, requires_grad=True)


@pytest.mark.parametrize(("parts", "channels"), [(1, 2048), (6, 256)])
def test_part_center_loss(measure: Callable[..., Any], parts: int, channels: int) -> None:
    loss, inputs = PartCenterLoss(margin=0.7, l2_normalize=True), [features(128, parts, channels) for _ in range(2)]
    row, shape = (text.format(parts, channels) for text in (PART_CENTER, PART_CENTER_SHAPE))
    measure(row, "ours", step, loss, *inputs, LABELS, MODALITY, shape=shape, rounds=30, threads=1)


def test_part_center_loss_forward(measure: Callable[..., Any]) -> None:
    loss, inputs = PartCenterLoss(margin=0.7, l2_normalize=True), [features(128, 1, 2048) for _ in range(2)]
    row, shape = PART_CENTER.format(1, 2048), "n 128, p 1, c 2048, forward"
    measure(f"{row}, forward", "ours", loss, *inputs, LABELS, MODALITY, shape=shape, rounds=30, threads=1)


@pytest.mark.parametrize("peer", ["TripletMarginLoss, batch-hard", "SoftTripleLoss, one centre"])
def test_losses_that_also_part_identities(measure: Callable[..., Any], peer: str) -> None:
    """Less than L_pcl takes in: one feature an image, no modality. The library's centres are learned, a class each."""
    miner, margin = BatchHardMiner(), TripletMarginLoss(0.3)

    def batch_hard(rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = margin(rows, labels, miner(rows, labels))
        return loss

    loss = batch_hard if "batch-hard" in peer else SoftTripleLoss(16, 2048, centers_per_class=1)
    row, shape = (text.format(1, 2048) for text in (PART_CENTER, PART_CENTER_SHAPE))
    role = f"pytorch-metric-learning's {peer}"
    measure(row, role, step, loss, features(128, 2048), LABELS, shape=shape, rounds=30, threads=1)


def test_match_distill(measure: Callable[..., Any]) -> None:
    shape = "b 64, p 6, t 72, k 395, forward and backward"
    measure("`MatchDistill`", "ours", step, MatchDistill(), *maps_and_logits(), shape=shape, rounds=30)


def maps_and_logits() -> list[torch.Tensor]:
    maps = [torch.rand(64, 6, 72).softmax(2).requires_grad_() for _ in range(2)]
    return maps + [torch.randn(64, 6, 395, requires_grad=True) for _ in range(2)]


@pytest.mark.parametrize("masked", [True, False])
def test_losses_with_masks(measure: Callable[..., Any], masked: bool) -> None:
    """Masks that are wholly real: what it costs to ask."""
    center, distill = PartCenterLoss(margin=0.7, l2_normalize=True), MatchDistill()
    rows, parts = torch.ones(128, 6, dtype=torch.bool), torch.ones(64, 6, dtype=torch.bool)
    mask = torch.ones(64, 72, dtype=torch.bool)
    centered = {"part_mask": rows} if masked else {}
    distilled = {"mask": mask, "own_mask": parts, "cross_mask": parts} if masked else {}

    def both(own: torch.Tensor, cross: torch.Tensor, *maps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (center(own, cross, LABELS, MODALITY, **centered), *distill(*maps, **distilled)[:2])

    inputs = [features(128, 6, 256), features(128, 6, 256), *maps_and_logits()]
    row, role = "`PartCenterLoss` and `MatchDistill` with masks", "ours" if masked else "without"
    measure(row, role, step, both, *inputs, shape="as above, forward and backward", rounds=30, threads=1)
