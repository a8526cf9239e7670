"""L_div: no two parts may choose the same tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from concordant._checks import check_floating, check_shapes
from concordant._precision import full_precision, upcast
from concordant._reduce import Reduction, check_reduction


def diversity_loss(selection: Float[Tensor, "b t p"], *, cosine: bool = False, reduction: Reduction = "mean") -> Tensor:
    """How much the parts' selections overlap, over all pairs of parts.

    Equation: `L_div = Σ_{i<j} (Ŝᵀ Ŝ)_{ij}`, summed over the images of the batch. It is zero exactly when no token is
    chosen by two parts.

    Args:
        selection: Ŝ, (b, t, p), of `TopKAggregator`; any other maps of parts over tokens, attention too.
        cosine: each part's map is first divided by its norm. Not in the source: the equation's values are about
            `1/t` times smaller than the other losses', and depend on the size of the grid; cosines do not.
        reduction: "sum" is the equation; "mean" divides by the number of images and of pairs; "none" gives the
            sum over pairs for each image, (b,).

    Shape: → (), or (b,).

    Raises: ValueError for another shape or type.

    Reference: CAL (ICCV 2023), diversity constraint.

    >>> diversity_loss(torch.tensor([[[0.5, 0.0], [0.5, 1.0]]]), reduction="sum").item()
    0.5
    """
    check_reduction("diversity_loss", reduction)
    sizes = check_shapes("diversity_loss", selection=(selection, "b t p"))
    check_floating("diversity_loss", selection=selection)
    with full_precision(selection):
        maps = upcast(selection)
        if cosine:
            norm = torch.linalg.vector_norm(maps, dim=1, keepdim=True)
            maps = maps / norm.clamp_min(torch.finfo(maps.dtype).tiny)
        overlap = (maps.transpose(1, 2) @ maps).triu(diagonal=1).sum(dim=(1, 2))
        if reduction == "none":
            return overlap
        if reduction == "sum":
            return overlap.sum()
        pairs = sizes["p"] * (sizes["p"] - 1) // 2
        return overlap.sum() / max(sizes["b"] * pairs, 1)


class DiversityLoss(nn.Module):
    """No two parts may choose the same tokens: see `functional.diversity_loss`.

    Equation: `L_div = Σ_{i<j} (Ŝᵀ Ŝ)_{ij}`, summed over the images of the batch.

    Args:
        cosine: compare directions of maps only (ours; off in the equation).
        reduction: "sum" is the equation; "mean" divides by the number of images and of pairs; "none" gives one value
            an image.

    Shape: selection (b, t, p) → (), or (b,).

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

    def forward(self, selection: Float[Tensor, "b t p"]) -> Tensor:
        return diversity_loss(selection, cosine=self.cosine, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"cosine={self.cosine}, reduction={self.reduction!r}"
