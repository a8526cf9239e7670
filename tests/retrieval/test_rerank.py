"""k-reciprocal re-ranking against loops over the paper's sets."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concordant import k_reciprocal_rerank
from concordant.retrieval import rerank
from support import oracles_metric
from support.models import close, clusters
from support.strategies import SEEDS, permutation


def cosines(n: int, seed: int, kind: str = "normal") -> Tensor:
    """Of images in clusters, so that they do have reciprocal neighbours. Ties are cosines of one decimal."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(4, 5, generator=generator, dtype=torch.float64)[torch.arange(n) % 4]
    points = points + 0.5 * torch.randn(n, 5, generator=generator, dtype=torch.float64)
    unit = torch.nn.functional.normalize(points, dim=1)
    if kind == "equal images":
        unit = unit[torch.arange(n) // 3]
    similarity = unit @ unit.T
    return similarity.mul(10).round() / 10 if kind == "ties" else similarity


@given(
    n=st.integers(2, 24),
    share=st.floats(0.1, 0.9),
    k1=st.integers(1, 26),
    k2=st.integers(1, 27),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
    kind=st.sampled_from(["normal", "ties", "equal images"]),
    seed=SEEDS,
)
def test_agrees_with_the_loop(n: int, share: float, k1: int, k2: int, weight: float, kind: str, seed: int) -> None:
    similarity, queries = cosines(n, seed, kind), min(max(round(share * n), 1), n - 1)
    if kind == "equal images":  # to the bit: rounding would order them
        similarity = similarity.mul(1e6).round() / 1e6
    found = k_reciprocal_rerank(similarity, queries, k1=k1, k2=k2, weight=weight)
    close(found, oracles_metric.k_reciprocal(similarity, queries, k1, k2, weight))


def test_the_papers_setting_in_small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    similarity = cosines(90, 0)
    whole = k_reciprocal_rerank(similarity, 30)
    close(whole, oracles_metric.k_reciprocal(similarity, 30, 20, 6, 0.3))
    for cells in (1, 500, 5000):
        monkeypatch.setattr(rerank, "_CELLS", cells)
        close(k_reciprocal_rerank(similarity, 30), whole)


def test_the_order_of_queries_and_gallery_does_not_matter() -> None:
    similarity = cosines(40, 1)
    order = torch.cat([permutation(10, 0), 10 + permutation(30, 1)])
    moved = k_reciprocal_rerank(similarity[order][:, order], 10)
    close(moved, k_reciprocal_rerank(similarity, 10)[order[:10]][:, order[10:] - 10])


def test_it_finds_the_cluster_better_than_the_cosine() -> None:
    embeddings = clusters(400, e=8)
    similarity, cluster = embeddings @ embeddings.T, torch.arange(400) % 40
    right = cluster[:100, None] == cluster[100:]

    def precision(scores: Tensor) -> float:
        return right.gather(1, scores.topk(5, dim=1).indices).float().mean().item()

    assert precision(k_reciprocal_rerank(similarity, 100, k1=9, k2=4)) > precision(similarity[:100, 100:]) + 0.02


def test_the_given_distance_alone_keeps_the_ranking_of_each_query() -> None:
    similarity = cosines(30, 2)
    found = k_reciprocal_rerank(similarity, 10, weight=1.0)
    assert torch.equal(found.argsort(dim=1), similarity[:10, 10:].argsort(dim=1))
    squared = 2 - 2 * similarity
    close(found, 1 - squared[:10, 10:] / squared.fill_diagonal_(0).amax(dim=1)[:10, None])


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (2, 3), (4, 2), (20, 6)])
def test_an_image_is_the_first_of_its_neighbours_among_equal_images(k1: int, k2: int) -> None:
    """Otherwise the last of many equal images would have no neighbours, and no V."""
    equal = torch.ones(30, 30, dtype=torch.float64)
    close(k_reciprocal_rerank(equal, 10, k1=k1, k2=k2), oracles_metric.k_reciprocal(equal, 10, k1, k2, 0.3))


def test_the_diagonal_and_values_above_one_count_as_one() -> None:
    similarity = cosines(20, 3)
    close(k_reciprocal_rerank(similarity.fill_diagonal_(-0.7), 5), k_reciprocal_rerank(similarity.fill_diagonal_(1), 5))
    above, one = similarity.clone(), similarity.clone()
    above[2, 7], one[2, 7] = 1.2, 1.0
    close(k_reciprocal_rerank(above, 5), k_reciprocal_rerank(one, 5))


def test_precision_is_that_of_the_input_or_float32() -> None:
    similarity = cosines(40, 4)
    expected = k_reciprocal_rerank(similarity, 10)
    assert expected.dtype == torch.float64
    found = k_reciprocal_rerank(similarity.float().requires_grad_(), 10)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    close(found, expected.float(), rtol=0, atol=2e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(k_reciprocal_rerank(similarity.float(), 10), found)
    halves = similarity.bfloat16()
    assert torch.equal(k_reciprocal_rerank(halves, 10), k_reciprocal_rerank(halves.float(), 10))


def test_a_transposed_matrix_and_the_input_stays_as_it_was() -> None:
    similarity = cosines(30, 5)
    before = similarity.clone()
    close(k_reciprocal_rerank(similarity.T, 10), k_reciprocal_rerank(similarity.T.contiguous(), 10))
    assert torch.equal(similarity, before)
