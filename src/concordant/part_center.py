"""L_pcl: the part-aligned center loss."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

from concordant._checks import check_floating, check_integral, check_shapes, require
from concordant._precision import full_precision, unit, upcast
from concordant._reduce import Reduction, check_reduction


def group_centers(features: Float[Tensor, "n p c"], same: Float[Tensor, "g n"]) -> Float[Tensor, "g p c"]:
    """The mean of each group, `same[i, j]` being 1 where row j is of group i.

    >>> group_centers(torch.tensor([[[1.0]], [[3.0]], [[9.0]]]), torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]))
    tensor([[[2.]],
    <BLANKLINE>
            [[2.]],
    <BLANKLINE>
            [[9.]]])
    """
    weights = same / same.sum(dim=1, keepdim=True)
    return (weights @ features.flatten(1)).view(-1, *features.shape[1:])


def part_center_loss(
    own: Float[Tensor, "n p c"],
    cross: Float[Tensor, "n p c"],
    labels: Int[Tensor, "n"],
    modality: Int[Tensor, "n"],
    *,
    margin: float = 0.3,
    normalize: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """Gather cross-refined parts at their own modality's centers, and push the centers of identities apart.

    Equation::

        L_pcl = Σ_{i,j} [y_i = y_j, m_i = m_j] ‖cross_i − c_j‖₂
              + Σ_{i,j} [y_i ≠ y_j, m_i ≥ m_j] (σ − ‖c_i − c_j‖₂)₊

    over the rows i, j of the batch; `c_i` is the mean of `own` over the rows of i's identity and modality. Distances
    are taken part by part, and averaged over the parts. These are the source's five terms: g on VI and IV, s on IV,
    II and VV.

    Args:
        own: (n, p, c): row i's parts refined on its own tokens.
        cross: (n, p, c): the same parts refined on tokens of the other modality.
        labels: y, (n,), identities.
        modality: m, (n,), of each row's own image, so of its queries.
        margin: σ, in the units of the features.
        normalize: divide each part's feature by its norm first, so that σ means the same for any backbone
            (distances are then at most 2). Not in the source.
        reduction: "sum" is the equation; "mean" divides each of the two sums by the number of its pairs (i, j);
            "none" gives the pairs' terms, (n, n).

    Shape: → (), or (n, n).

    Raises: ValueError for shapes or types that do not fit, or a negative margin.

    Edge cases: an identity missing from one modality has one center; a batch of one identity has no second sum; an
    empty batch gives zero. Gradients are finite at zero distance.

    Reference: CAL (ICCV 2023), part-aligned metric learning, PCL.

    >>> own = torch.tensor([[[0.0]], [[1.0]]])
    >>> labels, modality = torch.tensor([0, 1]), torch.tensor([0, 0])
    >>> round(part_center_loss(own, own + 0.5, labels, modality, margin=3.0, reduction="sum").item(), 4)
    5.0
    """
    who = "part_center_loss"
    check_reduction(who, reduction)
    require(margin >= 0, who, "`margin` must not be negative", margin)
    check_shapes(who, own=(own, "n p c"), cross=(cross, "n p c"), labels=(labels, "n"), modality=(modality, "n"))
    check_floating(who, own=own, cross=cross)
    check_integral(who, labels=labels, modality=modality)
    with full_precision(own):
        own, cross = upcast(own), upcast(cross)
        if normalize:
            own, cross = unit(own), unit(cross)
        same_identity = labels[:, None] == labels
        same = (same_identity & (modality[:, None] == modality)).to(own.dtype)
        apart = (~same_identity & (modality[:, None] >= modality)).to(own.dtype)
        rows, group, sizes = _groups(same, each_row=reduction == "none")
        if len(rows) == len(own):  # as many centers as rows, each the mean of its group
            centers = group_centers(own, same)
        else:
            centers = own.new_zeros(len(rows), *own.shape[1:]).index_add(0, group, own) / sizes[:, None, None]
        # c_j is the same for every j of i's group, so one distance a row serves all of them.
        pull = _distances(cross, centers, group).mean(dim=1)
        i, j = torch.triu_indices(len(rows), len(rows), 1, device=own.device)
        hinge = _hinge(centers, margin)
        if reduction == "none":
            square = apart.new_zeros(apart.shape).index_put((i, j), hinge)
            return same * pull[:, None] + apart * (square + square.T)
        pulled: Tensor = (same.sum(dim=1) * pull).sum()
        pairs = apart[rows][:, rows] * sizes[:, None] * sizes
        pushed: Tensor = ((pairs + pairs.T)[i, j] * hinge).sum()
        if reduction == "sum":
            return pulled + pushed
        return pulled / same.sum().clamp_min(1) + pushed / apart.sum().clamp_min(1)


def _distances(
    cross: Float[Tensor, "n p c"], centers: Float[Tensor, "g p c"], group: Int[Tensor, "n"]
) -> Float[Tensor, "n p"]:
    """`‖cross_i − center of i's group‖₂`, part by part."""
    if torch.compiler.is_compiling():
        plain: Tensor = torch.linalg.vector_norm(cross - centers.index_select(0, group), dim=2)
        return plain
    distances: Tensor = _Distances.apply(cross, centers, group)
    return distances


class _Distances(Function):
    """The same with a gradient in one pass over the rows; zero at distance zero."""

    @staticmethod
    def forward(ctx: Any, cross: Tensor, centers: Tensor, group: Tensor) -> Tensor:
        difference = cross - centers.index_select(0, group)
        distance: Tensor = torch.linalg.vector_norm(difference, dim=2)
        ctx.save_for_backward(difference, distance, group)
        ctx.groups = len(centers)
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        difference, distance, group = ctx.saved_tensors
        scale = torch.where(distance > 0, gradient / distance, 0.0)
        rows = difference * scale[:, :, None]
        centers = rows.new_zeros(ctx.groups, *rows.shape[1:]).index_add_(0, group, rows, alpha=-1)
        return rows, centers, None


def _hinge(centers: Float[Tensor, "g p c"], margin: float) -> Float[Tensor, "pairs"]:
    """`(σ − distance)₊` of all pairs i < j, part by part, averaged over parts."""
    # By differences, not products: exact near zero, and with a gradient of zero at distance zero. In memory, a number a
    # pair: the differences themselves are never stored.
    if len(centers) < 2:  # on none, torch's pdist ends the process
        return centers.sum() * centers.new_zeros(0)
    distance = torch.stack([torch.nn.functional.pdist(part.contiguous()) for part in centers.unbind(1)])
    return (margin - distance).relu().mean(dim=0)


def _groups(same: Float[Tensor, "n n"], *, each_row: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(g,) one row of each group, (n,) each row's group, (g,) the groups' sizes.

    Where sizes must be known ahead, or `each_row` is to stand for itself, every row is a group of size 1.
    """
    n = same.shape[0]
    if each_row or same.device.type != "cpu" or torch.compiler.is_compiling():
        every = torch.arange(n, device=same.device)
        return every, every, same.new_ones(n)
    rows = (same.tril(diagonal=-1).sum(dim=1) == 0).nonzero().squeeze(1)
    return rows, same[:, rows].argmax(dim=1) if n else rows, same.sum(dim=1)[rows]


