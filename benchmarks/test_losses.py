"""The losses at the size of a training batch, on the processor's cores."""

import pytest
import torch

from concordant import MatchDistill, PartCenterLoss


def step(loss, *inputs: torch.Tensor) -> None:
    """Forward and backward."""
    result = loss(*inputs)
    sum(term for term in (result if isinstance(result, tuple) else (result,)) if term.requires_grad).backward()


@pytest.mark.parametrize(("parts", "channels"), [(1, 2048), (6, 256)])
def test_part_center_loss(measure, parts: int, channels: int) -> None:
    own, cross = (torch.randn(128, parts, channels, requires_grad=True) for _ in range(2))
    labels, modality = torch.arange(16).repeat_interleave(4).repeat(2), torch.arange(2).repeat_interleave(64)
    loss, shape = PartCenterLoss(0.7, normalize=True), f"n 128, p {parts}, c {channels}, forward and backward"
    row = f"`PartCenterLoss`, {parts} × {channels}"
    measure(row, "ours", step, loss, own, cross, labels, modality, shape=shape, rounds=30, threads=1)


def test_match_distill(measure) -> None:
    own, cross = (torch.rand(64, 6, 72).softmax(2).requires_grad_() for _ in range(2))
    logits = [torch.randn(64, 6, 395, requires_grad=True) for _ in range(2)]
    shape = "b 64, p 6, t 72, k 395, forward and backward"
    measure("`MatchDistill`", "ours", step, MatchDistill(), own, cross, *logits, shape=shape, rounds=30)
