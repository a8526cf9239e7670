"""Retrieval as literal loops: see `oracles.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from support.oracles import Mat, Vec, cosine, log_softmax, tensor


def rank_metrics(
    similarity: Tensor, query_ids: Tensor, gallery_ids: Tensor, exclude: Tensor | None, ranks: int, cmc_over: str
) -> tuple[Vec, float, float, int]:
    """CMC, mAP, mINP and the number of queries counted, one query after the other.

    The gallery is sorted by falling similarity, equal ones in the gallery's order. CMC over identities walks down the
    list and counts each identity where it first appears; average precision and mINP are over images.
    """
    ids = gallery_ids.tolist()
    cmc, precisions, inps = [0] * ranks, [], []
    excluded = torch.zeros(similarity.shape, dtype=torch.bool).tolist() if exclude is None else exclude.tolist()
    for row, identity, skip in zip(similarity.tolist(), query_ids.tolist(), excluded, strict=True):
        order = sorted((g for g in range(len(ids)) if not skip[g]), key=lambda g: -row[g])
        listed = [ids[g] for g in order]
        if identity not in listed:
            continue
        walked = list(dict.fromkeys(listed)) if cmc_over == "identities" else listed
        first = walked.index(identity)
        for rank in range(first, ranks):
            cmc[rank] += 1
        found, precision, last = 0, [], 0
        for place, other in enumerate(listed, start=1):
            if other == identity:
                found, last = found + 1, place
                precision.append(found / place)
        precisions.append(math.fsum(precision) / found)
        inps.append(found / last)
    count = len(precisions)
    return [hits / count for hits in cmc], math.fsum(precisions) / count, math.fsum(inps) / count, count


def target_aware_similarity(
    query_tokens: Iterable[Tensor],
    query_parts: Iterable[Tensor],
    gallery_tokens: Iterable[Tensor],
    gallery_parts: Iterable[Tensor],
    attend_to: Callable[[Tensor, Tensor, Tensor], Tensor],
    direction: str,
) -> Tensor:
    """Pair by pair: the mean over parts of the cosine between A(T_g; P)_k and A(T_q; P)_k.

    `attend_to(tokens, parts, home)` is one call of the attention for one pair, `home` the tokens that the parts were
    mined from. Images may differ in their numbers of tokens and parts.
    """

    def reads(tokens: Tensor, parts: Tensor, home: Tensor) -> Mat:
        return attend_to(tokens[None], parts[None], home[None])[0].tolist()

    table = []
    for tq, pq in zip(query_tokens, query_parts, strict=True):
        row = []
        for tg, pg in zip(gallery_tokens, gallery_parts, strict=True):
            values = []
            if direction in ("query", "both"):
                values.append(_mean_cosine(reads(tg, pq, tq), reads(tq, pq, tq)))
            if direction in ("gallery", "both"):
                values.append(_mean_cosine(reads(tg, pg, tg), reads(tq, pg, tg)))
            row.append(math.fsum(values) / len(values))
        table.append(row)
    return tensor(table)


def _mean_cosine(a: Mat, b: Mat) -> float:
    """Zero over no parts."""
    return math.fsum(cosine(x, y, 1e-12) for x, y in zip(a, b, strict=True)) / max(len(a), 1)


def contrastive(
    similarity: Tensor, query_labels: Tensor, gallery_labels: Tensor, temperature: float, block: int | None
) -> list[float | None]:
    """The terms of InfoNCE of each query, then of each gallery row: the mean over positives of −log softmax.

    None where a block has no positive. Block number n has the n-th `block` rows of either side.
    """
    table, q, g = similarity.tolist(), query_labels.tolist(), gallery_labels.tolist()
    size = block or max(len(q), len(g), 1)

    def term(row: Vec, positive: list[bool]) -> float | None:
        if not any(positive):
            return None
        logs = log_softmax([value / temperature for value in row])
        chosen = [log for log, kept in zip(logs, positive, strict=True) if kept]
        return -math.fsum(chosen) / len(chosen)

    terms = []
    for i in range(len(q)):
        others = [j for j in range(len(g)) if j // size == i // size]
        terms.append(term([table[i][j] for j in others], [q[i] == g[j] for j in others]))
    for j in range(len(g)):
        others = [i for i in range(len(q)) if i // size == j // size]
        terms.append(term([table[i][j] for i in others], [q[i] == g[j] for i in others]))
    return terms
