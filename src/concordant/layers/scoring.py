"""Part scores: where in a feature map each part may be."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from concordant._checks import as_integer, as_sizes, checked, require
from concordant._mask import check_mask, masked_softmax
from concordant._module import Module
from concordant._precision import upcast


@checked()
def part_scores(
    score_maps: Float[Tensor, "b p h w"] | Float[Tensor, "b p t"], mask: Bool[Tensor, "b t"] | None = None
) -> Float[Tensor, "b p t"]:
    """Softmax over space of one score map a part.

    Equation: `S[b, k, t] = exp(z[b, k, t]) / Σ_t' exp(z[b, k, t'])`, with `t` running over the `h·w` tokens,
    row by row. Computed in float32 or wider.

    Args:
        score_maps: z, (b, p, h, w), or (b, p, t) of tokens without a grid.
        mask: (b, t), True for a real token; of a grid row by row. The score of padding is zero.

    Shape: score_maps (b, p, h, w) or (b, p, t) → scores (b, p, t), each part's scores summing to 1 over tokens.

    Raises: ValueError for another shape or an integer type.

    Edge cases: in a row without any real token all scores are zero.

    Reference: CAL (ICCV 2023), salient region mining, "part scoring".

    >>> part_scores(torch.zeros(1, 2, 2, 2))[0].tolist()
    [[0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]]
    """
    maps = upcast(score_maps.flatten(2))
    check_mask("part_scores", mask, maps.shape[2])
    return masked_softmax(maps, mask)


class PartScorer(Module[Tensor]):
    """Predict a distribution over the tokens for each part of a feature map.

    Equation: max-pools of several sizes (stride 1, same size out) → each reduced in channels (pointwise
    convolution, ReLU) → concatenated → pointwise convolution to `p` maps → softmax over space (`part_scores`).

    Args:
        channels: `c` of the feature map.
        num_parts: `p`, how many parts to look for.
        pool_sizes: odd sizes of the max-pools, in tokens; 1 is the map itself, and needs no grid.
        reduction_ratio: each pooled map is reduced to `channels / reduction_ratio` channels.

    Shape: a feature map (b, c, h, w) → scores (b, p, t), with t = h·w. With `pool_sizes=(1,)` also tokens (b, t, c).
    With a `mask` (b, t), True for the real tokens and of a grid row by row, no pool sees padding, and its score is
    zero.

    Raises: ValueError for bad settings, a feature map of another rank, number of channels or type, or tokens where
    pools need a grid.

    Where the paper is silent: the sizes of the pools, the reduction ratio and the ReLU after it are our choice.

    Reference: CAL (ICCV 2023), salient region mining, "part scoring".

    >>> scores = PartScorer(8, num_parts=3)(torch.randn(2, 8, 4, 2))
    >>> scores.shape, torch.allclose(scores.sum(dim=2), torch.ones(2, 3))
    (torch.Size([2, 3, 8]), True)
    >>> PartScorer(8, num_parts=3, pool_sizes=(1,))(torch.randn(2, 5, 8)).shape
    torch.Size([2, 3, 5])
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
    def forward(
        self,
        features: Float[Tensor, "b c h w"] | Float[Tensor, "b t c"],
        mask: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "b p t"]:
        if features.dim() == 3:
            rule = "tokens without a grid need `pool_sizes=(1,)`: larger pools read neighbours"
            require(self.pool_sizes == (1,), "PartScorer", rule, self.pool_sizes)
            features = rearrange(features, "b t c -> b c t 1")
        b, _, h, w = features.shape
        check_mask("PartScorer", mask, h * w)
        real = None if mask is None else mask.view(b, 1, h, w)
        pooled, reached, hidden = features, 1, []
        if real is not None and self.pool_sizes[-1] > 1:  # what a pool must not see is below all
            pooled = torch.where(real, features, float("-inf"))
        for size, reduce in zip(self.pool_sizes, self.reduce, strict=True):
            # A pool of 2r + 1 is r pools of 3, one after the other: each size goes on from the last.
            while reached < size:
                pooled, reached = F.max_pool2d(pooled, 3, stride=1, padding=1), reached + 2
            hidden.append(F.relu(reduce(pooled if real is None else torch.where(real, pooled, 0.0))))
        return part_scores(self.score(torch.cat(hidden, dim=1)), mask)

    def extra_repr(self) -> str:
        sizes = f"{self.channels}, {self.num_parts}"
        return f"{sizes}, pool_sizes={self.pool_sizes}, reduction_ratio={self.reduction_ratio}"
