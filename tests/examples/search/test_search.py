"""`examples/search.py`: a directory into a store and out of it, and the measurements."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from support.models import clusters
from support.trained import SMALL_MODEL
from vireid.config import DataSettings, SysuSettings
from vireid.files import plain, write_json
from vireid.models.build import build_model
from vireid.models.weights import as_json, save_weights

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")

import faiss

import search as example
from vireid.command import cli
from vireid.search import directory
from vireid.search.directory import camera_of, images_below, share
from vireid.search.index import EmbeddingIndex
from vireid.search.options import Add, Build, Delete, Engines, Find, Scale, Ways, seconds_of
from vireid.search.scale import made_up
from vireid.search.store import open_store

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
    do(Find(store, run, (images[3],), "visible", 40, not_camera=1, since="2001-09-08", until=until, out=out))
    only = json.loads((out / "found.json").read_text())["results"][0]["found"]
    assert {row["image"] for row in only} == {str(path) for path in images[16:]}
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
    with pytest.raises(FileNotFoundError, match="must have images"):
        images_below(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="must be below a directory"):
        images_below(tmp_path / "gone")


def test_what_cannot_be_searched_is_rejected(run: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    do(Add(store, run, tmp_path / "SYSU" / "cam1" / "0003"))
    with pytest.raises(ValueError, match="find: `queries` must name image files; got none"):
        do(Find(store, run))
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
        (Find, {"k": 0}),
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
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed: it comes with the extra `milvus`")
    ivf: Any = faiss.IndexIVFScalarQuantizer  # see test_store.py
    monkeypatch.setattr(ivf, "search", getattr(ivf, "search_numpy", ivf.search))
    monkeypatch.setattr("vireid.search.engines.ALONE", 2)
    do(Engines(run, out=out, sizes=(400, 300), queries=5))
    engines = json.loads((out / "engines.json").read_text())["engines"]
    kinds = [(one["engine"], one["index"], one["size"]) for one in engines]
    assert kinds[:4] == [(name, kind, 300) for name in ("FAISS", "Milvus Lite") for kind in ("exact", "approximate")]
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
