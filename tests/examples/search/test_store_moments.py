"""Stores whose process ends at any moment, or whose disk is full: what was added before is there, and it goes on."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.encoded import gated
from support.stores import IDENTITY, MOST, changes, goes_on, put

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")
pytest.importorskip("fcntl")  # Windows has none, and removes no open files

from vireid.search import faiss_store, parts, segments
from vireid.search.options import Kind
from vireid.search.parts import PartStore
from vireid.search.store import Store, open_store


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


def changed(
    store: Any, steps: Sequence[tuple[Callable[[Any], None], object]], monkeypatch: pytest.MonkeyPatch, moment: int
) -> int:
    """How many changes are done when the writer ends."""
    done = 0
    with suppress(KeyboardInterrupt), dead(monkeypatch, moment):
        for change, _ in steps:
            change(store)
            done += 1
    return done


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
        where = str(tmp_path / f"{moment}")
        if kind == "approximate":
            shutil.copytree(base, where)
        with open_store(where, IDENTITY, write=True) as store:
            done = changed(store, steps, monkeypatch, moment)
        states = [set(range(300)) if kind == "approximate" else set(), *(held for _, held in steps)]
        goes_on(where, states[done : done + 2], (moment, done))
        shutil.rmtree(where)
        if done == len(steps):
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
        folder = tmp_path / f"{moment}"
        store = PartStore.create(folder, "m")
        done = changed(store, steps, monkeypatch, moment)
        states = [set[int](), *(held for _, held in steps)]
        again = PartStore.open(folder, "m")
        assert set(again.ids.tolist()) in states[done : done + 2], (moment, done)
        again.add(images[:1], torch.tensor([30]))
        assert len(again.read(again.ids)) == len(PartStore.open(folder, "m"))
        if done == len(steps):
            break
    assert done == len(steps)
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
