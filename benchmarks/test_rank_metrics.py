"""rank_metrics against one query after the other, at SYSU-MM01's size: 3,803 queries, 3,010 gallery images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from concordant import rank_metrics

QUERIES, GALLERY, IDENTITIES = 3803, 3010, 96


@pytest.fixture(scope="module")
def ranking() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    camera = torch.randint(1, 7, (QUERIES,), generator=random)
    return {
        "similarity": torch.randn(QUERIES, GALLERY, generator=random),
        "query_ids": torch.randint(IDENTITIES, (QUERIES,), generator=random),
        "gallery_ids": torch.randint(IDENTITIES, (GALLERY,), generator=random),
        "exclude": (camera == 3)[:, None] & (torch.rand(GALLERY, generator=random) < 0.25),
    }


def one_by_one(
    similarity: torch.Tensor, query_ids: torch.Tensor, gallery_ids: torch.Tensor, exclude: torch.Tensor
) -> tuple[float, float, float]:
    """Rank-1 over identities, mAP and mINP, in a Python loop over queries on NumPy arrays, as evaluations do it."""
    scores, queries, gallery, hidden = (x.numpy() for x in (similarity, query_ids, gallery_ids, exclude))
    firsts, precisions, penalties = [], [], []
    for query, own, excluded in zip(queries, scores, hidden, strict=True):
        order = np.argsort(-own, kind="stable")
        ranked = gallery[order[~excluded[order]]]
        match = ranked == query
        if not match.any():
            continue
        _, seen = np.unique(ranked, return_index=True)
        firsts.append(ranked[np.sort(seen)][0] == query)
        places = np.flatnonzero(match) + 1
        precisions.append(np.mean(np.arange(1, len(places) + 1) / places))
        penalties.append(len(places) / places[-1])
    return float(np.mean(firsts)), float(np.mean(precisions)), float(np.mean(penalties))


ROW, SHAPE = "`rank_metrics`", "3,803 × 3,010"


def test_ours(measure, ranking) -> None:
    metrics = measure(ROW, "ours", rank_metrics, **ranking, cmc_over="identities", shape=SHAPE)
    rank1, precision, penalty = one_by_one(**ranking)
    assert metrics.cmc[0].item() == pytest.approx(rank1, abs=1e-9)
    assert metrics.map.item() == pytest.approx(precision, abs=1e-9)
    assert metrics.minp.item() == pytest.approx(penalty, abs=1e-9)


def test_one_query_after_the_other(measure, ranking) -> None:
    measure(ROW, "a loop over queries, NumPy", one_by_one, **ranking, shape=SHAPE, rounds=3)
