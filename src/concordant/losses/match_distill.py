"""MatchDistill: own parts learn what cross-modal parts see, so that retrieval can do without them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import checked, require
from concordant._mask import drop_full, keep, keep_maps
from concordant._module import Module
from concordant._precision import check_types, full_precision, unit, upcast
from concordant._reduce import Reduction, check_reduction, reduce
from concordant.matching import match_parts


class Distilled(NamedTuple):
    """The two losses of MatchDistill, and the matching that they stand on."""

    kd1: Float[Tensor, "*edges"]
    """L_kd1."""
    kd2: Float[Tensor, "*edges"]
    """L_kd2; zeros where no logits were given."""
    matching: Int[Tensor, "b p"]
    """M: cross part u matched own part `matching[u]`, or none where that is −1."""


@checked()
def match_distill(
    own_attention: Float[Tensor, "b q t"],
    cross_attention: Float[Tensor, "b p t"],
    own_logits: Float[Tensor, "b q k"] | None = None,
    cross_logits: Float[Tensor, "b p k"] | None = None,
    *,
    mask: Bool[Tensor, "b t"] | None = None,
    own_mask: Bool[Tensor, "b q"] | None = None,
    cross_mask: Bool[Tensor, "b p"] | None = None,
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
    twice; the text beside it makes the second one `P^V`: one end of each edge in each modality. The sides may differ in
    the number of their parts: a part that is left over has no edge.

    Args:
        own_attention: (b, q, t), each image's attention under its own parts.
        cross_attention: (b, p, t), the same image's under the parts of another modality.
        own_logits: (b, q, k), of the parts refined under the own attentions.
        cross_logits: (b, p, k), of those refined under the cross attentions. Without logits there is no L_kd2.
        mask: (b, t), True for a real token.
        own_mask: (b, q), True for a real own part. Padding has no edge.
        cross_mask: (b, p), True for a real cross part.
        paired: (b,), False for images that take no part, since their batch has no image to read across: their terms
            are zero, and "mean" does not count them.
        cosine: w is the cosine of the two maps. Our addition: the inner product is largest where both maps lie on one
            and the same token, and drives attention there; the cosine asks only that they agree.
        detach_cross: let no gradient reach the cross side, the teacher's. The paper does not say.
        reduction: "sum" is the equation; "mean" divides by the number of edges; "none" gives the edge of each cross
            part, (b, p), zero where it has none.

    Shape: → Distilled(kd1 (), kd2 (), matching (b, p)); the losses (b, p) under "none". With equally many parts on both
    sides, all real, M is a permutation; else −1 stands for a part without an edge.

    Raises: ValueError for shapes or types that do not fit, logits of one side alone, or attention that is not finite.

    Edge cases: an image without a real part on one side has no edge. `kd2` is zero without logits.

    Reference: CAL (ICCV 2023), MatchDistill.

    >>> own, logits = torch.eye(2)[None], torch.zeros(1, 2, 3)
    >>> distilled = match_distill(own, own.flip(1), logits, logits, reduction="sum")
    >>> distilled.kd1.item(), distilled.kd2.item(), distilled.matching.tolist()
    (-2.0, 0.0, [[1, 0]])
    >>> match_distill(own[:, :1], own.flip(1)).matching.tolist()
    [[-1, 0]]
    """
    check_reduction("match_distill", reduction)
    check_types("match_distill", own_attention=own_attention, cross_attention=cross_attention)
    alone = (own_logits is None) != (cross_logits is None)
    require(not alone, "match_distill", "logits must be given of both sides or of none", "those of one side")
    if detach_cross:
        cross_attention = cross_attention.detach()
    mask, own_mask, cross_mask = drop_full(mask), drop_full(own_mask), drop_full(cross_mask)
    with full_precision(own_attention):
        own_maps, cross_maps = (
            keep_maps(upcast(maps), part_mask, mask)
            for maps, part_mask in ((own_attention, own_mask), (cross_attention, cross_mask))
        )
        if cosine:
            own_maps, cross_maps = unit(own_maps), unit(cross_maps)
        weights = cross_maps @ own_maps.transpose(1, 2)
        matching = match_parts(weights, cross_mask, own_mask)
        if weights.shape[2] == 0:  # no own part, no edge
            nothing = reduce(weights.new_zeros(weights.shape[:2]) + 0 * weights.sum(), reduction, real=matching >= 0)
            return Distilled(nothing, nothing, matching)
        (_, p, q), chosen, real = weights.shape, matching[:, :, None], None
        if own_mask is not None or cross_mask is not None or p > q:  # else every part has an edge
            chosen, real = chosen.clamp_min(0), matching >= 0
        if paired is not None:
            real = paired if real is None else real & paired[:, None]
        kd1 = reduce(-weights.gather(2, chosen).squeeze(2), reduction, real=real)
        if own_logits is None or cross_logits is None:
            return Distilled(kd1, torch.zeros_like(kd1), matching)
        check_types("match_distill", own_logits=own_logits, cross_logits=cross_logits)
        own = keep(upcast(own_logits), own_mask).log_softmax(dim=2)
        cross = keep(upcast(cross_logits.detach() if detach_cross else cross_logits), cross_mask).log_softmax(dim=2)
        own = own.gather(1, chosen.expand(-1, -1, own.shape[2]))
        divergence = (cross.exp() * (cross - own)).sum(dim=2)
        return Distilled(kd1, reduce(divergence, reduction, real=real), matching)


class MatchDistill(Module[Distilled]):
    """Match cross-modal with own parts and distill: see `functional.match_distill` for the equations.

    Equation: `L_kd1 = −Σ_{e∈M} w(e)`, `L_kd2 = Σ_{(u,v)∈M} KL(p_u^cross ‖ p_v^own)`, M the matching of largest weight.

    Args:
        cosine: compare directions of maps only (our addition; off in the equation).
        detach_cross: let no gradient reach the cross side.
        reduction: "sum" is the equation; "mean" divides by the number of edges; "none" gives each edge.

    Shape: own_attention (b, q, t), cross_attention (b, p, t), own_logits (b, q, k), cross_logits (b, p, k), and as
    keywords `mask` (b, t), `own_mask` (b, q), `cross_mask` (b, p), `paired` (b,) → Distilled(kd1, kd2, matching
    (b, p)). Without logits kd2 is zero.

    Raises: ValueError for another reduction, shapes or types that do not fit, logits of one side alone, or attention
    that is not finite.

    Reference: CAL (ICCV 2023), MatchDistill.

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
        own_attention: Float[Tensor, "b q t"],
        cross_attention: Float[Tensor, "b p t"],
        own_logits: Float[Tensor, "b q k"] | None = None,
        cross_logits: Float[Tensor, "b p k"] | None = None,
        *,
        mask: Bool[Tensor, "b t"] | None = None,
        own_mask: Bool[Tensor, "b q"] | None = None,
        cross_mask: Bool[Tensor, "b p"] | None = None,
        paired: Bool[Tensor, "b"] | None = None,
    ) -> Distilled:
        return match_distill(
            own_attention,
            cross_attention,
            own_logits,
            cross_logits,
            mask=mask,
            own_mask=own_mask,
            cross_mask=cross_mask,
            paired=paired,
            cosine=self.cosine,
            detach_cross=self.detach_cross,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return f"cosine={self.cosine}, detach_cross={self.detach_cross}, reduction={self.reduction!r}"
