"""Exact matching of one modality's parts with the other's."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from concordant._checks import as_sizes, checked


@torch.library.custom_op(
    "concordant::match_parts",
    mutates_args=(),
    schema="(Tensor weights, Tensor? cross_mask=None, Tensor? own_mask=None) -> Tensor",
)
def _match_parts(weights: Tensor, cross_mask: Tensor | None = None, own_mask: Tensor | None = None) -> Tensor:
    """As an operator of its own it does not break a compiled graph, though SciPy's assignment needs the host."""
    if weights.device.type not in ("cpu", "mps") and 0 < max(weights.shape[1:]) <= _MOST_BY_TABLE:
        return _match_by_table(weights, cross_mask, own_mask)
    from scipy.optimize import linear_sum_assignment  # takes longer to import than the rest of the library

    host = weights.detach().to("cpu", torch.float64)
    b, p, q = host.shape
    rows, columns = (
        torch.ones(b, size, dtype=torch.bool) if mask is None else mask.cpu()
        for mask, size in ((cross_mask, p), (own_mask, q))
    )
    masked = not bool(rows.all() and columns.all())
    if bad := int((rows[:, :, None] & columns[:, None] & ~torch.isfinite(host)).sum()):
        raise ValueError(f"match_parts: `weights` must be finite; got {bad} values that are not")
    matching = torch.full((b, p), -1)
    each = (x.numpy() for x in (matching, host, rows, columns))  # to index a tensor takes longer than to match
    for found, matrix, row, column in zip(*each, strict=True):
        if masked:
            mine, theirs = row.nonzero()[0], column.nonzero()[0]
            first, second = linear_sum_assignment(matrix[mine][:, theirs], maximize=True)
            found[mine[first]] = theirs[second]
        else:
            first, second = linear_sum_assignment(matrix, maximize=True)
            found[first] = second
    return matching.to(weights.device)


_MOST_BY_TABLE = 7
"""As many parts have 5,040 permutations; eight have 40,320."""
_HEAVIEST = 1e300


