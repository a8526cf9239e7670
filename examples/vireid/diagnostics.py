"""Has the attention collapsed? Accuracy does not show it; entropy and overlap do."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from concordant.functional import diversity_loss


@torch.no_grad()
def attention_health(attention: Tensor) -> dict[str, float]:
    """Of attention maps [n p t], or [n p h w] on a grid, each summing to 1 over tokens.

    `entropy` is the mean entropy of a map, as a share of ln t: 1 if every token is alike, 0 if there is only one.
    `overlap` is the mean cosine between the maps of two parts of an image: 1 if all parts are the same.
    """
    maps = attention.float().flatten(2)
    entropy = torch.special.entr(maps).sum(dim=2).mean() / math.log(maps.shape[2])
    return {"entropy": entropy.item(), "overlap": diversity_loss(maps.transpose(1, 2), cosine=True).item()}
