"""Stores whose process ends at any moment, or whose disk is full: what was added before is there, and it goes on."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.encoded import gated
from support.models import clusters

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")
pytest.importorskip("fcntl")  # Windows has none, and removes no open files

from vireid.search import faiss_store, parts, segments
from vireid.search.options import Kind
from vireid.search.parts import PartStore
from vireid.search.store import Identity, Records, Store, open_store

IDENTITY = Identity("a model", 8)
MOST = 50
"""Moments that are tried, at most."""
Step = tuple[Callable[[Store], None], set[int]]


def put(store: Store, first: int, n: int) -> None:
    ids = np.arange(first, first + n)
    store.add(rows_of(ids), Records(ids, [str(one) for one in ids], ids % 3, ids.astype(np.float64), ids % 2))


def rows_of(ids: Any) -> torch.Tensor:
    """Embeddings that are nearest to themselves."""
    return torch.nn.functional.normalize(clusters(500, 8)[torch.as_tensor(ids)], dim=1)


def changes(kind: Kind) -> list[Step]:
    """Steps, and the images that a store has after each."""
    return [
        (lambda store: put(store, 0, 300), set(range(300))),
        (lambda store: store.build(kind), set(range(300))),
        (lambda store: put(store, 290, 20), set(range(310))),  # ten of them are replaced
        (lambda store: store.delete(np.arange(295, 305)), {*range(295), *range(305, 310)}),
        (lambda store: store.build(kind), {*range(295), *range(305, 310)}),
        (lambda store: store.delete(np.arange(10, 320)), set(range(10))),  # most of them: their room is freed
        (lambda store: put(store, 400, 5), {*range(10), *range(400, 405)}),
        (lambda store: store.save(), {*range(10), *range(400, 405)}),
    ]


def goes_on(where: str, allowed: list[set[int]], moment: object) -> None:
    """What was added is there, a search finds it, and the next addition is kept."""
    with open_store(where, IDENTITY, write=True) as store:
        held = {one for some in store.listing() for one in some.ids.tolist()}
        assert held in allowed, (moment, len(held))
        some = sorted(held)[:9]
        if some:
            assert (store.search(rows_of(some), 20, nprobe=20).ids == torch.tensor(some)[:, None]).any(dim=1).all()
        put(store, 450, 3)
    with open_store(where) as store:
        assert {one for some in store.listing() for one in some.ids.tolist()} == {*held, 450, 451, 452}


@contextmanager
def dead(monkeypatch: pytest.MonkeyPatch, moment: int) -> Iterator[list[int]]:
    """A process that ends at one of its writes, flushes, renames and removals: it does no later one.

    What it writes at that moment is half there.
    """
    passed = [0]

    def counted(act: Callable[..., Any], half: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            passed[0] += 1
            if passed[0] > moment:
                if half is not None:
                    half(*args)
                raise KeyboardInterrupt
            return act(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "fsync", "unlink", "rmdir"):
            patch.setattr(os, name, counted(getattr(os, name)))
        for module in (segments, parts):
            patch.setattr(
                module, "save_file", counted(module.save_file, lambda _, path, *__: path.write_bytes(b"half"))
            )
        yield passed


@pytest.mark.parametrize("kind", ["exact", "approximate"])
def test_a_writer_of_a_directory_that_ends_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    steps = changes(kind)
    if kind == "approximate":  # learns its codes: only what changes while an index is there
        base, steps = tmp_path / "base", steps[2:4]
        with open_store(str(base), IDENTITY, write=True) as store:
            for change, _ in changes(kind)[:2]:
                change(store)
    for moment in range(MOST):
        where, done, finished = str(tmp_path / f"{moment}"), 0, False
        if kind == "approximate":
            shutil.copytree(base, where)
        with open_store(where, IDENTITY, write=True) as store, dead(monkeypatch, moment):
            try:
                for change, _ in steps:
                    change(store)
                    done += 1
                finished = True
            except KeyboardInterrupt:
                pass
        states = [set(range(300)) if kind == "approximate" else set(), *(held for _, held in steps)]
        goes_on(where, states[done : done + 2], (moment, done))
        shutil.rmtree(where)
        if finished:
            break
    assert moment > 5


def test_a_part_store_that_ends_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = gated(6, 0, dtype=torch.float32)
    steps: list[tuple[Callable[[PartStore], None], set[int]]] = [
        (lambda store: store.add(images, torch.arange(6)), set(range(6))),
        (lambda store: store.add(images, torch.arange(6, 12)), set(range(12))),
        (lambda store: store.delete(torch.arange(2)), set(range(2, 12))),
        (PartStore.compact, set(range(2, 12))),
        (lambda store: store.delete(torch.arange(3, 11)), {2, 11}),  # most of them: their room is freed
        (lambda store: store.add(images[:1], torch.tensor([20])), {2, 11, 20}),
    ]
    for moment in range(MOST):
        folder, done, finished = tmp_path / f"{moment}", 0, False
        store = PartStore.create(folder, "m")
        with dead(monkeypatch, moment):
            try:
                for change, _ in steps:
                    change(store)
                    done += 1
                finished = True
            except KeyboardInterrupt:
                pass
        states = [set[int](), *(held for _, held in steps)]
        again = PartStore.open(folder, "m")
        assert set(again.ids.tolist()) in states[done : done + 2], (moment, done)
        again.add(images[:1], torch.tensor([30]))
        assert len(again.read(again.ids)) == len(PartStore.open(folder, "m"))
        if finished:
            break
    assert finished
    assert moment > 10
    plain = PartStore.create(tmp_path / "plain", "m")
    plain.add(images, torch.arange(6))
    assert again.bytes * 6 == plain.bytes * len(again)  # the deleted images take no room


def test_room_is_freed_when_most_images_are_deleted(tmp_path: Path) -> None:
    where = tmp_path / "store"
    with open_store(str(where), IDENTITY, write=True) as store:
        put(store, 0, 200)
        put(store, 200, 200)
        before = size_of(where)
        store.delete(np.arange(100))
        assert size_of(where) > before
        store.delete(np.arange(100, 301))
        assert size_of(where) < before / 3
        assert len(store) == 99
    images = gated(8, 0, dtype=torch.float32)
    kept = PartStore.create(tmp_path / "parts", "m")
    kept.add(images, torch.arange(8))
    before, other = kept.bytes, PartStore.open(tmp_path / "parts", "m")
    kept.delete(torch.arange(5))
    assert kept.bytes == 3 * before // 8
    assert len(other.read(torch.arange(8))) == 8  # as when it was opened
    other.add(images[:1], torch.tensor([9]))
    assert PartStore.open(tmp_path / "parts", "m").ids.tolist() == other.ids.tolist() == [5, 6, 7, 9]


def test_a_part_store_is_opened_while_room_is_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, writer, read = gated(6, 0, dtype=torch.float32), PartStore.create(tmp_path, "m"), parts._read
    freed = list[bool]()
    writer.add(images, torch.arange(6))
    writer.delete(torch.arange(2))
    writer.add(images, torch.arange(10, 16))

    def between(path: Path, kept: Any) -> Any:
        if not freed and path.name == "000002.safetensors":
            freed.append(True)
            writer.compact()
        return read(path, kept)

    monkeypatch.setattr(parts, "_read", between)
    reader = PartStore.open(tmp_path, "m")
    assert freed
    assert reader.ids.tolist() == [2, 3, 4, 5, *range(10, 16)]
    (tmp_path / "000009.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="No such file"):
        PartStore.open(tmp_path, "m")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def built_on_a_full_disk(store: Store, monkeypatch: pytest.MonkeyPatch, files: int) -> str:
    """What `build` says when only some files can be written; nothing if these were all."""
    passed, replace = [0], os.replace

    def full(*args: Any) -> None:
        passed[0] += 1
        if passed[0] > files:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        try:
            store.build("approximate")
        except OSError as error:
            return str(error)
    return ""


def test_a_disk_that_is_full_while_an_index_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each file that is written: one line, and the images can be read, added and built again."""
    where, whole = str(tmp_path / "store"), {*range(295), *range(305, 310)}
    with open_store(where, IDENTITY, write=True) as store:
        for change, _ in changes("approximate")[:4]:
            change(store)
    for moment in range(MOST):
        here = shutil.copytree(where, tmp_path / f"{moment}")
        with open_store(str(here), write=True) as store:
            said = built_on_a_full_disk(store, monkeypatch, moment)
            put(store, 440, 2)
            store.save()
        goes_on(str(here), [whole | {440, 441}], moment)
        if not said:
            break
        assert "No space left on device" in said
        assert "\n" not in said
    assert 1 < moment < MOST - 1


def test_a_directory_is_opened_while_it_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, read, built = str(tmp_path / "store"), segments.read, list[bool]()
    with open_store(where, IDENTITY, write=True) as writer:
        put(writer, 0, 20)
        put(writer, 20, 20)
        writer.delete(np.arange(10))

        def between(path: Path, *, embeddings: bool) -> segments.Segment:
            if not built and path.name == "000002.safetensors":
                built.append(True)
                writer.build("exact")
            return read(path, embeddings=embeddings)

        monkeypatch.setattr(faiss_store, "read", between)
        with open_store(where) as reader:
            assert len(reader) == 30
            assert built
        monkeypatch.setattr(
            faiss_store, "read", lambda path, **_: path.touch() or read(path.with_name("gone"), embeddings=False)
        )
        with pytest.raises(OSError, match=r"must not change while it is opened; another process builds it anew$"):
            open_store(where)


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
        said = one.communicate()[0].splitlines()
        assert len(said) == 1, said
        if said == ["kept"]:
            held |= set(range(first, first + 50))
        else:
            assert said[0].startswith("refused: open_store: "), said
    assert len(held) > 5
    with open_store(where) as store:
        assert {one for some in store.listing() for one in some.ids.tolist()} == held
