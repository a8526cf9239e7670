"""L_dis: every mined part must tell identities apart."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from concordant._checks import check_floating, check_integral, check_shapes
from concordant._precision import full_precision, upcast
from concordant._reduce import Reduction, check_reduction, reduce


def discriminative_loss(
    logits: Float[Tensor, "b p k"], labels: Int[Tensor, "b"], *, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy of each part's own classifier.

    Equation: `L_dis = −Σ_i log softmax(Φ_i(P_i))_y`, summed over the images of the batch.

    Args:
        logits: (b, p, k) of `PartClassifier`.
        labels: (b,) identities in 0 … k − 1.
        reduction: "sum" is the equation; "mean" divides by the b·p terms; "none" gives them, (b, p).

    Shape: → (), or (b, p).

    Raises: ValueError for shapes or types that do not fit.

    Reference: CAL (ICCV 2023), saliency constraint.

    >>> import torch
    >>> round(discriminative_loss(torch.zeros(2, 3, 4), torch.tensor([0, 1]), reduction="sum").item(), 4)
    8.3178
    """
    check_reduction("discriminative_loss", reduction)
    sizes = check_shapes("discriminative_loss", logits=(logits, "b p k"), labels=(labels, "b"))
    check_floating("discriminative_loss", logits=logits)
    check_integral("discriminative_loss", labels=labels)
    with full_precision(logits):
        targets = labels.long()[:, None].expand(-1, sizes["p"])
        terms = F.cross_entropy(upcast(logits).flatten(0, 1), targets.flatten(), reduction="none")
        return reduce(terms.view(sizes["b"], sizes["p"]), reduction)


class DiscriminativeLoss(nn.Module):
    """Every part must tell identities apart: see `functional.discriminative_loss`.

    Equation: `L_dis = −Σ_i log softmax(Φ_i(P_i))_y`, summed over the images of the batch.

    Args:
        reduction: "sum" is the equation; "mean" divides by the b·p terms; "none" gives them.

    Shape: logits (b, p, k), labels (b,) → (), or (b, p).

    Raises: ValueError for another reduction, or shapes or types that do not fit.

    Reference: CAL (ICCV 2023), saliency constraint.

    >>> import torch
    >>> round(DiscriminativeLoss()(torch.zeros(2, 3, 4), torch.tensor([0, 1])).item(), 4)
    1.3863
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("DiscriminativeLoss", reduction)
        self.reduction: Reduction = reduction

    def forward(self, logits: Float[Tensor, "b p k"], labels: Int[Tensor, "b"]) -> Tensor:
        return discriminative_loss(logits, labels, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"
