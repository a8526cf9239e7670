"""k-reciprocal re-ranking: two images are near if they are among the nearest of the same images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn.functional import normalize

from vireid.datasets.dataset import Rows
from vireid.datasets.items import Items
from vireid.evaluation.similarity import Similarity, check_embeddings

PAIRS = 1 << 24
"""Queries are taken in groups of at most so many pairs and results, to bound memory."""


def reranked(embeddings: Tensor, test: Items, *, k1: int = 20, k2: int = 6, weight: float = 0.3) -> Similarity:
    """The similarity after k-reciprocal re-ranking of embeddings [n e], one row an image of `test`.

    Queries see each other and the whole gallery as neighbours, also those gallery images that the protocol does not
    show them: these are taken out of the ranking afterwards, as ever.

    Args:
        k1, k2, weight: see `rerank_distances`.

    Raises:
        ValueError: for embeddings that are not one row an image.
    """
    check_embeddings("reranked", embeddings, test)
    unit = normalize(embeddings.float(), dim=1)
    # Of all test images once, for every task and trial; in place, since it is the largest array of an evaluation.
    distances = (unit @ unit.T).mul_(-2).add_(2).clamp_min_(0).fill_diagonal_(0).numpy()

    def similarity(query: Rows, gallery: Rows) -> Tensor:
        rows = np.concatenate([query, gallery])
        return -torch.from_numpy(
            rerank_distances(distances[np.ix_(rows, rows)], len(query), k1=k1, k2=k2, weight=weight)
        )

    return similarity


def rerank_distances(
    distances: NDArray[np.floating], queries: int, *, k1: int = 20, k2: int = 6, weight: float = 0.3
) -> NDArray[np.float32]:
    """Distances [q g] from squared distances [n n] of n = q + g images, the queries first.

    Equation, with N(i, k) the k + 1 nearest of i, itself among them, and d the distances over their rows' maxima::

        R(i, k) = {j in N(i, k): i in N(j, k)}
        R*(i)   = R(i, k1) ∪ R(c, k1/2) of all c in R(i, k1) with |R(c, k1/2) ∩ R(i, k1)| > 2/3 |R(c, k1/2)|
        V_i     = exp(-d(i, j)) for j in R*(i), else 0, over its sum; then the mean over i's k2 nearest
        J(i, j) = 1 - Σ min(V_i, V_j) / Σ max(V_i, V_j)
        result  = (1 - weight) J + weight d

    Raises:
        ValueError: for bad sizes or settings.

    Reference: Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding (CVPR 2017).
    """
    n = len(distances)
    if distances.shape != (n, n) or not 0 < queries < n:
        raise ValueError(
            f"rerank_distances: `distances` must be (n, n) with 0 < `queries` < n; got {distances.shape}, {queries}"
        )
    if k1 < 1 or k2 < 1 or not 0 <= weight <= 1:
        raise ValueError(
            f"rerank_distances: `k1` and `k2` must be at least 1, `weight` 0 .. 1; got {k1}, {k2}, {weight}"
        )
    distances = distances / np.maximum(distances.max(axis=1, keepdims=True), np.finfo(distances.dtype).tiny)
    nearest = _nearest(distances, min(max(k1 + 1, k2), n))
    whole, half = (_reciprocal(nearest[:, : k + 1]) for k in (k1, round(k1 / 2)))
    common = whole.multiply(whole @ half.T).tocsr()
    common.data = (common.data > 2 / 3 * np.diff(half.indptr)[common.indices]).astype(np.float32)
    expanded = (whole + common @ half).tocsr()
    row = np.repeat(np.arange(n), np.diff(expanded.indptr))
    expanded.data = np.exp(-distances[row, expanded.indices])
    expanded.data /= np.bincount(row, expanded.data, minlength=n)[row]
    if k2 > 1:
        expanded = _indicator(nearest[:, :k2]) @ expanded / min(k2, n)
    shared = _shared(expanded[:queries], expanded[queries:])
    return ((1 - weight) * (1 - shared / (2 - shared)) + weight * distances[:queries, queries:]).astype(np.float32)


def _nearest(distances: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """[n k]: the k nearest of each row, nearest first."""
    found = np.argpartition(distances, k - 1, axis=1)[:, :k]
    order = np.take_along_axis(distances, found, axis=1).argsort(axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


def _indicator(columns: NDArray[np.int64]) -> csr_matrix:
    """[n n], one at each row's columns."""
    n, k = columns.shape
    ones = np.ones(n * k, dtype=np.float32)
    return csr_matrix((ones, columns.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))


def _reciprocal(nearest: NDArray[np.int64]) -> csr_matrix:
    """[n n], one where two images are among the nearest of each other."""
    neighbours = _indicator(nearest)
    return neighbours.multiply(neighbours.T).tocsr()


def _shared(query: csr_matrix, gallery: csr_matrix) -> NDArray[np.float64]:
    """[q g]: Σ_j min(query_ij, gallery_kj), over the pairs of entries that share a column."""
    q, g = query.shape[0], gallery.shape[0]
    column = gallery.tocsc()
    pairs = np.diff(column.indptr)[query.indices]  # entries of the gallery that each of the queries' meets
    work = np.concatenate([[0], np.cumsum(pairs)])[query.indptr] + g * np.arange(q + 1)
    out = np.empty((q, g))
    start = 0
    while start < q:
        stop = max(start + 1, int(np.searchsorted(work, work[start] + PAIRS, side="right")) - 1)
        entries = slice(query.indptr[start], query.indptr[stop])
        times = pairs[entries]
        offset = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        place = offset + np.repeat(column.indptr[query.indices[entries]], times)
        least = np.minimum(column.data[place], np.repeat(query.data[entries], times))
        row = np.repeat(np.arange(stop - start), np.diff(query.indptr[start : stop + 1]))
        cell = np.repeat(row * g, times) + column.indices[place]
        out[start:stop] = np.bincount(cell, least, minlength=(stop - start) * g).reshape(stop - start, g)
        start = stop
    return out
