"""Search: the index against matrix products, short lists against exhaustive comparison, and the example."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from concordant import TSAA, Encoded, target_aware_similarity
from support import randomize
from vireid.checkpoint import save_weights
from vireid.config import DataSettings, ModelSettings, SysuSettings
from vireid.data import Item, Items, cosine
from vireid.engine import build_model
from vireid.record import plain, write_json

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")

import search as example
from vireid import search
from vireid.search import EmbeddingIndex, Found, rescore, short_list_first, target_aware, two_stage, two_staged


def _clusters(g: int, e: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(40, e, generator=generator)
    return normalize(centres[torch.arange(g) % 40] + 0.5 * torch.randn(g, e, generator=generator), dim=1)


def _encoded(n: int, attention: TSAA, seed: int) -> Encoded:
    generator = torch.Generator().manual_seed(seed)
    tokens, parts = (torch.randn(n, size, 8, generator=generator, dtype=torch.float64) for size in (6, 3))
    with torch.no_grad():
        return Encoded(tokens, attention.encode_tokens(tokens), attention.encode_parts(parts))


@pytest.fixture
def case() -> tuple[Tensor, Encoded, Tensor, Encoded, TSAA]:
    """Embeddings of 5 queries, the same images encoded, both of a gallery of 30, and the attention."""
    attention = randomize(TSAA(8, dtype=torch.float64))
    assert isinstance(attention, TSAA)
    return _clusters(5, seed=1), _encoded(5, attention, 1), _clusters(30), _encoded(30, attention, 2), attention


def test_exact_search_is_a_matrix_product_sorted() -> None:
    gallery, queries = _clusters(500), _clusters(9, seed=1)
    found = EmbeddingIndex.build(gallery).search(queries, 500)
    expected, rows = (queries @ gallery.T).sort(dim=1, descending=True)
    torch.testing.assert_close(found.similarity, expected)
    assert torch.equal(found.rows, rows)


def test_an_index_over_strided_and_half_precision_embeddings() -> None:
    gallery = _clusters(64)
    found = EmbeddingIndex.build(gallery.T.contiguous().T.half()).search(gallery[:5].double(), 1)
    assert found.rows[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_embeddings_added_in_parts_keep_their_rows_and_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, ids = _clusters(300), torch.arange(300) * 7 - 100
    monkeypatch.setattr(search, "ADDED", 70)
    for kind in ("exact", "ivfpq"):
        index = EmbeddingIndex.build(gallery, ids, kind=kind)  # type: ignore[arg-type]
        assert torch.equal(index.ids, ids)
        found = index.search(gallery[200:260], 10).rows  # a code may be that of several embeddings
        assert (found == torch.arange(200, 260)[:, None]).any(dim=1).all()


def test_approximate_search_finds_the_neighbours() -> None:
    gallery, queries = _clusters(3000), _clusters(100, seed=1)
    truth = EmbeddingIndex.build(gallery).search(queries, 1)
    index = EmbeddingIndex.build(gallery, kind="ivfpq", subquantisers=16)
    nearest = [(index.search(queries, 20, nprobe=n).rows == truth.rows).any(dim=1).float().mean() for n in (1, 55)]
    assert nearest[1] > 0.95
    assert nearest[0] < nearest[1]
    default = index.search(queries, 20)
    assert torch.equal(default.rows, index.search(queries, 20, nprobe=7).rows)
    assert index.megabytes < EmbeddingIndex.build(gallery).megabytes / 2.5
    again = EmbeddingIndex.build(gallery, kind="ivfpq", subquantisers=16).search(queries, 20)
    assert torch.equal(again.rows, default.rows)


def test_an_index_in_a_process_that_gives_tensors_to_faiss() -> None:
    """pytorch-metric-learning imports this module, which puts functions of its own in the place of FAISS's."""
    gallery = _clusters(300)
    indices = [EmbeddingIndex.build(gallery, kind=kind) for kind in ("exact", "ivfpq")]  # type: ignore[arg-type]
    before = [index.search(gallery[:5], 10).rows for index in indices]
    import faiss.contrib.torch_utils  # noqa: F401

    for index, rows in zip(indices, before, strict=True):
        assert torch.equal(index.search(gallery[:5], 10).rows, rows)
    assert torch.equal(EmbeddingIndex.build(gallery, kind="ivfpq").search(gallery[:5], 10).rows, before[1])


def test_lists_that_hold_too_few_leave_the_end_empty() -> None:
    found = EmbeddingIndex.build(_clusters(300), kind="ivfpq", nprobe=1).search(_clusters(4, seed=1), 300)
    empty = found.rows < 0
    assert empty.any()
    assert not empty[:, 0].any()
    assert (found.similarity[empty] == -torch.inf).all()
    assert found.similarity[~empty].isfinite().all()
    assert (empty.int().diff(dim=1) >= 0).all()


