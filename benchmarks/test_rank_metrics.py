"""rank_metrics against one query after the other, at SYSU-MM01's size: 3,803 queries, 3,010 gallery images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def with_lists(
    similarity: torch.Tensor, query_ids: torch.Tensor, gallery_ids: torch.Tensor, exclude: torch.Tensor
) -> tuple[float, float, float]:
    """Rank-1 over identities, mAP and mINP as the field's evaluations work: a loop over queries, lists inside it."""
    scores, queries, gallery, hidden = (x.numpy() for x in (similarity, query_ids, gallery_ids, exclude))
    ranking = np.argsort(-scores, axis=1)
    firsts, precisions, penalties = [], [], []
    for query in range(len(queries)):
        order = ranking[query]
        ranked = gallery[order[~hidden[query][order]]]
        match = (ranked == queries[query]).astype(np.int32)
        if not match.any():
            continue
        seen = np.unique(ranked, return_index=True)[1]
        identities = np.array([ranked[place] for place in sorted(seen)])
        firsts.append((identities == queries[query]).astype(np.int32).cumsum()[0])
        found = match.cumsum()
        precision = np.asarray([number / (place + 1.0) for place, number in enumerate(found)]) * match
        precisions.append(precision.sum() / match.sum())
        last = np.max(np.where(match == 1)[0])
        penalties.append(found[last] / (last + 1.0))
    return float(np.mean(firsts)), float(np.mean(precisions)), float(np.mean(penalties))


def without_lists(
    similarity: torch.Tensor, query_ids: torch.Tensor, gallery_ids: torch.Tensor, exclude: torch.Tensor
) -> tuple[float, float, float]:
    """The same with nothing but NumPy in the loop: as fast as a loop over queries gets."""
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


def test_ours(measure: Callable[..., Any], ranking: dict[str, torch.Tensor]) -> None:
    metrics = measure(ROW, "ours", rank_metrics, **ranking, cmc_over="identities", shape=SHAPE, rounds=9)
    for loop in (with_lists, without_lists):
        found = [metrics.cmc[0].item(), metrics.map.item(), metrics.minp.item()]
        assert found == pytest.approx(loop(**ranking), abs=1e-9)


def test_with_lists(measure: Callable[..., Any], ranking: dict[str, torch.Tensor]) -> None:
    measure(ROW, "the field's loop over queries", with_lists, **ranking, shape=SHAPE, rounds=1)


def test_without_lists(measure: Callable[..., Any], ranking: dict[str, torch.Tensor]) -> None:
    measure(ROW, "a loop over queries, NumPy alone", without_lists, **ranking, shape=SHAPE, rounds=3)
