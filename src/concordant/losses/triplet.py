"""The weighted-regularised triplet loss: an identity's rows together, the others apart, harder ones more."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import checked
from concordant._distance import pairwise_distances
from concordant._module import Module
from concordant._precision import full_precision, upcast
from concordant._reduce import Reduction, check_reduction, reduce

_EXACT = 40.0
"""Above it, softplus is its argument in float64 too; torch's own bound of 20 is for float32."""


@checked()
def weighted_triplet_loss(
    features: Float[Tensor, "n c"], labels: Int[Tensor, "n"], *, reduction: Reduction = "mean"
) -> Tensor:
    """Pull the rows of an identity together and push others away, with more weight on the harder ones.

    Equation: `L_i = softplus(Σ_j w⁺_ij d_ij − Σ_k w⁻_ik d_ik)`, d the Euclidean distances, over the other rows j of i's
    identity and the rows k of other identities; `w⁺_ij = exp(d_ij) / Σ_j exp(d_ij)`, `w⁻_ik = exp(−d_ik) / Σ_k
    exp(−d_ik)`. There is no margin.

    Args:
        features: (n, c). Not normalized here: weights and distances depend on the features' scale.
        labels: (n,) identities.
        reduction: "sum" is the sum over the rows; "mean" divides by the number of rows that take part (at least 1);
            "none" gives the rows' terms, (n,).

    Shape: → (), or (n,).

    Raises: ValueError for shapes or types that do not fit, or another reduction.

    Edge cases: a row without another row of its identity, or without one of another identity, takes no part: its term
    is zero. Gradients are finite at zero distance.

    Reference: Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook (AGW, TPAMI 2021).

    >>> features, labels = torch.tensor([[0.0], [1.0], [3.0], [3.0]]), torch.tensor([0, 0, 1, 1])
    >>> [round(term, 4) for term in weighted_triplet_loss(features, labels, reduction="none").tolist()]
    [0.1269, 0.3133, 0.0984, 0.0984]
    """
    check_reduction("weighted_triplet_loss", reduction)
    labels = labels.long()
    with full_precision(features):
        distance = pairwise_distances(upcast(features))
        same = labels[:, None] == labels
        near, far = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same
        complete = near.any(dim=1) & far.any(dim=1)
        weights = _weights(distance, near, complete) - _weights(-distance, far, complete)
        terms = F.softplus((weights * distance).sum(dim=1), threshold=_EXACT)
        return reduce(terms, reduction, real=complete)


def _weights(logits: Float[Tensor, "n n"], chosen: Bool[Tensor, "n n"], complete: Bool[Tensor, "n"]) -> Tensor:
    """Softmax over the chosen ones of each row. Rows that take no part keep all: a softmax over nothing is NaN."""
    return torch.where(chosen | ~complete[:, None], logits, float("-inf")).softmax(dim=1)


class WeightedTripletLoss(Module[Tensor]):
    """Pull the rows of an identity together and push others away: see `functional.weighted_triplet_loss`.

    Equation: `L_i = softplus(Σ_j w⁺_ij d_ij − Σ_k w⁻_ik d_ik)` for each row i.

    Args:
        reduction: "sum" is the sum over the rows; "mean" divides by the number of rows that take part; "none" gives
            the rows' terms.

    Shape: features (n, c), labels (n,) → (), or (n,).

    Raises: ValueError for another reduction, or shapes or types that do not fit.

    Reference: Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook (AGW, TPAMI 2021).

    >>> features, labels = torch.tensor([[0.0], [0.0], [9.0], [9.0]]), torch.tensor([0, 0, 1, 1])
    >>> round(WeightedTripletLoss()(features, labels).item(), 4)
    0.0001
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("WeightedTripletLoss", reduction)
        self.reduction: Reduction = reduction

    def forward(self, features: Float[Tensor, "n c"], labels: Int[Tensor, "n"]) -> Tensor:
        return weighted_triplet_loss(features, labels, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"
