"""The paper's equations, written out as literal loops over Python floats.

Nothing here is shared with the library: no einsum, no broadcasting, no torch operation on values. Each function reads
like its formula, one index at a time, so that agreement with the library to 1e-9 in float64 says that the library
computes the formula and not merely what its author thought the formula was. Tensors go in and come out only as
containers of numbers.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeAlias

import torch
from torch import Tensor

Vec: TypeAlias = "list[float]"
Mat: TypeAlias = "list[list[float]]"
Linear: TypeAlias = "tuple[Mat, Vec]"  # weight (out x in), bias (out)
Mlp: TypeAlias = "list[Linear]"


def tensor(values: object) -> Tensor:
    """Pack nested lists into a float64 tensor."""
    return torch.tensor(values, dtype=torch.float64)


# scalars and vectors -------------------------------------------------------------------------------------------------


def softmax(values: Sequence[float]) -> Vec:
    largest = max(values)
    weights = [math.exp(value - largest) for value in values]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def log_softmax(values: Sequence[float]) -> Vec:
    largest = max(values)
    log_total = largest + math.log(math.fsum(math.exp(value - largest) for value in values))
    return [value - log_total for value in values]


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def distance(a: Sequence[float], b: Sequence[float]) -> float:
    return math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def cosine(a: Sequence[float], b: Sequence[float], eps: float = 0.0) -> float:
    """Cosine of two vectors; a zero vector has cosine 0 with everything."""
    norms = max(math.sqrt(dot(a, a)), eps) * max(math.sqrt(dot(b, b)), eps)
    return dot(a, b) / norms if norms > 0 else 0.0


def gelu(value: float) -> float:
    return value * 0.5 * (1.0 + math.erf(value / math.sqrt(2.0)))


def relu(value: float) -> float:
    return max(value, 0.0)


def sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


def linear(x: Sequence[float], layer: Linear) -> Vec:
    weight, bias = layer
    return [dot(row, x) + offset for row, offset in zip(weight, bias, strict=True)]


def mlp(x: Sequence[float], layers: Mlp, activation: Callable[[float], float]) -> Vec:
    """M(x; theta): linear layers with the activation between them, none after the last."""
    values = list(x)
    for index, layer in enumerate(layers):
        values = linear(values, layer)
        if index < len(layers) - 1:
            values = [activation(value) for value in values]
    return values


# finding parts -------------------------------------------------------------------------------------------------------


def max_pool(image: Mat, size: int) -> Mat:
    """Maximum over the size x size window around each place; the window ends where the image ends."""
    height, width, reach = len(image), len(image[0]), size // 2
    pooled = [[-math.inf] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            for v in range(max(0, y - reach), min(height, y + reach + 1)):
                for u in range(max(0, x - reach), min(width, x + reach + 1)):
                    pooled[y][x] = max(pooled[y][x], image[v][u])
    return pooled


def part_scores(
    feature_map: Tensor,
    pool_sizes: Sequence[int],
    reducers: Sequence[Linear],
    head: Linear,
    activation: Callable[[float], float] = lambda value: value,
) -> Tensor:
    """Max-pools -> each reduced in channels -> concatenated -> pointwise to p maps -> softmax over space."""
    batch = []
    for image in feature_map.tolist():
        height, width = len(image[0]), len(image[0][0])
        pooled = [[max_pool(channel, size) for channel in image] for size in pool_sizes]
        logits = []  # (t x p)
        for y in range(height):
            for x in range(width):
                reduced: Vec = []
                for channels, reducer in zip(pooled, reducers, strict=True):
                    reduced += [activation(value) for value in linear([channel[y][x] for channel in channels], reducer)]
                logits.append(linear(reduced, head))
        batch.append([softmax([row[part] for row in logits]) for part in range(len(head[1]))])
    return tensor(batch)


def top_k_count(alpha: Fraction, tokens: int, parts: int) -> int:
    """N_k = ceil(alpha t / p) in exact arithmetic, at most t."""
    return min(tokens, math.ceil(alpha * tokens / parts))


def aggregate(tokens: Tensor, scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """P = S T / sum_j S_j, where S keeps each part's `count` highest scores. Returns (features, selection)."""
    features, selections = [], []
    for image, image_scores in zip(tokens.tolist(), scores.tolist(), strict=True):
        rows, selection = [], []
        for part in image_scores:
            kept = sorted(range(len(part)), key=part.__getitem__, reverse=True)[:count]
            selection.append([part[token] if token in kept else 0.0 for token in range(len(part))])
            total = math.fsum(part[token] for token in kept)
            columns = zip(*image, strict=True)
            rows.append([math.fsum(part[token] * column[token] for token in kept) / total for column in columns])
        features.append(rows)
        selections.append(selection)
    return tensor(features), tensor(selections)