@pytest.mark.parametrize(
    ("g", "e", "lists", "subquantisers", "nprobe"), [(10_000, 24, 100, 3, 10), (300, 7, 7, 1, 3), (256, 640, 6, 80, 2)]
)
def test_defaults_follow_from_the_size(g: int, e: int, lists: int, subquantisers: int, nprobe: int) -> None:
    settings = search._approximate("", g, e, None, None, None)
    assert (settings.lists, settings.subquantisers, settings.nprobe) == (lists, subquantisers, nprobe)


@pytest.mark.parametrize("kind", ["exact", "ivfpq"])
def test_a_saved_index_is_loaded_as_it_was(kind: search.Kind, tmp_path: Path) -> None:
    gallery, ids = _clusters(400), torch.arange(400).flip(0) + 2**40
    index = EmbeddingIndex.build(gallery, ids, kind=kind)
    EmbeddingIndex.build(gallery[:300]).save(tmp_path / "index")
    index.save(tmp_path / "index")
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == ["index.faiss", "index.json"]
    loaded = EmbeddingIndex.load(tmp_path / "index")
    assert loaded.settings == index.settings
    assert torch.equal(loaded.ids, ids)
    for one, other in zip(loaded.search(gallery[:9], 12), index.search(gallery[:9], 12), strict=True):
        assert torch.equal(one, other)
    assert loaded.megabytes == pytest.approx((tmp_path / "index" / "index.faiss").stat().st_size / 1e6)


def test_what_is_no_saved_index_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "index"

    def refused(error: type[Exception], rule: str) -> None:
        with pytest.raises(error, match=rule) as caught:
            EmbeddingIndex.load(folder)
        assert "\n" not in str(caught.value)

    def change(**changes: Any) -> None:
        (folder / "index.json").write_text(json.dumps(record | changes))

    refused(FileNotFoundError, "must hold index.json and index.faiss; there is no index.json")
    EmbeddingIndex.build(_clusters(20)).save(folder)
    record, whole = json.loads((folder / "index.json").read_text()), (folder / "index.faiss").read_bytes()
    change(dimension=16)
    refused(ValueError, r"must hold \(g, e\) = \(20, 16\), as index.json says; got \(20, 32\)")
    for content in ("[]", "{", '{"crc32": "0", "colour": "red"}', "{}"):
        (folder / "index.json").write_text(content)
        refused(ValueError, "must be what `save` wrote")
    change()
    flipped = bytes([*whole[:-300], whole[-300] ^ 1, *whole[-299:]])  # FAISS reads it
    for content in (whole[:-10], flipped, b"0" * len(whole)):
        (folder / "index.faiss").write_bytes(content)
        refused(ValueError, f"must be as `save` wrote it, of CRC-32 {record['crc32']} by index.json; got")
    change(crc32=f"{zlib.crc32(content):08x}")
    refused(ValueError, "must be an index of FAISS")
    (folder / "index.faiss").unlink()
    refused(FileNotFoundError, "there is no index.faiss")


def test_an_index_that_was_not_saved_to_the_end_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EmbeddingIndex.build(_clusters(20)).save(tmp_path)
    monkeypatch.setattr(search, "replace_file", lambda path, _: (_ for _ in ()).throw(OSError(f"no room for {path}")))
    with pytest.raises(OSError, match="no room"):
        EmbeddingIndex.build(_clusters(20, seed=1)).save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no index\.json"):
        EmbeddingIndex.load(tmp_path)


def _spoilt(rows: Tensor) -> Tensor:
    rows = rows.clone()
    rows[3, 5] = torch.nan
    return rows


