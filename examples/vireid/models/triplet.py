"""Weighted-regularised triplet loss (AGW, TPAMI 2021): the field's companion of the identity loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def weighted_triplet_loss(features: Tensor, labels: Tensor) -> Tensor:
    """Draw an identity's features [n c] together and others apart, harder ones more; labels [n].

    `mean_i softplus(Σ_j w⁺_ij d_ij − Σ_k w⁻_ik d_ik)`, d the Euclidean distances, w⁺ their softmax over the other rows
    of i's identity, w⁻ the softmax of −d over the rows of other identities. Rows that lack either take no part.
    """
    features = features.float()
    distance = torch.cdist(features, features)
    same = labels[:, None] == labels
    others = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    complete = others.any(dim=1) & (~same).any(dim=1)
    near = distance.masked_fill(~others, float("-inf"))[complete].softmax(dim=1)
    far = (-distance).masked_fill(same, float("-inf"))[complete].softmax(dim=1)
    terms = F.softplus(((near - far) * distance[complete]).sum(dim=1))
    return terms.sum() / max(len(terms), 1)
