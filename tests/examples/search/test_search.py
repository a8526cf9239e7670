"""`examples/search.py`: a directory into a store and out of it, and the measurements."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from support.models import clusters
from support.trained import SMALL_MODEL
from vireid.config import DataSettings, SysuSettings
from vireid.datasets.cache import decode_image
from vireid.files import plain, write_json
from vireid.models.build import build_model
from vireid.models.hub import HubCAL
from vireid.models.weights import as_json, save_weights

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")

import faiss

import search as example
from vireid.command import cli
from vireid.search import directory
from vireid.search.beside import open_parts, rerank
from vireid.search.directory import camera_of, embed, encoded, images_below, share
from vireid.search.index import EmbeddingIndex
from vireid.search.options import Add, Build, Delete, Engines, Find, Scale, Ways, Wide, seconds_of
from vireid.search.parts_code import PartSettings, Sizes
from vireid.search.scale import made_up
from vireid.search.store import Identity, Records, open_store

Says = Callable[[], str]


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


@pytest.fixture
def says(capsys: pytest.CaptureFixture[str]) -> Says:
    """What was printed since the last call, in one line."""
    return lambda: " ".join(capsys.readouterr().out.split())


def do(action: Any) -> None:
    example.main(example.Options(action))


@pytest.mark.parametrize("name", ["store", "store.db"])
def test_a_directory_is_added_found_and_deleted(run: Path, tmp_path: Path, says: Says, name: str) -> None:
    if name.endswith(".db"):
        pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: it comes with the extra `milvus`")
    root, store = tmp_path / "SYSU", str(tmp_path / name)
    images = sorted(path for camera in (1, 2) for path in (root / f"cam{camera}").rglob("*.jpg"))
    (root / "cam1" / "broken.jpg").write_bytes(images[0].read_bytes()[:200])
    for time, path in enumerate(images):
        os.utime(path, (1e9 + time, 1e9 + time))
    for camera in (1, 2):
        do(Add(store, run, root / f"cam{camera}"))
    assert "not added: " in (printed := says())
    assert "16 images added, 0 were there; 1 cannot be decoded" in printed
    with open_store(store) as opened:
        records = next(opened.listing())
        found = set(zip(records.names, records.cameras.tolist(), records.times.tolist(), strict=True))
    assert found == {(str(path), 1 + (i >= 16), 1e9 + i) for i, path in enumerate(images)}
    out = tmp_path / "found"
    do(Find(store, run, (images[3], images[20]), "visible", 3, out=out))
    results = json.loads((out / "found.json").read_text())["results"]
    for path, one in zip((images[3], images[20]), results, strict=True):
        assert one["query"] == str(path)
        assert one["found"][0]["image"] == str(path)
        assert one["found"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    with Image.open(out / "found.png") as picture:
        assert picture.size[0] > 100
    assert f"{images[3].name} in 32 images" in says()
    until = "2001-09-09"  # all of that day
    asked: dict[str, Any] = {"other_cameras": True, "since": "2001-09-08", "until": until, "out": out}
    do(Find(store, run, (images[3], images[20]), "visible", 40, **asked))
    both = json.loads((out / "found.json").read_text())["results"]
    assert [{row["camera"] for row in one["found"]} for one in both] == [{2}, {1}]
    assert {row["image"] for row in both[0]["found"]} == {str(path) for path in images[16:]}
    assert {row["modality"] for one in both for row in one["found"]} == {"visible"}
    do(Find(store, run, (images[3],), "visible", among="infrared", nprobe=1, out=out))
    assert json.loads((out / "found.json").read_text())["results"][0]["found"] == []
    do(Delete(store, (root / "cam2" / ".." / "cam1", images[20])))  # however a path is written
    assert "17 images deleted, 15 are left" in says()
    do(Build(store))
    do(Add(store, run, root / "cam1" / ".." / "cam2"))
    assert "1 images added, 15 were there" in says()
    with pytest.raises(ValueError, match="delete: `names` must be images of"):
        do(Delete(store, (root / "cam1",)))


def test_an_interrupted_addition_goes_on(
    run: Path, tmp_path: Path, says: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, root, chunks = str(tmp_path / "store"), tmp_path / "SYSU" / "cam4", list[int]()

    def embed(*arguments: Any) -> torch.Tensor:
        chunks.append(len(arguments[1]))
        if len(chunks) == 3:
            raise KeyboardInterrupt
        return clusters(len(arguments[1]), 144, seed=len(chunks))

    monkeypatch.setattr(directory, "CHUNK", 5)
    monkeypatch.setattr(directory, "embed", embed)
    with pytest.raises(KeyboardInterrupt):
        do(Add(store, run, root))
    with open_store(store) as opened:
        assert len(opened) == 10
    do(Add(store, run, root))
    assert "6 images added, 10 were there" in says()
    assert chunks == [5, 5, 5, 5, 1]


@pytest.mark.parametrize("name", ["store", "store.db"])
def test_parts_are_kept_in_step_and_order_the_short_list(run: Path, tmp_path: Path, says: Says, name: str) -> None:
    if name.endswith(".db"):
        pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: it comes with the extra `milvus`")
    root, store, out = tmp_path / "SYSU", str(tmp_path / name), tmp_path / "found"
    images = sorted((root / "cam1").rglob("*.jpg"))

    def ids() -> tuple[list[int], list[int]]:
        with open_store(store) as opened:
            parts = open_parts(store, opened.identity)
            assert parts is not None
            return sorted(one for some in opened.listing() for one in some.ids.tolist()), parts.ids.tolist()

    do(Add(store, run, images[0].parent))  # without parts
    query = next((root / "cam3").rglob("*.jpg"))
    do(Add(store, run, root / "cam1", parts=True))  # also the parts that the former addition did not keep
    assert "16 images added, 0 were there" in says()
    do(Add(store, run, root / "cam2"))  # a store that has parts keeps them
    embedded, kept = ids()
    assert embedded == kept
    assert len(kept) == 32
    do(Find(store, run, (query,), k=5, rerank=32, out=out))
    found = json.loads((out / "found.json").read_text())["results"][0]["found"]
    model = HubCAL.from_run(run)
    files = [decode_image(path, (32, 16), []) for path in (query, *images, *sorted((root / "cam2").rglob("*.jpg")))]
    with torch.inference_mode():
        asked, others = encoded(model, files[:1], 1), encoded(model, files[1:], 0)  # type: ignore[arg-type]
        expected = model.similarity(asked, others)[0].sort(descending=True).values[:5]
    torch.testing.assert_close(torch.tensor([row["similarity"] for row in found]), expected, rtol=0, atol=0.01)
    do(Delete(store, (images[0].parent,)))
    embedded, kept = ids()
    assert embedded == kept
    with pytest.raises(ValueError, match=r"^open_parts: `--clusters` must be that of .*parts, None; got 3$"):
        do(Add(store, run, root / "cam1", parts=True, clusters=3))
    with open_store(store, write=True) as opened:  # a deletion that was interrupted between both stores
        opened.delete(np.array(embedded[:3]))
    do(Build(store))
    assert ids() == (embedded[3:], embedded[3:])
    with open_store(store) as opened:
        parts = open_parts(store, opened.identity)
        assert parts is not None
        assert parts.bytes % len(parts) == 0  # no room of deleted images
        parts.delete(parts.ids[:1])
    with pytest.raises(ValueError, match=r"^rerank: .*parts must have the parts of all images; got none of 1 in the"):
        do(Find(store, run, (query,), rerank=32, out=out))


def test_an_uncompressed_list_of_the_whole_gallery_is_exhaustive(run: Path, tmp_path: Path) -> None:
    """Through both stores, as `find --rerank` goes."""
    model, identity = HubCAL.from_run(run), Identity("a model", 144)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (24, 32, 16, 3), generator=generator, dtype=torch.uint8).numpy()
    gallery, queries, ids = list(images[:20]), list(images[20:]), np.arange(100, 120)
    parts = open_parts(str(tmp_path / "store"), identity, PartSettings("float32"))
    assert parts is not None
    with open_store(str(tmp_path / "store"), identity, write=True) as store:
        store.add(
            embed(model, gallery, 0), Records(ids, [str(one) for one in ids], ids, ids.astype(np.float64), 0 * ids)
        )
        parts.add(encoded(model, gallery, 0), torch.from_numpy(ids))
        asked = encoded(model, queries, 1)
        hits = rerank(parts, model, asked, store.search(embed(model, queries, 1), 20), 20)
    with torch.inference_mode():
        values, rows = model.similarity(asked, encoded(model, gallery, 0)).sort(dim=1, descending=True)
    torch.testing.assert_close(hits.similarity, values, rtol=0, atol=1e-5)
    assert torch.equal(hits.ids, rows + 100)


def test_processes_share_the_images() -> None:
    for n in (0, 1, 1023, 1024, 1025, 3000):
        names = [str(number) for number in range(n)]
        shares = [share(names, rank, 2) for rank in range(2)]
        assert len(shares[0]) == len(shares[1])
        rounds = [name for chunks in zip(*shares, strict=True) for chunk in chunks for name in chunk]
        assert rounds == names
        assert all(len(chunk) <= directory.CHUNK for chunks in shares for chunk in chunks)


def test_images_and_cameras_of_a_directory(tmp_path: Path) -> None:
    for name in ("b/1.JPG", "a/2.png", "a/.3.png", ".c/4.png", "a/5.txt", "__MACOSX/6.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert images_below(tmp_path) == [str(tmp_path / "a/2.png"), str(tmp_path / "b/1.JPG")]
    (tmp_path / "empty").mkdir()
    pattern = re.compile(Add().camera)
    assert [camera_of(name, pattern) for name in ("/cam12/0003/1.jpg", "/cam1/cam02/1.jpg", "/1.jpg")] == [12, 2, -1]
    for word, name in (("(x?)", "/cam1.jpg"), (r"c(am.)", "/cam1.jpg"), (r"(\d+)", f"/{'9' * 20}.jpg")):
        rule = rf"^camera_of: `--camera` {re.escape(repr(word))} must find the number of a camera; got '.*' in {name}$"
        with pytest.raises(ValueError, match=rule):
            camera_of(name, re.compile(word))
    with pytest.raises(FileNotFoundError, match="must have images"):
        images_below(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="must be below a directory"):
        images_below(tmp_path / "gone")


def test_what_cannot_be_searched_is_rejected(run: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    do(Add(store, run, tmp_path / "SYSU" / "cam1" / "0003"))
    with pytest.raises(ValueError, match=r"^add: `images` must name a directory of images; got none$"):
        do(Add(store, run))
    with pytest.raises(ValueError, match="find: `queries` must name image files; got none"):
        do(Find(store, run))
    image = next((tmp_path / "SYSU" / "cam1" / "0003").iterdir())
    with pytest.raises(
        ValueError, match=rf"^find: `--other-cameras` needs a camera .*'none\(.\)' finds .*; got {image}$"
    ):
        do(Find(store, run, (image,), other_cameras=True, camera="none(.)"))
    with pytest.raises(
        ValueError, match=r"^find: `--rerank` needs parts beside .*: add its images again with --parts$"
    ):
        do(Find(store, run, (image,), rerank=10))
    with pytest.raises(ValueError, match=r"find: `queries` must be images that can be decoded; got .*run\.json"):
        do(Find(store, run, (run / "run.json",)))
    save_weights(
        build_model(SysuSettings(model=replace(SMALL_MODEL, parts=2)).model_config(4)), run / "model.safetensors"
    )
    with pytest.raises(ValueError, match="must have embeddings of this model"):
        do(Add(store, run, tmp_path / "SYSU" / "cam1"))
    with pytest.raises(FileNotFoundError, match="must be a store"):
        do(Delete(str(tmp_path / "gone"), (tmp_path,)))
    wrong: list[tuple[Callable[..., object], dict[str, Any]]] = [
        (Add, {"camera": "cam"}),
        (Add, {"camera": "("}),
        (Add, {"clusters": 3}),
        (Find, {"k": 0}),
        (Find, {"rerank": 9}),
        (Find, {"nprobe": 0}),
        (Find, {"camera": "cam"}),
        (Find, {"since": "yesterday"}),
        (Ways, {"lists": (20, 0)}),
        (Scale, {"probes": ()}),
        (Scale, {"queries": 0}),
        (Scale, {"size": 200}),
        (Engines, {"sizes": (100,)}),
    ]
    for kind, settings in wrong:
        with pytest.raises(ValueError, match=rf"{kind.__name__}: `{next(iter(settings))}` must be"):
            kind(**settings)


def test_the_command_line_has_the_ways_by_default() -> None:
    assert cli(example.Options, []) == example.Options(Ways())
    words = ["find", "a.jpg", "b.jpg", "--k", "3", "--store", "x.db"]
    assert cli(example.Options, words).action == Find("x.db", queries=(Path("a.jpg"), Path("b.jpg")), k=3)
    assert cli(example.Options, ["add", "images"]).action == Add(images=Path("images"))


@pytest.mark.long
def test_the_measurements(run: Path, tmp_path: Path, says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    do(Ways(run, out=out, lists=(3, 50)))
    made = json.loads((out / "compare.json").read_text())
    ways = ["distilled", "3 target-aware", "50 target-aware", "50 target-aware + mean"]
    assert list(made["ways"]) == [*ways, "all target-aware"]
    for figure in ("rank1", "mAP", "mINP"):  # a list of the whole gallery is exhaustive
        assert made["ways"]["50 target-aware"][figure] == pytest.approx(made["ways"]["all target-aware"][figure])
    assert "rank-1" in says()
    do(Scale(run, out=out, size=400, queries=5, probes=(1, 10, 1000)))
    exact, *others = json.loads((out / "scale.json").read_text())["ways"]
    assert (exact["recall1"], exact["overlap"]) == (100, 100)
    assert [one["way"] for one in others] == ["nprobe 1", "nprobe 3", "nprobe 10"]
    assert others[0]["overlap"] < others[-1]["overlap"]
    assert EmbeddingIndex.load(out / "ivfpq").settings.size == 400
    monkeypatch.setattr("vireid.search.parts_wide.SIZES", Sizes(12, 3, 32, 8))
    monkeypatch.setattr("vireid.search.parts_wide.WAYS", (PartSettings(), PartSettings(clusters=3)))
    do(Wide(length=5, out=out))
    all_tokens, clustered = json.loads((out / "wide.json").read_text())["ways"]
    assert all_tokens["bytes"] > clustered["bytes"] > 3 * (3 + 3) * 40 / 4
    assert "of them to read" in says()
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: it comes with the extra `milvus`")
    ivf: Any = faiss.IndexIVFScalarQuantizer  # see test_store.py
    monkeypatch.setattr(ivf, "search", getattr(ivf, "search_numpy", ivf.search))
    monkeypatch.setattr("vireid.search.engines.ALONE", 2)
    do(Engines(run, out=out, sizes=(400, 300), lite=300, queries=5))
    engines = json.loads((out / "engines.json").read_text())["engines"]
    kinds = [(one["engine"], one["index"], one["size"]) for one in engines]
    both = [(name, kind, 300) for name in ("FAISS", "Milvus Lite") for kind in ("exact", "approximate")]
    assert kinds == [*both, ("FAISS", "exact", 400), ("FAISS", "approximate", 400)]
    assert all(one["recall"] > 95 for one in engines if one["index"] == "exact")
    assert "Milvus Lite, approx." in says()


def test_a_run_that_is_none_is_rejected(run: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no record of a run"):
        do(Ways(tmp_path / "gone", out=tmp_path / "out"))
    record = json.loads((run / "run.json").read_text())
    record["model"]["method"] = "global"
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"run.json must .*`method` must be 'cal'; got 'global'"):
        do(Ways(run, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_made_up_embeddings_are_unit_vectors_about_real_ones() -> None:
    real = clusters(50)
    made = made_up(real, 200, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.linalg.vector_norm(made, dim=1), torch.ones(200))
    assert (made @ real.T).amax(dim=1).mean() > 0.7
    assert torch.equal(made, made_up(real, 200, torch.Generator().manual_seed(0)))


def test_a_date_ends_with_its_day() -> None:
    begin, end = seconds_of("2026-11-30"), seconds_of("2026-11-30", end=True)
    assert begin is not None
    assert end == pytest.approx(begin + 24 * 3600, abs=1e-3)
    assert seconds_of("2026-11-30T08:00", end=True) == seconds_of("2026-11-30T08:00")