def classify(features: Tensor, weights: Sequence[Linear]) -> Tensor:
    """Phi_i(P_i): one linear classifier per part; returns logits."""
    return tensor([[linear(part, weights[i]) for i, part in enumerate(row)] for row in features.tolist()])


def discriminative(logits: Tensor, labels: Tensor) -> Vec:
    """L_dis = -sum_i log Phi_i(P_i)_y, one value per image."""
    return [
        math.fsum(-log_softmax(part)[label] for part in row)
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]


def diversity(maps: Tensor) -> list[Vec]:
    """L_div = sum over i < j of (S S^T)_ij; the terms of each image, pair by pair."""
    return [[dot(a, b) for i, a in enumerate(image) for b in image[i + 1 :]] for image in maps.tolist()]


# attending -----------------------------------------------------------------------------------------------------------


def instance_norm(x: Mat, source: Mat, eps: float) -> Mat:
    """(x - mu(source)) / sqrt(var(source) + eps), channel by channel over the token axis, with the biased variance."""
    channels, count = len(x[0]), len(source)
    means = [math.fsum(row[ch] for row in source) / count for ch in range(channels)]
    variances = [math.fsum((row[ch] - means[ch]) ** 2 for row in source) / count for ch in range(channels)]
    return [[(row[ch] - means[ch]) / math.sqrt(variances[ch] + eps) for ch in range(channels)] for row in x]


def attend(queries: Mat, keys: Mat, values: Mat) -> tuple[Mat, Mat]:
    """softmax(Q K^T / sqrt d) V over tokens; returns (features, attention)."""
    scale = math.sqrt(len(keys[0]))
    attention = [softmax([dot(query, key) / scale for key in keys]) for query in queries]
    channels = len(values[0])
    features = [
        [math.fsum(row[token] * values[token][ch] for token in range(len(values))) for ch in range(channels)]
        for row in attention
    ]
    return features, attention


