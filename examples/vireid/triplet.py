"""Batch-hard triplet loss with a soft margin: the field's companion of the identity loss on global features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def hard_triplet_loss(features: Tensor, labels: Tensor) -> Tensor:
    """`mean_i softplus(max_{y_j = y_i} ‖f_i − f_j‖ − min_{y_j ≠ y_i} ‖f_i − f_j‖)` of features [n c], labels [n]."""
    features = features.float()
    distance = torch.cdist(features, features)
    same = labels[:, None] == labels
    farthest = distance.masked_fill(~same, float("-inf")).amax(dim=1)
    nearest = distance.masked_fill(same, float("inf")).amin(dim=1)
    return F.softplus(farthest - nearest).mean()
