"""Rank metrics: CMC, mAP and mINP of a ranked gallery, for all queries at once."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import check_choice, check_integral, check_positive, check_shapes, require

_CELLS = 1 << 24
"""Queries are taken in groups of at most so many query-gallery pairs, to bound memory."""


class RankMetrics(NamedTuple):
    """How well galleries are ranked, averaged over the queries that have a true match."""

    cmc: Float[Tensor, "r"]
    """The share of queries whose first true match is at rank 1, 2, … or better."""
    map: Float[Tensor, ""]
    """Mean average precision."""
    minp: Float[Tensor, ""]
    """Mean of (number of true matches / rank of the last of them)."""


def rank_metrics(
    similarity: Float[Tensor, "q g"],
    query_ids: Int[Tensor, "q"],
    gallery_ids: Int[Tensor, "g"],
    *,
    exclude: Bool[Tensor, "q g"] | None = None,
    cmc_over: Literal["images", "identities"] = "images",
    ranks: int = 20,
) -> RankMetrics:
    """Rank the gallery for every query, and score the rankings.

    Equation, over the queries with at least one true match after `exclude`::

        AP  = mean over true matches of (true matches up to it / its rank)
        INP = number of true matches / rank of the last one
        CMC(r) = share of queries whose first true match has rank ≤ r

    Args:
        similarity: (q, g), higher is nearer. Among equals the earlier gallery image comes first.
        query_ids: (q,) identities.
        gallery_ids: (g,) identities.
        exclude: (q, g), true where a gallery image is not to be shown to a query (same camera, same place).
        cmc_over: "images", or "identities": each wrong identity counts once, at its best image, as on SYSU-MM01.
            mAP and mINP are over images either way.
        ranks: the length of the CMC curve.

    Shape: → RankMetrics(cmc (ranks,), map (), minp ()), in 0 … 1, float64.

    Raises: ValueError for shapes, types or settings that do not fit, similarities that are NaN, or if no query has a
    true match.

    Reference: SYSU-MM01's evaluation (ICCV 2017) for identities; mINP: AGW (TPAMI 2021).

    >>> similarity = torch.tensor([[0.9, 0.8, 0.1]])
    >>> metrics = rank_metrics(similarity, torch.tensor([7]), torch.tensor([3, 7, 7]), ranks=2)
    >>> metrics.cmc.tolist(), round(metrics.map.item(), 4), round(metrics.minp.item(), 4)
    ([0.0, 1.0], 0.5833, 0.6667)
    """
    who = "rank_metrics"
    sizes = check_shapes(
        who, similarity=(similarity, "q g"), query_ids=(query_ids, "q"), gallery_ids=(gallery_ids, "g")
    )
    check_integral(who, query_ids=query_ids, gallery_ids=gallery_ids)
    check_choice(who, "cmc_over", cmc_over, ("images", "identities"))
    check_positive(who, ranks=ranks)
    require(not bool(similarity.isnan().any()), who, "`similarity` must not hold NaN", int(similarity.isnan().sum()))
    if exclude is not None:
        check_shapes(who, similarity=(similarity, "q g"), exclude=(exclude, "q g"))
        require(exclude.dtype == torch.bool, who, "`exclude` must be boolean", exclude.dtype)
    step = max(_CELLS // max(sizes["g"], 1), 1)
    groups = [
        _rank(
            similarity[start : start + step],
            query_ids[start : start + step],
            gallery_ids,
            None if exclude is None else exclude[start : start + step],
            cmc_over == "identities",
        )
        for start in range(0, sizes["q"], step)
    ]
    first, precision, penalty = (
        (torch.cat(column) for column in zip(*groups, strict=True)) if groups else (torch.empty(0),) * 3
    )
    require(len(first) > 0, who, "at least one query must have a true match left in the gallery", "none")
    cmc = (first[:, None] < torch.arange(1, ranks + 1, device=first.device)).double().mean(dim=0)
    return RankMetrics(cmc, precision.mean(), penalty.mean())


def _rank(
    similarity: Tensor, query_ids: Tensor, gallery_ids: Tensor, exclude: Tensor | None, identities: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The place (from 0) of the first true match, AP and INP, of each query that has one."""
    g = similarity.shape[1]
    order = similarity.argsort(dim=1, descending=True, stable=True)
    kept = torch.ones_like(order, dtype=torch.bool) if exclude is None else ~exclude.gather(1, order)
    match = (gallery_ids[order] == query_ids[:, None]) & kept
    valid = match.any(dim=1)
    order, kept, match, query_ids = order[valid], kept[valid], match[valid], query_ids[valid]
    place = kept.cumsum(dim=1)  # an image's rank, from 1, among those that the query is shown
    hits = match.cumsum(dim=1)
    total = hits[:, -1] if g else hits.sum(dim=1)
    precision = (match * hits / place.clamp_min(1).double()).sum(dim=1) / total
    last = (match * place).amax(dim=1) if g else total
    first = torch.where(match, place, g + 1).amin(dim=1) - 1 if g else total
    if identities:
        names, column = torch.unique(gallery_ids, return_inverse=True)
        # The place of each identity's best image; identities that a query is not shown stay behind all others.
        best = place.new_full((len(place), len(names)), g + 1)
        best.scatter_reduce_(1, column[order], torch.where(kept, place, g + 1), "amin")
        own = best.gather(1, torch.searchsorted(names, query_ids)[:, None])
        first = (best < own).sum(dim=1)
    return first, precision, total / last.double()
