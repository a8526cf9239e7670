"""Has the attention collapsed? Accuracy does not show it; entropy and overlap do."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from concordant._checks import checked
from concordant._precision import full_precision, unit, upcast


class AttentionStatistics(NamedTuple):
    """How attention maps spread over tokens, and how much those of different parts overlap."""

    entropy: Float[Tensor, ""]
    """Mean entropy of a map, as a share of ln t: 1 if all tokens have the same weight, 0 if one has all of it."""
    overlap: Float[Tensor, ""]
    """Mean cosine of the maps of two different parts: 1 if all parts have the same map, 0 if no token is shared."""


@checked()
def attention_statistics(attention: Float[Tensor, "b p t"]) -> AttentionStatistics:
    """Measure whether attention maps have collapsed: onto single tokens, onto all of them, or onto each other.

    Equation, over the images and parts of the batch::

        entropy = mean of −Σ_t A_pt ln A_pt / ln t
        overlap = mean of cos(A_u, A_v) over the parts u ≠ v

    Args:
        attention: A, (b, p, t), each map positive with sum 1 over tokens. No gradient flows.

    Shape: → AttentionStatistics(entropy (), overlap ()), in 0 … 1, on the device of the maps.

    Raises: ValueError for another shape or type.

    Edge cases: one token gives an entropy of 0, one part an overlap of 0, and an empty batch 0 for both.

    Reference: none; our addition.

    >>> statistics = attention_statistics(torch.tensor([[[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]]))
    >>> statistics.entropy.item(), statistics.overlap.item()
    (0.25, 0.0)
    """
    b, p, t = attention.shape
    with full_precision(attention):
        maps = upcast(attention.detach())
        largest = math.log(t) if t > 1 else math.inf
        entropy = torch.special.entr(maps).sum() / (max(b * p, 1) * largest)
        directions = unit(maps)
        cosines = directions @ directions.transpose(1, 2)
        overlap = cosines.triu(diagonal=1).sum() / max(b * p * (p - 1) / 2, 1.0)
        return AttentionStatistics(entropy, overlap)
