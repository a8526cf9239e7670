"""What stands in the place of L_pcl in the comparison of metric losses: each on refined parts [n p c] of norm 1.

But for the direct objective they read what L_pcl reads, own-refined and cross-refined parts, as rows of one batch: a
cross-refined part was read on another image, and has that one's modality.

direct          L_pcl whose cross-refined parts are the partner's own: modalities meet without target awareness, and
                with nothing to distil.
triplet         batch-hard triplet loss of the parts side by side (pytorch-metric-learning).
center          every part to its identity's center over both modalities.
hetero-center   the centers of an identity in both modalities to each other (Zhu et al., Neurocomputing 2020).

The centers are the batch's, as L_pcl's are.
"""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from torch import Tensor
from torch.nn.functional import normalize

from concordant import CALOutput
from concordant.distributed import gather
from concordant.functional import part_center_loss

NAMES = ("direct", "triplet", "center", "hetero-center")


def metric_loss(name: str, output: CALOutput, labels: Tensor, modality: Tensor, *, margin: float) -> Tensor:
    """The loss of a name over the rows of all processes; `margin` is that of the direct objective."""
    own = output.own.features
    if name == "direct":
        rows = (gather(x) for x in (own, own[output.partner], labels, modality))
        return part_center_loss(*rows, margin=margin, normalize=True)
    features, labels = gather(torch.cat([own, output.cross.features])), gather(labels.repeat(2))
    if name == "triplet":
        return triplet_loss(features, labels)
    if name == "center":
        return center_loss(features, labels)
    if name == "hetero-center":
        return hetero_center_loss(features, labels, gather(torch.cat([modality, modality[output.partner]])))
    raise ValueError(f"metric_loss: `name` must be one of {NAMES}; got {name!r}")


def triplet_loss(features: Tensor, labels: Tensor, *, margin: float = 0.3) -> Tensor:
    """`mean_i (d(i, farthest of its identity) − d(i, nearest other) + margin)₊`, over those above zero."""
    rows = normalize(features.float(), dim=2).flatten(1)
    loss: Tensor = TripletMarginLoss(margin)(rows, labels, BatchHardMiner()(rows, labels))
    return loss


def center_loss(features: Tensor, labels: Tensor) -> Tensor:
    """`mean_i mean_k ‖f_ik − c_y(i)k‖²`, c the mean over the identity's rows of both modalities."""
    unit = normalize(features.float(), dim=2)
    centers = _means(unit, labels[:, None] == labels)
    return (unit - centers).square().sum(dim=2).mean()


def hetero_center_loss(features: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
    """`mean_y mean_k ‖c_yk^0 − c_yk^1‖²` over the identities that have rows of both modalities."""
    unit = normalize(features.float(), dim=2)
    same = labels[:, None] == labels
    visible, infrared = (_means(unit, same & (modality == m)) for m in (0, 1))
    distances = (visible - infrared).square().sum(dim=2).mean(dim=1)
    # A row of an identity stands for it in proportion: each identity counts once.
    both = (same & (modality == 0)).any(dim=1) & (same & (modality == 1)).any(dim=1)
    weights = both / same.sum(dim=1)
    return (weights * distances).sum() / weights.sum().clamp_min(1)


def _means(features: Tensor, members: Tensor) -> Tensor:
    """[n p c]: the mean of the rows that each row's mask [n n] names; zeros where it names none."""
    weights = members.to(features.dtype)
    weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(1)
    return (weights @ features.flatten(1)).view_as(features)
