"""Search: short lists against exhaustive comparison, and the example."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from concordant import TSAA, Encoded, target_aware_similarity
from support.models import clusters, randomize
from support.trained import SMALL_MODEL
from vireid.config import DataSettings, SysuSettings
from vireid.datasets.items import Item, Items
from vireid.evaluation.similarity import cosine
from vireid.files import plain, write_json
from vireid.models.build import build_model
from vireid.models.weights import as_json, save_weights

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")

import search as example
from vireid.search import two_stage as two_stage_module
from vireid.search.index import EmbeddingIndex, Found
from vireid.search.scale import made_up
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


@pytest.fixture
def run(make_tree: Callable[..., Path], tmp_path: Path) -> Path:
    """The files of a run that the example reads, without training."""
    settings = SysuSettings(
        root=make_tree(pictures=2),
        data=DataSettings(height=32, width=16),
        model=replace(SMALL_MODEL, parts=2),
    )
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "run.json", {"settings": plain(settings), "model": as_json(settings.model_config(4))})
    save_weights(build_model(settings.model_config(4)), tmp_path / "run" / "model.safetensors")
    return tmp_path / "run"


def test_the_example_compares_and_scales(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = example.Options(run=run, out=tmp_path / "out", lists=(3, 50))
    example.main(options)
    made = json.loads((options.out / "compare.json").read_text())
    ways = ["distilled", "3 target-aware", "50 target-aware", "50 target-aware + mean"]
    assert list(made["ways"]) == [*ways, "all target-aware"]
    for figure in ("rank1", "mAP", "mINP"):  # a list of the whole gallery is exhaustive
        assert made["ways"]["50 target-aware"][figure] == pytest.approx(made["ways"]["all target-aware"][figure])
    example.main(replace(options, scale=400, queries=5, probes=(1, 10, 1000)))
    exact, *others = json.loads((options.out / "scale.json").read_text())["ways"]
    assert (exact["recall1"], exact["overlap"]) == (100, 100)
    assert [one["way"] for one in others] == ["nprobe 1", "nprobe 3", "nprobe 10"]
    assert others[0]["overlap"] < others[-1]["overlap"]
    assert {path.name for path in options.out.iterdir()} == {
        "ivfpq",
        *(f"{x}.{y}" for x in ("compare", "scale") for y in ("json", "png")),
    }
    assert EmbeddingIndex.load(options.out / "ivfpq").settings.size == 400
    assert "rank-1" in capsys.readouterr().out


def test_the_example_rejects_what_it_cannot_search_with(run: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no record of a run"):
        example.main(example.Options(run=tmp_path / "gone", out=tmp_path / "out"))
    rejected: dict[str, Any] = {"lists": (20, 0), "probes": (), "queries": 0, "scale": -1}
    for name, number in rejected.items():
        with pytest.raises(ValueError, match=f"search: `--{name}` must be numbers of at least 1"):
            example.main(replace(example.Options(run=run, out=tmp_path / "rejected"), **{name: number}))
    with pytest.raises(ValueError, match=r"search: `--scale` must be at least 256, .* got 200"):
        example.main(example.Options(run=run, out=tmp_path / "rejected", scale=200))
    record = json.loads((run / "run.json").read_text())
    record["model"]["method"] = "global"
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"run.json must .*`method` must be 'cal'; got 'global'"):
        example.main(example.Options(run=run, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_made_up_embeddings_are_unit_vectors_about_real_ones() -> None:
    real = clusters(50)
    made = made_up(real, 200, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.linalg.vector_norm(made, dim=1), torch.ones(200))
    assert (made @ real.T).amax(dim=1).mean() > 0.7
    assert torch.equal(made, made_up(real, 200, torch.Generator().manual_seed(0)))
