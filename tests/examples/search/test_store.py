"""Stores of both engines against a dictionary: what is added, deleted, kept and found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.models import clusters

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")

import faiss

from vireid.search.store import Identity, Keep, Records, Store, ids_of, open_store

IDENTITY = Identity("a model", 8)


def records_of(ids: list[int]) -> Records:
    """Records whose fields follow from the ids."""
    numbers = np.array(ids, dtype=np.int64)
    return Records(numbers, [f"é/{one}" for one in ids], numbers % 3 - 1, 10 * numbers.astype(np.float64), numbers % 2)


@pytest.fixture(params=["faiss", "lite"])
def where(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place for a store: a directory, a file, or the address of a server, which Milvus Lite plays."""
    if request.param == "faiss":
        yield str(tmp_path / "new" / "store")
        return
    # Another test may have imported faiss.contrib.torch_utils, whose `search` lacks an argument that Milvus Lite gives.
    ivf: Any = faiss.IndexIVFScalarQuantizer
    monkeypatch.setattr(ivf, "search", getattr(ivf, "search_numpy", ivf.search))
    pytest.importorskip("pymilvus", reason="pymilvus is not installed: it comes with the extra `milvus`")
    manager = pytest.importorskip("milvus_lite.server_manager").server_manager_instance
    path = str(tmp_path / "new" / "store.db")
    if request.param == "lite":
        yield path
    else:
        yield manager.start_and_get_uri(path)
        manager.release_server(path)


def expected(held: dict[int, torch.Tensor], query: torch.Tensor, k: int, keep: Keep) -> list[tuple[int, float]]:
    """The ids and similarities that a search must find, from the definition."""
    found = []
    for one, embedding in held.items():
        camera, time = one % 3 - 1, 10.0 * one
        if (
            camera != keep.not_camera
            and (keep.since is None or time >= keep.since)
            and (keep.until is None or time <= keep.until)
            and keep.modality in (None, one % 2)
        ):
            found.append((one, sum(float(a) * float(b) for a, b in zip(embedding, query, strict=True))))
    return sorted(found, key=lambda pair: -pair[1])[:k]


def agrees(store: Store, held: dict[int, torch.Tensor], keep: Keep) -> None:
    queries, k = clusters(3, 8, seed=9), 5
    hits = store.search(queries, k, keep)
    for row, query in enumerate(queries):
        pairs = expected(held, query, k, keep)
        assert hits.ids[row].tolist() == [one for one, _ in pairs] + [-1] * (k - len(pairs))
        values = torch.tensor([value for _, value in pairs] + [-torch.inf] * (k - len(pairs)))
        torch.testing.assert_close(hits.similarity[row], values)
    assert len(store) == len(held)
    listed = [one for some in store.listing() for one in some.ids.tolist()]
    assert sorted(listed) == sorted(held)
    asked = np.arange(60)
    assert store.held(asked).tolist() == [one in held for one in asked.tolist()]
    some = np.array(sorted(held, key=lambda one: (one * 7) % 11), dtype=np.int64)
    for name, value in vars(store.records(some)).items():
        np.testing.assert_array_equal(value, getattr(records_of(some.tolist()), name))


@pytest.mark.parametrize("where", ["faiss", "lite", "server"], indirect=True)
def test_any_sequence_of_changes(where: str) -> None:
    """Random additions (of new and of old ids), deletions, builds, and openings."""
    dice, held = random.Random(0), dict[int, torch.Tensor]()
    filters = [
        Keep(),
        Keep(not_camera=0),
        Keep(since=100.0, until=300.0),
        Keep(-1, 50.0),
        Keep(until=-1.0),
        Keep(0, modality=1),
    ]
    store = open_store(where, IDENTITY, write=True)
    agrees(store, held, Keep())
    for step in range(12):
        ids = dice.sample(range(60), 12)
        if step % 3 == 1:
            store.delete(np.array(ids))
            held = {one: row for one, row in held.items() if one not in ids}
        else:
            rows = clusters(12, 8, seed=step)
            store.add(rows, records_of(ids))
            held.update(zip(ids, rows, strict=True))
        if step % 4 == 2:
            store.close()
            store = open_store(where, IDENTITY, write=True)
        if step in (5, 10):
            store.build("exact")
        if step == 7:
            store.save()
        agrees(store, held, filters[step % len(filters)])
    store.delete(np.arange(60))
    agrees(store, {}, Keep())
    store.build("exact")
    agrees(store, {}, Keep())
    store.close()
    with open_store(where) as again:
        agrees(again, {}, Keep())


def test_an_approximate_index_with_filters_later_images_and_deletions(where: str) -> None:
    rows, ids = clusters(600, 8), list(range(600))
    with open_store(where, IDENTITY, write=True) as store:
        store.add(rows[:500], records_of(ids[:500]))
        store.delete(np.array([3]))
        store.build("approximate")
        store.add(rows[500:], records_of(ids[500:]))
        store.delete(np.array([7, 599]))
        store.save()
    with open_store(where, IDENTITY) as store:
        assert len(store) == 597
        for keep in (Keep(), Keep(not_camera=1, since=1000.0)):
            allowed = [
                one for one in ids if one not in (3, 7, 599) and (keep == Keep() or (one % 3 != 2 and one >= 100))
            ]
            some = torch.tensor(random.Random(0).sample(allowed, 40))
            hits = store.search(rows[some], 20, keep, nprobe=25)
            assert set(hits.ids.ravel().tolist()) <= {-1, *allowed}
            assert (hits.ids == some[:, None]).any(dim=1).float().mean() > 0.9


