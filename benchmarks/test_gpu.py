"""Target-aware similarity and rank metrics on a GPU. (`benchmarks/gpu.py` looks closer.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from benchmarks.gpu import SHAPE, TYPES, in_plain_torch, products, sides, tf32
from torch import Tensor

from concordant import TSAA, Encoded, rank_metrics, target_aware_similarity

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
QUERIES, GALLERY, RANKED = 256, 2048, 20_000
of_every_type = pytest.mark.parametrize("kind", TYPES)


def similarity(query: Encoded, gallery: Encoded) -> Tensor:
    return target_aware_similarity(query, gallery, TSAA(4))


def compare(measure: Callable[..., Any], kind: str, role: str, function: Callable[..., Any]) -> None:
    dtype, allowed = TYPES[kind]
    row = f"`target_aware_similarity`, {kind}, a pair"
    with torch.inference_mode(), tf32(allowed):
        images = sides(QUERIES, GALLERY, dtype, "cuda")
        measure(row, role, function, *images, shape=SHAPE, work=QUERIES * GALLERY, gpu=True)


@of_every_type
def test_ours(measure: Callable[..., Any], kind: str) -> None:
    compare(measure, kind, "ours", similarity)


@of_every_type
def test_in_plain_torch(measure: Callable[..., Any], kind: str) -> None:
    with in_plain_torch():
        compare(measure, kind, "in plain torch", similarity)


@of_every_type
def test_products_alone(measure: Callable[..., Any], kind: str) -> None:
    compare(measure, kind, "floor", products)


def ranking() -> tuple[Tensor, Tensor, Tensor]:
    query_ids, gallery_ids = (torch.randint(1000, (RANKED,), device="cuda") for _ in range(2))
    return torch.randn(RANKED, RANKED, device="cuda"), query_ids, gallery_ids


def sort(similarity: Tensor, *ids: Tensor) -> None:
    """In pieces, to bound its memory."""
    for some in similarity.split((1 << 26) // RANKED):
        some.sort(dim=1)


@pytest.mark.parametrize(("role", "function"), [("ours", rank_metrics), ("floor", sort)])
def test_ranking(measure: Callable[..., Any], role: str, function: Callable[..., Any]) -> None:
    measure("`rank_metrics`", role, function, *ranking(), shape=f"{RANKED:,} × {RANKED:,}", gpu=True)
