"""The part store: its codes, what it keeps when a writer is killed, and its error messages."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from concordant import TSAA, Encoded, PartQueries, target_aware_similarity
from support.encoded import gated
from support.models import close
from support.padding import masks
from vireid.lock import locked
from vireid.search import parts as module
from vireid.search.parts import PartStore
from vireid.search.parts_code import PartSettings, layout, pack, sizes_of, unpack
from vireid.search.parts_pool import pool

EXACT = PartSettings("float32")


@pytest.fixture(autouse=True)
def _without_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are for a system that fails; here processes do."""
    monkeypatch.setattr("vireid.files.to_disk", lambda path: None)


def single(n: int, seed: int = 0, *, t: int = 7) -> Encoded:
    return gated(n, seed, t=t, dtype=torch.float32)


def same(one: Encoded, other: Encoded) -> None:
    """Equal to the bit, masks included."""
    assert len(one.tensors()) == len(other.tensors())
    assert all(torch.equal(a, b) for a, b in zip(one.tensors(), other.tensors(), strict=True))


@given(st.data(), st.sampled_from(["float32", "int8"]), st.integers(0, 3), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_codes_are_right_within_half_a_step(data: st.DataObject, numbers: str, p: int, seed: int) -> None:
    images = gated(3, seed, p=p, dtype=torch.float32)
    scale = 10.0 ** data.draw(st.integers(-30, 30))
    mask, part_mask = data.draw(masks(3, 7)), data.draw(masks(3, p)) if p else None
    tokens = images.tokens.mul(scale).masked_fill(~mask[:, :, None], torch.nan)  # padding may hold anything
    found = unpack(
        pack(Encoded(tokens, images.keys, images.part_queries, mask, part_mask), PartSettings(numbers))[1]  # type: ignore[arg-type]
    )
    for real, kept in ((mask, found.mask), (part_mask, found.part_mask)):
        assert real is None or (kept is None and bool(real.all())) or torch.equal(real, kept)  # type: ignore[arg-type]
    for before, after, real in zip(
        (tokens, images.keys, *images.part_queries), found.tensors(), (mask, mask, part_mask, part_mask), strict=False
    ):
        clean = before if real is None else before.masked_fill(~real[:, :, None], 0.0)
        step = clean.abs().amax(dim=2, keepdim=True) / 127 if numbers == "int8" else 0.0
        assert ((after - clean).abs() <= 0.5001 * step).all()


def test_an_uncompressed_store_is_equal_to_exhaustive_comparison(tmp_path: Path) -> None:
    attention = TSAA(6)
    queries, images = single(3, 1), single(20, 2)
    store = PartStore.create(tmp_path, "m", EXACT)
    store.add(images[:12], torch.arange(12))
    store.add(images[12:], torch.arange(12, 20))
    listed = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    short = target_aware_similarity(queries, PartStore.open(tmp_path, "m").read(listed), attention)
    close(short, target_aware_similarity(queries, images, attention)[:, listed], rtol=0, atol=1e-5)


def test_lists_are_compared_as_pairs_in_memory(tmp_path: Path) -> None:
    attention = TSAA(6)
    queries, images = single(3, 1), single(20, 2)
    store = PartStore.create(tmp_path, "m", EXACT)
    store.add(images, torch.arange(100, 120))
    rows = torch.tensor([[3, 19, -1], [0, 3, 2], [-1, -1, -1]])
    compare = partial(target_aware_similarity, attention=attention)
    found = store.compare(queries, torch.where(rows < 0, -1, rows + 100), compare)
    close(found, compare(queries, images, pairs=rows), rtol=0, atol=1e-5)
    for wrong, got in ((rows[:2], r"\(2, 3\)"), (rows[0], r"\(3,\)"), ([[1]], "list")):
        with pytest.raises(ValueError, match=rf"`ids` must be \(q, k\) = \(3, k\); got {got}"):
            store.compare(queries, wrong, compare)  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [PartSettings(), PartSettings("float32", 3), PartSettings("int8", 3)])
def test_compressed_images_are_nearly_those_that_were_added(tmp_path: Path, kept: PartSettings) -> None:
    images = single(9)
    store = PartStore.create(tmp_path, "m", kept)
    store.add(images, torch.arange(9))
    expected = images if kept.clusters is None else pool(images, kept.clusters)
    found = PartStore.open(tmp_path, "m").read(torch.arange(9))
    close(found.tokens, expected.tokens, rtol=0, atol=0.02)
    close(found.part_queries.gates, images.part_queries.gates, rtol=0, atol=0.02)
    again = torch.cat([PartStore.open(tmp_path, "m").read(torch.tensor([i])).tokens for i in range(9)])
    assert torch.equal(again, found.tokens)
    sizes = sizes_of(images)._replace(t=kept.clusters or 7)
    assert store.bytes == 9 * layout(sizes, kept).itemsize