def test_bad_settings() -> None:
    gallery = _clusters(300)
    exact, approximate = EmbeddingIndex.build(gallery), EmbeddingIndex.build(gallery, kind="ivfpq")
    rules: list[tuple[str, Callable[[], object]]] = [
        ("`embeddings` must be finite; got 1 rows", lambda: EmbeddingIndex.build(_spoilt(gallery))),
        ("`queries` must be finite; got 1 rows", lambda: exact.search(_spoilt(gallery), 3)),
        (r"`embeddings` must be \(g, e\) floats.*got \(0, 32\)", lambda: EmbeddingIndex.build(gallery[:0])),
        ("got .* of torch.int64", lambda: EmbeddingIndex.build(gallery.long())),
        (
            r"`ids` must be \(g,\) = \(300,\) integers; got \(3,\)",
            lambda: EmbeddingIndex.build(gallery, torch.arange(3)),
        ),
        ("integers; got .*float32", lambda: EmbeddingIndex.build(gallery, torch.arange(300.0))),
        ("`kind` must be", lambda: EmbeddingIndex.build(gallery, kind="fast")),  # type: ignore[arg-type]
        ("are of kind 'ivfpq'", lambda: EmbeddingIndex.build(gallery, nprobe=2)),
        ("must have 256 embeddings .* got 255", lambda: EmbeddingIndex.build(gallery[:255], kind="ivfpq")),
        (
            "`subquantisers` must divide e = 32; got 5",
            lambda: EmbeddingIndex.build(gallery, kind="ivfpq", subquantisers=5),
        ),
        ("`lists` must be 1 .. g = 300; got 301", lambda: EmbeddingIndex.build(gallery, kind="ivfpq", lists=301)),
        ("`lists` must be 1 .. g = 300; got 0", lambda: EmbeddingIndex.build(gallery, kind="ivfpq", lists=0)),
        ("`nprobe` must be 1 .. `lists` = 7; got 8", lambda: EmbeddingIndex.build(gallery, kind="ivfpq", nprobe=8)),
        (r"`queries` must be \(q, 32\) floats", lambda: exact.search(gallery[:, :16], 1)),
        ("`k` must be 1 .. g = 300; got 301", lambda: exact.search(gallery, 301)),
        ("`k` must be 1 .. g = 300; got 0", lambda: exact.search(gallery, 0)),
        ("`nprobe` must be 1 .. `lists` = None; got 1", lambda: exact.search(gallery, 1, nprobe=1)),
        ("`nprobe` must be 1 .. `lists` = 7; got 8", lambda: approximate.search(gallery, 1, nprobe=8)),
    ]
    for rule, work in rules:
        with pytest.raises(ValueError, match=rule):
            work()


def test_a_list_of_the_whole_gallery_is_exhaustive(case: tuple[Any, ...]) -> None:
    embeddings, query, gallery_embeddings, gallery, attention = case
    index = EmbeddingIndex.build(gallery_embeddings)
    found = two_stage(index, embeddings, query, gallery, attention, 30)
    expected, rows = target_aware_similarity(query, gallery, attention).sort(dim=1, descending=True)
    torch.testing.assert_close(found.similarity, expected)
    assert torch.equal(found.rows, rows)
    both = two_stage(index, embeddings, query, gallery, attention, 30, score="mean")
    mean = (target_aware_similarity(query, gallery, attention) + embeddings @ gallery_embeddings.T) / 2
    assert torch.equal(both.rows, mean.argsort(dim=1, descending=True))


def test_a_list_of_one_keeps_the_distilled_rank_1(case: tuple[Any, ...]) -> None:
    embeddings, query, gallery_embeddings, gallery, attention = case
    index = EmbeddingIndex.build(gallery_embeddings)
    found = two_stage(index, embeddings, query, gallery, attention, 1)
    distilled = embeddings @ gallery_embeddings.T
    assert torch.equal(found.rows[:, 0], distilled.argmax(dim=1))
    ranked = short_list_first(distilled, found).argsort(dim=1, descending=True)
    assert torch.equal(ranked, distilled.argsort(dim=1, descending=True))


def test_the_list_comes_first_in_its_order_and_the_rest_as_it_was(case: tuple[Any, ...]) -> None:
    embeddings, query, gallery_embeddings, gallery, attention = case
    distilled = embeddings @ gallery_embeddings.T
    found = two_stage(EmbeddingIndex.build(gallery_embeddings), embeddings, query, gallery, attention, 7)
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


