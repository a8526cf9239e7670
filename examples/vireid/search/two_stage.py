"""Search in two stages: an index over embeddings, then a short list, ranked by target-aware similarity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from rich.progress import track
from torch import Tensor

from concordant import Encoded
from vireid.datasets.dataset import Rows
from vireid.datasets.items import Items
from vireid.evaluation.similarity import Similarity, by_modality, cosine, looked_up
from vireid.search.index import EmbeddingIndex, Found

Score = Literal["target-aware", "mean"]
Compare = Callable[..., Tensor]
"""`similarity` of a model: (query, gallery) -> [q g], and with `pairs` [q k] -> [q k]."""

QUERIES = 128
"""Queries that are compared with the complete gallery at a time."""


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
    """Search by distilled embeddings, then rank the k nearest images of each query by target-aware similarity.

    Cost of a query: one search in the index, and k pairs, for a gallery of any size. A pair reads the query's p parts
    on the gallery image, and the gallery image's parts on both: three attentions of 2·p·t·(c + d) operations each, or
    k · 6·p·t·(c + d) in total. Exhaustive comparison takes g pairs of two attentions each, since it reads the parts of
    an image on the image itself only once.

    Args:
        index: of g gallery images; row i is row i of `gallery`.
        embeddings: [q e] of the queries.
        query: the same q images, encoded.
        gallery: the g images, encoded.
        compare: `similarity` of the model.
        k: the length of the short list.
        score: "target-aware" ranks the list by target-aware similarity; "mean" by the mean of it and the similarity
            of the index.

    Returns the ranked lists, [q k], with their similarities.

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
    """A similarity [q g] that ranks the short list of each query first, in its order, then the other images.

    Images of the list keep their similarity. That of the others, a cosine, is reduced by 4, below all cosines. float64,
    in which this makes no two of them equal.
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
    """`two_stage` for `evaluate`: see `short_list_first`. With fewer than k images in the gallery, the list has all.

    An exact index is built for each gallery. Images that the protocol hides from a query may be on its list, since they
    are removed from the ranking afterwards: the list is then shorter than k.

    Args:
        embeddings: [n e], one row per image of `test`; `encoded`: the same images.
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
    """The target-aware similarity of all visible with all infrared images of `test`, computed once for all tasks."""
    visible, infrared = by_modality(test)
    gallery = encoded[infrared]
    groups = track(visible.split(QUERIES), description="comparing all pairs", disable=not progress)
    table = torch.cat([compare(encoded[rows], gallery).cpu() for rows in groups])
    return looked_up(table, test)
