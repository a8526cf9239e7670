"""Padding: what is not real is put aside before the arithmetic, or has a weight of zero in it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from concordant._checks import require
from concordant._look import may_look


def drop_full(mask: Tensor | None) -> Tensor | None:
    """None in place of a mask without padding, which would cost what it does not change; where a look is free."""
    return None if mask is not None and mask.numel() > 0 and may_look(mask) and bool(mask.all()) else mask


def keep(features: Float[Tensor, "b l c"], mask: Bool[Tensor, "b l"] | None) -> Float[Tensor, "b l c"]:
    """Features with zeros in place of padding."""
    mask = drop_full(mask)
    return features if mask is None else torch.where(mask[:, :, None], features, 0.0)


def masked_softmax(logits: Float[Tensor, "b *p t"], mask: Bool[Tensor, "b t"] | None) -> Float[Tensor, "b *p t"]:
    """Softmax over the real tokens of each row: padding has exactly zero, as has all of a row without a real token."""
    mask = drop_full(mask)
    if mask is None:
        return logits.softmax(dim=-1)
    real = mask if logits.dim() == 2 else mask[:, None]
    some = real.any(dim=-1, keepdim=True)
    # A row without a real token is left with zeros: a softmax over nothing is NaN.
    counted = torch.where(real, logits, 0.0).masked_fill(some & ~real, float("-inf"))
    return torch.where(real, counted.softmax(dim=-1), 0.0)


def keep_maps(
    maps: Float[Tensor, "b p t"], part_mask: Bool[Tensor, "b p"] | None, mask: Bool[Tensor, "b t"] | None
) -> Float[Tensor, "b p t"]:
    """Maps with zeros in place of padded parts and padded tokens."""
    maps, mask = keep(maps, part_mask), drop_full(mask)
    return maps if mask is None else torch.where(mask[:, None], maps, 0.0)


def check_mask(who: str, mask: Tensor | None, number: int) -> None:
    """Check the length of a mask that no letter of the annotations fixes."""
    if mask is not None:
        require(mask.shape[1] == number, who, f"`mask` must be of the {number} rows that it speaks of", mask.shape[1])
