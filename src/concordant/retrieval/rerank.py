"""k-reciprocal re-ranking: two images are near if they are among the nearest of the same images."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import as_integer, as_sizes, check_number, checked, require
from concordant._precision import full_precision, upcast

_CELLS = 1 << 20
"""Images are taken in groups of at most so many numbers in a table, to bound memory."""


@checked()
def k_reciprocal_rerank(
    similarity: Float[Tensor, "n n"], queries: int, *, k1: int = 20, k2: int = 6, weight: float = 0.3
) -> Float[Tensor, "q g"]:
    """Re-rank a gallery for all queries at once, by the neighbours that two images share.

    Equation, with d(i, j) = 2 − 2·similarity, the squared distance of unit vectors, over the largest of row i, and
    N(i, k) the image i and its k nearest::

        R(i, k) = {j in N(i, k): i in N(j, k)}
        R*(i)   = R(i, k1) ∪ R(c, k1/2) of all c in R(i, k1) with |R(c, k1/2) ∩ R(i, k1)| > 2/3 |R(c, k1/2)|
        V_i     = exp(−d(i, j)) for j in R*(i), else 0, over its sum; then the mean over i and its k2 − 1 nearest
        J(i, j) = 1 − Σ min(V_i, V_j) / Σ max(V_i, V_j)
        result  = 1 − (1 − weight) J − weight d

    Args:
        similarity: (n, n) cosines of all images with all, the n = q + g images in one order: the queries first. No
            gradient flows. Values above 1 count as 1, and so does the diagonal.
        queries: q.
        k1: how many neighbours may be reciprocal; k1/2 is rounded, halves to the even number.
        k2: how many images V is averaged over; 1 leaves V as it is.
        weight: of the given distance, from 0 to 1, beside that of shared neighbours.

    Shape: similarity (n, n) → (q, g): of the queries with the gallery, higher is nearer.

    Raises: ValueError for shapes, types or settings that do not fit, or a similarity that is not finite.

    Edge cases: an image is the first of its own neighbours, also among equal images. Of other equally near images, the
    earlier one comes first.

    Memory beside input and result: a few numbers for each pair of neighbours, and tables of bounded size.

    Reference: Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding (CVPR 2017).

    >>> unit = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    >>> [round(value, 4) for value in k_reciprocal_rerank(unit @ unit.T, 1, k1=2, k2=1).flatten().tolist()]
    [0.5692, 0.3338, 0.0]
    """
    who, n = "k_reciprocal_rerank", len(similarity)
    q = as_integer(queries) or 0
    require(0 < q < n, who, f"`queries` must be an integer from 1 to n − 1 = {n - 1}", repr(queries))
    k1, k2 = as_sizes(who, k1=k1, k2=k2)
    check_number(who, at_least=0, weight=weight)
    require(weight <= 1, who, "`weight` must be at most 1", repr(weight))
    with full_precision(similarity):
        similarity = upcast(similarity.detach())
        nearest, farthest = _neighbours(similarity, min(max(k1 + 1, k2), n))
        require(bool(farthest.isfinite().all()), who, "`similarity` must be finite", "values that are not")
        encoded = _averaged(_encoded(similarity, farthest, nearest, k1), nearest[:, :k2])
        result = similarity.new_empty(q, n - q)
        for rows, shared in _shared(encoded, n, q):
            distance = _squared(similarity[rows, q:]) / farthest[rows, None]
            result[rows] = (1 - weight) * shared / (2 - shared) + weight * (1 - distance)
        return result


def _squared(similarity: Tensor) -> Tensor:
    """Squared distances of unit vectors."""
    return (-2 * similarity).add_(2).clamp_min_(0)


def _groups(n: int, width: int) -> Iterator[slice]:
    """Slices of n rows, whose tables of so many columns are of bounded size."""
    step = max(_CELLS // width, 1)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


# neighbours ----------------------------------------------------------------------------------------------------------


def _neighbours(similarity: Float[Tensor, "n n"], k: int) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n"]]:
    """Each row's k nearest, itself first; and its largest squared distance."""
    n, nearest, farthest = len(similarity), [], []
    for rows in _groups(n, n):
        distances = _squared(similarity[rows])
        distances.diagonal(rows.start).fill_(-1)  # an image is nearer to itself than to any equal one
        farthest.append(distances.amax(dim=1))
        nearest.append(_smallest(distances, k))
    return torch.cat(nearest), torch.cat(farthest).clamp_min(torch.finfo(similarity.dtype).tiny)


def _smallest(values: Float[Tensor, "r n"], k: int) -> Int[Tensor, "r k"]:
    """Where each row's k smallest values are, smallest first; among equal ones the first come first."""
    found = values.topk(min(k + 1, values.shape[1]), dim=1, largest=False)
    chosen = found.indices[:, :k].sort(dim=1).values
    if found.indices.shape[1] > k:  # torch's choice among equal values at the end is not the first
        last = found.values[:, k - 1 : k]
        tied = found.values[:, k] == last[:, 0]
        if bool(tied.any()):
            below, equal = values[tied] < last[tied], values[tied] == last[tied]
            equal &= equal.cumsum(dim=1) <= k - below.sum(dim=1, keepdim=True)
            chosen[tied] = (below | equal).nonzero()[:, 1].view(-1, k)
    return chosen.gather(1, values.gather(1, chosen).argsort(dim=1, stable=True))


