"""L_pcl: the part-aligned center loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable

from concordant._checks import check_floating, check_integral, check_shapes, require
from concordant._precision import SMALLEST_NORM, full_precision, upcast
from concordant._reduce import Reduction, check_reduction


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
        rows, group, sizes = _groups(labels, modality)
        y, m, sizes = labels[rows], modality[rows], sizes.to(own.dtype)
        apart = (y[:, None] != y) & (m[:, None] >= m)
        if reduction == "none":
            near, far = _terms(_measure(own, cross, group, sizes, normalize), margin)
            pull = (group[:, None] == group) * near[:, None]
            push = apart * (far + far.T)
            return pull + push[group][:, group]
        pairs = apart * sizes[:, None] * sizes
        total, pushes = sizes.square().sum(), pairs.sum()
        weights = sizes[group], (pairs + pairs.T).triu(1)  # each row's c_j is one center, however many the j
        if reduction == "mean":
            weights = weights[0] / total.clamp_min(1), weights[1] / pushes.clamp_min(1)
        if not torch.compiler.is_compiling():
            loss: Tensor = _Weighted.apply(own, cross, group, sizes, *weights, margin, normalize)
            return loss
        near, far = _terms(_measure(own, cross, group, sizes, normalize), margin)
        return (weights[0] * near).sum() + (weights[1] * far).sum()


def _groups(labels: Int[Tensor, "n"], modality: Int[Tensor, "n"]) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of one identity and modality: (g,) one row of each group, (n,) each row's group, (g,) their sizes.

    Where the number of groups must be known ahead, it is n: a group at its first row, and empty ones.
    """
    same = (labels[:, None] == labels) & (modality[:, None] == modality)
    rows = torch.arange(len(same), device=same.device)
    first = same.byte().argmax(dim=1) if len(rows) else rows
    if same.device.type == "cpu" and not torch.compiler.is_compiling():
        rows, first, sizes = torch.unique(first, return_inverse=True, return_counts=True)
        return rows, first, sizes
    return rows, first, torch.zeros_like(rows).scatter(0, first, same.sum(dim=1))


class _Measured(NamedTuple):
    """What the loss is made of."""

    own: Float[Tensor, "n p c"]
    cross: Float[Tensor, "n p c"]
    own_norm: Float[Tensor, "n p 1"] | None
    """What it was divided by, if it was."""
    cross_norm: Float[Tensor, "n p 1"] | None
    centers: Float[Tensor, "g p c"]
    difference: Float[Tensor, "n p c"]
    """The center of i's group − cross_i."""
    pull: Float[Tensor, "n p"]
    """Its length."""
    between: Float[Tensor, "p g g"]
    """The distance of centers i < j; zero elsewhere."""


def _measure(own: Tensor, cross: Tensor, group: Tensor, sizes: Tensor, normalize: bool) -> _Measured:
    own_norm = cross_norm = None
    if normalize:
        own_norm, cross_norm = (
            torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(SMALLEST_NORM) for x in (own, cross)
        )
        own, cross = own / own_norm, cross / cross_norm
    totals = own.new_zeros(len(sizes), *own.shape[1:]).index_add(0, group, own)
    centers = totals / sizes.clamp_min(1)[:, None, None]
    difference = centers.index_select(0, group).sub_(cross)
    between = centers.new_zeros(centers.shape[1], len(centers), len(centers))
    if len(centers) > 1:  # on none, torch's pdist ends the process
        # By differences, not products: exact near zero. Yet the differences of all pairs are never stored.
        distances = torch.stack([torch.nn.functional.pdist(part.contiguous()) for part in centers.unbind(1)])
        i, j = torch.triu_indices(len(centers), len(centers), 1, device=centers.device)
        between[:, i, j] = distances
    pull = torch.linalg.vector_norm(difference, dim=2)
    return _Measured(own, cross, own_norm, cross_norm, centers, difference, pull, between)


def _terms(measured: _Measured, margin: float) -> tuple[Float[Tensor, "n"], Float[Tensor, "g g"]]:
    """Each row's distance to its center, and `(σ − distance)₊` of centers i < j, averaged over parts."""
    return measured.pull.mean(dim=1), (margin - measured.between).relu().mean(dim=0).triu(1)


class _Weighted(Function):
    """The weighted sum of the terms, with its gradient in closed form: far fewer passes than step by step."""

    @staticmethod
    def forward(
        ctx: Any,
        own: Tensor,
        cross: Tensor,
        group: Tensor,
        sizes: Tensor,
        near_weight: Tensor,
        far_weight: Tensor,
        margin: float,
        normalize: bool,
    ) -> Tensor:
        measured = _measure(own, cross, group, sizes, normalize)
        near, far = _terms(measured, margin)
        ctx.save_for_backward(group, sizes, near_weight, far_weight, *measured)
        ctx.margin = margin
        return near_weight.dot(near) + (far_weight * far).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        group, sizes, near_weight, far_weight, *measured = ctx.saved_tensors
        own, cross, own_norm, cross_norm, centers, difference, pull, between = measured
        with full_precision(own):
            gradient = gradient / pull.shape[1]
            scale = torch.where(pull > 0, (-gradient * near_weight)[:, None] / pull, 0.0)
            to_cross = difference * scale[:, :, None]
            to_centers = torch.zeros_like(centers).index_add_(0, group, to_cross, alpha=-1)
            # Σ_j w_ij (c_i − c_j) in one product. Where it rounds to no direction, there is none: as at distance zero.
            length = torch.linalg.vector_norm(centers, dim=2).T
            least = torch.finfo(length.dtype).eps * (length[:, :, None] + length[:, None, :])
            active = (between > least) & (between < ctx.margin)
            scale = torch.where(active, -gradient * far_weight / between, 0.0)
            scale = scale + scale.transpose(1, 2)
            to_centers += ((scale.sum(dim=2).diag_embed() - scale) @ centers.transpose(0, 1)).transpose(0, 1)
            to_own = (to_centers / sizes.clamp_min(1)[:, None, None]).index_select(0, group)
            if own_norm is not None:
                _through_unit_(to_own, own, own_norm)
                _through_unit_(to_cross, cross, cross_norm)
        return to_own, to_cross, None, None, None, None, None, None


def _through_unit_(gradient: Tensor, quotient: Tensor, norm: Tensor) -> None:
    """Turn the gradient of y = x / ‖x‖ into that of x, in place: `(g − y ⟨y, g⟩) / ‖x‖`."""
    along = torch.linalg.vecdot(quotient, gradient).unsqueeze(-1)
    along = along.where(norm > SMALLEST_NORM, 0.0)  # a norm that counts as the smallest is a constant
    gradient.addcmul_(quotient, along, value=-1).div_(norm)


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
