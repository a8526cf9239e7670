"""Part scores: where in a feature map each part may be."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from concordant._checks import check_floating, check_positive, check_shapes, require
from concordant._precision import upcast


def part_scores(score_maps: Float[Tensor, "b p h w"]) -> Float[Tensor, "b t p"]:
    """Softmax over space of one score map a part.

    Equation: `S[b, t, k] = exp(z[b, k, t]) / Σ_t' exp(z[b, k, t'])`, with `t` running over the `h·w` tokens,
    row by row. Computed in float32 or wider.

    Shape: score_maps (b, p, h, w) → scores (b, t, p), each part's scores summing to 1 over tokens.

    Raises: ValueError for another shape or an integer type.

    Reference: CAL (ICCV 2023), salient region mining, "part scoring".

    >>> part_scores(torch.zeros(1, 2, 2, 2))[0].tolist()
    [[0.25, 0.25], [0.25, 0.25], [0.25, 0.25], [0.25, 0.25]]
    """
    check_shapes("part_scores", score_maps=(score_maps, "b p h w"))
    check_floating("part_scores", score_maps=score_maps)
    return upcast(rearrange(score_maps, "b p h w -> b (h w) p")).softmax(dim=1)


class PartScorer(nn.Module):
    """Predict a distribution over the tokens for each part of a feature map.

    Equation: max-pools of several sizes (stride 1, same size out) → each reduced in channels (pointwise
    convolution, ReLU) → concatenated → pointwise convolution to `p` maps → softmax over space (`part_scores`).

    Args:
        channels: `c` of the feature map.
        num_parts: `p`, how many parts to look for.
        pool_sizes: odd sizes of the max-pools, in tokens; 1 is the map itself.
        reduction: each pooled map is reduced to `channels / reduction` channels.

    Shape: feature_map (b, c, h, w) → scores (b, t, p), with t = h·w.

    Raises: ValueError for bad settings, or a feature map of another rank, number of channels or type.

    Where the source is silent: the sizes of the pools, the factor of the reduction and the ReLU after it are ours.

    Reference: CAL (ICCV 2023), salient region mining, "part scoring".

    >>> scores = PartScorer(8, num_parts=3)(torch.randn(2, 8, 4, 2))
    >>> scores.shape, torch.allclose(scores.sum(dim=1), torch.ones(2, 3))
    (torch.Size([2, 8, 3]), True)
    """

    def __init__(
        self,
        channels: int,
        num_parts: int,
        *,
        pool_sizes: tuple[int, ...] = (1, 3, 5),
        reduction: int = 4,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive("PartScorer", channels=channels, num_parts=num_parts, reduction=reduction)
        odd = isinstance(pool_sizes, tuple | list) and len(pool_sizes) > 0
        odd = odd and all(isinstance(size, int) and size > 0 and size % 2 == 1 for size in pool_sizes)
        require(odd, "PartScorer", "`pool_sizes` must be a tuple of odd sizes, at least one", pool_sizes)
        self.channels, self.num_parts = channels, num_parts
        self.pool_sizes, self.reduction = tuple(sorted(pool_sizes)), reduction
        hidden = max(channels // reduction, 1)
        self.reduce = nn.ModuleList(nn.Conv2d(channels, hidden, 1, device=device, dtype=dtype) for _ in pool_sizes)
        self.score = nn.Conv2d(hidden * len(pool_sizes), num_parts, 1, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He initialisation of the reductions, torch's own of the scores, zero biases."""
        for conv in self.reduce:
            nn.init.kaiming_normal_(cast(nn.Conv2d, conv).weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, conv.bias))
        self.score.reset_parameters()

    def forward(self, feature_map: Float[Tensor, "b c h w"]) -> Float[Tensor, "b t p"]:
        sizes = check_shapes("PartScorer", feature_map=(feature_map, "b c h w"))
        check_floating("PartScorer", feature_map=feature_map)
        require(
            sizes["c"] == self.channels, "PartScorer", f"`feature_map` must have {self.channels} channels", sizes["c"]
        )
        pooled, reached, hidden = feature_map, 1, []
        for size, reduce in zip(self.pool_sizes, self.reduce, strict=True):
            # A pool of 2r + 1 is r pools of 3, one after the other: each size goes on from the last.
            while reached < size:
                pooled, reached = F.max_pool2d(pooled, 3, stride=1, padding=1), reached + 2
            hidden.append(F.relu(reduce(pooled)))
        return part_scores(self.score(torch.cat(hidden, dim=1)))

    def extra_repr(self) -> str:
        return f"{self.channels}, {self.num_parts}, pool_sizes={self.pool_sizes}, reduction={self.reduction}"
