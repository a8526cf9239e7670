"""The index against matrix products, on disk, and its errors."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from support.models import clusters

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")

import faiss

from vireid.search.index import EmbeddingIndex, Kind, _approximate


def test_exact_search_is_a_matrix_product_sorted() -> None:
    gallery, queries = clusters(500), clusters(9, seed=1)
    found = EmbeddingIndex.build(gallery).search(queries, 500)
    expected, rows = (queries @ gallery.T).sort(dim=1, descending=True)
    torch.testing.assert_close(found.similarity, expected)
    assert torch.equal(found.rows, rows)
    assert torch.equal(EmbeddingIndex.build(gallery).search(queries, cast(Any, np.int64(3))).rows, rows[:, :3])


def test_an_index_over_strided_and_half_precision_embeddings() -> None:
    gallery = clusters(64)
    found = EmbeddingIndex.build(gallery.T.contiguous().T.half()).search(gallery[:5].double(), 1)
    assert found.rows[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_embeddings_added_in_parts_keep_their_rows_and_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, ids = clusters(300), torch.arange(300) * 7 - 100
    monkeypatch.setattr("vireid.search.index.ADDED", 70)
    for kind in ("exact", "ivfpq"):
        index = EmbeddingIndex.build(gallery, ids, kind=kind)
        assert torch.equal(index.ids, ids)
        found = index.search(gallery[200:260], 10).rows  # a code may be that of several embeddings
        assert (found == torch.arange(200, 260)[:, None]).any(dim=1).all()


def test_approximate_search_finds_the_neighbours() -> None:
    gallery, queries = clusters(3000), clusters(100, seed=1)
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
    gallery = clusters(300)
    indices = [EmbeddingIndex.build(gallery, kind=kind) for kind in ("exact", "ivfpq")]
    before = [index.search(gallery[:5], 10).rows for index in indices]
    import faiss.contrib.torch_utils  # noqa: F401

    for index, rows in zip(indices, before, strict=True):
        assert torch.equal(index.search(gallery[:5], 10).rows, rows)
    assert torch.equal(EmbeddingIndex.build(gallery, kind="ivfpq").search(gallery[:5], 10).rows, before[1])


@pytest.mark.parametrize("kind", ["exact", "ivfpq"])
def test_later_embeddings_and_rows_that_are_left_out(kind: Kind) -> None:
    gallery, queries = clusters(500), clusters(9, seed=1)
    index = EmbeddingIndex.build(gallery[:400], kind=kind)
    index.add(gallery[400:], torch.arange(400, 500))
    assert index.settings.size == len(index.ids) == 500
    keep = np.arange(500) % 3 == 1
    probes = None if kind == "exact" else 10
    found = index.search(queries, 200, keep=keep, nprobe=probes)
    rows = found.rows[found.rows >= 0]
    assert keep[rows.numpy()].all()
    if kind == "exact":
        allowed = torch.from_numpy(keep).nonzero()[:, 0]
        expected = allowed[(queries @ gallery[allowed].T).argsort(dim=1, descending=True)]
        assert torch.equal(found.rows[:, : len(allowed)], expected)
        assert (found.rows[:, len(allowed) :] == -1).all()
    else:
        assert (rows >= 400).any()


def test_lists_that_hold_too_few_leave_the_end_empty() -> None:
    found = EmbeddingIndex.build(clusters(300), kind="ivfpq", nprobe=1).search(clusters(4, seed=1), 300)
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
    settings = _approximate("", g, e, None, None, None)
    assert (settings.lists, settings.subquantisers, settings.nprobe) == (lists, subquantisers, nprobe)


@pytest.mark.parametrize("kind", ["exact", "ivfpq"])
def test_a_saved_index_is_loaded_as_it_was(kind: Kind, tmp_path: Path) -> None:
    gallery, ids = clusters(400), torch.arange(400).flip(0) + 2**40
    index = EmbeddingIndex.build(gallery, ids, kind=kind)
    EmbeddingIndex.build(gallery[:300]).save(tmp_path / "index")
    index.save(str(tmp_path / "index"))
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == ["index.faiss", "index.json"]
    loaded = EmbeddingIndex.load(tmp_path / "index")
    assert loaded.settings == index.settings
    assert torch.equal(loaded.ids, ids)
    for one, other in zip(loaded.search(gallery[:9], 12), index.search(gallery[:9], 12), strict=True):
        assert torch.equal(one, other)
    assert loaded.megabytes == pytest.approx((tmp_path / "index" / "index.faiss").stat().st_size / 1e6)


def test_what_is_no_saved_index_is_rejected_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "index"

    def rejected(error: type[Exception], rule: str) -> None:
        with pytest.raises(error, match=rule) as caught:
            EmbeddingIndex.load(folder)
        assert "\n" not in str(caught.value)

    def change(**changes: Any) -> None:
        (folder / "index.json").write_text(json.dumps(record | changes))

    rejected(FileNotFoundError, "must hold index.json and index.faiss; there is no index.json")
    EmbeddingIndex.build(clusters(20)).save(folder)
    record, whole = json.loads((folder / "index.json").read_text()), (folder / "index.faiss").read_bytes()
    for name, value in {"dimension": 16, "size": 21, "kind": "ivfpq", "lists": 1, "nprobe": 1}.items():
        change(**{name: value})
        rejected(ValueError, rf"must be as index.json says, IndexSettings\(.*{name}={value!r}.*; got IndexSettings\(")
    for name, value in {"dimension": "32", "size": 20.0, "kind": "fast", "lists": True}.items():
        change(**{name: value})
        rejected(ValueError, f"must be what `save` wrote; .*`{name}`: {value!r} is no")
    for content in ("[]", "{", '{"crc32": "0", "colour": "red"}', "{}"):
        (folder / "index.json").write_text(content)
        rejected(ValueError, "must be what `save` wrote")
    change()
    flipped = bytes([*whole[:-300], whole[-300] ^ 1, *whole[-299:]])  # FAISS reads it
    for damaged in (whole[:-10], flipped, b"0" * len(whole)):
        (folder / "index.faiss").write_bytes(damaged)
        rejected(ValueError, f"must be as `save` wrote it, of CRC-32 {record['crc32']} by index.json; got")
    change(crc32=f"{zlib.crc32(damaged):08x}")
    rejected(ValueError, "must be an index of FAISS")
    (folder / "index.faiss").unlink()
    rejected(FileNotFoundError, "there is no index.faiss")


@pytest.mark.parametrize("factory", ["Flat", "IVFPQ", "HNSW4"])
@pytest.mark.parametrize("metric", [faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT])
def test_an_index_of_another_metric_is_rejected(tmp_path: Path, factory: str, metric: int) -> None:
    gallery = clusters(300)
    coded: dict[str, Any] = {"kind": "ivfpq", "lists": 4, "subquantisers": 4} if factory == "IVFPQ" else {}
    EmbeddingIndex.build(gallery, **coded).save(tmp_path)
    if coded:  # FAISS's own training of such an index takes seconds
        other: Any = faiss.read_index(str(tmp_path / "index.faiss"))
        other.metric_type = faiss.downcast_index(other.index).metric_type = metric
    else:
        other = faiss.IndexIDMap(faiss.index_factory(32, factory, metric))
        other.add_with_ids(gallery.numpy(), torch.arange(300).numpy())
    faiss.write_index(other, str(tmp_path / "index.faiss"))
    record = json.loads((tmp_path / "index.json").read_text())
    record["crc32"] = f"{zlib.crc32((tmp_path / 'index.faiss').read_bytes()):08x}"
    (tmp_path / "index.json").write_text(json.dumps(record))
    if metric == faiss.METRIC_INNER_PRODUCT and factory != "HNSW4":
        assert EmbeddingIndex.load(str(tmp_path)).ids.tolist() == list(range(300))
        return
    with pytest.raises(ValueError, match=r"index\.faiss must be searched by inner product; got Index"):
        EmbeddingIndex.load(tmp_path)


def test_an_index_that_was_not_saved_to_the_end_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EmbeddingIndex.build(clusters(20)).save(tmp_path)
    monkeypatch.setattr(
        "vireid.search.index.replace_file", lambda path, _: (_ for _ in ()).throw(OSError(f"no room for {path}"))
    )
    with pytest.raises(OSError, match="no room"):
        EmbeddingIndex.build(clusters(20, seed=1)).save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no index\.json"):
        EmbeddingIndex.load(tmp_path)


def _spoilt(rows: Tensor) -> Tensor:
    rows = rows.clone()
    rows[3, 5] = torch.nan
    return rows


def test_bad_settings() -> None:
    gallery = clusters(300)
    exact, approximate = EmbeddingIndex.build(gallery), EmbeddingIndex.build(gallery, kind="ivfpq")
    rules: list[tuple[str, Callable[[], object]]] = [
        (r"`keep` must be \(g,\) = \(300,\); got \(2,\)", lambda: exact.search(gallery, 1, keep=np.ones(2, bool))),
        (r"`embeddings` must be \(n, e\) = \(2, 32\); got", lambda: exact.add(gallery[:3], torch.arange(2))),
        ("`embeddings` must be finite; got 1 rows", lambda: EmbeddingIndex.build(_spoilt(gallery))),
        ("`queries` must be finite; got 1 rows", lambda: exact.search(_spoilt(gallery), 3)),
        (r"`embeddings` must be \(g, e\) floats.*got \(0, 32\)", lambda: EmbeddingIndex.build(gallery[:0])),
        ("got .* of torch.int64", lambda: EmbeddingIndex.build(gallery.long())),
        (
            r"`ids` must be \(g,\) = \(300,\) integers; got \(3,\)",
            lambda: EmbeddingIndex.build(gallery, torch.arange(3)),
        ),
        ("integers; got .*float32", lambda: EmbeddingIndex.build(gallery, torch.arange(300.0))),
        ("`embeddings` must be a tensor; got ndarray", lambda: EmbeddingIndex.build(cast(Any, gallery.numpy()))),
        ("`queries` must be a tensor; got list", lambda: exact.search(cast(Any, gallery.tolist()), 3)),
        ("`ids` must be a tensor; got ndarray", lambda: EmbeddingIndex.build(gallery, cast(Any, np.arange(300)))),
        ("`kind` must be", lambda: EmbeddingIndex.build(gallery, kind=cast(Any, "fast"))),
        ("must be None with kind 'exact'", lambda: EmbeddingIndex.build(gallery, nprobe=2)),
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
