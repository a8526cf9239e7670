"""Search in two stages: an index over embeddings, then short lists in the order of target-aware similarity."""

from __future__ import annotations

from typing import Literal

import torch
from rich.progress import track
from torch import Tensor
from torch.nn import BatchNorm1d

from concordant import Encoded, PartQueries, target_aware_similarity
from concordant.layers.attention import PartAttention
from vireid.datasets.dataset import Rows
from vireid.datasets.items import Items
from vireid.evaluation.index import EmbeddingIndex, Found
from vireid.evaluation.similarity import Similarity, by_modality, cosine, looked_up

Score = Literal["target-aware", "mean"]
Norm = BatchNorm1d | None

LISTED = 256
"""Images of a short list that are compared at a time: bounds the memory of a list of any length."""
QUERIES = 128
"""Queries that are compared with a whole gallery at a time."""


def two_stage(
    index: EmbeddingIndex,
    embeddings: Tensor,
    query: Encoded,
    gallery: Encoded,
    attention: PartAttention,
    k: int,
    *,
    norm: Norm = None,
    score: Score = "target-aware",
) -> Found:
    """Search by distilled embeddings, then put each query's k nearest in the order of their target-aware similarity.

    Cost of a query: one search of the index, and k pairs, however large the gallery. A pair reads the query's p parts
    on the gallery image, and the gallery image's parts on both: three attentions of 2·p·t·(c + d) operations each, so
    k · 6·p·t·(c + d) in all. Exhaustive comparison takes g pairs of two attentions each, since it reads an image's
    parts on the image itself once and not in every pair. Memory is that of 256 images, for lists of any length.

    Args:
        index: of g gallery images; row i is row i of `gallery`.
        embeddings: [q e] of the queries.
        query: the same q images, encoded.
        gallery: the g images, encoded.
        attention: the model's.
        norm: the model's `part_norm`, in evaluation mode, for refined parts to pass before they are compared.
        k: the length of the short list.
        score: "target-aware" orders the list by the target-aware similarity alone; "mean" by the mean of it and the
            index's.

    Returns the lists, [q k], with the similarities they are ordered by.

    Raises:
        ValueError: for shapes or settings that do not fit.
    """
    if score not in ("target-aware", "mean"):
        raise ValueError(f"two_stage: `score` must be 'target-aware' or 'mean'; got {score!r}")
    lengths = (len(embeddings), len(query.tokens), index.settings.size, len(gallery.tokens))
    if lengths[0] != lengths[1] or lengths[2] != lengths[3]:
        raise ValueError(
            f"two_stage: `embeddings` and `query` must have as many rows, and so must `index` and `gallery`; "
            f"got {lengths[0]} and {lengths[1]}, {lengths[2]} and {lengths[3]}"
        )
    found = index.search(embeddings, k)
    values = rescore(found.rows, query, gallery, attention, norm=norm)
    if score == "mean":
        values = (values + found.similarity) / 2
    order = values.argsort(dim=1, descending=True, stable=True)
    return Found(values.gather(1, order), found.rows.gather(1, order))


def rescore(rows: Tensor, query: Encoded, gallery: Encoded, attention: PartAttention, *, norm: Norm = None) -> Tensor:
    """The target-aware similarity [q k] of each query with the gallery images `rows` [q k]; −∞ for a row of −1."""
    dtype = torch.promote_types(query.tokens.dtype, torch.float32)
    values = torch.empty(rows.shape, dtype=dtype)
    length = min(rows.shape[1], LISTED)  # several short lists at a time, or a piece of one long list
    for some in torch.arange(len(rows)).split(max(LISTED // length, 1)):
        one = query.rows(some)
        for places in torch.arange(rows.shape[1]).split(length):
            listed = rows[some][:, places].clamp_min(0)
            values[some[:, None], places] = _listed(one, gallery.rows(listed.flatten()), attention, norm).to(values)
    return values.masked_fill_(rows < 0, -torch.inf)


def _listed(query: Encoded, listed: Encoded, attention: PartAttention, norm: Norm) -> Tensor:
    """[q s]: each query's similarity with its own s of the images [q·s] that are listed."""
    q, s = len(query.tokens), len(listed.tokens) // len(query.tokens)

    def normed(features: Tensor) -> Tensor:
        features = features.float()
        return features if norm is None else norm(features.flatten(1)).view_as(features)

    def refine(tokens: Tensor, keys: Tensor, parts: PartQueries) -> Tensor:
        return normed(attention.attend(tokens, keys, parts).features)

    def cosine(features: Tensor, own: Tensor) -> Tensor:
        return torch.cosine_similarity(features, own, dim=2, eps=1e-12).mean(dim=1).view(q, s)

    def each(x: Tensor) -> Tensor:
        return x.repeat_interleave(s, dim=0)

    parts = PartQueries(*map(each, query.part_queries))
    by_query = cosine(refine(listed.tokens, listed.keys, parts), each(refine(*query)))
    # A query reads the parts of all its listed images at once.
    parts = PartQueries(*(x.unflatten(0, (q, s)).flatten(1, 2) for x in listed.part_queries))
    read = attention.attend(query.tokens, query.keys, parts).features.unflatten(1, (s, -1)).flatten(0, 1)
    return (by_query + cosine(normed(read), refine(*listed))) / 2


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
    attention: PartAttention,
    k: int,
    *,
    norm: Norm = None,
    score: Score = "target-aware",
) -> Similarity:
    """`two_stage` for `evaluate`: see `short_list_first`. A gallery of fewer than k images is listed as a whole.

    Each gallery is indexed as it is asked for, exactly. Images that the protocol does not show a query may be on its
    list, since they are taken out of the ranking afterwards: the rest of the list is then shorter than k.

    Args:
        embeddings: [n e], one row an image of `test`; `encoded`: the same images.
        attention, norm, k, score: see `two_stage`.
    """
    distilled = cosine(embeddings, test)

    def similarity(query: Rows, gallery: Rows) -> Tensor:
        own, other = torch.from_numpy(query), torch.from_numpy(gallery)
        index = EmbeddingIndex.build(embeddings[other])
        short = min(k, len(gallery))
        found = two_stage(
            index, embeddings[own], encoded.rows(own), encoded.rows(other), attention, short, norm=norm, score=score
        )
        return short_list_first(distilled(query, gallery), found)

    return similarity


def target_aware(
    encoded: Encoded, test: Items, attention: PartAttention, *, norm: Norm = None, progress: bool = True
) -> Similarity:
    """The target-aware similarity of all visible with all infrared images of `test`, formed once for every task."""
    visible, infrared = by_modality(test)
    gallery = encoded.rows(infrared)
    groups = track(visible.split(QUERIES), description="comparing all pairs", disable=not progress)
    tables = (target_aware_similarity(encoded.rows(rows), gallery, attention, norm=norm) for rows in groups)
    table = torch.cat([table.cpu() for table in tables])
    return looked_up(table, test)
