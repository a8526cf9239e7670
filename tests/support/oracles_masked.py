"""Equations over parts of which some are padding, as literal loops: see `oracles.py`. Padding is never looked at."""

from __future__ import annotations

import itertools
import math

from torch import Tensor

from support.oracles import Mat, Vec, distance

Parts = dict[int, Vec]


def matching(weights: Mat, rows: list[bool], columns: list[bool]) -> list[int]:
    """The matching of largest total weight of real rows with real columns, by trying all; −1 for what has none."""
    mine, theirs = ([i for i, real in enumerate(side) if real] for side in (rows, columns))
    number = min(len(mine), len(theirs))
    tried = [
        list(zip(some, chosen, strict=True))
        for some in itertools.combinations(mine, number)
        for chosen in itertools.permutations(theirs, number)
    ]
    best = max(tried, key=lambda edges: math.fsum(weights[u][v] for u, v in edges))
    return [dict(best).get(u, -1) for u in range(len(rows))]


def part_center(
    own: Tensor, cross: Tensor, labels: Tensor, modality: Tensor, real: Tensor, margin: float
) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """The terms of both sums, by their pairs (i, j) of rows that take part."""
    y, m = labels.tolist(), modality.tolist()
    f, g = ([_parts(row, kept) for row, kept in zip(x, real, strict=True)] for x in (own, cross))
    centers = [_center([f[j] for j in range(len(y)) if (y[j], m[j]) == (y[i], m[i])]) for i in range(len(y))]
    pulls, pushes = {}, {}
    for i, j in itertools.product(range(len(y)), repeat=2):
        if not f[i] or not f[j]:
            continue
        if y[i] == y[j] and m[i] == m[j]:
            pulls[i, j] = _mean([distance(g[i][k], centers[j][k]) for k in g[i]])
        shared = centers[i].keys() & centers[j].keys()
        if y[i] != y[j] and m[i] >= m[j] and shared:
            pushes[i, j] = _mean([max(margin - distance(centers[i][k], centers[j][k]), 0.0) for k in shared])
    return pulls, pushes


def hetero_center(features: Tensor, labels: Tensor, modality: Tensor, real: Tensor) -> dict[tuple[int, int], float]:
    """‖c⁰ − c¹‖² by identity and part, of those that both modalities have."""
    y, m = labels.tolist(), modality.tolist()
    rows = [_parts(row, kept) for row, kept in zip(features, real, strict=True)]
    terms = {}
    for identity in set(y):
        first, second = (
            _center([rows[i] for i in range(len(y)) if (y[i], m[i]) == (identity, kind)]) for kind in (0, 1)
        )
        for k in first.keys() & second.keys():
            terms[identity, k] = distance(first[k], second[k]) ** 2
    return terms


def _parts(row: Tensor, real: Tensor) -> Parts:
    return {k: part for k, (part, kept) in enumerate(zip(row.tolist(), real.tolist(), strict=True)) if kept}


def _center(rows: list[Parts]) -> Parts:
    """The mean of each part over the rows that have it."""
    found: Parts = {}
    for k in {k for row in rows for k in row}:
        having = [row[k] for row in rows if k in row]
        found[k] = [_mean(list(values)) for values in zip(*having, strict=True)]
    return found


def _mean(values: Vec) -> float:
    return math.fsum(values) / len(values)
