"""Top-k aggregation: from scored tokens to part features."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from concordant._checks import check_alpha, check_floating, check_shapes
from concordant._precision import full_precision, upcast


class MinedParts(NamedTuple):
    """Parts found in images: what they look like, and where they were found."""

    features: Float[Tensor, "b p c"]
    """P: the mean of each part's selected tokens, weighted by their scores."""
    selection: Float[Tensor, "b t p"]
    """Ŝ: the scores of the selected tokens, zero elsewhere."""


def num_selected(tokens: int, parts: int, alpha: float) -> int:
    """`N_k = ceil(α·t / p)`, at most `t`: how many tokens each part keeps.

    >>> num_selected(72, 6, 1.0), num_selected(72, 5, 1.0), num_selected(4, 6, 1.0), num_selected(4, 1, 9.0)
    (12, 15, 1, 4)
    """
    return min(math.ceil(alpha * tokens / parts), tokens)


def select_top_k(scores: Float[Tensor, "b t p"], alpha: float = 1.0) -> Float[Tensor, "b t p"]:
    """Keep each part's highest scores and zero the rest: Ŝ.

    Equation: `Ŝ = top-k(S, N_k)`, `N_k = ceil(α·t / p)`, at most t, by the floating-point value of `α·t / p`.

    Among equal scores the earlier token is kept.

    Args:
        scores: (b, t, p) scores of t tokens for p parts.
        alpha: α, the share of tokens that all parts together keep, counted with repetition.

    Shape: scores (b, t, p) → selection (b, t, p).

    Raises: ValueError for another shape or type, or an α that is not positive.

    Reference: CAL (ICCV 2023), salient region mining, "token selection and aggregation".

    >>> select_top_k(torch.tensor([[[0.1, 0.6], [0.7, 0.3], [0.2, 0.1]]]), alpha=0.5)[0].tolist()
    [[0.0, 0.6000000238418579], [0.699999988079071, 0.0], [0.0, 0.0]]
    """
    sizes = check_shapes("select_top_k", scores=(scores, "b t p"))
    check_floating("select_top_k", scores=scores)
    check_alpha("select_top_k", alpha)
    if sizes["t"] == 0 or sizes["p"] == 0:
        return scores
    kept = num_selected(sizes["t"], sizes["p"], alpha)
    # A stable sort, for torch.topk leaves open which of equal scores it takes.
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :kept]
    return scores * torch.zeros_like(scores).scatter(1, order, 1.0)


def aggregate_tokens(tokens: Float[Tensor, "b t c"], selection: Float[Tensor, "b t p"]) -> Float[Tensor, "b p c"]:
    """Average the tokens with the weights of a selection.

    Equation: `P = Ŝᵀ T / Σ_j Ŝ_j`. A part with no weight at all gets zeros.

    Shape: tokens (b, t, c), selection (b, t, p) → features (b, p, c).

    Raises: ValueError for shapes that do not fit or integer types.

    Reference: CAL (ICCV 2023), salient region mining, "token selection and aggregation".

    >>> tokens = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> aggregate_tokens(tokens, torch.tensor([[[0.5], [0.0]]])).tolist()
    [[[1.0, 0.0]]]
    """
    check_shapes("aggregate_tokens", tokens=(tokens, "b t c"), selection=(selection, "b t p"))
    check_floating("aggregate_tokens", tokens=tokens, selection=selection)
    with full_precision(tokens):
        selection = upcast(selection)
        total = selection.sum(dim=1).clamp_min(torch.finfo(selection.dtype).tiny)
        weights = selection / total[:, None]
    return weights.to(tokens.dtype).transpose(1, 2) @ tokens


class TopKAggregator(nn.Module):
    """Keep each part's best tokens, and average them into the part's feature.

    Equation: `P = Ŝᵀ T / Σ_j Ŝ_j` with `Ŝ = top-k(S, N_k)` and `N_k = ceil(α·t / p)`, at most t.

    Args:
        alpha: α. With 1, the parts together keep as many tokens as there are.

    Shape: tokens (b, t, c), scores (b, t, p) → MinedParts(features (b, p, c), selection (b, t, p)).

    Raises: ValueError for an α that is not positive, shapes that do not fit, or integer types.

    Where the source is silent: α is not published; 1 is ours. Ties go to the earlier token.

    Reference: CAL (ICCV 2023), salient region mining, "token selection and aggregation".

    >>> tokens, scores = torch.randn(2, 12, 8), torch.rand(2, 12, 3)
    >>> mined = TopKAggregator(alpha=0.5)(tokens, scores)
    >>> mined.features.shape, (mined.selection > 0).sum(dim=1).tolist()
    (torch.Size([2, 3, 8]), [[2, 2, 2], [2, 2, 2]])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        check_alpha("TopKAggregator", alpha)
        self.alpha = alpha

    def forward(self, tokens: Float[Tensor, "b t c"], scores: Float[Tensor, "b t p"]) -> MinedParts:
        check_shapes("TopKAggregator", tokens=(tokens, "b t c"), scores=(scores, "b t p"))
        selection = select_top_k(scores, self.alpha)
        return MinedParts(aggregate_tokens(tokens, selection), selection)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"