def _reciprocal(nearest: Int[Tensor, "n k"]) -> Bool[Tensor, "n k"]:
    """Whether each is among the nearest of what it is among the nearest of."""
    n, k = nearest.shape
    itself = torch.arange(n, device=nearest.device)[:, None, None]
    return torch.cat([(nearest[nearest[rows]] == itself[rows]).any(dim=2) for rows in _groups(n, k * k)])


# encoding ------------------------------------------------------------------------------------------------------------


class _Entries(NamedTuple):
    """What is not zero in a matrix, row by row, each row's in the order of its columns."""

    row: Int[Tensor, "e"]
    column: Int[Tensor, "e"]
    value: Float[Tensor, "e"]


def _encoded(
    similarity: Float[Tensor, "n n"], farthest: Float[Tensor, "n"], nearest: Int[Tensor, "n k"], k1: int
) -> _Entries:
    """V, before its mean: each image's expanded reciprocal neighbours, weighted by distance."""
    n, near, half = len(nearest), nearest[:, : k1 + 1], nearest[:, : round(k1 / 2) + 1]
    near_valid, half_valid = _reciprocal(near), _reciprocal(half)
    enough = 2 * half_valid.sum(dim=1)
    found = []
    for rows in _groups(n, max(n, near.shape[1] * half.shape[1])):
        table = similarity[rows].flatten()
        member = torch.zeros_like(table, dtype=torch.bool)
        row, place = near_valid[rows].nonzero(as_tuple=True)
        other, first = near[rows][row, place], row * n
        member[first + other] = True
        theirs, valid = half[other] + first[:, None], half_valid[other]
        common = (member.take(theirs) & valid).sum(dim=1)
        valid &= (3 * common > enough[other])[:, None]
        member[theirs[valid]] = True
        cell = member.nonzero().squeeze(1)
        row, column = cell.div(n, rounding_mode="floor"), cell % n
        distance = _squared(table.take(cell)).masked_fill_(row + rows.start == column, 0)
        weights = torch.exp(-distance / farthest[rows][row])
        totals = weights.new_zeros(len(near[rows])).index_add_(0, row, weights)
        found.append(_Entries(row + rows.start, column, weights / totals[row]))
    return _joined(found)


def _averaged(encoded: _Entries, nearest: Int[Tensor, "n k"]) -> _Entries:
    """The mean of each image's nearest rows."""
    n, k = nearest.shape
    if k == 1:
        return encoded
    counts = torch.bincount(encoded.row, minlength=n)
    starts, found = counts.cumsum(0) - counts, []
    for rows in _groups(n, k * int(counts.max())):
        others = nearest[rows]
        entry = _ranges(starts[others].flatten(), counts[others].flatten())
        first = torch.arange(rows.start * n, rows.stop * n, n, device=entry.device)
        first = first.repeat_interleave(counts[others].sum(dim=1))
        cell, place = torch.unique(first + encoded.column.take(entry), return_inverse=True)
        value = encoded.value.new_zeros(len(cell)).index_add_(0, place, encoded.value.take(entry))
        found.append(_Entries(cell.div(n, rounding_mode="floor"), cell % n, value / k))
    return _joined(found)


def _joined(groups: list[_Entries]) -> _Entries:
    return _Entries(*(torch.cat(field) for field in zip(*groups, strict=True)))


def _ranges(starts: Int[Tensor, "m"], counts: Int[Tensor, "m"]) -> Int[Tensor, "e"]:
    """So many numbers from each start, one after the other."""
    ends = counts.cumsum(0)
    shift = (starts - ends + counts).repeat_interleave(counts)
    return torch.arange(len(shift), device=starts.device) + shift


# comparing -----------------------------------------------------------------------------------------------------------


def _shared(encoded: _Entries, n: int, q: int) -> Iterator[tuple[slice, Float[Tensor, "r g"]]]:
    """Σ_j min(V_ij, V_gj) of the queries i, a group at a time, with all of the gallery g.

    Over the pairs of entries that share a column: an entry of a query meets all of its column in the gallery.
    """
    g, split = n - q, int((encoded.row < q).sum())
    query, gallery = (_Entries(*(x[part] for x in encoded)) for part in (slice(split), slice(split, None)))
    gallery = _Entries(*(x[gallery.column.argsort(stable=True)] for x in gallery))
    heights = torch.bincount(gallery.column, minlength=n)
    tops = heights.cumsum(0) - heights
    times = heights[query.column]  # how many each entry of a query meets
    ends = torch.bincount(query.row, minlength=q).cumsum(0)  # every row has an entry: an image is its own neighbour
    work = [0, *(times.cumsum(0)[ends - 1] + g * torch.arange(1, q + 1, device=ends.device)).tolist()]
    bounds, start = [0, *ends.tolist()], 0
    while start < q:
        stop = max(bisect_right(work, work[start] + _CELLS) - 1, start + 1)
        entries = slice(bounds[start], bounds[stop])
        often = times[entries]
        place = _ranges(tops[query.column[entries]], often)
        least = torch.minimum(gallery.value.take(place), query.value[entries].repeat_interleave(often))
        cell = gallery.row.take(place) + ((query.row[entries] - start) * g - q).repeat_interleave(often)
        yield slice(start, stop), least.new_zeros((stop - start) * g).index_add_(0, cell, least).view(-1, g)
        start = stop
