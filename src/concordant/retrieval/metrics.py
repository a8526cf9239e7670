"""Rank metrics: CMC, mAP and mINP of a ranked gallery, for all queries at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import as_sizes, check_choice, checked, require
from concordant._precision import upcast

_CELLS, _GPU_CELLS = 1 << 22, 1 << 26
"""Queries are taken in groups of at most so many query-gallery pairs, to bound memory: on a GPU 3 GiB."""


class RankMetrics(NamedTuple):
    """How well galleries are ranked, averaged over the queries that have a true match."""

    cmc: Float[Tensor, "r"]
    """The share of queries whose first true match is at rank 1, 2, … or better."""
    map: Float[Tensor, ""]
    """Mean average precision."""
    minp: Float[Tensor, ""]
    """Mean of (number of true matches / rank of the last of them)."""


@checked()
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
    check_choice(who, "cmc_over", cmc_over, ("images", "identities"))
    (ranks,) = as_sizes(who, ranks=ranks)
    queries, images = similarity.shape
    require(queries > 0 and images > 0, who, "`similarity` must have queries and a gallery", tuple(similarity.shape))
    if bool(similarity.amax().isnan()):  # many times as fast as looking at each of them
        require(False, who, "`similarity` must not hold NaN", f"{int(similarity.isnan().sum())} values")
    similarity, query_ids, gallery_ids = similarity.detach(), query_ids.long(), gallery_ids.long()
    step = max((_GPU_CELLS if similarity.is_cuda else _CELLS) // images, 1)
    gallery = _by_identity(gallery_ids)
    asked, number = _matches(gallery, query_ids)
    longest = torch.stack([some.max() for some in number.split(step)]).clamp_min(1).tolist()

    def rank(values: Tensor, rows: slice | Tensor, slots: int) -> _Ranks:
        """Of a group of queries, whose similarities in the gallery's order are `values`."""
        own = _columns(gallery, asked[rows], slots)
        hidden = None if exclude is None else exclude[rows]
        return _rank(values, own, number[rows], hidden, gallery if cmc_over == "identities" else None)

    groups = [slice(start, start + step) for start in range(0, queries, step)]
    found = [rank(upcast(similarity[x]).contiguous(), x, most) for x, most in zip(groups, longest, strict=True)]
    every = _Ranks(*(torch.cat(column) for column in zip(*found, strict=True)))
    if len(tied := every.tied.nonzero().squeeze(1)):
        for rows in tied.split(max(step // 2, 1)):  # integers take twice the memory
            exact = rank(_distinct(upcast(similarity[rows])), rows, max(longest))
            for column, values in zip(every, exact, strict=True):
                column[rows] = values
    first, precision, penalty = every.first[every.some], every.precision[every.some], every.penalty[every.some]
    require(len(first) > 0, who, "at least one query must have a true match left in the gallery", "none")
    cmc = (first[:, None] < torch.arange(1, ranks + 1, device=first.device)).double().mean(dim=0)
    return RankMetrics(cmc, precision.mean(), penalty.mean())


class _Gallery(NamedTuple):
    """The gallery's images by identity."""

    names: Tensor
    """(k,) the identities there are, ascending."""
    identity: Tensor
    """(g,) which of them each image shows."""
    order: Tensor
    """(g,) the images, identity by identity."""
    starts: Tensor
    """(k,) where each identity's images start in `order`."""
    counts: Tensor
    """(k,) how many it has."""


class _Ranks(NamedTuple):
    """Of q queries."""

    some: Tensor
    """Whether there is a true match."""
    first: Tensor
    """The place of the first one, from 0."""
    precision: Tensor
    """AP."""
    penalty: Tensor
    """INP."""
    tied: Tensor
    """Whether a tie leaves these open."""


def _by_identity(gallery_ids: Tensor) -> _Gallery:
    names, identity = torch.unique(gallery_ids, return_inverse=True)
    counts = torch.bincount(identity, minlength=len(names))
    return _Gallery(names, identity, identity.argsort(stable=True), counts.cumsum(0) - counts, counts)


def _matches(gallery: _Gallery, query_ids: Tensor) -> tuple[Tensor, Tensor]:
    """(q,) each query's identity in the gallery, any if it is not there, and (q,) the number of its images."""
    found = torch.searchsorted(gallery.names, query_ids).clamp_max(len(gallery.names) - 1)
    return found, gallery.counts[found] * (gallery.names[found] == query_ids)


def _columns(gallery: _Gallery, identity: Tensor, slots: int) -> Tensor:
    """(q, slots): the gallery's images of each query's identity, and any others behind them."""
    columns = gallery.starts[identity][:, None] + torch.arange(slots, device=identity.device)
    return gallery.order[columns.clamp_max(len(gallery.order) - 1)]


def _rank(similarity: Tensor, own: Tensor, number: Tensor, exclude: Tensor | None, groups: _Gallery | None) -> _Ranks:
    """Rank one group; `own` has each query's `number` of images of its identity first."""
    slots = torch.arange(own.shape[1], device=own.device)
    valid = slots < number[:, None]
    if exclude is not None:
        valid &= ~exclude.gather(1, own)
    first, places, tied = _place(similarity, own, valid, exclude, groups)
    total = valid.sum(dim=1)
    ordered = places.sort(dim=1).values
    hits = slots + 1
    precision = torch.where(hits <= total[:, None], hits / (ordered + 1).double(), 0.0).sum(dim=1) / total
    last = ordered.gather(1, (total[:, None] - 1).clamp_min(0)).squeeze(1) + 1
    return _Ranks(total > 0, first, precision, total / last.double(), tied)


def _place(
    values: Tensor, own: Tensor, valid: Tensor, exclude: Tensor | None, groups: _Gallery | None
) -> tuple[Tensor, Tensor, Tensor]:
    """(q,) the place of the first true match, counted over images or `groups`; (q, m) those of all, and past the end
    where `own` is not `valid`; and (q,) whether a tie leaves them open.

    A place is the number of better values: one sort of bare values and a few binary searches, where sorting indices
    would cost ten times as much.
    """
    worst = float("-inf") if values.is_floating_point() else torch.iinfo(values.dtype).min
    if exclude is not None:
        values = values.masked_fill(exclude, worst)
    elif values.device.type == "cpu":  # it is sorted in place
        values = values.clone()
    mine = values.gather(1, own)
    first = None
    if groups is not None:
        target = mine.masked_fill(~valid, worst).amax(dim=1, keepdim=True)
        query, image = (values > target).nonzero(as_tuple=True)
        ahead = valid.new_zeros(len(values), len(groups.names))
        ahead[query, groups.identity[image]] = True
        first = ahead.sum(dim=1)
    ranked = _sorted_(values)
    above = torch.searchsorted(ranked, mine, right=True)
    second = ranked.gather(1, (above - 2).clamp_min(0))
    tied = ((second == mine) & (above > 1) & valid).any(dim=1)
    places = (values.shape[1] - above).masked_fill(~valid, values.shape[1])
    return places.amin(dim=1) if first is None else first, places, tied


def _sorted_(values: Tensor) -> Tensor:
    """Each row in ascending order, in place. On the CPU by NumPy, whose sort is many times as fast as torch's."""
    if values.device.type != "cpu":
        return values.sort(dim=1).values
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # NumPy lets go of the interpreter's lock
        list(pool.map(lambda part: part.numpy().sort(axis=1), values.chunk(torch.get_num_threads())))
    return values


def _distinct(similarity: Tensor) -> Tensor:
    """(q, g) integers in the order of the similarities and, among equals, against the order of the gallery."""
    if similarity.dtype == torch.float32:
        bits = (similarity + 0.0).view(torch.int32)  # −0 becomes 0; the bits of floats are in order, below 0 backwards
        order = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    else:
        order = torch.unique(similarity, return_inverse=True)[1]
    gallery = similarity.shape[1]
    return order.long() * gallery + torch.arange(gallery - 1, -1, -1, device=similarity.device)
