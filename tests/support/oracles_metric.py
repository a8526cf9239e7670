"""Equations that come from other papers, as literal loops over Python floats: see `oracles.py` for the rules."""

from __future__ import annotations

import math

from torch import Tensor

from support.oracles import Mat, Vec, cosine, distance, dot, softmax, tensor


def weighted_triplet(features: Tensor, labels: Tensor) -> list[float | None]:
    """softplus(Σ_j w⁺_ij d_ij − Σ_k w⁻_ik d_ik) of each row; None where it lacks a positive or a negative."""
    rows, y = features.tolist(), labels.tolist()
    terms: list[float | None] = []
    for i in range(len(y)):
        near = [distance(rows[i], rows[j]) for j in range(len(y)) if y[j] == y[i] and j != i]
        far = [distance(rows[i], rows[k]) for k in range(len(y)) if y[k] != y[i]]
        if not near or not far:
            terms.append(None)
            continue
        pull = dot(softmax(near), near)
        push = dot(softmax([-d for d in far]), far)
        terms.append(max(pull - push, 0.0) + math.log1p(math.exp(-abs(pull - push))))
    return terms


def hetero_center(features: Tensor, labels: Tensor, modality: Tensor) -> dict[int, Vec]:
    """‖c⁰ − c¹‖² part by part, of each identity that has rows of both modalities."""
    x, y, m = features.tolist(), labels.tolist(), modality.tolist()
    terms = {}
    for identity in sorted(set(y)):
        sides = [[x[i] for i in range(len(y)) if y[i] == identity and m[i] == kind] for kind in (0, 1)]
        if all(sides):
            terms[identity] = [
                math.fsum(
                    (_mean([row[p][ch] for row in sides[0]]) - _mean([row[p][ch] for row in sides[1]])) ** 2
                    for ch in range(features.shape[2])
                )
                for p in range(features.shape[1])
            ]
    return terms


def attention_statistics(attention: Tensor) -> tuple[float, float]:
    """The mean entropy of a map over ln t, and the mean cosine of two different parts' maps."""
    entropies, cosines = [], []
    for maps in attention.tolist():
        for row in maps:
            entropy = -math.fsum(share * math.log(share) for share in row if share > 0)
            entropies.append(entropy / math.log(len(row)) if len(row) > 1 else 0.0)
        cosines += [cosine(maps[u], maps[v]) for u in range(len(maps)) for v in range(len(maps)) if u != v]
    return _mean(entropies), _mean(cosines)


def border_share(attention: Tensor, grid: tuple[int, int]) -> tuple[Vec, float]:
    """The mean share of each part's attention on the outermost tokens, and the share of these tokens."""
    h, w = grid
    ring = [i * w + j for i in range(h) for j in range(w) if i in (0, h - 1) or j in (0, w - 1)]
    images = attention.tolist()
    parts = [_mean([math.fsum(maps[p][t] for t in ring) for maps in images]) for p in range(attention.shape[1])]
    return parts, len(ring) / (h * w)


def attention_follows(attention: Tensor, seen: Tensor, crops: Tensor, grid: tuple[int, int]) -> Vec:
    """Σ (want − c)·(got − c) / Σ ‖want − c‖² of each part, a token's mass spread evenly over its cell."""
    h, w = grid
    whole = [[0.0, 1.0], [0.0, 1.0]]
    slopes = []
    for p in range(attention.shape[1]):
        both, moved = [], []
        for maps, others, crop in zip(attention.tolist(), seen.tolist(), crops.tolist(), strict=True):
            own = _mass_within(maps[p], whole, h, w)
            inside = _mass_within(maps[p], crop, h, w)
            if 2 * math.fsum(inside.values()) <= math.fsum(own.values()):
                continue
            start, want, got = _center(own), _center(inside), _center(_mass_within(others[p], whole, h, w))
            both += [(want[axis] - start[axis]) * (got[axis] - start[axis]) for axis in (0, 1)]
            moved += [(want[axis] - start[axis]) ** 2 for axis in (0, 1)]
        slopes.append(math.fsum(both) / max(math.fsum(moved), 1e-8))
    return slopes


def _mass_within(row: Vec, crop: Mat, h: int, w: int) -> dict[tuple[float, float], float]:
    """The mass of each token that lies within a crop, by the place in the crop of the middle of its piece."""
    found: dict[tuple[float, float], float] = {}
    for t, mass in enumerate(row):
        places = []
        for cell, size, (start, end) in zip(divmod(t, w), (h, w), crop, strict=True):
            low, high = max(cell / size, min(start, end)), min((cell + 1) / size, max(start, end))
            if low >= high:
                break
            mass *= (high - low) * size
            places.append(((low + high) / 2 - start) / (end - start))
        else:
            found[places[0], places[1]] = mass
    return found


def _center(masses: dict[tuple[float, float], float]) -> Vec:
    total = math.fsum(masses.values()) or 1.0
    return [math.fsum(place[axis] * mass for place, mass in masses.items()) / total for axis in (0, 1)]


def _mean(values: Vec) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def k_reciprocal(similarity: Tensor, queries: int, k1: int, k2: int, weight: float) -> Tensor:
    """Zhong et al., CVPR 2017, over the paper's sets."""
    n, cosines = len(similarity), similarity.tolist()
    scaled: Mat = []
    for i in range(n):
        squared = [0.0 if i == j else max(2 - 2 * cosines[i][j], 0.0) for j in range(n)]
        scaled.append([value / max(*squared, 1e-300) for value in squared])
    order = [sorted(range(n), key=lambda j: (j != i, scaled[i][j], j)) for i in range(n)]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    encoded: Mat = []
    for i in range(n):
        near = reciprocal(i, k1)
        expanded = set(near)
        for candidate in near:
            others = reciprocal(candidate, round(k1 / 2))
            if 3 * len(others & near) > 2 * len(others):
                expanded |= others
        row = [math.exp(-scaled[i][j]) if j in expanded else 0.0 for j in range(n)]
        encoded.append([value / math.fsum(row) for value in row])
    means = [[_mean([encoded[j][column] for j in order[i][:k2]]) for column in range(n)] for i in range(n)]
    return tensor(
        [
            [1 - (1 - weight) * _jaccard(means[i], means[g]) - weight * scaled[i][g] for g in range(queries, n)]
            for i in range(queries)
        ]
    )


def _jaccard(a: Vec, b: Vec) -> float:
    low = math.fsum(min(x, y) for x, y in zip(a, b, strict=True))
    high = math.fsum(max(x, y) for x, y in zip(a, b, strict=True))
    return 1 - low / high
