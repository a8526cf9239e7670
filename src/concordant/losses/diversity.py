"""L_div: no two parts may choose the same tokens."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from concordant._checks import checked
from concordant._mask import keep_maps
from concordant._module import Module
from concordant._precision import full_precision, unit, upcast
from concordant._reduce import Reduction, check_reduction, reduce


@checked()
def diversity_loss(
    maps: Float[Tensor, "b p t"],
    *,
    mask: Bool[Tensor, "b t"] | None = None,
    part_mask: Bool[Tensor, "b p"] | None = None,
    cosine: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """How much the parts' maps overlap, over all pairs of parts.

    Equation: `L_div = Σ_{i<j} (Ŝ Ŝᵀ)_{ij}`, summed over the images of the batch. It is zero exactly when no token is
    chosen by two parts.

    Args:
        maps: Ŝ, (b, p, t), of `TopKAggregator`; or any other maps of parts over tokens, such as attention.
        mask: (b, t), True for a real token.
        part_mask: (b, p), True for a real part: pairs are those of two real parts.
        cosine: divide each map by its norm first. Our addition: the equation's values are about `1/t` times those of
            the other losses, and depend on the size of the grid; cosines do not.
        reduction: "sum" is the equation; "mean" divides by the number of pairs, of real parts; "none" gives the pairs
            i < j of each image, (b, p·(p − 1)/2), in the order of `torch.triu_indices`.

    Shape: → (), or (b, p·(p − 1)/2).

    Raises: ValueError for another shape or type.

    Reference: CAL (ICCV 2023), diversity constraint.

    >>> diversity_loss(torch.tensor([[[0.5, 0.5], [0.0, 1.0]]]), reduction="sum").item()
    0.5
    """
    check_reduction("diversity_loss", reduction)
    with full_precision(maps):
        maps = keep_maps(upcast(maps), part_mask, mask)
        maps = unit(maps) if cosine else maps
        first, second = torch.triu_indices(maps.shape[1], maps.shape[1], 1, device=maps.device)
        real = None if part_mask is None else part_mask[:, first] & part_mask[:, second]
        return reduce((maps @ maps.transpose(1, 2))[:, first, second], reduction, real=real)


class DiversityLoss(Module[Tensor]):
    """No two parts may choose the same tokens: see `functional.diversity_loss`.

    Equation: `L_div = Σ_{i<j} (Ŝ Ŝᵀ)_{ij}`, summed over the images of the batch.

    Args:
        cosine: compare directions of maps only (our addition; off in the equation).
        reduction: "sum" is the equation; "mean" divides by the number of pairs; "none" gives each pair's term.

    Shape: maps (b, p, t), and `mask` (b, t) and `part_mask` (b, p) as keywords → (), or (b, p·(p − 1)/2).

    Raises: ValueError for another reduction, shape or type.

    Reference: CAL (ICCV 2023), diversity constraint.

    >>> DiversityLoss()(torch.eye(3)[None]).item()
    0.0
    """

    def __init__(self, *, cosine: bool = False, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("DiversityLoss", reduction)
        self.cosine = cosine
        self.reduction: Reduction = reduction

    def forward(
        self,
        maps: Float[Tensor, "b p t"],
        *,
        mask: Bool[Tensor, "b t"] | None = None,
        part_mask: Bool[Tensor, "b p"] | None = None,
    ) -> Tensor:
        return diversity_loss(maps, mask=mask, part_mask=part_mask, cosine=self.cosine, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"cosine={self.cosine}, reduction={self.reduction!r}"