def test_engines_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All with an exact index; with an approximate one most of the ten nearest: codes have 2 bytes (FAISS) or 16."""
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: it comes with the extra `milvus`")
    ivf: Any = faiss.IndexIVFScalarQuantizer  # see `where`
    monkeypatch.setattr(ivf, "search", getattr(ivf, "search_numpy", ivf.search))
    rows, queries, filters = clusters(2000, 16), clusters(50, 16, seed=1), (Keep(), Keep(0, 500.0, 15000.0, 1))
    found: dict[str, list[torch.Tensor]] = {}
    for name in ("store", "store.db"):
        with open_store(str(tmp_path / name), Identity("a model", 16), write=True) as store:
            store.add(rows, records_of(list(range(2000))))
            exact = [store.search(queries, 10, keep) for keep in filters]
            store.build("approximate")
            coded = [store.search(queries, 10, keep, nprobe=20) for keep in filters]
            found[name] = [hits.ids for hits in (*exact, *coded)]
    lite, faiss_ids = found["store.db"], found["store"]
    for one, other in zip(lite[:2], faiss_ids[:2], strict=True):
        assert torch.equal(one, other)
    for some, least in ((lite, 0.8), (faiss_ids, 0.5)):
        for approximate, truth in zip(some[2:], faiss_ids[:2], strict=True):
            recall = (truth[:, :, None] == approximate[:, None, :]).any(dim=2).float().mean()
            assert recall > least


def test_what_cannot_be_added_or_searched(where: str) -> None:
    with open_store(where, IDENTITY, write=True) as store:
        rules: dict[str, Any] = {
            r"must be \(2, 8\) floats.*got \(3, 8\)": (clusters(3, 8), records_of([1, 2])),
            r"must be \(2, 8\) floats.*got \(2, 9\)": (clusters(2, 9), records_of([1, 2])),
            "must be finite": (clusters(2, 8) / 0, records_of([1, 2])),
            r"must be distinct and at least 0; got \[1, 1\]": (clusters(2, 8), records_of([1, 1])),
            r"must be distinct and at least 0; got \[-2, 1\]": (clusters(2, 8), records_of([-2, 1])),
        }
        for rule, (rows, records) in rules.items():
            with pytest.raises(ValueError, match=rule):
                store.add(rows, records)
        store.add(clusters(0, 8), records_of([]))
        assert len(store) == 0
        with pytest.raises(ValueError, match=r"`queries` must be \(q, 8\) floats"):
            store.search(clusters(1, 9), 1)
        with pytest.raises(ValueError, match="`queries` must be finite"):
            store.search(clusters(1, 8) * torch.nan, 1)
        with pytest.raises(ValueError, match="`k` must be at least 1; got 0"):
            store.search(clusters(1, 8), 0)
        with pytest.raises(ValueError, match="`ids` must be in"):
            store.records(np.array([5]))


def test_a_store_of_another_model_or_version_is_rejected(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="must be a store"):
        open_store(where)
    with pytest.raises(FileNotFoundError, match="must be a store"):
        open_store(where, IDENTITY)
    open_store(where, IDENTITY, write=True).close()
    for other in (Identity("another", 8), Identity("a model", 9)):
        with pytest.raises(
            ValueError, match=r"must have embeddings of this model, Identity\(.*; got Identity\("
        ) as caught:
            open_store(where, other, write=True)
        assert "\n" not in str(caught.value)
    with open_store(where) as store:
        assert store.identity == IDENTITY
    monkeypatch.setattr("vireid.search.store.VERSION", 3)
    with pytest.raises(ValueError, match=r"^open_store: [^\n]* must be a store of version 3; got 2$"):
        open_store(where)


def test_ids_of_names_are_stable_distinct_and_positive() -> None:
    names = [f"cam{camera}/{image:04d}.jpg" for camera in range(6) for image in range(1000)]
    ids = ids_of(names)
    assert len(set(ids.tolist())) == len(names)
    assert ids.min() >= 0
    assert ids_of(["cam1/0001.jpg"]).tolist() == [6238733838746295961]


def test_a_refused_build_keeps_the_index(tmp_path: Path) -> None:
    """Codes are learned from at least as many images as there are codes."""
    rows = clusters(300, 8)
    with open_store(str(tmp_path), IDENTITY, write=True) as store:
        store.add(rows, records_of([*range(300)]))
        store.build("approximate")
        store.delete(np.arange(100))
        with pytest.raises(ValueError, match=r"FaissStore\.build: an approximate index must have 256 .*; got 200"):
            store.build("approximate")
    assert [*tmp_path.glob("index-*")]
