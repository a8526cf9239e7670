"""L_pcl: the part-aligned center loss."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import check_number, checked, require
from concordant._distance import pairwise_distances
from concordant._look import may_look
from concordant._mask import drop_full, keep
from concordant._module import Module
from concordant._precision import check_types, full_precision, lengths, unit, upcast
from concordant._reduce import Reduction, check_reduction, reduce


@checked()
def part_center_loss(
    own: Float[Tensor, "n p c"],
    cross: Float[Tensor, "n p c"],
    labels: Int[Tensor, "n"],
    modality: Int[Tensor, "n"],
    *,
    part_mask: Bool[Tensor, "n p"] | None = None,
    margin: float = 0.3,
    l2_normalize: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Gather cross-refined parts at their own modality's centers, and push the centers of identities apart.

    Equation::

        L_pcl = Σ_{i,j} [y_i = y_j, m_i = m_j] ‖cross_i − c_j‖₂
              + Σ_{i,j} [y_i ≠ y_j, m_i ≥ m_j] (σ − ‖c_i − c_j‖₂)₊

    over the rows i, j of the batch; `c_i` is the mean of `own` over the rows of i's identity and modality. Distances
    are taken part by part, and averaged over the parts. These are the paper's five terms: g on VI and IV, s on IV,
    II and VV.

    Args:
        own: (n, p, c): row i's parts refined on its own tokens.
        cross: (n, p, c): the same parts refined on tokens of the other modality.
        labels: y, (n,), identities.
        modality: m, (n,), of each row's own image, so of its queries.
        part_mask: (n, p), True for a real part of row i. A center's part is the mean over the rows whose part is real,
            and a distance is averaged over the parts that are real on both of its sides.
        margin: σ, in the units of the features.
        l2_normalize: divide each part's feature by its norm first, so that σ means the same for any backbone
            (distances are then at most 2). Our addition.
        reduction: "sum" is the equation; "none" gives the terms of its pairs (i, j), (n, n). As there are two kinds of
            pairs, which differ in number, "mean" is the mean of the first sum plus the mean of the second.

    Shape: → (), or (n, n).

    Raises: ValueError for shapes or types that do not fit, or a negative margin.

    Edge cases: an identity missing from one modality has one center; a batch of one identity has no second sum; an
    empty batch gives zero. A row without a real part, and a pair of centers that share none, take no part: their terms
    are zero, and "mean" does not count them. At zero distance the gradient is zero. Distances of centers below 1e-7 of
    their norms are rounding, and count as zero.

    Reference: CAL (ICCV 2023), part-aligned metric learning, PCL.

    >>> own = torch.tensor([[[0.0]], [[1.0]]])
    >>> labels, modality = torch.tensor([0, 1]), torch.tensor([0, 0])
    >>> round(part_center_loss(own, own + 0.5, labels, modality, margin=3.0, reduction="sum").item(), 4)
    5.0
    """
    check_reduction("part_center_loss", reduction)
    check_number("part_center_loss", margin=margin, at_least=0)
    check_types("part_center_loss", own=own, cross=cross)
    require(own.shape[1] > 0, "part_center_loss", "`own` must have parts", "none")
    labels, modality, part_mask = labels.long(), modality.long(), drop_full(part_mask)
    with full_precision(own):
        own, cross = (keep(upcast(x), part_mask) for x in (own, cross))
        own, cross = (unit(x) if l2_normalize else x for x in (own, cross))
        same = labels[:, None] == labels
        near = same & (modality[:, None] == modality)
        apart = ~same & (modality[:, None] >= modality)
        rows, group = _representatives(near)
        members = near[rows].to(own.dtype)
        if part_mask is None:
            shares = members / members.sum(dim=1, keepdim=True)
            centers = (shares @ own.flatten(1)).view(len(rows), *own.shape[1:])
            pull = lengths(cross - centers[group]).mean(dim=1)
            push = (margin - pairwise_distances(centers.transpose(0, 1))).relu().mean(dim=0)[group][:, group]
        else:
            counts = members @ part_mask.to(own.dtype)
            sums = (members @ own.flatten(1)).view(len(rows), *own.shape[1:])
            centers, known = sums / counts.clamp_min(1)[:, :, None], (counts > 0).T
            pull = _mean(lengths(cross - centers[group]), part_mask, dim=1)
            both = known[:, :, None] & known[:, None]
            hinged = (margin - pairwise_distances(centers.transpose(0, 1))).relu()
            push = _mean(hinged, both, dim=0)[group][:, group]
            some = part_mask.any(dim=1)
            near, apart = (pairs & some[:, None] & some for pairs in (near, apart))
            apart = apart & both.any(dim=0)[group][:, group]
        pulls, pushes = near * pull[:, None], apart * push
        if reduction == "mean":
            return pulls.sum() / near.sum().clamp_min(1) + pushes.sum() / apart.sum().clamp_min(1)
        return reduce(pulls + pushes, reduction)


