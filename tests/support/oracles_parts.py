"""Our additions for parts that are parts, as literal loops: see `oracles.py`."""

from __future__ import annotations

import math

from torch import Tensor

from support.oracles import Mat, Vec, cosine, dot, softmax


def gate(tokens: Tensor, weight: Vec, bias: float, scale: Vec, shift: Vec) -> Mat:
    """max(log σ(w · LN(T_t) + v), −8) of each token."""
    out = []
    for image in tokens.tolist():
        row = []
        for token in image:
            mean = math.fsum(token) / len(token)
            deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in token) / len(token) + 1e-5)
            normed = [(x - mean) / deviation * a + b for x, a, b in zip(token, scale, shift, strict=True)]
            logit = dot(weight, normed) + bias
            row.append(max(min(logit, 0.0) - math.log1p(math.exp(-abs(logit))), -8.0))
        out.append(row)
    return out


def pool(tokens: Tensor, log_gate: Tensor) -> Mat:
    """Σ_t s_t T_t / Σ_t s_t."""
    out = []
    for image, logs in zip(tokens.tolist(), log_gate.tolist(), strict=True):
        weights = [math.exp(x) for x in logs]
        total = math.fsum(weights)
        out.append([dot(weights, [token[c] for token in image]) / total for c in range(len(image[0]))])
    return out


def gated_attention(queries: Tensor, keys: Tensor, log_gate: Tensor) -> list[Mat]:
    """softmax_t(⟨P̂, T̂_t⟩ / √d + log s_t)."""
    out = []
    for parts, tokens, logs in zip(queries.tolist(), keys.tolist(), log_gate.tolist(), strict=True):
        root = math.sqrt(len(tokens[0]))
        out.append(
            [
                softmax([dot(part, token) / root + log for token, log in zip(tokens, logs, strict=True)])
                for part in parts
            ]
        )
    return out


def coverage(maps: Tensor, saliency: Tensor) -> Vec:
    """KL(s² / Σ s² ‖ mean over parts of A) of each image."""
    out = []
    for image, gates in zip(maps.tolist(), saliency.tolist(), strict=True):
        total = math.fsum(s * s for s in gates)
        term = 0.0
        for t, s in enumerate(gates):
            wanted, covered = s * s / total, math.fsum(part[t] for part in image) / len(image)
            if wanted > 0:
                term += wanted * (math.log(max(wanted, 1e-6)) - math.log(max(covered, 1e-6)))
        out.append(term)
    return out


def equivariance(seen: Tensor, moved: Tensor, crops: Tensor) -> Mat:
    """1 − cos(A(W x), W A(x)) of each part, from the maps that were moved already; zero where the crop is all."""
    whole = [[0.0, 1.0], [0.0, 1.0]]
    return [
        [0.0 if crop == whole else 1 - cosine(a, b) for a, b in zip(here, there, strict=True)]
        for here, there, crop in zip(seen.tolist(), moved.tolist(), crops.tolist(), strict=True)
    ]