def dot_product_attention(tokens: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """Attn(T; P) = softmax(P T^T / sqrt d) T."""
    pairs = [attend(p, t, t) for t, p in zip(tokens.tolist(), parts.tolist(), strict=True)]
    return tensor([features for features, _ in pairs]), tensor([attention for _, attention in pairs])


def tsaa(
    tokens: Tensor,
    parts: Tensor,
    source: Tensor | None,
    theta1: Mlp,
    theta2: Mlp,
    theta3: Mlp,
    *,
    eps: float,
    activation: Callable[[float], float],
    gate: Callable[[float], float],
) -> tuple[Tensor, Tensor]:
    """A(T; P) = S(T, P) T (x) M(P; theta3); P is standardised by its own rows, or by those of `source`."""
    features, attentions = [], []
    sources = parts if source is None else source
    for t, p, s in zip(tokens.tolist(), parts.tolist(), sources.tolist(), strict=True):
        keys = [mlp(row, theta1, activation) for row in instance_norm(t, t, eps)]
        queries = [mlp(row, theta2, activation) for row in instance_norm(p, s, eps)]
        pooled, attention = attend(queries, keys, t)
        gates = [[gate(value) for value in mlp(row, theta3, activation)] for row in p]
        features.append([[x * g for x, g in zip(*rows, strict=True)] for rows in zip(pooled, gates, strict=True)])
        attentions.append(attention)
    return tensor(features), tensor(attentions)


# the part-aligned center loss ----------------------------------------------------------------------------------------


def part_distance(a: Mat, b: Mat) -> float:
    """Euclidean distance part by part, averaged over parts."""
    return math.fsum(distance(x, y) for x, y in zip(a, b, strict=True)) / len(a)


def center(own: Sequence[Mat], labels: Sequence[int], modality: Sequence[int], label: int, kind: int) -> Mat:
    """c: the mean of `own` over the rows of one identity in one modality."""
    members = [own[i] for i in range(len(own)) if labels[i] == label and modality[i] == kind]
    parts, channels = len(members[0]), len(members[0][0])
    return [
        [math.fsum(member[u][ch] for member in members) / len(members) for ch in range(channels)] for u in range(parts)
    ]


def part_center_double_sum(own: Tensor, cross: Tensor, labels: Tensor, modality: Tensor, margin: float) -> float:
    """The library's form: pulled within a modality, pushed apart where m_i >= m_j."""
    return math.fsum(part_center_pairs(own, cross, labels, modality, margin).flatten().tolist())


def part_center_five_terms(own: Tensor, cross: Tensor, labels: Tensor, modality: Tensor, margin: float) -> float:
    """The paper's form, visible = 0 and infrared = 1: g(VI, I) + g(IV, V) + s(I, V) + s(I, I) + s(V, V)."""
    f, g, y, m = own.tolist(), cross.tolist(), labels.tolist(), modality.tolist()
    rows = {kind: [i for i in range(len(y)) if m[i] == kind] for kind in (0, 1)}
    centers = {kind: {i: center(f, y, m, y[i], kind) for i in rows[kind]} for kind in (0, 1)}

    def gather(kind: int) -> float:
        return math.fsum(part_distance(g[i], centers[kind][j]) for i in rows[kind] for j in rows[kind] if y[i] == y[j])

    def separate(a: int, b: int) -> float:
        return math.fsum(
            _hinged(centers[a][i], centers[b][j], margin) for i in rows[a] for j in rows[b] if y[i] != y[j]
        )

    return math.fsum([gather(1), gather(0), separate(1, 0), separate(1, 1), separate(0, 0)])


def part_center_pairs(own: Tensor, cross: Tensor, labels: Tensor, modality: Tensor, margin: float) -> Tensor:
    """The terms of the double sum one by one, row i and column j."""
    f, g, y, m = own.tolist(), cross.tolist(), labels.tolist(), modality.tolist()
    n = len(y)
    centers = [center(f, y, m, y[i], m[i]) for i in range(n)]
    table = torch.zeros(n, n, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            if y[i] == y[j] and m[i] == m[j]:
                table[i, j] += part_distance(g[i], centers[j])
            if y[i] != y[j] and m[i] >= m[j]:
                table[i, j] += _hinged(centers[i], centers[j], margin)
    return table


def _hinged(a: Mat, b: Mat, margin: float) -> float:
    """(sigma - distance)_+, part by part, averaged over parts."""
    return math.fsum(max(margin - distance(x, y), 0.0) for x, y in zip(a, b, strict=True)) / len(a)


# matching and distillation -------------------------------------------------------------------------------------------


def best_matching(weights: Mat) -> tuple[list[int], float]:
    """The perfect matching of largest total weight, by trying all of them."""
    parts = range(len(weights))
    totals = [
        (math.fsum(weights[u][v] for u, v in zip(parts, chosen, strict=True)), chosen)
        for chosen in itertools.permutations(parts)
    ]
    total, chosen = max(totals, key=lambda pair: pair[0])
    return list(chosen), total


def matching_weights(own_attention: Tensor, cross_attention: Tensor) -> list[Mat]:
    """w(u, v) = <cross attention of part u, own attention of part v>, one matrix per image."""
    return [
        [[dot(cross_u, own_v) for own_v in own] for cross_u in cross]
        for own, cross in zip(own_attention.tolist(), cross_attention.tolist(), strict=True)
    ]


def match_distill(
    own_attention: Tensor, cross_attention: Tensor, own_logits: Tensor, cross_logits: Tensor
) -> tuple[list[Vec], list[Vec], list[list[int]]]:
    """The edges of L_kd1 and L_kd2, and M, image by image: M[u] is the own part that cross part u is matched with."""
    kd1, kd2, matchings = [], [], []
    for weights, own, cross in zip(
        matching_weights(own_attention, cross_attention), own_logits.tolist(), cross_logits.tolist(), strict=True
    ):
        matching, _ = best_matching(weights)
        kd1.append([-weights[u][v] for u, v in enumerate(matching)])
        kd2.append([kl_divergence(cross[u], own[v]) for u, v in enumerate(matching)])
        matchings.append(matching)
    return kd1, kd2, matchings


def kl_divergence(p_logits: Sequence[float], q_logits: Sequence[float]) -> float:
    """D_kl(p || q) of two softmax classifications."""
    log_p, log_q = log_softmax(p_logits), log_softmax(q_logits)
    return math.fsum(math.exp(a) * (a - b) for a, b in zip(log_p, log_q, strict=True))


def most_frequent(matchings: Sequence[Sequence[int]]) -> list[int]:
    """M-hat: the most frequent matching; the caller must exclude ties."""
    return list(Counter(tuple(matching) for matching in matchings).most_common(1)[0][0])


def cross_entropy(logits: Tensor, labels: Tensor) -> Vec:
    """-log softmax(logits)_y, one value a row."""
    return [-log_softmax(row)[y] for row, y in zip(logits.tolist(), labels.tolist(), strict=True)]


# pairing -------------------------------------------------------------------------------------------------------------


def partners_allowed(labels: Tensor, modality: Tensor) -> list[set[int]]:
    """For each row, the rows of the other modality with its identity; itself where there is none."""
    y, m = labels.tolist(), modality.tolist()
    allowed = []
    for i in range(len(y)):
        others = {j for j in range(len(y)) if y[j] == y[i] and m[j] != m[i]}
        allowed.append(others or {i})
    return allowed