@cache
def _permutations(parts: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """All permutations (n, p), and their edges (p·p, n) as ones among zeros; copied to a device once."""
    table = torch.tensor(list(permutations(range(parts))))
    edges = torch.nn.functional.one_hot(table, parts)
    return table.to(device), edges.flatten(1).double().T.contiguous().to(device)


def _match_by_table(weights: Tensor, cross_mask: Tensor | None, own_mask: Tensor | None) -> Tensor:
    """The best of all permutations, which waits for no host. Of parts without a counterpart none is real."""
    b, p, q = weights.shape
    size = max(p, q)
    table, edges = _permutations(size, weights.device)
    real = torch.zeros(b, size, size, dtype=torch.bool, device=weights.device)
    real[:, :p, :q] = True
    for mask, axis in ((cross_mask, 2), (own_mask, 1)):
        if mask is not None:
            padded = torch.nn.functional.pad(mask, (0, size - mask.shape[1]))
            real = real & padded.unsqueeze(axis)
    square = torch.nn.functional.pad(weights.detach().double(), (0, size - q, 0, size - p))
    # A look at the values would wait for them. One that is not finite is matched if it can be, so that the loss is not.
    square = square.nan_to_num(nan=_HEAVIEST, posinf=_HEAVIEST, neginf=_HEAVIEST)
    totals = square.where(real, 0.0).flatten(1) @ edges
    # First as many edges as there can be, then the heaviest.
    number = real.flatten(1).double() @ edges
    best = totals.where(number == number.amax(dim=1, keepdim=True), float("-inf")).argmax(dim=1)
    matching = table[best]
    found = real.gather(2, matching[:, :, None]).squeeze(2)
    return matching.where(found, -1)[:, :p].contiguous()


@_match_parts.register_fake
def _(weights: Tensor, cross_mask: Tensor | None = None, own_mask: Tensor | None = None) -> Tensor:
    return weights.new_empty(weights.shape[:2], dtype=torch.int64)


@checked()
def match_parts(
    weights: Float[Tensor, "b p q"],
    cross_mask: Bool[Tensor, "b p"] | None = None,
    own_mask: Bool[Tensor, "b q"] | None = None,
) -> Int[Tensor, "b p"]:
    """The matching of largest total weight: on a CPU by Kuhn and Munkres' assignment, through SciPy.

    On other devices it is the best of a table of all permutations, for at most seven parts: no host is waited for.

    Equation: `argmax_M Σ_u w(u, M(u))` over the permutations M of the parts; where one side has fewer parts, over the
    matchings of all its parts with different parts of the other side.

    Args:
        weights: w, (b, p, q): rows are cross parts u, columns own parts v. No gradient flows.
        cross_mask: (b, p), True for a real part u. Padding is not matched, whatever its weights are.
        own_mask: (b, q), True for a real part v.

    Shape: weights (b, p, q) → matching (b, p): row u matches column `matching[u]`, or nothing where that is −1.

    Raises: ValueError for another shape, integer types, or, through SciPy, values that are not finite.

    Edge cases: −1 stands at padding, and at the parts that are left over where more parts u than v are real. The table
    does not look for values that are not finite: they count as the heaviest, so that a matching has them where it can,
    and the sum of its weights, such as L_kd1, is not finite either.

    Reference: CAL (ICCV 2023), MatchDistill.

    >>> match_parts(torch.tensor([[[0.1, 0.9], [0.8, 0.7]]])).tolist()
    [[1, 0]]
    >>> match_parts(torch.tensor([[[0.1, 0.9], [0.8, 0.7]]]), own_mask=torch.tensor([[True, False]])).tolist()
    [[-1, 0]]
    """
    matching: Tensor = torch.ops.concordant.match_parts(weights.detach(), cross_mask, own_mask)
    return matching


@checked()
def invert_matching(matching: Int[Tensor, "b p"]) -> Int[Tensor, "b p"]:
    """Read a matching from its other side: where `matching[u] = v`, the inverse has `[v] = u`.

    Equation: `M⁻¹(M(u)) = u` for each part u.

    Args:
        matching: M, (b, p), a permutation of 0 … p − 1 in each row; or part of one, with −1 at parts without a match.

    Shape: matching (b, p) → (b, p).

    Raises: ValueError for another shape or type.

    Reference: CAL (ICCV 2023), MatchDistill.

    >>> invert_matching(torch.tensor([[1, 2, 0], [2, -1, -1]])).tolist()
    [[2, 0, 1], [-1, -1, 0]]
    """
    parts = torch.arange(matching.shape[1], device=matching.device, dtype=matching.dtype)
    there = matching[:, None] == parts[:, None]  # [b v u]: part u matches part v
    return torch.where(there.any(dim=2), there.int().argmax(dim=2).to(matching.dtype), -1)


@torch.library.custom_op("concordant::most_frequent", mutates_args=())
def _most_frequent(history: Tensor) -> Tensor:
    """The most frequent row, rows of −1 aside: its sizes depend on values, so it is an operator of its own."""
    rows, identity = history[(history != -1).any(dim=1)].long(), torch.arange(history.shape[1], device=history.device)
    if wrong := int((rows.sort(dim=1).values != identity).any(dim=1).sum()):
        rule = "its history must hold matchings, permutations of the parts; averages of weights must leave it out"
        raise ValueError(f"PartCorrespondence: {rule}; got {wrong} rows of {len(rows)} that are none")
    if len(rows) == 0:
        return identity
    matchings, counts = torch.unique(rows, dim=0, return_counts=True)
    best: Tensor = matchings[counts.argmax()]
    return best.clone()


@_most_frequent.register_fake
def _(history: Tensor) -> Tensor:
    return history.new_empty(history.shape[1], dtype=torch.int64)


class PartCorrespondence(nn.Module):
    """M̂: the most frequent recent matching.

    Equation: `M̂ = argmax_M #{recent matchings equal to M}`; among equally frequent ones the first in
    lexicographic order; the identity before any has been seen.

    Complete matchings are counted (not single edges), over the last `window` of them, for the paper asks for the one
    that occurs most "as training ends". They are a buffer, the newest first, so M̂ is saved with the model.

    Args:
        num_parts: `p`.
        window: how many matchings are remembered; older ones make room.

    Shape: update: matching (b, p); permutation: → (p,).

    Matchings must be whole, permutations of all parts: those of sides with equally many real parts.

    Raises: ValueError for bad settings, or a matching of another shape or type; and, from `permutation`, where a
    remembered row is no permutation: a wrong one was counted, or an average of weights has averaged the buffer, too.

    Where the paper is silent: when training "ends" (the window) and ties.

    Reference: CAL (ICCV 2023), MatchDistill, M̂.

    >>> correspondence = PartCorrespondence(2)
    >>> correspondence.update(torch.tensor([[1, 0], [0, 1], [1, 0]]))
    >>> correspondence.permutation().tolist()
    [1, 0]
    """

    history: Tensor

    def __init__(self, num_parts: int, *, window: int = 8192, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.num_parts, self.window = as_sizes("PartCorrespondence", num_parts=num_parts, window=window)
        history = torch.full((self.window, self.num_parts), -1, dtype=torch.int32, device=device)
        self.register_buffer("history", history)

    def reset_parameters(self) -> None:
        """Forget every matching."""
        self.history.fill_(-1)

    @checked(p="num_parts")
    @torch.no_grad()
    def update(self, matching: Int[Tensor, "b p"]) -> None:
        """Remember a batch of matchings, the oldest making room for the newest; rows of −1 are left out."""
        newest = matching.flip(0).to(self.history.dtype)
        left_out = (newest == -1).all(dim=1)
        newest = newest[left_out.byte().argsort(stable=True)]
        # How many there are is a value: rows are looked up, and none is waited for.
        places, number = torch.arange(self.window, device=newest.device), (~left_out).sum()
        found = torch.where(places < number, places, places + len(newest) - number)
        self.history.copy_(torch.cat([newest, self.history])[found])

    @property
    def seen(self) -> Int[Tensor, ""]:
        """How many matchings are remembered: the first rows of `history`."""
        return (self.history != -1).any(dim=1).sum()

    def permutation(self) -> Int[Tensor, "p"]:
        """M̂: part u of modality 0 matches part `permutation()[u]` of modality 1."""
        permutation: Tensor = torch.ops.concordant.most_frequent(self.history)
        return permutation

    def stability(self) -> float:
        """The share of the remembered matchings that are M̂; 0 before any has been seen."""
        return float((self.history == self.permutation()).all(dim=1).sum() / self.seen.clamp_min(1))

    def extra_repr(self) -> str:
        return f"{self.num_parts}, window={self.window}"
