"""The three reductions that every loss takes."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from concordant._checks import check_choice

Reduction = Literal["mean", "sum", "none"]


def check_reduction(who: str, reduction: str) -> None:
    """Check the name of a reduction."""
    check_choice(who, "reduction", reduction, ("mean", "sum", "none"))


def reduce(terms: Tensor, reduction: Reduction, *, real: Tensor | None = None) -> Tensor:
    """Reduce the terms of a loss, (b, …); the mean of no terms is zero, with a gradient.

    Where `real` is False, terms are zero and are not counted. It is of the terms' first dimensions.
    """
    count: Tensor | int = max(terms.numel(), 1)
    if real is not None:
        counted = real.view(*real.shape, *[1] * (terms.dim() - real.dim())).expand_as(terms)
        terms = terms.where(counted, 0.0)
        count = counted.sum().clamp_min(1)
    if reduction == "none":
        return terms
    return terms.sum() if reduction == "sum" else terms.sum() / count