def _mean(values: Tensor, real: Tensor, dim: int) -> Tensor:
    """The mean of the real values; zero where there is none."""
    return torch.where(real, values, 0.0).sum(dim=dim) / real.sum(dim=dim).clamp_min(1)


def _representatives(near: Bool[Tensor, "n n"]) -> tuple[Int[Tensor, "g"], Int[Tensor, "n"]]:
    """A row of each identity and modality, and which of them stands for each row.

    How many there are is a value: where it may not be looked at, all rows are taken.
    """
    rows = torch.arange(len(near), device=near.device)
    if not may_look(near) or len(rows) == 0:
        return rows, rows
    first, group = torch.unique(near.byte().argmax(dim=1), return_inverse=True)
    return first, group


class PartCenterLoss(Module[Tensor]):
    """The part-aligned center loss: see `functional.part_center_loss` for the equation, letter by letter.

    Equation: `Σ [y_i = y_j, m_i = m_j] ‖cross_i − c_j‖₂ + Σ [y_i ≠ y_j, m_i ≥ m_j] (σ − ‖c_i − c_j‖₂)₊`.

    Args:
        margin: σ, in the units of the features.
        l2_normalize: divide each part's feature by its norm first (our addition; off in the equation).
        reduction: "sum" is the equation; "mean" divides each of the two sums by the number of its pairs; "none" gives
            the pairs' terms.

    Shape: own (n, p, c), cross (n, p, c), labels (n,), modality (n,), and `part_mask` (n, p) as a keyword → (), or
    (n, n).

    Raises: ValueError for a negative margin, another reduction, or shapes or types that do not fit.

    Where the paper is silent: σ is not published.

    Reference: CAL (ICCV 2023), part-aligned metric learning, PCL.

    >>> loss = PartCenterLoss(margin=0.3)
    >>> own, labels, modality = torch.randn(4, 6, 8), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    >>> loss(own, own, labels, modality).item()
    0.0
    """

    def __init__(self, *, margin: float = 0.3, l2_normalize: bool = False, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("PartCenterLoss", reduction)
        check_number("PartCenterLoss", margin=margin, at_least=0)
        self.margin, self.l2_normalize = margin, l2_normalize
        self.reduction: Reduction = reduction

    def forward(
        self,
        own: Float[Tensor, "n p c"],
        cross: Float[Tensor, "n p c"],
        labels: Int[Tensor, "n"],
        modality: Int[Tensor, "n"],
        *,
        part_mask: Bool[Tensor, "n p"] | None = None,
    ) -> Tensor:
        return part_center_loss(
            own,
            cross,
            labels,
            modality,
            part_mask=part_mask,
            margin=self.margin,
            l2_normalize=self.l2_normalize,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return f"margin={self.margin}, l2_normalize={self.l2_normalize}, reduction={self.reduction!r}"
