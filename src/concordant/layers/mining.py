"""Sources of part queries: mined from the image (DRM), learned, or cut in stripes."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from concordant._checks import as_sizes, checked
from concordant._mask import check_mask
from concordant._module import Module
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


class PartMiner(Module[MinedParts]):
    """Salient region mining (DRM): score the tokens for each part, keep the best, average them.

    Equation: `S = PartScorer(X)`, `P = Ŝ T / Σ_j Ŝ_j` with `Ŝ = top-k(S, ceil(α·t / p))`.

    Args:
        channels: `c` of the feature map.
        num_parts: `p`.
        alpha: see `TopKAggregator`.
        pool_sizes: see `PartScorer`.
        reduction_ratio: see `PartScorer`.

    Shape: a feature map (b, c, h, w) → MinedParts(features (b, p, c), selection (b, p, t)). With `pool_sizes=(1,)` also
    tokens (b, t, c). With a `mask` (b, t), True for the real tokens and of a grid row by row, parts are mined from
    these alone.

    Raises: ValueError as `PartScorer` and `TopKAggregator` do.

    Reference: CAL (ICCV 2023), salient region mining.

    >>> mined = PartMiner(8, num_parts=3)(torch.randn(2, 8, 4, 2))
    >>> mined.features.shape, mined.selection.shape
    (torch.Size([2, 3, 8]), torch.Size([2, 3, 8]))
    >>> words, mask = torch.randn(1, 4, 8), torch.tensor([[True, True, False, False]])
    >>> (PartMiner(8, num_parts=1, pool_sizes=(1,))(words, mask).selection > 0).tolist()
    [[[True, True, False, False]]]
    """

    def __init__(
        self,
        channels: int,
        num_parts: int,
        *,
        alpha: float = 1.0,
        pool_sizes: tuple[int, ...] = (1, 3, 5),
        reduction_ratio: int = 4,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.scorer = PartScorer(
            channels,
            num_parts,
            pool_sizes=pool_sizes,
            reduction_ratio=reduction_ratio,
            device=device,
            dtype=dtype,
        )
        self.aggregator = TopKAggregator(alpha)

    def reset_parameters(self) -> None:
        """Draw the scorer's weights anew."""
        self.scorer.reset_parameters()

    def forward(
        self,
        features: Float[Tensor, "b c h w"] | Float[Tensor, "b t c"],
        mask: Bool[Tensor, "b t"] | None = None,
    ) -> MinedParts:
        scores = self.scorer(features, mask)
        mined: MinedParts = self.aggregator(features if features.dim() == 3 else to_tokens(features), scores, mask)
        return mined


class LearnableParts(Module[MinedParts]):
    """Part queries that are parameters, the same for every image: an ablation of `PartMiner`.

    Equation: `P = W`, W (p, c) learned. They are mined nowhere, so their selection is even: `Ŝ = 1 / t`, t the
    number of real tokens.

    Learned queries are not on the tokens' scale. Instance normalisation with the tokens' statistics would enlarge them
    until each part attends to a single token: use `CAL(norm_source="parts")` with them.

    Args:
        channels: `c` of the feature map.
        num_parts: `p`.

    Shape: a feature map (b, c, h, w), or tokens (b, t, c), and a `mask` (b, t), True for the real tokens →
    MinedParts(features (b, p, c), selection (b, p, t)).

    Raises: ValueError for bad settings, or features of another rank, number of channels or type.

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
        self.channels, self.num_parts = as_sizes("LearnableParts", channels=channels, num_parts=num_parts)
        self.parts = nn.Parameter(torch.empty(self.num_parts, self.channels, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the queries from a normal distribution of unit variance."""
        nn.init.normal_(self.parts)

    @checked(c="channels")
    def forward(
        self,
        features: Float[Tensor, "b c h w"] | Float[Tensor, "b t c"],
        mask: Bool[Tensor, "b t"] | None = None,
    ) -> MinedParts:
        # Not `len`, which would fix the batch of an exported model.
        b, t = features.shape[0], features.shape[1] if features.dim() == 3 else features.shape[2] * features.shape[3]
        check_mask("LearnableParts", mask, t)
        if mask is None:
            selection = features.new_full((b, self.num_parts, t), 1 / max(t, 1))
        else:
            even = mask.to(features.dtype) / mask.sum(dim=1, keepdim=True).clamp_min(1)
            selection = even[:, None].expand(b, self.num_parts, t)
        return MinedParts(self.parts.to(features.dtype).expand(b, -1, -1), selection)

    def extra_repr(self) -> str:
        return f"{self.channels}, {self.num_parts}"


class HorizontalParts(Module[MinedParts]):
    """Horizontal stripes of equal height as parts: an ablation of `PartMiner`, and PCB's parts.

    Equation: part i is the mean of rows `floor(i·h / p)` to `ceil((i + 1)·h / p)`, as in adaptive pooling: stripes
    share a row where p does not divide h, and none is empty. With a `mask` the mean is that of the real tokens; a
    stripe without any is zero.

    Args:
        num_parts: `p`.

    Shape: a feature map (b, c, h, w), and a `mask` (b, t), True for the real tokens, row by row →
    MinedParts(features (b, p, c), selection (b, p, t)).

    Raises: ValueError for bad settings, or a feature map of another rank or type.

    Reference: CAL (ICCV 2023), ablation "DRM replaced by horizontal partition".

    >>> HorizontalParts(2)(torch.arange(4.0).reshape(1, 1, 4, 1)).features[0].tolist()
    [[0.5], [2.5]]
    """

    def __init__(self, num_parts: int) -> None:
        super().__init__()
        (self.num_parts,) = as_sizes("HorizontalParts", num_parts=num_parts)

    def reset_parameters(self) -> None:
        """No parameters."""

    @checked()
    def forward(self, feature_map: Float[Tensor, "b c h w"], mask: Bool[Tensor, "b t"] | None = None) -> MinedParts:
        (b, _, h, w), p = feature_map.shape, self.num_parts
        check_mask("HorizontalParts", mask, h * w)
        part, row = (torch.arange(n, device=feature_map.device) for n in (p, h))
        first, last = part * h // p, -(-(part + 1) * h // p)
        stripes = ((row >= first[:, None]) & (row < last[:, None])).to(feature_map.dtype)
        shares = stripes / ((last - first) * max(w, 1)).clamp_min(1)[:, None]
        selection = shares[:, :, None].expand(b, p, h, w).flatten(2)
        if mask is not None:
            selection = selection * mask[:, None]
            total = selection.sum(dim=2, keepdim=True)
            selection = selection / torch.where(total > 0, total, 1.0)
        return MinedParts(aggregate_tokens(to_tokens(feature_map), selection, mask), selection)

    def extra_repr(self) -> str:
        return f"{self.num_parts}"
