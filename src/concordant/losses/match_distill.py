"""MatchDistill: own parts learn what cross-modal parts see, so that retrieval can do without them."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import checked
from concordant._module import Module
from concordant._precision import check_types, full_precision, unit, upcast
from concordant._reduce import Reduction, check_reduction, reduce
from concordant.matching import match_parts


class Distilled(NamedTuple):
    """The two losses of MatchDistill, and the matching that they stand on."""

    kd1: Float[Tensor, "*edges"]
    """L_kd1."""
    kd2: Float[Tensor, "*edges"]
    """L_kd2."""
    matching: Int[Tensor, "b p"]
    """M: cross part u matched own part `matching[u]`."""


@checked()
def match_distill(
    own_attention: Float[Tensor, "b p t"],
    cross_attention: Float[Tensor, "b p t"],
    own_logits: Float[Tensor, "b p k"],
    cross_logits: Float[Tensor, "b p k"],
    *,
    paired: Bool[Tensor, "b"] | None = None,
    cosine: bool = False,
    detach_cross: bool = False,
    reduction: Reduction = "mean",
) -> Distilled:
    """Match cross and own parts by what they attend to in the same tokens, and draw the matched ones together.

    Equation, on one modality's tokens::

        w(u, v) = ⟨cross attention of part u, own attention of part v⟩
        M       = argmax Σ_u w(u, M(u))                         (`match_parts`)
        L_kd1   = −Σ_u w(u, M(u))
        L_kd2   = Σ_u KL(p_u^cross ‖ p_M(u)^own)

    summed over the images of the batch, p being the softmax of the logits. The paper's formula for w prints `P^I`
    twice; the text beside it makes the second one `P^V`: one end of each edge in each modality.

    Args:
        own_attention: (b, p, t), each image's attention under its own parts.
        cross_attention: (b, p, t), the same image's under the parts of another modality.
        own_logits: (b, p, k), of the parts refined under the own attentions.
        cross_logits: (b, p, k), of those refined under the cross attentions.
        paired: (b,), False for images that take no part, since their batch has no image to read across: their terms
            are zero, and "mean" does not count them.
        cosine: w is the cosine of the two maps. Our addition: the inner product is largest where both maps lie on one
            and the same token, and drives attention there; the cosine asks only that they agree.
        detach_cross: let no gradient reach the cross side, the teacher's. The paper does not say.
        reduction: "sum" is the equation; "mean" divides by the number of edges; "none" gives each edge, (b, p).

    Shape: → Distilled(kd1 (), kd2 (), matching (b, p)); the losses (b, p) under "none".

    Raises: ValueError for shapes or types that do not fit, or attention that is not finite.

    Reference: CAL (ICCV 2023), MatchDistill.

    >>> import torch
    >>> own, logits = torch.eye(2)[None], torch.zeros(1, 2, 3)
    >>> distilled = match_distill(own, own.flip(1), logits, logits, reduction="sum")
    >>> distilled.kd1.item(), distilled.kd2.item(), distilled.matching.tolist()
    (-2.0, 0.0, [[1, 0]])
    """
    check_reduction("match_distill", reduction)
    check_types("match_distill", own_attention=own_attention, cross_attention=cross_attention)
    check_types("match_distill", own_logits=own_logits, cross_logits=cross_logits)
    if detach_cross:
        cross_attention, cross_logits = cross_attention.detach(), cross_logits.detach()
    with full_precision(own_attention):
        own_maps, cross_maps = (unit(x) if cosine else upcast(x) for x in (own_attention, cross_attention))
        weights = cross_maps @ own_maps.transpose(1, 2)
        matching = match_parts(weights)
        edges = weights.gather(2, matching[:, :, None]).squeeze(2)
        own, cross = (upcast(logits).log_softmax(dim=2) for logits in (own_logits, cross_logits))
        own = own.gather(1, matching[:, :, None].expand_as(own))
        divergence = (cross.exp() * (cross - own)).sum(dim=2)
        kd1, kd2 = (reduce(terms, reduction, rows=paired) for terms in (-edges, divergence))
        return Distilled(kd1, kd2, matching)


class MatchDistill(Module[Distilled]):
    """Match cross-modal with own parts and distill: see `functional.match_distill` for the equations.

    Equation: `L_kd1 = −Σ_{e∈M} w(e)`, `L_kd2 = Σ_{(u,v)∈M} KL(p_u^cross ‖ p_v^own)`, M the matching of largest weight.

    Args:
        cosine: compare directions of maps only (our addition; off in the equation).
        detach_cross: let no gradient reach the cross side.
        reduction: "sum" is the equation; "mean" divides by the number of edges; "none" gives each edge.

    Shape: own_attention (b, p, t), cross_attention (b, p, t), own_logits (b, p, k), cross_logits (b, p, k), and
    `paired` (b,) as a keyword → Distilled(kd1, kd2, matching (b, p)).

    Raises: ValueError for another reduction, shapes or types that do not fit, or attention that is not finite.

    Reference: CAL (ICCV 2023), MatchDistill.

    >>> import torch
    >>> attention, logits = torch.eye(3)[None], torch.randn(1, 3, 5)
    >>> MatchDistill()(attention, attention, logits, logits).matching.tolist()
    [[0, 1, 2]]
    """

    def __init__(self, *, cosine: bool = False, detach_cross: bool = False, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("MatchDistill", reduction)
        self.cosine, self.detach_cross = cosine, detach_cross
        self.reduction: Reduction = reduction

    def forward(
        self,
        own_attention: Float[Tensor, "b p t"],
        cross_attention: Float[Tensor, "b p t"],
        own_logits: Float[Tensor, "b p k"],
        cross_logits: Float[Tensor, "b p k"],
        *,
        paired: Bool[Tensor, "b"] | None = None,
    ) -> Distilled:
        return match_distill(
            own_attention,
            cross_attention,
            own_logits,
            cross_logits,
            paired=paired,
            cosine=self.cosine,
            detach_cross=self.detach_cross,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return f"cosine={self.cosine}, detach_cross={self.detach_cross}, reduction={self.reduction!r}"