class PartCenterLoss(nn.Module):
    """The part-aligned center loss: see `functional.part_center_loss` for the equation, letter by letter.

    Equation: `Σ [y_i = y_j, m_i = m_j] ‖cross_i − c_j‖₂ + Σ [y_i ≠ y_j, m_i ≥ m_j] (σ − ‖c_i − c_j‖₂)₊`.

    Args:
        margin: σ, in the units of the features.
        normalize: divide each part's feature by its norm first (ours; off in the equation).
        reduction: "sum" is the equation; "mean" divides each of the two sums by the number of its pairs; "none" gives
            the pairs' terms.

    Shape: own (n, p, c), cross (n, p, c), labels (n,), modality (n,) → (), or (n, n).

    Raises: ValueError for a negative margin, another reduction, or shapes or types that do not fit.

    Where the source is silent: σ is not published.

    Reference: CAL (ICCV 2023), part-aligned metric learning, PCL.

    >>> loss = PartCenterLoss(margin=0.3)
    >>> own, labels, modality = torch.randn(4, 6, 8), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    >>> loss(own, own, labels, modality).item()
    0.0
    """

    def __init__(self, margin: float = 0.3, *, normalize: bool = False, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("PartCenterLoss", reduction)
        require(margin >= 0, "PartCenterLoss", "`margin` must not be negative", margin)
        self.margin, self.normalize = margin, normalize
        self.reduction: Reduction = reduction

    def forward(
        self,
        own: Float[Tensor, "n p c"],
        cross: Float[Tensor, "n p c"],
        labels: Int[Tensor, "n"],
        modality: Int[Tensor, "n"],
    ) -> Tensor:
        return part_center_loss(
            own, cross, labels, modality, margin=self.margin, normalize=self.normalize, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        return f"margin={self.margin}, normalize={self.normalize}, reduction={self.reduction!r}"
