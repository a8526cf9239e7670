"""Top-k aggregation: from scored tokens to part features."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import check_number, checked
from concordant._mask import drop_full
from concordant._module import Module
from concordant._precision import full_precision, upcast


class MinedParts(NamedTuple):
    """Parts found in images: what they look like, and where they were found."""

    features: Float[Tensor, "b p c"]
    """P: the mean of each part's selected tokens, weighted by their scores."""
    selection: Float[Tensor, "b p t"]
    """Ŝ: the scores of the selected tokens, zero elsewhere."""


def num_selected(tokens: int, parts: int, alpha: float) -> int:
    """`N_k = ceil(α·t / p)`, at most `t`: how many tokens each part keeps.

    >>> num_selected(72, 6, 1.0), num_selected(72, 5, 1.0), num_selected(4, 6, 1.0), num_selected(4, 1, 9.0)
    (12, 15, 1, 4)
    """
    return min(math.ceil(alpha * tokens / parts), tokens)


@checked()
def select_top_k(
    scores: Float[Tensor, "b p t"], alpha: float = 1.0, mask: Bool[Tensor, "b t"] | None = None
) -> Float[Tensor, "b p t"]:
    """Keep each part's highest scores and zero the rest: Ŝ.

    Equation: `Ŝ = top-k(S, N_k)`, `N_k = ceil(α·t / p)`, at most t, by the floating-point value of `α·t / p`.

    Among equal scores the earlier token is kept. A score of −∞ counts as zero.

    Args:
        scores: (b, p, t), of t tokens for p parts.
        alpha: α, the share of tokens that all parts together keep, counted with repetition.
        mask: (b, t), True for a real token: only these are kept, and counted by t in `N_k`.

    Shape: scores (b, p, t) → selection (b, p, t).

    Raises: ValueError for another shape or type, or an α that is not positive.

    Edge cases: in a row without any real token nothing is kept.

    Reference: CAL (ICCV 2023), salient region mining, "token selection and aggregation".

    >>> select_top_k(torch.tensor([[[0.125, 0.75, 0.25], [0.5, 0.25, 0.125]]]), alpha=0.5)[0].tolist()
    [[0.0, 0.75, 0.0], [0.5, 0.0, 0.0]]
    >>> select_top_k(torch.tensor([[[0.5, 0.25, 0.75]]]), mask=torch.tensor([[True, True, False]]))[0].tolist()
    [[0.5, 0.25, 0.0]]
    """
    check_number("select_top_k", alpha=alpha, above=0)
    _, parts, tokens = scores.shape
    if tokens == 0 or parts == 0:
        return scores
    mask = drop_full(mask)
    if mask is not None:
        scores = scores.where(mask[:, None], float("-inf"))
    # A stable sort, for torch.topk leaves open which of equal scores it takes.
    order, none = scores.argsort(dim=2, descending=True, stable=True), torch.zeros_like(scores, dtype=torch.bool)
    if mask is None:
        kept = none.scatter(2, order[:, :, : num_selected(tokens, parts, alpha)], True)
    else:
        places = torch.arange(tokens, device=scores.device)
        kept = none.scatter(2, order, (places < _num_selected(mask, parts, alpha)[:, None, None]).expand_as(order))
    return scores.where(kept & (scores > float("-inf")), 0.0)


def _num_selected(mask: Bool[Tensor, "b t"], parts: int, alpha: float) -> Int[Tensor, "b"]:
    """`num_selected` of each row's real tokens, in the same floating point: no row's number is read off the device."""
    number = mask.sum(dim=1)
    real = number.float() if mask.device.type == "mps" else number.double()  # which has no float64
    return torch.minimum((alpha * real / parts).ceil(), real).long()


@checked()
def aggregate_tokens(
    tokens: Float[Tensor, "b t c"], selection: Float[Tensor, "b p t"], mask: Bool[Tensor, "b t"] | None = None
) -> Float[Tensor, "b p c"]:
    """Average the tokens with the weights of a selection.

    Equation: `P = Ŝ T / Σ_j Ŝ_j`. A part whose weights add up to zero gets zeros.

    Args:
        tokens: T, (b, t, c).
        selection: Ŝ, (b, p, t), of `select_top_k`, or any other weights.
        mask: (b, t), True for a real token. Padding, any finite numbers, has no weight.

    Shape: tokens (b, t, c), selection (b, p, t) → features (b, p, c).

    Raises: ValueError for shapes that do not fit or integer types.

    Reference: CAL (ICCV 2023), salient region mining, "token selection and aggregation".

    >>> tokens = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> aggregate_tokens(tokens, torch.tensor([[[0.5, 0.0]]])).tolist()
    [[[1.0, 0.0]]]
    """
    with full_precision(tokens):
        selection, mask = upcast(selection), drop_full(mask)
        if mask is not None:
            selection = selection.where(mask[:, None], 0.0)
        total = selection.sum(dim=2, keepdim=True)
        counts = total != 0 if mask is None else (total != 0) & mask[:, None]
        weights = torch.where(counts, selection / torch.where(total != 0, total, 1.0), 0.0)
    return weights.to(tokens.dtype) @ tokens


class TopKAggregator(Module[MinedParts]):
    """Keep each part's best tokens, and average them into the part's feature.

    Equation: `P = Ŝ T / Σ_j Ŝ_j` with `Ŝ = top-k(S, N_k)` and `N_k = ceil(α·t / p)`, at most t.

    Args:
        alpha: α. With 1, the parts together keep as many tokens as there are.

    Shape: tokens (b, t, c), scores (b, p, t) → MinedParts(features (b, p, c), selection (b, p, t)). With a `mask`
    (b, t), True for the real tokens, t in `N_k` is each row's number of them, and padding is never selected.

    Raises: ValueError for an α that is not positive, shapes that do not fit, or integer types.

    Where the paper is silent: α is not published; 1 is our choice. Ties go to the earlier token.

    Reference: CAL (ICCV 2023), salient region mining, "token selection and aggregation".

    >>> tokens, scores = torch.randn(2, 12, 8), torch.rand(2, 3, 12)
    >>> mined = TopKAggregator(alpha=0.5)(tokens, scores)
    >>> mined.features.shape, (mined.selection > 0).sum(dim=2).tolist()
    (torch.Size([2, 3, 8]), [[2, 2, 2], [2, 2, 2]])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        check_number("TopKAggregator", alpha=alpha, above=0)
        self.alpha = alpha

    @checked()
    def forward(
        self,
        tokens: Float[Tensor, "b t c"],
        scores: Float[Tensor, "b p t"],
        mask: Bool[Tensor, "b t"] | None = None,
    ) -> MinedParts:
        selection = select_top_k(scores, self.alpha, mask)
        return MinedParts(aggregate_tokens(tokens, selection, mask), selection)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"
