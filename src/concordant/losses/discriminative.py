"""L_dis: every mined part must tell identities apart."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import check_number, checked
from concordant._mask import keep
from concordant._module import Module
from concordant._precision import full_precision, upcast
from concordant._reduce import Reduction, check_reduction, reduce

_NO_LABEL = -(1 << 62)
"""torch leaves out rows of one label, −100 unless told otherwise: here that is an error as any other negative one."""


@checked()
def discriminative_loss(
    logits: Float[Tensor, "b p k"],
    labels: Int[Tensor, "b"],
    *,
    part_mask: Bool[Tensor, "b p"] | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross-entropy of each part's own classifier.

    Equation: `L_dis = −Σ_i log softmax(Φ_i(P_i))_y`, summed over the images of the batch.

    Args:
        logits: (b, p, k) of `PartClassifier`.
        labels: (b,) identities in 0 … k − 1.
        part_mask: (b, p), True for a real part. Padding has no term.
        label_smoothing: the share of the target that all k identities have in equal parts. Our addition.
        reduction: "sum" is the equation; "mean" divides by the b·p terms, or those of real parts; "none" gives them,
            (b, p).

    Shape: → (), or (b, p).

    Raises: ValueError for shapes or types that do not fit.

    Reference: CAL (ICCV 2023), saliency constraint.

    >>> import torch
    >>> round(discriminative_loss(torch.zeros(2, 3, 4), torch.tensor([0, 1]), reduction="sum").item(), 4)
    8.3178
    """
    check_reduction("discriminative_loss", reduction)
    check_number("discriminative_loss", label_smoothing=label_smoothing, at_least=0, below=1)
    with full_precision(logits):
        targets = labels.long()[:, None].expand(logits.shape[:2])
        terms = F.cross_entropy(
            keep(upcast(logits), part_mask).flatten(0, 1),
            targets.flatten(),
            ignore_index=_NO_LABEL,
            label_smoothing=label_smoothing,
            reduction="none",
        )
        return reduce(terms.view(targets.shape), reduction, real=part_mask)


class DiscriminativeLoss(Module[Tensor]):
    """Every part must tell identities apart: see `functional.discriminative_loss`.

    Equation: `L_dis = −Σ_i log softmax(Φ_i(P_i))_y`, summed over the images of the batch.

    Args:
        label_smoothing: the share of the target that all k identities have in equal parts (our addition).
        reduction: "sum" is the equation; "mean" divides by the b·p terms; "none" gives them.

    Shape: logits (b, p, k), labels (b,), and `part_mask` (b, p) as a keyword → (), or (b, p).

    Raises: ValueError for another reduction, or shapes or types that do not fit.

    Reference: CAL (ICCV 2023), saliency constraint.

    >>> import torch
    >>> round(DiscriminativeLoss()(torch.zeros(2, 3, 4), torch.tensor([0, 1])).item(), 4)
    1.3863
    """

    def __init__(self, *, label_smoothing: float = 0.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("DiscriminativeLoss", reduction)
        check_number("DiscriminativeLoss", label_smoothing=label_smoothing, at_least=0, below=1)
        self.label_smoothing = label_smoothing
        self.reduction: Reduction = reduction

    def forward(
        self,
        logits: Float[Tensor, "b p k"],
        labels: Int[Tensor, "b"],
        *,
        part_mask: Bool[Tensor, "b p"] | None = None,
    ) -> Tensor:
        return discriminative_loss(
            logits, labels, part_mask=part_mask, label_smoothing=self.label_smoothing, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        return f"label_smoothing={self.label_smoothing}, reduction={self.reduction!r}"
