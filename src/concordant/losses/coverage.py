"""The parts together lie where the tokens matter."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from concordant._checks import checked
from concordant._mask import keep_maps
from concordant._module import Module
from concordant._precision import full_precision, upcast
from concordant._reduce import Reduction, check_reduction, reduce

_SMALLEST = 1e-6
"""Lower bound of a probability whose logarithm is taken."""


@checked()
def coverage_loss(
    maps: Float[Tensor, "b p t"],
    saliency: Float[Tensor, "b t"],
    *,
    mask: Bool[Tensor, "b t"] | None = None,
    part_mask: Bool[Tensor, "b p"] | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """How far the mean map of an image's parts is from the saliency of its tokens.

    Equation: `L = Σ_i KL(g_i ‖ (1/p) Σ_p A_ip)`, `g = s² / Σ_t s_t²`.

    Args:
        maps: A, (b, p, t), each map positive with sum 1 over tokens.
        saliency: s, (b, t), not negative, as `CALOutput` has it. Its square is the more decided.
        mask: (b, t), True for a real token: padding is not salient.
        part_mask: (b, p), True for a real part: the mean map is that of the real ones.
        reduction: "sum" is the equation; "mean" divides by the number of images that have a real token and a real
            part; "none" gives (b,).

    Shape: → (), or (b,).

    Raises: ValueError for shapes or types that do not fit.

    Edge cases: probabilities below 1e-6 count as that; an image whose saliency is zero everywhere costs nothing. An
    image without a real token or without a real part takes no part: its term is zero.

    Reference: none; our addition.

    >>> import torch
    >>> coverage_loss(torch.eye(2)[None], torch.tensor([[0.7, 0.7]])).item()
    0.0
    """
    check_reduction("coverage_loss", reduction)
    with full_precision(maps):
        real = [given for given in (mask, part_mask) if given is not None]
        salient = upcast(saliency) if mask is None else torch.where(mask, upcast(saliency), 0.0)
        wanted = salient.square()
        wanted = wanted / wanted.sum(dim=1, keepdim=True).clamp_min(_SMALLEST)
        parts = maps.shape[1] if part_mask is None else part_mask.sum(dim=1, keepdim=True).clamp_min(1)
        covered = (keep_maps(upcast(maps), part_mask, mask).sum(dim=1) / parts).clamp_min(_SMALLEST)
        terms = wanted * (wanted.clamp_min(_SMALLEST).log() - covered.log())
        some = torch.stack([given.any(dim=1) for given in real]).all(dim=0) if real else None
        return reduce(terms.sum(dim=1), reduction, real=some)


class CoverageLoss(Module[Tensor]):
    """The parts together lie where the tokens matter: see `functional.coverage_loss`.

    Equation: `L = Σ_i KL(g_i ‖ (1/p) Σ_p A_ip)`, `g = s² / Σ_t s_t²`.

    Args:
        reduction: "sum" is the equation; "mean" divides by the number of images; "none" gives each image's term.

    Shape: maps (b, p, t), saliency (b, t), and `mask` (b, t) and `part_mask` (b, p) as keywords → (), or (b,).

    Raises: ValueError for another reduction, or shapes or types that do not fit.

    Reference: none; our addition.

    >>> import torch
    >>> round(CoverageLoss()(torch.tensor([[[0.5, 0.5]]]), torch.tensor([[1.0, 0.0]])).item(), 4)
    0.6931
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("CoverageLoss", reduction)
        self.reduction: Reduction = reduction

    def forward(
        self,
        maps: Float[Tensor, "b p t"],
        saliency: Float[Tensor, "b t"],
        *,
        mask: Bool[Tensor, "b t"] | None = None,
        part_mask: Bool[Tensor, "b p"] | None = None,
    ) -> Tensor:
        return coverage_loss(maps, saliency, mask=mask, part_mask=part_mask, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"
