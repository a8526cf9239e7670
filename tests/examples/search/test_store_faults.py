"""Stores that fail: killed writers, full disks, damaged files, two writers. What was added before is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from support.models import clusters

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")
pytest.importorskip("fcntl")  # Windows has neither it nor the next one

import resource

from vireid.search.segments import Segment, append, pack, read, unpack
from vireid.search.store import Identity, Records, Store, open_store

IDENTITY = Identity("a model", 64)
WORKER = Path(__file__).parents[2] / "support" / "killed_store.py"


@pytest.fixture(params=["store", "store.db"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "store.db":
        pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: it comes with the extra `milvus`")
    return str(tmp_path / request.param)


def put(store: Store, first: int, n: int) -> None:
    ids = np.arange(first, first + n)
    store.add(
        clusters(n, 64, seed=first), Records(ids, [str(one) for one in ids], ids, ids.astype(np.float64), ids % 2)
    )


def held(store: Store) -> set[int]:
    return {one for some in store.listing() for one in some.ids.tolist()}


@pytest.mark.long
@pytest.mark.slow
def test_what_a_killed_writer_has_added_is_there(where: str) -> None:
    paths = [str(WORKER.parents[1]), *(str(path) for path in sys.path if path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, str(WORKER), where]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def full_disk(most: int) -> Iterator[None]:
    """No file of this process can grow beyond some bytes: a write fails in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_loses_nothing(where: str) -> None:
    store = open_store(where, IDENTITY, write=True)
    put(store, 0, 100)
    with full_disk(60_000), pytest.raises(OSError, match="too large") as caught:
        put(store, 100, 2000)
    assert "\n" not in str(caught.value)
    assert held(store) == set(range(100))
    assert (store.search(clusters(100, 64), 1).ids[:, 0] == torch.arange(100)).all()
    if where.endswith(".db"):
        with pytest.raises(OSError, match="must be opened again after an error"):
            put(store, 3000, 1)
    store.close()
    with open_store(where, IDENTITY, write=True) as store:
        put(store, 100, 50)
    with open_store(where) as store:
        assert held(store) == set(range(150))


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    where = str(tmp_path / "store")
    with open_store(where, IDENTITY, write=True) as store:
        put(store, 0, 10)
        with pytest.raises(OSError, match="must have one writer at a time; another process has it"):
            open_store(where, IDENTITY, write=True)
        with open_store(where) as reader:
            assert held(reader) == set(range(10))
            with pytest.raises(ValueError, match=r"FaissStore\.add: .* must be opened with `write`"):
                put(reader, 10, 1)
        put(store, 10, 10)
    with open_store(where, IDENTITY, write=True) as store:
        assert held(store) == set(range(20))


def test_a_file_of_milvus_that_another_process_uses(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: it comes with the extra `milvus`")
    from milvus_lite.db import MilvusLite

    where = str(tmp_path / "store.db")
    open_store(where, IDENTITY, write=True).close()
    other = MilvusLite(where)  # its lock is that of another process
    try:
        with pytest.raises(OSError, match=r"must be a Milvus that can be used: .*lock") as caught:
            open_store(where)
        assert "\n" not in str(caught.value)
    finally:
        other.close()
    with pytest.raises(OSError, match=r"open_store: http://127\.0\.0\.1:1 must be a Milvus that can be used"):
        open_store("http://127.0.0.1:1")


def test_a_damaged_file_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    where = tmp_path / "store"
    with open_store(str(where), IDENTITY, write=True) as store:
        for step in range(3):
            put(store, 10 * step, 10)
    path = where / "000002.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:20], b"", bytes([*whole[:-5], whole[-5] ^ 1, *whole[-4:]])):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"000002\.safetensors must be complete; to go on without it") as caught:
            open_store(str(where))
        assert "\n" not in str(caught.value)
    path.unlink()
    with open_store(str(where), IDENTITY, write=True) as store:
        assert held(store) == {*range(10), *range(20, 30)}
        put(store, 10, 10)
        assert held(store) == set(range(30))
    (where / "store.json").write_text("{")
    with pytest.raises(ValueError, match=r"store\.json must be a JSON file"):
        open_store(str(where))
    (where / "store.json").write_text('{"version": 2}')
    with pytest.raises(ValueError, match="must be a store of embeddings; Identity needs dimension, model"):
        open_store(str(where))


def test_an_index_of_other_images_is_rejected(tmp_path: Path) -> None:
    where = tmp_path / "store"
    with open_store(str(where), IDENTITY, write=True) as store:
        put(store, 0, 200)
        put(store, 200, 200)
        store.build("approximate")
    (where / "000001.safetensors").unlink()
    with pytest.raises(ValueError, match="must cover 200 images; it has 400: delete its directories index-"):
        open_store(str(where))


def test_a_build_that_is_interrupted_anywhere_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each write and each removal of a file in turn."""
    for moment in range(100):
        where = str(tmp_path / f"store-{moment}")
        with open_store(where, IDENTITY, write=True) as store:
            put(store, 0, 300)
            store.build("approximate")
            put(store, 300, 10)
            store.delete(np.arange(290, 305))
            store.delete(np.arange(300, 310))
            passed = [0]

            def count(act: object, passed: list[int] = passed, moment: int = moment) -> object:
                def call(*arguments: object, **options: object) -> object:
                    passed[0] += 1
                    if passed[0] > moment:
                        raise KeyboardInterrupt
                    return act(*arguments, **options)  # type: ignore[operator]

                return call

            with monkeypatch.context() as patch:
                for name in ("replace", "unlink", "rmdir"):
                    patch.setattr(os, name, count(getattr(os, name)))
                try:
                    store.build("approximate")
                    finished = True
                except KeyboardInterrupt:
                    finished = False
        with open_store(where) as store:
            assert held(store) == set(range(290)), moment
            assert (store.search(clusters(300, 64)[:9], 1, nprobe=17).ids >= 0).all()
        if finished:
            break
    assert moment > 4


def test_a_segment_is_read_as_it_was_written(tmp_path: Path) -> None:
    names = ["a", "", "é\udcff\n", "b" * 1000]
    numbers = np.arange(4)
    append(tmp_path, Segment(numbers, numbers - 1, numbers / 3, numbers % 2, pack(names), clusters(4, 8).numpy()))
    append(tmp_path, Segment(numbers[:2]))
    added, deleted = (read(tmp_path / f"00000{n}.safetensors", embeddings=True) for n in (1, 2))
    assert added.names is not None
    assert unpack(added.names) == names
    assert added.embeddings is not None
    np.testing.assert_array_equal(added.embeddings, clusters(4, 8).numpy())
    assert deleted.names is None
    assert read(tmp_path / "000001.safetensors", embeddings=False).embeddings is None
