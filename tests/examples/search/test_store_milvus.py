"""Milvus Lite whose process ends at any moment, and two processes that add to any store at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.stores import IDENTITY, MOST, changes, goes_on, put

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")
pytest.importorskip("fcntl")  # Windows has none, and removes no open files

from vireid.search.store import Store, open_store


def added_and_built(store: Store) -> None:
    put(store, 100, 20)  # three messages
    store.build("approximate")


class Engine:
    """Milvus Lite's client, which ends at one of its calls."""

    def __init__(self, client: Any, moment: int) -> None:
        self.client, self.moment, self.passed = client, moment, 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)
        changes_it = name in {"insert", "upsert", "delete", "flush", "drop_index", "create_index", "release_collection"}

        def counted(*args: Any, **options: Any) -> Any:
            self.passed += 1
            if self.passed > self.moment:
                raise KeyboardInterrupt
            return call(*args, **options)

        return counted if changes_it else call


def test_calls_of_milvus_that_are_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An addition of several messages can be repeated, and an index that was dropped is there again."""
    module = pytest.importorskip("vireid.search.milvus_store", reason="pymilvus comes with the extra `milvus`")
    monkeypatch.setattr(module, "MESSAGE", 4 * 8 * 8)  # eight embeddings
    where = str(tmp_path / "store.db")
    store: Any
    with open_store(where, IDENTITY, write=True) as store:
        put(store, 0, 8)
    held = set(range(8))
    for moment in (1, 2, 4, 6):
        store = open_store(where, IDENTITY, write=True)
        store._client = Engine(store._client, moment)
        with pytest.raises(KeyboardInterrupt):
            added_and_built(store)
        with pytest.raises(OSError, match="must be opened again after an error"):
            put(store, 8, 1)
        store._client = store._client.client
        store.close()
        whole = held | set(range(100, 120))
        goes_on(where, [held | set(range(100, 100 + 8 * moment))] if moment < 3 else [whole], moment)
        with open_store(where, IDENTITY, write=True) as store:
            put(store, 100, 20)
            assert {one for some in store.listing() for one in some.ids.tolist()} == {*whole, 450, 451, 452}
            store.delete(np.array([*range(100, 120), 450, 451, 452]))
    with open_store(where) as store:
        rule = r"^MilvusStore\.\w+: .* must be opened with `write`"
        with pytest.raises(ValueError, match=rule):
            put(store, 0, 1)
        with pytest.raises(ValueError, match=rule):
            store.delete(np.arange(1))
        with pytest.raises(ValueError, match=rule):
            store.save()


@pytest.mark.long
def test_a_writer_of_milvus_that_ends_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of what is on the disk at each write, flush, rename and removal of Milvus Lite is what a kill leaves."""
    wal = pytest.importorskip("milvus_lite.storage.wal", reason="milvus-lite comes with the extra `milvus`")
    where, lock, done = tmp_path / "store.db", threading.RLock(), [0]
    taken: list[tuple[Path, int]] = []

    def take() -> None:
        if len(taken) < MOST and where.exists():
            taken.append((tmp_path / "images" / f"{len(taken)}.db", done[0]))
            shutil.copytree(where, taken[-1][0])

    def copied(act: Callable[..., Any], *, log: bool = False) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            with lock:  # Milvus Lite also works in the background
                take()
                found = act(*args, **options)
                if log and len(taken) < MOST:
                    take()
                    last = max(taken[-1][0].rglob("wal_*.arrow"), key=lambda path: path.stat().st_mtime_ns)
                    os.truncate(last, last.stat().st_size - 20)  # it was writing
                return found

        return call

    steps = changes("exact")
    with open_store(str(where), IDENTITY, write=True) as store, monkeypatch.context() as patch:
        for name in ("replace", "fsync", "remove", "rename"):
            patch.setattr(os, name, copied(getattr(os, name)))
        for name in ("write_insert", "write_delete"):
            patch.setattr(wal.WAL, name, copied(getattr(wal.WAL, name), log=True))
        for change, _ in steps:
            change(store)
            done[0] += 1
    assert len(taken) > 20
    states = [set[int](), *(held for _, held in steps)]
    for image, steps_done in taken:
        goes_on(str(image), states[steps_done : steps_done + 2], image.name)


WRITER = """
import sys
import numpy as np, torch
from vireid.search.store import Identity, Records, open_store
where, first = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
try:
    with open_store(where, Identity("a model", 8), write=True) as store:
        for start in range(first, first + 50, 10):
            ids = np.arange(start, start + 10)
            store.add(torch.ones(10, 8), Records(ids, [str(one) for one in ids], ids, ids * 1.0, 0 * ids))
    print("kept")
except OSError as error:
    print(f"refused: {error}")
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["store", "store.db"])
def test_two_processes_that_add_at_once(tmp_path: Path, name: str) -> None:
    """Both are kept, or one is refused with one line."""
    if name.endswith(".db"):
        pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: it comes with the extra `milvus`")
    where, environment = str(tmp_path / name), os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with open_store(where, IDENTITY, write=True) as store:
        put(store, 200, 5)
    command = [sys.executable, "-c", WRITER, where]
    both = [
        subprocess.Popen(
            [*command, str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for first in (0, 100)
    ]
    held = set(range(200, 205))
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    for first, one in zip((0, 100), both, strict=True):
        # An old rich ends a hidden progress bar with an empty line.
        said = [line for line in one.communicate()[0].splitlines() if line]
        assert len(said) == 1, said
        if said == ["kept"]:
            held |= set(range(first, first + 50))
        else:
            assert said[0].startswith("refused: open_store: "), said
    assert len(held) > 5
    with open_store(where) as store:
        assert {one for some in store.listing() for one in some.ids.tolist()} == held
