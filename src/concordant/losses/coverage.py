"""The parts together lie where the tokens matter."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from concordant._checks import checked
from concordant._module import Module
from concordant._precision import full_precision, upcast
from concordant._reduce import Reduction, check_reduction, reduce

_SMALLEST = 1e-6
"""Lower bound of a probability whose logarithm is taken."""


@checked()
def coverage_loss(
    maps: Float[Tensor, "b p t"], saliency: Float[Tensor, "b t"], *, reduction: Reduction = "mean"
) -> Tensor:
    """How far the mean map of an image's parts is from the saliency of its tokens.

    Equation: `L = Σ_i KL(g_i ‖ (1/p) Σ_p A_ip)`, `g = s² / Σ_t s_t²`.

    Args:
        maps: A, (b, p, t), each map positive with sum 1 over tokens.
        saliency: s, (b, t), not negative, as `CALOutput` has it. Its square is the more decided.
        reduction: "sum" is the equation; "mean" divides by the number of images; "none" gives (b,).

    Shape: → (), or (b,).

    Raises: ValueError for shapes or types that do not fit.

    Edge cases: probabilities below 1e-6 count as that; an image whose saliency is zero everywhere costs nothing.

    Reference: none; our addition.

    >>> import torch
    >>> coverage_loss(torch.eye(2)[None], torch.tensor([[0.7, 0.7]])).item()
    0.0
    """
    check_reduction("coverage_loss", reduction)
    with full_precision(maps):
        wanted = upcast(saliency).square()
        wanted = wanted / wanted.sum(dim=1, keepdim=True).clamp_min(_SMALLEST)
        covered = upcast(maps).mean(dim=1).clamp_min(_SMALLEST)
        terms = wanted * (wanted.clamp_min(_SMALLEST).log() - covered.log())
        return reduce(terms.sum(dim=1), reduction)


class CoverageLoss(Module[Tensor]):
    """The parts together lie where the tokens matter: see `functional.coverage_loss`.

    Equation: `L = Σ_i KL(g_i ‖ (1/p) Σ_p A_ip)`, `g = s² / Σ_t s_t²`.

    Args:
        reduction: "sum" is the equation; "mean" divides by the number of images; "none" gives each image's term.

    Shape: maps (b, p, t), saliency (b, t) → (), or (b,).

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

    def forward(self, maps: Float[Tensor, "b p t"], saliency: Float[Tensor, "b t"]) -> Tensor:
        return coverage_loss(maps, saliency, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"