def test_the_size_of_chunks_does_not_matter(case: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    _, query, _, gallery, attention = case
    rows = torch.stack([torch.randperm(30)[:11] for _ in range(5)])
    whole = rescore(rows, query, gallery, attention)
    torch.testing.assert_close(whole, target_aware_similarity(query, gallery, attention).gather(1, rows))
    monkeypatch.setattr(search, "LISTED", 3)
    torch.testing.assert_close(rescore(rows, query, gallery, attention), whole)


def test_memory_does_not_grow_with_the_list(case: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    _, query, _, gallery, attention = case
    seen: list[tuple[int, int]] = []
    listed = search._listed

    def spy(queries: Encoded, images: Encoded, attention: TSAA) -> Tensor:
        seen.append((len(queries.tokens), len(images.tokens)))
        return listed(queries, images, attention)

    monkeypatch.setattr(search, "_listed", spy)
    monkeypatch.setattr(search, "LISTED", 4)
    rescore(torch.arange(30).repeat(5, 1), query, gallery, attention)
    assert set(seen) == {(1, 4), (1, 2)}
    seen.clear()
    rescore(torch.arange(2).repeat(5, 1), query, gallery, attention)
    assert seen == [(2, 4), (2, 4), (1, 2)]


def test_empty_places_of_a_list_stay_last(case: tuple[Any, ...]) -> None:
    _, query, _, gallery, attention = case
    rows = torch.tensor([[4, 2, -1, -1], [1, -1, -1, -1], [-1, -1, -1, -1], [3, 5, 7, 9], [0, 1, 2, -1]])
    values = rescore(rows, query, gallery, attention)
    assert torch.equal(values == -torch.inf, rows < 0)
    ranked = short_list_first(torch.zeros(5, 30), Found(values, rows))
    assert ranked.isfinite().all()
    assert torch.equal((ranked > -2).sum(dim=1), (rows >= 0).sum(dim=1))


def test_two_stages_must_be_of_the_same_images(case: tuple[Any, ...]) -> None:
    embeddings, query, gallery_embeddings, gallery, attention = case
    index = EmbeddingIndex.build(gallery_embeddings)
    with pytest.raises(ValueError, match="got 4 and 5, 30 and 30"):
        two_stage(index, embeddings[:4], query, gallery, attention, 3)
    with pytest.raises(ValueError, match="got 5 and 5, 30 and 29"):
        two_stage(index, embeddings, query, gallery.rows(slice(29)), attention, 3)
    with pytest.raises(ValueError, match="`score` must be"):
        two_stage(index, embeddings, query, gallery, attention, 3, score="best")  # type: ignore[arg-type]


def test_similarities_for_the_protocol(case: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    *_, attention = case
    encoded, embeddings = _encoded(40, attention, 3), _clusters(40, seed=3)
    # Modalities mixed, so that a row and its place among those of its modality differ.
    test = Items(Item(Path(f"{i}.bmp"), i % 5, 1, int(i % 3 == 0)) for i in range(40))
    query, gallery = np.array([33, 3, 12]), np.array([38, 1, 2, 20, 7, 13, 5])
    expected = target_aware_similarity(
        encoded.rows(torch.tensor(query)), encoded.rows(torch.tensor(gallery)), attention
    )
    monkeypatch.setattr(search, "QUERIES", 4)
    exhaustive = target_aware(encoded, test, attention, progress=False)
    torch.testing.assert_close(exhaustive(query, gallery), expected)
    torch.testing.assert_close(exhaustive(gallery, query), expected.T)
    for k in (7, 50):  # a gallery may be shorter than the list
        torch.testing.assert_close(two_staged(embeddings, encoded, test, attention, k)(query, gallery), expected)
    distilled = cosine(embeddings, test)(query, gallery)
    some = two_staged(embeddings, encoded, test, attention, 2)(query, gallery)
    listed = distilled.argsort(dim=1, descending=True)[:, :2]
    torch.testing.assert_close(some.gather(1, listed), expected.gather(1, listed))
    assert torch.equal((some > -2).sum(dim=1), torch.full((3,), 2))


@pytest.fixture
def run(make_tree: Callable[..., Path], tmp_path: Path) -> Path:
    """What a run leaves behind that the example reads, without the training."""
    settings = SysuSettings(
        root=make_tree(pictures=2),
        data=DataSettings(height=32, width=16),
        model=ModelSettings(weights=None, parts=2),
    )
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "run.json", {"settings": plain(settings)})
    save_weights(build_model(settings, 4), tmp_path / "run" / "model.safetensors")
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
    assert search.EmbeddingIndex.load(options.out / "ivfpq").settings.size == 400
    assert "rank-1" in capsys.readouterr().out


def test_the_example_refuses_what_it_cannot_search_with(run: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no record of a run"):
        example.main(example.Options(run=tmp_path / "gone", out=tmp_path / "out"))
    for name, number in {"lists": (20, 0), "probes": (), "queries": 0, "scale": -1}.items():
        with pytest.raises(ValueError, match=f"search: `--{name}` must be one number or more, each at least 1"):
            example.main(replace(example.Options(run=run, out=tmp_path / "refused"), **{name: number}))
    with pytest.raises(ValueError, match=r"must have 256 embeddings .* got 200"):
        example.main(example.Options(run=run, out=tmp_path / "refused", scale=200))
    record = json.loads((run / "run.json").read_text())
    record["settings"]["method"] = "global"
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"`--run` must be a run with --method cal; .* is of 'global'"):
        example.main(example.Options(run=run, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_made_up_embeddings_are_unit_vectors_about_real_ones() -> None:
    real = _clusters(50)
    made = example.made_up(real, 200, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.linalg.vector_norm(made, dim=1), torch.ones(200))
    assert (made @ real.T).amax(dim=1).mean() > 0.7
    assert torch.equal(made, example.made_up(real, 200, torch.Generator().manual_seed(0)))
