"""The hetero-center loss: an identity's centers in both modalities belong together."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import checked
from concordant._mask import keep
from concordant._module import Module
from concordant._precision import full_precision, unit, upcast
from concordant._reduce import Reduction, check_reduction


@checked()
def hetero_center_loss(
    features: Float[Tensor, "n p c"],
    labels: Int[Tensor, "n"],
    modality: Int[Tensor, "n"],
    *,
    part_mask: Bool[Tensor, "n p"] | None = None,
    l2_normalize: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Pull an identity's two modality centers together, part by part.

    Equation: `L_hc = Σ_y Σ_k ‖c⁰_yk − c¹_yk‖²` over the identities y that have rows of both modalities, and the parts
    k; `cᵐ_yk` is the mean of part k over the rows of identity y and modality m.

    Args:
        features: (n, p, c). A batch of global features is (n, 1, c).
        labels: (n,) identities.
        modality: (n,) integers, 0 or 1.
        part_mask: (n, p), True for a real part: `cᵐ_yk` is the mean over the rows whose part k is real, and a pair
            (y, k) counts where both modalities have such a row.
        l2_normalize: divide each part's feature by its norm first. Off in the equation.
        reduction: "sum" is the equation; "mean" divides by the number of pairs (y, k), at least 1; "none" gives (n, p):
            each row has its identity's terms over the number of that identity's rows (whose part k is real), so that
            they sum to "sum".

    Shape: → (), or (n, p).

    Raises: ValueError for shapes or types that do not fit, or another reduction.

    Edge cases: an identity of one modality adds nothing; a batch without an identity of both gives zero.

    Reference: Zhu et al., Hetero-Center Loss for Cross-Modality Person Re-identification (Neurocomputing 2020).

    >>> features = torch.tensor([[[0.0]], [[2.0]], [[4.0]], [[7.0]]])
    >>> labels, modality = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1])
    >>> hetero_center_loss(features, labels, modality, reduction="sum").item()
    9.0
    """
    check_reduction("hetero_center_loss", reduction)
    with full_precision(features):
        x = keep(upcast(features), part_mask)
        x = unit(x) if l2_normalize else x
        labels, modality = labels.long(), modality.long()
        real = labels.new_ones(labels.shape[0], 1, dtype=torch.bool) if part_mask is None else part_mask
        same = (labels[:, None] == labels) & real.T[:, None]  # (p, n, n): the rows j of i's identity, part by part
        sides = [(same & (modality == kind)).to(x.dtype) for kind in (0, 1)]
        counts = [side.sum(dim=2) for side in sides]
        first, second = (side / count.clamp_min(1)[:, :, None] for side, count in zip(sides, counts, strict=True))
        apart = ((first - second) @ x.transpose(0, 1)).transpose(0, 1)
        paired = ((counts[0] > 0) & (counts[1] > 0)).T & real
        # A row stands for its identity in proportion, so that each identity counts once.
        share = (paired / same.to(x.dtype).sum(dim=2).clamp_min(1).T).expand(x.shape[:2])
        terms = share * apart.square().sum(dim=2)
        if reduction == "none":
            return terms
        return terms.sum() if reduction == "sum" else terms.sum() / share.sum().clamp_min(1)


class HeteroCenterLoss(Module[Tensor]):
    """Pull an identity's two modality centers together: see `functional.hetero_center_loss`.

    Equation: `L_hc = Σ_y Σ_k ‖c⁰_yk − c¹_yk‖²` over identities y and parts k.

    Args:
        l2_normalize: divide each part's feature by its norm first. Off in the equation.
        reduction: "sum" is the equation; "mean" divides by the number of pairs (y, k); "none" gives each row its share
            of its identity's terms.

    Shape: features (n, p, c), labels (n,), modality (n,), and `part_mask` (n, p) as a keyword → (), or (n, p).

    Raises: ValueError for another reduction, or shapes or types that do not fit.

    Reference: Zhu et al., Hetero-Center Loss for Cross-Modality Person Re-identification (Neurocomputing 2020).

    >>> features, labels = torch.tensor([[[3.0, 0.0]], [[0.0, 4.0]]]), torch.tensor([5, 5])
    >>> HeteroCenterLoss()(features, labels, torch.tensor([0, 1])).item()
    25.0
    """

    def __init__(self, *, l2_normalize: bool = False, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("HeteroCenterLoss", reduction)
        self.l2_normalize = l2_normalize
        self.reduction: Reduction = reduction

    def forward(
        self,
        features: Float[Tensor, "n p c"],
        labels: Int[Tensor, "n"],
        modality: Int[Tensor, "n"],
        *,
        part_mask: Bool[Tensor, "n p"] | None = None,
    ) -> Tensor:
        return hetero_center_loss(
            features,
            labels,
            modality,
            part_mask=part_mask,
            l2_normalize=self.l2_normalize,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return f"l2_normalize={self.l2_normalize}, reduction={self.reduction!r}"
