"""Losses that replace L_pcl in the study: on own- and cross-refined parts, with the call of `PartCenterLoss`.

Each loss reads both as rows of one batch, with features of norm 1. A cross-refined part was read on an image of the
other modality, and has that modality.
"""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from torch import Tensor, nn
from torch.nn.functional import normalize

from concordant import HeteroCenterLoss


class HardTripletLoss(nn.Module):
    """`mean_i (d(i, farthest of its identity) − d(i, nearest other) + 0.3)₊` over those above zero, parts side by side.

    forward(own [n p c], cross [n p c], labels [n], modality [n]) -> ()
    """

    def __init__(self) -> None:
        super().__init__()
        self.loss, self.miner = TripletMarginLoss(0.3), BatchHardMiner()

    def forward(self, own: Tensor, cross: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        rows, labels = normalize(torch.cat([own, cross]).float(), dim=2).flatten(1), labels.repeat(2)
        loss: Tensor = self.loss(rows, labels, self.miner(rows, labels))
        return loss


class CenterLoss(nn.Module):
    """`mean_i mean_k ‖f_ik − c_y(i)k‖²`, c the batch's mean over the identity's rows of both modalities.

    forward(own [n p c], cross [n p c], labels [n], modality [n]) -> ()
    """

    def forward(self, own: Tensor, cross: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        unit, labels = normalize(torch.cat([own, cross]).float(), dim=2), labels.repeat(2)
        members = (labels[:, None] == labels).to(unit.dtype)
        centers = (members / members.sum(dim=1, keepdim=True)) @ unit.flatten(1)
        return (unit - centers.view_as(unit)).square().sum(dim=2).mean()


class HeteroCenters(nn.Module):
    """The library's `HeteroCenterLoss` on own- and cross-refined parts.

    forward(own [n p c], cross [n p c], labels [n], modality [n]) -> ()
    """

    def __init__(self) -> None:
        super().__init__()
        self.loss = HeteroCenterLoss(l2_normalize=True)

    def forward(self, own: Tensor, cross: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
        loss: Tensor = self.loss(torch.cat([own, cross]), labels.repeat(2), torch.cat([modality, 1 - modality]))
        return loss
