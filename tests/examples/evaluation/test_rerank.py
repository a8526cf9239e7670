"""k-reciprocal re-ranking against loops over the paper's sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vireid.evaluation import rerank
from vireid.evaluation.rerank import rerank_distances


def _literal(distances: np.ndarray, queries: int, k1: int, k2: int, weight: float) -> np.ndarray:
    n = len(distances)
    scaled = np.array([row / row.max() for row in distances])
    order = [sorted(range(n), key=lambda j: scaled[i, j]) for i in range(n)]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    encoded = np.zeros((n, n))
    for i in range(n):
        near = reciprocal(i, k1)
        expanded = set(near)
        for candidate in near:
            others = reciprocal(candidate, int(np.around(k1 / 2)))
            if len(others & near) > 2 / 3 * len(others):
                expanded |= others
        for j in expanded:
            encoded[i, j] = np.exp(-scaled[i, j])
        encoded[i] /= encoded[i].sum()
    encoded = np.array([np.mean([encoded[j] for j in order[i][:k2]], axis=0) for i in range(n)])
    out = np.zeros((queries, n - queries))
    for i in range(queries):
        for g in range(n - queries):
            low = np.minimum(encoded[i], encoded[queries + g]).sum()
            high = np.maximum(encoded[i], encoded[queries + g]).sum()
            out[i, g] = (1 - weight) * (1 - low / high) + weight * scaled[i, queries + g]
    return out


def _distances(n: int, seed: int) -> np.ndarray:
    # Clusters, so that images do have reciprocal neighbours; float64, so that no two distances are equal.
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(4, 5, generator=generator, dtype=torch.float64)[torch.arange(n) % 4]
    points = points + 0.5 * torch.randn(n, 5, generator=generator, dtype=torch.float64)
    return (torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist") ** 2).numpy()


@given(
    n=st.integers(2, 24),
    share=st.floats(0.1, 0.9),
    k1=st.integers(1, 21),
    k2=st.integers(1, 7),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_it_agrees_with_the_literal_loop(n: int, share: float, k1: int, k2: int, weight: float, seed: int) -> None:
    distances, queries = _distances(n, seed), min(max(round(share * n), 1), n - 1)
    found = rerank_distances(distances, queries, k1=k1, k2=k2, weight=weight)
    np.testing.assert_allclose(found, _literal(distances, queries, k1, min(k2, n), weight), rtol=0, atol=1e-6)


def test_the_papers_setting_in_small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    distances = _distances(90, 0)
    whole = rerank_distances(distances, 30)
    np.testing.assert_allclose(whole, _literal(distances, 30, 20, 6, 0.3), rtol=0, atol=1e-6)
    monkeypatch.setattr(rerank, "PAIRS", 500)
    np.testing.assert_allclose(rerank_distances(distances, 30), whole, rtol=0, atol=1e-6)


def test_the_order_of_the_gallery_does_not_matter() -> None:
    distances, queries = _distances(40, 1), 10
    order = np.concatenate([np.arange(queries), queries + np.random.default_rng(0).permutation(30)])
    moved = rerank_distances(distances[np.ix_(order, order)], queries)
    np.testing.assert_allclose(
        moved, rerank_distances(distances, queries)[:, order[queries:] - queries], rtol=0, atol=1e-6
    )


def test_equal_images_give_finite_figures() -> None:
    assert np.isfinite(rerank_distances(np.zeros((30, 30)), 10)).all()


def test_bad_settings() -> None:
    square = np.zeros((4, 4))
    for distances, queries in ((np.zeros((4, 5)), 2), (square, 0), (square, 4)):
        with pytest.raises(ValueError, match=r"must be \(n, n\) with 0 < `queries` < n"):
            rerank_distances(distances, queries)
    for change in ({"k1": 0}, {"k2": 0}, {"weight": 1.5}):
        with pytest.raises(ValueError, match="`k1` and `k2` must be at least 1"):
            rerank_distances(square, 2, **change)
