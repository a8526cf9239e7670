"""Target-aware similarity of all pairs: 512 channels, 72 tokens, 6 parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from concordant import TSAA, Encoded, target_aware_similarity

ROW, SHAPE = "`target_aware_similarity`, a pair", "c 512, t 72, p 6, d 256, both directions"
QUERIES, GALLERY = 64, 512

Images = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def tsaa() -> TSAA:
    torch.manual_seed(0)
    return TSAA(512).eval()


@pytest.fixture(scope="module")
def query() -> Images:
    return torch.randn(QUERIES, 72, 512), torch.randn(QUERIES, 6, 512)


@pytest.fixture(scope="module")
def gallery() -> Images:
    return torch.randn(GALLERY, 72, 512), torch.randn(GALLERY, 6, 512)


def encode(tsaa: TSAA, tokens: Tensor, parts: Tensor) -> Encoded:
    return Encoded(tokens, tsaa.encode_tokens(tokens), tsaa.encode_parts(parts, tokens))


@torch.inference_mode()
def all_pairs(tsaa: TSAA, query: Images, gallery: Images) -> Tensor:
    """Encoding included."""
    return target_aware_similarity(encode(tsaa, *query), encode(tsaa, *gallery), tsaa)


def first(n: int, images: Images) -> Images:
    return images[0][:n], images[1][:n]


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.cosine_similarity(a, b, dim=-1).mean(dim=-1)


@torch.inference_mode()
def one_pair_after_the_other(tsaa: TSAA, query: Images, gallery: Images) -> Tensor:
    """One call a pair and reading, as a model that knows nothing of the search would be used."""
    similarity = torch.empty(len(query[0]), len(gallery[0]))
    images = [[(t[None], p[None]) for t, p in zip(*side, strict=True)] for side in (query, gallery)]
    for i, (q_tokens, q_parts) in enumerate(images[0]):
        q_own = tsaa(q_tokens, q_parts, q_tokens).features
        for j, (g_tokens, g_parts) in enumerate(images[1]):
            by_query = cosine(tsaa(g_tokens, q_parts, q_tokens).features, q_own)
            by_gallery = cosine(tsaa(q_tokens, g_parts, g_tokens).features, tsaa(g_tokens, g_parts, g_tokens).features)
            similarity[i, j] = (by_query + by_gallery) / 2
    return similarity


@torch.inference_mode()
def one_query_after_the_other(tsaa: TSAA, query: Images, gallery: Images) -> Tensor:
    """One batched call a query and reading: the whole gallery at once."""
    g_tokens, g_parts = gallery
    g_own = tsaa(g_tokens, g_parts, g_tokens).features
    rows = []
    for tokens, parts in zip(*query, strict=True):
        q_tokens, q_parts = (x.expand(len(g_tokens), -1, -1) for x in (tokens, parts))
        by_query = cosine(tsaa(g_tokens, q_parts, q_tokens).features, tsaa(tokens[None], parts[None], tokens[None])[0])
        rows.append((by_query + cosine(tsaa(q_tokens, g_parts, g_tokens).features, g_own)) / 2)
    return torch.stack(rows)


@torch.inference_mode()
def products(tsaa: TSAA, query: Images, gallery: Images, queries: Tensor, keys: Tensor) -> None:
    """The matrix products alone: the perceptrons of every image, and two for each direction of the pairs."""
    assert tsaa.gate_mlp is not None
    for tokens, parts in (query, gallery):
        for perceptron, rows in ((tsaa.token_mlp, tokens), (tsaa.part_mlp, parts), (tsaa.gate_mlp, parts)):
            perceptron[2](perceptron[0](rows))
    for _ in range(2):
        for start in range(0, len(keys), 32):
            torch.bmm(torch.bmm(queries, keys[start : start + 32].transpose(1, 2)), gallery[0][start : start + 32])


def test_ours(measure: Callable[..., Any], tsaa: TSAA, query: Images, gallery: Images) -> None:
    found = measure(ROW, "ours", all_pairs, tsaa, query, gallery, shape=SHAPE, work=QUERIES * GALLERY)
    for way in (one_pair_after_the_other, one_query_after_the_other):
        torch.testing.assert_close(found[:3, :3], way(tsaa, first(3, query), first(3, gallery)), rtol=0, atol=1e-5)


def test_one_pair_after_the_other(measure: Callable[..., Any], tsaa: TSAA, query: Images, gallery: Images) -> None:
    few = first(8, query), first(8, gallery)
    measure(ROW, "a TSAA call a pair", one_pair_after_the_other, tsaa, *few, shape=SHAPE, work=64)


def test_one_query_after_the_other(measure: Callable[..., Any], tsaa: TSAA, query: Images, gallery: Images) -> None:
    few = first(2, query)
    measure(
        ROW, "a batched TSAA call a query", one_query_after_the_other, tsaa, few, gallery, shape=SHAPE, work=2 * GALLERY
    )


def test_products_alone(measure: Callable[..., Any], tsaa: TSAA, query: Images, gallery: Images) -> None:
    queries = tsaa.encode_parts(query[1], query[0]).queries.detach().flatten(0, 1).expand(32, -1, -1).contiguous()
    inputs = (tsaa, query, gallery, queries, tsaa.encode_tokens(gallery[0]).detach())
    measure(ROW, "floor", products, *inputs, shape=SHAPE, work=QUERIES * GALLERY)
