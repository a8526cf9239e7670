"""Short lists against exhaustive comparison."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from concordant import TSAA, Encoded, target_aware_similarity
from support.models import clusters, randomize
from vireid.datasets.items import Item, Items
from vireid.evaluation.similarity import cosine

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")

from vireid.search import two_stage as two_stage_module
from vireid.search.index import EmbeddingIndex, Found
from vireid.search.two_stage import Compare, short_list_first, target_aware, two_stage, two_staged


def _encoded(n: int, attention: TSAA, seed: int) -> Encoded:
    generator = torch.Generator().manual_seed(seed)
    tokens, parts = (torch.randn(n, size, 8, generator=generator, dtype=torch.float64) for size in (6, 3))
    with torch.no_grad():
        return Encoded(tokens, attention.encode_tokens(tokens), attention.encode_parts(parts))


def compare_by(attention: TSAA) -> Compare:
    """`CAL.similarity` of a model with this attention."""
    return partial(target_aware_similarity, attention=attention)


@pytest.fixture
def case() -> tuple[Tensor, Encoded, Tensor, Encoded, TSAA]:
    """Embeddings of 5 queries, the same images encoded, both of a gallery of 30, and the attention."""
    attention = randomize(TSAA(8, dtype=torch.float64))
    assert isinstance(attention, TSAA)
    return clusters(5, seed=1), _encoded(5, attention, 1), clusters(30), _encoded(30, attention, 2), attention


def test_a_list_of_the_whole_gallery_is_exhaustive(case: tuple[Any, ...]) -> None:
    embeddings, query, gallery_embeddings, gallery, attention = case
    index = EmbeddingIndex.build(gallery_embeddings)
    found = two_stage(index, embeddings, query, gallery, compare_by(attention), 30)
    expected, rows = target_aware_similarity(query, gallery, attention).sort(dim=1, descending=True)
    torch.testing.assert_close(found.similarity, expected)
    assert torch.equal(found.rows, rows)
    both = two_stage(index, embeddings, query, gallery, compare_by(attention), 30, score="mean")
    mean = (target_aware_similarity(query, gallery, attention) + embeddings @ gallery_embeddings.T) / 2
    assert torch.equal(both.rows, mean.argsort(dim=1, descending=True))


def test_a_list_of_one_keeps_the_distilled_rank_1(case: tuple[Any, ...]) -> None:
    embeddings, query, gallery_embeddings, gallery, attention = case
    index = EmbeddingIndex.build(gallery_embeddings)
    found = two_stage(index, embeddings, query, gallery, compare_by(attention), 1)
    distilled = embeddings @ gallery_embeddings.T
    assert torch.equal(found.rows[:, 0], distilled.argmax(dim=1))
    ranked = short_list_first(distilled, found).argsort(dim=1, descending=True)
    assert torch.equal(ranked, distilled.argsort(dim=1, descending=True))


def test_the_list_comes_first_in_its_order_and_the_rest_as_it_was(case: tuple[Any, ...]) -> None:
    embeddings, query, gallery_embeddings, gallery, attention = case
    distilled = embeddings @ gallery_embeddings.T
    found = two_stage(EmbeddingIndex.build(gallery_embeddings), embeddings, query, gallery, compare_by(attention), 7)
    ranked = short_list_first(distilled, found).argsort(dim=1, descending=True)
    plain = distilled.argsort(dim=1, descending=True)
    assert torch.equal(ranked[:, :7], found.rows)
    assert torch.equal(ranked[:, 7:], plain[:, 7:])
    assert torch.equal(ranked[:, :7].sort(dim=1).values, plain[:, :7].sort(dim=1).values)
    assert not torch.equal(ranked[:, :7], plain[:, :7])


def test_neighbours_apart_by_less_than_the_shift_can_hold_keep_their_order() -> None:
    distilled = torch.tensor([[0.5, 0.5000001, -1.0, 1.0]])
    found = Found(torch.tensor([[-1.0]]), torch.tensor([[2]]))
    assert short_list_first(distilled, found).argsort(dim=1, descending=True).tolist() == [[2, 3, 1, 0]]


def test_empty_places_of_a_list_stay_last(case: tuple[Any, ...]) -> None:
    _, query, _, gallery, attention = case
    rows = torch.tensor([[4, 2, -1, -1], [1, -1, -1, -1], [-1, -1, -1, -1], [3, 5, 7, 9], [0, 1, 2, -1]])
    values = target_aware_similarity(query, gallery, attention, pairs=rows)
    assert torch.equal(values == -torch.inf, rows < 0)
    ranked = short_list_first(torch.zeros(5, 30), Found(values, rows))
    assert ranked.isfinite().all()
    assert torch.equal((ranked > -2).sum(dim=1), (rows >= 0).sum(dim=1))


def test_two_stages_must_be_of_the_same_images(case: tuple[Any, ...]) -> None:
    embeddings, query, gallery_embeddings, gallery, attention = case
    index = EmbeddingIndex.build(gallery_embeddings)
    with pytest.raises(ValueError, match="got 4 and 5, 30 and 30"):
        two_stage(index, embeddings[:4], query, gallery, compare_by(attention), 3)
    with pytest.raises(ValueError, match="got 5 and 5, 30 and 29"):
        two_stage(index, embeddings, query, gallery[:29], compare_by(attention), 3)
    with pytest.raises(ValueError, match="`score` must be"):
        two_stage(index, embeddings, query, gallery, compare_by(attention), 3, score="best")  # type: ignore[arg-type]


def test_similarities_for_the_protocol(case: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    *_, attention = case
    encoded, embeddings = _encoded(40, attention, 3), clusters(40, seed=3)
    # Modalities mixed, so that a row and its place among those of its modality differ.
    test = Items(Item(Path(f"{i}.bmp"), i % 5, 1, int(i % 3 == 0)) for i in range(40))
    query, gallery = np.array([33, 3, 12]), np.array([38, 1, 2, 20, 7, 13, 5])
    expected = target_aware_similarity(encoded[torch.tensor(query)], encoded[torch.tensor(gallery)], attention)
    monkeypatch.setattr(two_stage_module, "QUERIES", 4)
    exhaustive = target_aware(encoded, test, compare_by(attention), progress=False)
    torch.testing.assert_close(exhaustive(query, gallery), expected)
    torch.testing.assert_close(exhaustive(gallery, query), expected.T)
    for k in (7, 50):  # a gallery may be shorter than the list
        torch.testing.assert_close(
            two_staged(embeddings, encoded, test, compare_by(attention), k)(query, gallery), expected
        )
    distilled = cosine(embeddings, test)(query, gallery)
    some = two_staged(embeddings, encoded, test, compare_by(attention), 2)(query, gallery)
    listed = distilled.argsort(dim=1, descending=True)[:, :2]
    torch.testing.assert_close(some.gather(1, listed), expected.gather(1, listed))
    assert torch.equal((some > -2).sum(dim=1), torch.full((3,), 2))
