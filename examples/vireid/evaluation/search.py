"""Search in two stages: an index over embeddings, then short lists in the order of target-aware similarity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from rich.progress import track
from torch import Tensor

from concordant import Encoded
from vireid.datasets.dataset import Rows
from vireid.datasets.items import Items
from vireid.evaluation.index import EmbeddingIndex, Found
from vireid.evaluation.similarity import Similarity, by_modality, cosine, looked_up

Score = Literal["target-aware", "mean"]
Compare = Callable[..., Tensor]
"""`similarity` of a model: (query, gallery) -> [q g], and with `pairs` [q k] -> [q k]."""

QUERIES = 128
"""Queries that are compared with a whole gallery at a time."""


def two_stage(
    index: EmbeddingIndex,
    embeddings: Tensor,
    query: Encoded,
    gallery: Encoded,
    compare: Compare,
    k: int,
    *,
    score: Score = "target-aware",
) -> Found:
    """Search by distilled embeddings, then put each query's k nearest in the order of their target-aware similarity.

    Cost of a query: one search of the index, and k pairs, however large the gallery. A pair reads the query's p parts
    on the gallery image, and the gallery image's parts on both: three attentions of 2·p·t·(c + d) operations each, so
    k · 6·p·t·(c + d) in all. Exhaustive comparison takes g pairs of two attentions each, since it reads an image's
    parts on the image itself once and not in every pair.

    Args:
        index: of g gallery images; row i is row i of `gallery`.
        embeddings: [q e] of the queries.
        query: the same q images, encoded.
        gallery: the g images, encoded.
        compare: `similarity` of the model.
        k: the length of the short list.
        score: "target-aware" orders the list by the target-aware similarity alone; "mean" by the mean of it and the
            index's.

    Returns the lists, [q k], with the similarities they are ordered by.

    Raises:
        ValueError: for shapes or settings that do not fit.
    """
    if score not in ("target-aware", "mean"):
        raise ValueError(f"two_stage: `score` must be 'target-aware' or 'mean'; got {score!r}")
    lengths = (len(embeddings), len(query), index.settings.size, len(gallery))
    if lengths[0] != lengths[1] or lengths[2] != lengths[3]:
        raise ValueError(
            f"two_stage: `embeddings` and `query` must have as many rows, and so must `index` and `gallery`; "
            f"got {lengths[0]} and {lengths[1]}, {lengths[2]} and {lengths[3]}"
        )
    found = index.search(embeddings, k)
    values = compare(query, gallery, pairs=found.rows.to(query.tokens.device)).cpu()
    if score == "mean":
        values = (values + found.similarity) / 2
    order = values.argsort(dim=1, descending=True, stable=True)
    return Found(values.gather(1, order), found.rows.gather(1, order))


def short_list_first(distilled: Tensor, found: Found) -> Tensor:
    """A similarity [q g] that ranks each query's short list first, in its order, then the others as they were.

    What was found keeps its similarity; that of the others, a cosine, is lowered by 4, below any cosine. float64, in
    which that makes no two of them equal.
    """
    similarity = distilled.double() - 4
    queries, places = (found.rows >= 0).nonzero(as_tuple=True)
    similarity[queries, found.rows[queries, places]] = found.similarity[queries, places].double()
    return similarity


def two_staged(
    embeddings: Tensor,
    encoded: Encoded,
    test: Items,
    compare: Compare,
    k: int,
    *,
    score: Score = "target-aware",
) -> Similarity:
    """`two_stage` for `evaluate`: see `short_list_first`. A gallery of fewer than k images is listed as a whole.

    Each gallery is indexed as it is asked for, exactly. Images that the protocol does not show a query may be on its
    list, since they are taken out of the ranking afterwards: the rest of the list is then shorter than k.

    Args:
        embeddings: [n e], one row an image of `test`; `encoded`: the same images.
        compare, k, score: see `two_stage`.
    """
    distilled = cosine(embeddings, test)

    def similarity(query: Rows, gallery: Rows) -> Tensor:
        own, other = torch.from_numpy(query), torch.from_numpy(gallery)
        index, short = EmbeddingIndex.build(embeddings[other]), min(k, len(gallery))
        found = two_stage(index, embeddings[own], encoded[own], encoded[other], compare, short, score=score)
        return short_list_first(distilled(query, gallery), found)

    return similarity


def target_aware(encoded: Encoded, test: Items, compare: Compare, *, progress: bool = True) -> Similarity:
    """The target-aware similarity of all visible with all infrared images of `test`, formed once for every task."""
    visible, infrared = by_modality(test)
    gallery = encoded[infrared]
    groups = track(visible.split(QUERIES), description="comparing all pairs", disable=not progress)
    table = torch.cat([compare(encoded[rows], gallery).cpu() for rows in groups])
    return looked_up(table, test)