Step = tuple[str, list[int]]


@given(st.lists(st.tuples(st.sampled_from(["add", "delete"]), st.lists(st.integers(0, 5), unique=True)), max_size=8))
@settings(max_examples=30, deadline=None)
def test_a_store_is_a_dictionary(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    """After any additions and deletions it holds what a dictionary would, for its writer and for who opens it."""
    folder, held = tmp_path_factory.mktemp("store"), dict[int, Encoded]()
    store = PartStore.create(folder, "m", EXACT)
    for number, (kind, ids) in enumerate(steps):
        if kind == "add":
            images = single(len(ids), number, t=4 + number % 2)
            store.add(images, torch.tensor(ids, dtype=torch.long))
            held |= {one: images[i] for i, one in enumerate(ids)}
        else:
            store.delete(torch.tensor(ids, dtype=torch.long))
            held = {one: image for one, image in held.items() if one not in ids}
    for reader in (store, PartStore.open(folder, "m")):
        assert reader.ids.tolist() == sorted(held)
        assert len(reader) == len(held)
        if held:
            wanted = [*held, *held][::-1]
            same(reader.read(torch.tensor(wanted)), Encoded.cat([held[one] for one in wanted]))


def test_sides_of_several_lengths_are_padded(tmp_path: Path) -> None:
    store = PartStore.create(tmp_path, "m", EXACT)
    short, long = single(2, 0, t=5), single(2, 1, t=9)
    store.add(short, torch.tensor([10, 11]))
    store.add(long, torch.tensor([20, 21]))
    same(store.read(torch.tensor([20, 11])), Encoded.cat([long[:1], short[1:]]))
    assert store.read(torch.tensor([11])).mask is None


@pytest.mark.long
def test_a_killed_writer_leaves_what_was_added(tmp_path: Path) -> None:
    """At 50 random moments: all that `add` had returned for, and of the next addition all or nothing."""
    images, random = gated(4, 0, t=700, c=64, dtype=torch.float32), np.random.default_rng(0)  # 0.8 MB to write
    for moment in range(50):
        folder = tmp_path / f"{moment}"
        PartStore.create(folder, "m", EXACT).add(images, torch.arange(4))
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads, of which the child has none
            child = os.fork()
        if child == 0:
            try:
                torch.set_num_threads(1)
                store = PartStore.open(folder, "m")
                for number in range(1, 1000):
                    store.add(images, torch.arange(4 * number, 4 * number + 4))
                    os.write(writer, b".")
            finally:
                os._exit(1)
        os.close(writer)
        with os.fdopen(reader, "rb") as acknowledged:
            total = 1 + len(acknowledged.read(1))
            time.sleep(random.uniform(0.0, 0.004))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            total += len(acknowledged.read())
        store = PartStore.open(folder, "m")
        assert len(store) in (4 * total, 4 * total + 4)
        assert total >= 2
        same(store.read(store.ids), Encoded.cat([images] * (len(store) // 4)))
        store.add(images, torch.arange(4))  # over what the killed writer left
        assert not list(folder.glob(".*.tmp"))


def test_two_writers_keep_what_both_add(tmp_path: Path) -> None:
    one, other, images = PartStore.create(tmp_path, "m"), PartStore.open(tmp_path, "m"), single(2)
    one.add(images, torch.tensor([0, 1]))
    other.add(images, torch.tensor([2, 3]))
    assert other.ids.tolist() == [0, 1, 2, 3]
    one.delete(torch.tensor([2]))
    assert one.ids.tolist() == [0, 1, 3] == PartStore.open(tmp_path, "m").ids.tolist()
    with locked(tmp_path / module.LOCK, wait=False) as held:  # another process is about to add
        if not held:
            pytest.skip("no locks here")
        thread = threading.Thread(target=one.add, args=(images, torch.tensor([4, 5])))
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        assert len(PartStore.open(tmp_path, "m")) == 3
    thread.join()
    assert one.ids.tolist() == [0, 1, 3, 4, 5]


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PartStore.create(tmp_path, "m")
    store.add(single(3), torch.arange(3))

    def full(arrays: dict[str, object], path: Path, about: dict[str, str]) -> None:
        path.write_bytes(b"begun")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_file", full)
        rule = r"000002\.safetensors cannot be written; .*No space left on device$"
        with pytest.raises(OSError, match=rule):
            store.add(single(3), torch.arange(3))
        with pytest.raises(OSError, match=rule):
            store.delete(torch.arange(3))
    assert len(store) == len(PartStore.open(tmp_path, "m")) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "000001.safetensors", "parts.json"]
    store.add(single(3), torch.arange(3, 6))
    assert len(PartStore.open(tmp_path, "m")) == 6


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_a_truncated_shard_is_named(tmp_path: Path, length: int) -> None:
    store = PartStore.create(tmp_path, "m")
    for number in range(2):
        store.add(single(3), torch.arange(3 * number, 3 * number + 3))
    path = tmp_path / "000002.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        ValueError, match=r"^PartStore\.open: .*000002\.safetensors must be complete; to go on"
    ) as error:
        PartStore.open(tmp_path, "m")
    assert "\n" not in str(error.value)
    path.unlink()
    assert PartStore.open(tmp_path, "m").ids.tolist() == [0, 1, 2]


def test_damaged_images_are_named(tmp_path: Path) -> None:
    store = PartStore.create(tmp_path, "m")
    store.add(single(3), torch.tensor([7, 8, 9]))
    path = tmp_path / "000001.safetensors"
    content = bytearray(path.read_bytes())
    content[-store.bytes // 3 - 5] ^= 1  # near the end of the second image
    path.write_bytes(content)
    store = PartStore.open(tmp_path, "m")
    assert len(store.read(torch.tensor([7, 9]))) == 2
    with pytest.raises(ValueError, match=r"000001\.safetensors must hold its images as they were written; .*\[8\]"):
        store.read(torch.tensor([7, 8]))


def test_a_store_of_another_model_or_version_is_rejected(tmp_path: Path) -> None:
    PartStore.create(tmp_path / "a", "one")
    with pytest.raises(ValueError, match=r"must be a store of model two; got one of one$"):
        PartStore.open(tmp_path / "a", "two")
    with pytest.raises(ValueError, match="must have no store yet"):
        PartStore.create(tmp_path / "a", "one")
    manifest = tmp_path / "a" / module.MANIFEST
    for content, rule in (
        (manifest.read_text().replace('"version": 1', '"version": 2'), "must be a store of version 1; got 2$"),
        ("[]", "must be a store of version 1"),
        (manifest.read_text().replace("int8", "int9"), "must describe a store; `settings`"),
        ("{", "must be a JSON file"),
    ):
        manifest.write_text(content)
        with pytest.raises(ValueError, match=rule):
            PartStore.open(tmp_path / "a", "one")
        manifest.write_text(manifest.read_text())
    with pytest.raises(FileNotFoundError, match="must have a store"):
        PartStore.open(tmp_path / "b", "one")


@pytest.mark.parametrize(
    ("ids", "rule"),
    [
        (torch.arange(3), r"must be \(n,\) = \(2,\) distinct integers; got 3"),
        (torch.tensor([1, 1]), "got 2, 1 of them distinct"),
        (torch.ones(2), "must be a tensor .* of torch.float32"),
        (torch.ones(2, 1, dtype=torch.long), r"got \(2, 1\) of"),
        ([0, 1], "got list"),
    ],
)
def test_ids_that_do_not_fit_are_rejected(tmp_path: Path, ids: Tensor, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        PartStore.create(tmp_path, "m").add(single(2), ids)


def test_images_that_do_not_fit_are_rejected(tmp_path: Path) -> None:
    store, images = PartStore.create(tmp_path, "m", PartSettings(clusters=2)), single(2)
    with pytest.raises(ValueError, match="must have finite numbers; got keys"):
        store.add(Encoded(images.tokens, images.keys / 0, images.part_queries), torch.arange(2))
    without = PartQueries(images.part_queries.queries + 1, images.part_queries.gates)
    with pytest.raises(ValueError, match="must be of a model with a token gate, as `clusters` needs"):
        store.add(Encoded(images.tokens, images.keys, without), torch.arange(2))
    store.add(images, torch.arange(2))
    with pytest.raises(ValueError, match=r"must have the \(c, d\) of those that are there, \(6, 6\); got \(4, 6\)"):
        store.add(gated(2, 0, c=4), torch.arange(2))
    for missing in (torch.tensor([0, 5]), torch.arange(0)):
        with pytest.raises(ValueError, match=r"must be in the store; got (\[5\]|none)$"):
            store.read(missing)


@pytest.mark.parametrize(
    ("wrong", "rule"), [({"numbers": "int4"}, "be 'float32' or 'int8'"), ({"clusters": 0}, "at least 1")]
)
def test_settings_that_do_not_fit_are_rejected(wrong: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        PartSettings(**wrong)  # type: ignore[arg-type]
