"""Distances of all pairs, whose gradients are right to any order."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_ZERO = 1e-14
"""Squared distances below this share of the squared norms are rounding: they count as zero."""


def pairwise_distances(features: Float[Tensor, "*b n c"]) -> Float[Tensor, "*b n n"]:
    """The Euclidean distances of all pairs of rows, with a gradient of zero at distance zero.

    By one product, in float64: `torch.cdist` and `pdist` have no second derivative, and the differences of all pairs
    would take n times the memory. In float32 a product would lose small distances.
    """
    wide = features if features.device.type == "mps" else features.double()  # which has no float64
    norms = wide.square().sum(dim=-1)
    scale = norms[..., :, None] + norms[..., None, :]
    squared = scale - 2 * wide @ wide.transpose(-1, -2)
    apart = squared > _ZERO * scale
    return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0).to(features.dtype)
