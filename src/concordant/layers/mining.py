"""Sources of part queries: mined from the image (DRM), learnt, or cut in stripes."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from concordant._checks import check_floating, check_positive, check_shapes, checked, require
from concordant.layers.aggregation import MinedParts, TopKAggregator, aggregate_tokens
from concordant.layers.scoring import PartScorer


@checked()
def to_tokens(feature_map: Float[Tensor, "b c h w"]) -> Float[Tensor, "b t c"]:
    """Flatten a feature map to tokens, row by row.

    Equation: `T_{y·w + x} = X_{:, y, x}`.

    Args:
        feature_map: X, (b, c, h, w), of a backbone.

    Shape: feature_map (b, c, h, w) → (b, t, c), t = h·w.

    Raises: ValueError for another shape or type.

    Reference: CAL (ICCV 2023), the flattened feature map T.

    >>> to_tokens(torch.arange(4.0).reshape(1, 1, 2, 2))[0, :, 0].tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    return rearrange(feature_map, "b c h w -> b (h w) c")


class PartMiner(nn.Module):
    """Salient region mining (DRM): score the tokens for each part, keep the best, average them.

    Equation: `S = PartScorer(X)`, `P = Ŝᵀ T / Σ_j Ŝ_j` with `Ŝ = top-k(S, ceil(α·t / p))`.

    Args:
        channels: `c` of the feature map.
        num_parts: `p`.
        alpha: see `TopKAggregator`.
        pool_sizes: see `PartScorer`.
        reduction: see `PartScorer`.

    Shape: feature_map (b, c, h, w) → MinedParts(features (b, p, c), selection (b, t, p)).

    Raises: ValueError as `PartScorer` and `TopKAggregator` do.

    Reference: CAL (ICCV 2023), salient region mining.

    >>> mined = PartMiner(8, num_parts=3)(torch.randn(2, 8, 4, 2))
    >>> mined.features.shape, mined.selection.shape
    (torch.Size([2, 3, 8]), torch.Size([2, 8, 3]))
    """

    def __init__(
        self,
        channels: int,
        num_parts: int,
        *,
        alpha: float = 1.0,
        pool_sizes: tuple[int, ...] = (1, 3, 5),
        reduction: int = 4,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.scorer = PartScorer(
            channels, num_parts, pool_sizes=pool_sizes, reduction=reduction, device=device, dtype=dtype
        )
        self.aggregator = TopKAggregator(alpha)

    def reset_parameters(self) -> None:
        """Draw the scorer's weights anew."""
        self.scorer.reset_parameters()

    def forward(self, feature_map: Float[Tensor, "b c h w"]) -> MinedParts:
        scores = self.scorer(feature_map)
        mined: MinedParts = self.aggregator(to_tokens(feature_map), scores)
        return mined


class LearnableParts(nn.Module):
    """Part queries that are parameters, the same for every image: an ablation of `PartMiner`.

    Equation: `P = W`, W (p, c) learnt. They are mined nowhere, so their selection is even: `Ŝ = 1 / t`.

    Parameters have not the scale of any image's tokens. Instance normalisation with the tokens' statistics would blow
    them up, and every part would attend to a single token from the first step on: give `CAL(statistics="parts")`, the
    source's own statistics, with them.

    Args:
        channels: `c` of the feature map.
        num_parts: `p`.

    Shape: feature_map (b, c, h, w) → MinedParts(features (b, p, c), selection (b, t, p)).

    Raises: ValueError for bad settings, or a feature map of another rank, number of channels or type.

    Reference: CAL (ICCV 2023), ablation "DRM replaced by learnable vectors".

    >>> mined = LearnableParts(8, num_parts=3)(torch.randn(2, 8, 4, 2))
    >>> torch.equal(mined.features[0], mined.features[1])
    True
    """

    def __init__(
        self,
        channels: int,
        num_parts: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive("LearnableParts", channels=channels, num_parts=num_parts)
        self.channels, self.num_parts = channels, num_parts
        self.parts = nn.Parameter(torch.empty(num_parts, channels, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the queries from a normal distribution of unit variance."""
        nn.init.normal_(self.parts)

    def forward(self, feature_map: Float[Tensor, "b c h w"]) -> MinedParts:
        sizes = check_shapes("LearnableParts", feature_map=(feature_map, "b c h w"))
        check_floating("LearnableParts", feature_map=feature_map)
        fits = sizes["c"] == self.channels
        require(fits, "LearnableParts", f"`feature_map` must have {self.channels} channels", sizes["c"])
        tokens = sizes["h"] * sizes["w"]
        selection = feature_map.new_full((sizes["b"], tokens, self.num_parts), 1 / max(tokens, 1))
        return MinedParts(self.parts.to(feature_map.dtype).expand(sizes["b"], -1, -1), selection)

    def extra_repr(self) -> str:
        return f"{self.channels}, {self.num_parts}"


class HorizontalParts(nn.Module):
    """Horizontal stripes of equal height as parts: an ablation of `PartMiner`, and PCB's parts.

    Equation: part i is the mean of rows `floor(i·h / p)` to `ceil((i + 1)·h / p)`, as in adaptive pooling: stripes
    share a row where p does not divide h, and none is empty.

    Args:
        num_parts: `p`.

    Shape: feature_map (b, c, h, w) → MinedParts(features (b, p, c), selection (b, t, p)).

    Raises: ValueError for bad settings, or a feature map of another rank or type.

    Reference: CAL (ICCV 2023), ablation "DRM replaced by horizontal partition".

    >>> HorizontalParts(2)(torch.arange(4.0).reshape(1, 1, 4, 1)).features[0].tolist()
    [[0.5], [2.5]]
    """

    def __init__(self, num_parts: int) -> None:
        super().__init__()
        check_positive("HorizontalParts", num_parts=num_parts)
        self.num_parts = num_parts

    def reset_parameters(self) -> None:
        """Nothing is learnt here."""

    def forward(self, feature_map: Float[Tensor, "b c h w"]) -> MinedParts:
        sizes = check_shapes("HorizontalParts", feature_map=(feature_map, "b c h w"))
        check_floating("HorizontalParts", feature_map=feature_map)
        b, h, w, p = sizes["b"], sizes["h"], sizes["w"], self.num_parts
        stripes = feature_map.new_zeros(h, p)
        for part in range(p):
            first, last = part * h // p, math.ceil((part + 1) * h / p)
            stripes[first:last, part] = 1 / max((last - first) * w, 1)
        selection = stripes[:, None, :].expand(h, w, p).reshape(1, h * w, p).expand(b, -1, -1)
        return MinedParts(aggregate_tokens(to_tokens(feature_map), selection), selection)

    def extra_repr(self) -> str:
        return f"{self.num_parts}"
