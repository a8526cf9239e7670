"""Rank metrics against a loop over queries, and by hand."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from concordant import rank_metrics
from concordant._precision import upcast
from concordant.retrieval import metrics
from support import oracles, oracles_retrieval
from support.models import close
from support.strategies import SEEDS, permutation, values

Over = Literal["images", "identities"]


class Ranking:
    """A sampled gallery and its queries, with at least one true match."""

    def __init__(self, q: int, g: int, identities: int, seed: int, kind: str, excluded: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.similarity = values((q, g), seed, kind)
        if kind == "infinite":  # a caller may have put images out of reach, true matches among them
            self.similarity = self.similarity.masked_fill(self.similarity.abs() > 0.7, float("-inf"))
        self.query_ids = torch.randint(identities, (q,), generator=generator) * 10 - 5
        self.gallery_ids = torch.randint(identities, (g,), generator=generator) * 10 - 5
        self.exclude = torch.rand(q, g, generator=generator) < excluded
        # One match that nothing excludes, so that there is always an answer.
        self.gallery_ids[0], self.exclude[0, 0] = self.query_ids[0], False


FLOATS = st.sampled_from([torch.float64, torch.float32, torch.bfloat16])
RANKINGS = st.builds(
    Ranking,
    st.integers(1, 5),
    st.integers(1, 12),
    st.integers(1, 4),
    SEEDS,
    st.sampled_from(["normal", "ties", "zeros", "infinite"]),
    st.sampled_from([0.0, 0.3, 0.8]),
)


@given(RANKINGS, st.sampled_from(["images", "identities"]), st.booleans(), st.integers(1, 15), FLOATS)
def test_agrees_with_the_loop(r: Ranking, over: Over, with_exclude: bool, ranks: int, dtype: torch.dtype) -> None:
    exclude, similarity = r.exclude if with_exclude else None, r.similarity.to(dtype)
    found = rank_metrics(similarity, r.query_ids, r.gallery_ids, exclude=exclude, cmc_over=over, ranks=ranks)
    cmc, mean_ap, minp, _ = oracles_retrieval.rank_metrics(similarity, r.query_ids, r.gallery_ids, exclude, ranks, over)
    close(found.cmc, oracles.tensor(cmc))
    close(found.map, oracles.tensor(mean_ap))
    close(found.minp, oracles.tensor(minp))


@given(RANKINGS, SEEDS, st.sampled_from(["images", "identities"]))
def test_what_does_not_matter(r: Ranking, seed: int, over: Over) -> None:
    """The order of queries, the names of identities, and any rising function of the similarity."""
    before = rank_metrics(r.similarity, r.query_ids, r.gallery_ids, exclude=r.exclude, cmc_over=over)
    rows = permutation(len(r.query_ids), seed)
    after = rank_metrics(
        2 * r.similarity[rows] ** 3 - 7,
        99 - r.query_ids[rows],
        99 - r.gallery_ids,
        exclude=r.exclude[rows],
        cmc_over=over,
    )
    for a, b in zip(before, after, strict=True):
        close(a, b)


@given(RANKINGS, SEEDS)
def test_without_ties_the_order_of_the_gallery_does_not_matter(r: Ranking, seed: int) -> None:
    similarity, columns = values(tuple(r.similarity.shape), seed), permutation(len(r.gallery_ids), seed)
    before = rank_metrics(similarity, r.query_ids, r.gallery_ids, exclude=r.exclude)
    after = rank_metrics(similarity[:, columns], r.query_ids, r.gallery_ids[columns], exclude=r.exclude[:, columns])
    for a, b in zip(before, after, strict=True):
        close(a, b)


@given(RANKINGS)
def test_bounds(r: Ranking) -> None:
    images = rank_metrics(r.similarity, r.query_ids, r.gallery_ids, exclude=r.exclude)
    identities = rank_metrics(r.similarity, r.query_ids, r.gallery_ids, exclude=r.exclude, cmc_over="identities")
    assert bool((images.cmc.diff() >= 0).all())
    assert 0 < images.minp <= 1
    assert 0 < images.map <= 1
    # Wrong images of one identity count once, so no query does worse.
    assert bool((identities.cmc >= images.cmc).all())
    assert torch.equal(identities.map, images.map)


@given(RANKINGS)
def test_excluding_is_leaving_out(r: Ranking) -> None:
    """For one query, an excluded image of any identity has the effect of a missing image."""
    kept = ~r.exclude[0]
    asked = r.query_ids[:1]
    for over in ("images", "identities"):
        excluded = rank_metrics(r.similarity[:1], asked, r.gallery_ids, exclude=r.exclude[:1], cmc_over=over)
        removed = rank_metrics(r.similarity[:1, kept], asked, r.gallery_ids[kept], cmc_over=over)
        for a, b in zip(excluded, removed, strict=True):
            close(a, b)


def test_by_hand() -> None:
    """Query 1 ranks 2 2 1 3 1: first match at image 3 but identity 2; AP (1/3 + 2/5) / 2; INP 2/5. Query 9 has none."""
    similarity = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5]])
    query_ids, gallery_ids = torch.tensor([1, 9]), torch.tensor([2, 2, 1, 3, 1])
    found = rank_metrics(similarity, query_ids, gallery_ids, ranks=4)
    assert found.cmc.tolist() == [0, 0, 1, 1]
    assert found.map.item() == pytest.approx((1 / 3 + 2 / 5) / 2)
    assert found.minp.item() == pytest.approx(2 / 5)
    found = rank_metrics(similarity, query_ids, gallery_ids, cmc_over="identities", ranks=3)
    assert found.cmc.tolist() == [0, 1, 1]


def test_any_layout_and_a_similarity_that_could_be_differentiated() -> None:
    r = Ranking(5, 9, 3, 0, "normal", 0.3)
    turned = r.similarity.T.contiguous().T.requires_grad_()
    expected = rank_metrics(r.similarity, r.query_ids, r.gallery_ids, exclude=r.exclude)
    for a, b in zip(expected, rank_metrics(turned, r.query_ids, r.gallery_ids, exclude=r.exclude), strict=True):
        assert torch.equal(a, b)


def test_the_similarity_is_left_as_it_was() -> None:
    r = Ranking(5, 9, 3, 0, "ties", 0.3)
    for exclude in (None, r.exclude):
        before = r.similarity.clone()
        rank_metrics(r.similarity, r.query_ids, r.gallery_ids, exclude=exclude, cmc_over="identities")
        assert torch.equal(r.similarity, before)


def test_the_same_place_rule() -> None:
    """Images of camera 2 are hidden from a query of camera 3: both its true match and its wrong image."""
    query_cameras, gallery_cameras = torch.tensor([3, 6]), torch.tensor([2, 2, 1, 4])
    similarity = torch.tensor([[0.9, 0.8, 0.7, 0.6]]).expand(2, 4)
    exclude = (query_cameras[:, None] == 3) & (gallery_cameras == 2)
    found = rank_metrics(
        similarity, torch.tensor([1, 1]), torch.tensor([1, 5, 7, 1]), exclude=exclude, cmc_over="identities", ranks=2
    )
    assert found.cmc.tolist() == [0.5, 1.0]
    assert found.map.item() == pytest.approx((1 / 2 + (1 + 2 / 4) / 2) / 2)


def test_no_true_match_at_all_is_an_error() -> None:
    for exclude in (None, torch.ones(1, 2, dtype=torch.bool)):
        ids = torch.tensor([1]) if exclude is None else torch.tensor([3])
        with pytest.raises(ValueError, match=r"^rank_metrics: at least one query must have a true match"):
            rank_metrics(torch.zeros(1, 2), ids, torch.tensor([3, 3]), exclude=exclude)


def test_in_groups_is_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    r = Ranking(9, 7, 3, 0, "ties", 0.3)
    at_once = rank_metrics(r.similarity, r.query_ids, r.gallery_ids, exclude=r.exclude)
    monkeypatch.setattr(metrics, "_CELLS", 15)
    for a, b in zip(at_once, rank_metrics(r.similarity, r.query_ids, r.gallery_ids, exclude=r.exclude), strict=True):
        close(a, b)


class Calls(TorchDispatchMode):
    """Counts the operators that run."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_no_loop_over_queries() -> None:
    """Ten times as many queries need no more operators. (`make bench` measures the time.)"""
    counts = []
    for q in (4, 40):
        r = Ranking(q, 30, 6, 0, "normal", 0.1)
        with Calls() as calls:  # type: ignore[no-untyped-call]
            rank_metrics(r.similarity, r.query_ids, r.gallery_ids, exclude=r.exclude, cmc_over="identities")
        counts.append(calls.count)
    assert counts[1] < counts[0] + 10 < 200


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.int16])
def test_identities_of_any_integer_type(dtype: torch.dtype) -> None:
    similarity, ids = torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([3, 7, 7])
    found = rank_metrics(similarity, ids[1:2].to(dtype), ids.to(dtype), ranks=2)
    assert found.cmc.tolist() == [0.0, 1.0]


def test_half_precision_is_widened_group_by_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_CELLS", 1 << 10)
    widened: list[int] = []

    def counted(tensor: Tensor) -> Tensor:
        widened.append(tensor.numel())
        return upcast(tensor)

    monkeypatch.setattr(metrics, "upcast", counted)
    similarity, ids = torch.rand(50, 100, dtype=torch.float16), torch.arange(100) % 5
    found = rank_metrics(similarity, ids[:50], ids)
    assert max(widened) <= 1 << 10
    expected = rank_metrics(similarity.float(), ids[:50], ids)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
