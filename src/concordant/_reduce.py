"""The three reductions that every loss takes."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from concordant._checks import check_choice

Reduction = Literal["mean", "sum", "none"]


def check_reduction(who: str, reduction: str) -> None:
    """Check the name of a reduction."""
    check_choice(who, "reduction", reduction, ("mean", "sum", "none"))


def reduce(terms: Tensor, reduction: Reduction) -> Tensor:
    """Reduce the terms of a loss; the mean of no terms is zero, with a gradient."""
    if reduction == "none":
        return terms
    if reduction == "sum":
        return terms.sum()
    return terms.sum() / max(terms.numel(), 1)
