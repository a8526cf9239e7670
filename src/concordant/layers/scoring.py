"""Part scores: where in a feature map each part may be."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from concordant._checks import as_integer, as_sizes, checked, require
from concordant._module import Module
from concordant._precision import upcast


@checked()
def part_scores(score_maps: Float[Tensor, "b p h w"]) -> Float[Tensor, "b p t"]:
    """Softmax over space of one score map a part.

    Equation: `S[b, k, t] = exp(z[b, k, t]) / Σ_t' exp(z[b, k, t'])`, with `t` running over the `h·w` tokens,
    row by row. Computed in float32 or wider.

    Shape: score_maps (b, p, h, w) → scores (b, p, t), each part's scores summing to 1 over tokens.

    Raises: ValueError for another shape or an integer type.

    Reference: CAL (ICCV 2023), salient region mining, "part scoring".

    >>> part_scores(torch.zeros(1, 2, 2, 2))[0].tolist()
    [[0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]]
    """
    return upcast(rearrange(score_maps, "b p h w -> b p (h w)")).softmax(dim=2)


class PartScorer(Module[Tensor]):
    """Predict a distribution over the tokens for each part of a feature map.

    Equation: max-pools of several sizes (stride 1, same size out) → each reduced in channels (pointwise
    convolution, ReLU) → concatenated → pointwise convolution to `p` maps → softmax over space (`part_scores`).

    Args:
        channels: `c` of the feature map.
        num_parts: `p`, how many parts to look for.
        pool_sizes: odd sizes of the max-pools, in tokens; 1 is the map itself.
        reduction_ratio: each pooled map is reduced to `channels / reduction_ratio` channels.

    Shape: feature_map (b, c, h, w) → scores (b, p, t), with t = h·w.

    Raises: ValueError for bad settings, or a feature map of another rank, number of channels or type.

    Where the paper is silent: the sizes of the pools, the reduction ratio and the ReLU after it are our choice.

    Reference: CAL (ICCV 2023), salient region mining, "part scoring".

    >>> scores = PartScorer(8, num_parts=3)(torch.randn(2, 8, 4, 2))
    >>> scores.shape, torch.allclose(scores.sum(dim=2), torch.ones(2, 3))
    (torch.Size([2, 3, 8]), True)
    """

    def __init__(
        self,
        channels: int,
        num_parts: int,
        *,
        pool_sizes: tuple[int, ...] = (1, 3, 5),
        reduction_ratio: int = 4,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.num_parts, self.reduction_ratio = as_sizes(
            "PartScorer", channels=channels, num_parts=num_parts, reduction_ratio=reduction_ratio
        )
        sizes = [as_integer(size) for size in pool_sizes] if isinstance(pool_sizes, tuple | list) else []
        odd = len(sizes) > 0 and all(size is not None and size > 0 and size % 2 == 1 for size in sizes)
        require(odd, "PartScorer", "`pool_sizes` must be a tuple of odd sizes, at least one", pool_sizes)
        self.pool_sizes = tuple(sorted(int(size) for size in pool_sizes))
        hidden = max(self.channels // self.reduction_ratio, 1)
        self.reduce = nn.ModuleList(
            nn.Conv2d(self.channels, hidden, 1, device=device, dtype=dtype) for _ in self.pool_sizes
        )
        self.score = nn.Conv2d(hidden * len(self.pool_sizes), self.num_parts, 1, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He initialisation of the reductions, torch's own of the scores, zero biases."""
        for conv in self.reduce:
            nn.init.kaiming_normal_(cast(nn.Conv2d, conv).weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, conv.bias))
        self.score.reset_parameters()

    @checked(c="channels")
    def forward(self, feature_map: Float[Tensor, "b c h w"]) -> Float[Tensor, "b p t"]:
        pooled, reached, hidden = feature_map, 1, []
        for size, reduce in zip(self.pool_sizes, self.reduce, strict=True):
            # A pool of 2r + 1 is r pools of 3, one after the other: each size goes on from the last.
            while reached < size:
                pooled, reached = F.max_pool2d(pooled, 3, stride=1, padding=1), reached + 2
            hidden.append(F.relu(reduce(pooled)))
        return part_scores(self.score(torch.cat(hidden, dim=1)))

    def extra_repr(self) -> str:
        sizes = f"{self.channels}, {self.num_parts}"
        return f"{sizes}, pool_sizes={self.pool_sizes}, reduction_ratio={self.reduction_ratio}"
