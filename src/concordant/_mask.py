"""Padding: what is not real is put aside before any arithmetic, so that not even an infinite value is met."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def keep(features: Float[Tensor, "b l c"], mask: Bool[Tensor, "b l"] | None) -> Float[Tensor, "b l c"]:
    """Features with zeros in place of padding."""
    return features if mask is None else torch.where(mask[:, :, None], features, 0.0)


def masked_softmax(logits: Float[Tensor, "b *p t"], mask: Bool[Tensor, "b t"] | None) -> Float[Tensor, "b *p t"]:
    """Softmax over the real tokens of each row: padding has exactly zero, as has all of a row without a real token."""
    if mask is None:
        return logits.softmax(dim=-1)
    real = mask if logits.dim() == 2 else mask[:, None]
    some = real.any(dim=-1, keepdim=True)
    # A row without a real token keeps all: a softmax over nothing is NaN.
    return torch.where(real, torch.where(real | ~some, logits, float("-inf")).softmax(dim=-1), 0.0)
