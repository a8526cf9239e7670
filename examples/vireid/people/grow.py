"""The tree of boxes in which rays look for solids."""

from __future__ import annotations

import numpy as np

from vireid.people.kernels import compiled
from vireid.people.solids import BINS, LEAF, Solids, Tree


@compiled
def split_tree(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n = len(low)
    order = np.arange(n)
    middle = 0.5 * (low + high)
    node_low, node_high = np.empty((2 * n, 3)), np.empty((2 * n, 3))
    first, count = np.zeros(2 * n, np.int64), np.zeros(2 * n, np.int64)
    first[0], count[0] = 0, n
    used = 1
    stack = np.zeros(256, np.int64)
    top = 1
    bin_low, bin_high, bin_count = np.empty((BINS, 3)), np.empty((BINS, 3)), np.empty(BINS, np.int64)
    right_area = np.empty(BINS)
    while top > 0:
        top -= 1
        node = stack[top]
        start, size = first[node], count[node]
        lo, hi = np.full(3, 1e30), np.full(3, -1e30)
        mid_lo, mid_hi = np.full(3, 1e30), np.full(3, -1e30)
        for i in range(start, start + size):
            s = order[i]
            for a in range(3):
                lo[a], hi[a] = min(lo[a], low[s, a]), max(hi[a], high[s, a])
                mid_lo[a], mid_hi[a] = min(mid_lo[a], middle[s, a]), max(mid_hi[a], middle[s, a])
        node_low[node], node_high[node] = lo, hi
        if size <= LEAF:
            continue
        # Split where the area of the two boxes, each times its solids, is least.
        best, best_axis, best_bin = 1e30, -1, 0
        for a in range(3):
            extent = mid_hi[a] - mid_lo[a]
            if extent < 1e-6:
                continue
            bin_low[:], bin_high[:], bin_count[:] = 1e30, -1e30, 0
            for i in range(start, start + size):
                s = order[i]
                b = min(int((middle[s, a] - mid_lo[a]) / extent * BINS), BINS - 1)
                bin_count[b] += 1
                for k in range(3):
                    bin_low[b, k], bin_high[b, k] = min(bin_low[b, k], low[s, k]), max(bin_high[b, k], high[s, k])
            lo[:], hi[:] = 1e30, -1e30
            total = 0
            for b in range(BINS - 1, 0, -1):
                total += bin_count[b]
                for k in range(3):
                    lo[k], hi[k] = min(lo[k], bin_low[b, k]), max(hi[k], bin_high[b, k])
                x, y, z = max(hi[0] - lo[0], 0.0), max(hi[1] - lo[1], 0.0), max(hi[2] - lo[2], 0.0)
                right_area[b] = (x * y + y * z + z * x) * total
            lo[:], hi[:] = 1e30, -1e30
            total = 0
            for b in range(BINS - 1):
                total += bin_count[b]
                for k in range(3):
                    lo[k], hi[k] = min(lo[k], bin_low[b, k]), max(hi[k], bin_high[b, k])
                if total == 0 or total == size:
                    continue
                x, y, z = hi[0] - lo[0], hi[1] - lo[1], hi[2] - lo[2]
                cost = (x * y + y * z + z * x) * total + right_area[b + 1]
                if cost < best:
                    best, best_axis, best_bin = cost, a, b
        if best_axis < 0:
            cut = start + size // 2
        else:
            a, extent = best_axis, mid_hi[best_axis] - mid_lo[best_axis]
            i, j = start, start + size - 1
            while i <= j:
                b = min(int((middle[order[i], a] - mid_lo[a]) / extent * BINS), BINS - 1)
                if b <= best_bin:
                    i += 1
                else:
                    order[i], order[j] = order[j], order[i]
                    j -= 1
            cut = i
        first[used], count[used] = start, cut - start
        first[used + 1], count[used + 1] = cut, start + size - cut
        first[node], count[node] = used, 0
        stack[top], stack[top + 1] = used, used + 1
        top += 2
        used += 2
    return order, node_low[:used], node_high[:used], first[:used], count[:used]


def grow_tree(solids: Solids) -> Tree:
    """Order the solids and build the tree over them."""
    half = solids.half * (1 + np.abs(solids.taper))[:, None]
    reach = np.einsum("nij,ni->nj", np.abs(solids.axes), half) + 1e-4
    centre = solids.centre.astype(np.float64)
    order, low, high, first, count = split_tree(centre - reach, centre + reach)
    chosen = Solids(*(np.ascontiguousarray(getattr(solids, name)[order]) for name in Solids.__dataclass_fields__))
    bounds = np.concatenate((low, high), axis=1).astype(np.float32)
    return Tree(chosen, bounds, first.astype(np.int32), count.astype(np.int32))
