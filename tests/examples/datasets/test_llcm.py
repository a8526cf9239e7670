"""Reading, checking and scoring LLCM."""

from __future__ import annotations

import io
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from vireid.config import Reading
from vireid.datasets import llcm
from vireid.datasets.counts import counts_table, describe, verify_published
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.datasets.llcm import LLCM, read_llcm
from vireid.evaluation.protocol import evaluate, table
from vireid.evaluation.similarity import cosine

MakeLLCM = Callable[..., Path]
# Nobody in some cameras, one picture in others, and an identity that one modality saw in a single camera.
ODD = {("vis", 1, 3): 0, ("nir", 1, 4): 1, ("vis", 5, 6): 3} | {
    ("nir", camera, 6): 0 for camera in (1, 2, 4, 5, 6, 7, 8)
}
TEST = (3, 4, 6)


def _literal_draw(root: Path, modality: str, trial: int) -> list[str]:
    """process_gallery_llcm of the data set's authors: identity by identity, camera by camera, one random file."""
    random.seed(trial)
    cameras = [1, 2, 3, 4, 5, 6, 7, 8, 9] if modality == "vis" else [1, 2, 4, 5, 6, 7, 8, 9]
    files = []
    for identity in sorted(f"{who:04d}" for who in TEST):
        for camera in cameras:
            folder = f"{root}/test_{modality}/cam{camera}/{identity}"
            if os.path.isdir(folder):
                files.append(random.choice(sorted(f"{folder}/{name}" for name in os.listdir(folder))))
    return files


def _literal(data: LLCM, matrix: np.ndarray, query: list[int], gallery: list[int], strict: bool) -> list[float]:
    """eval_llcm of the data set's authors, query by query: the same person in the same camera is removed."""
    cmc, precisions, penalties = np.zeros(20), [], []
    for q in query:
        me = data.test[q]
        ranking = []
        for g in sorted(gallery, key=lambda g: -matrix[q, g]):
            other = data.test[g]
            if other.camera == me.camera and (strict or other.identity == me.identity):
                continue
            ranking.append(other.identity)
        if me.identity not in ranking:
            continue
        people = list(dict.fromkeys(ranking))  # each identity counts once, where its best image stands
        cmc[people.index(me.identity) :] += 1
        places = [place for place, who in enumerate(ranking, start=1) if who == me.identity]
        precisions.append(np.mean([n / place for n, place in enumerate(places, start=1)]))
        penalties.append(len(places) / places[-1])
    cmc /= len(precisions)
    return [100 * float(x) for x in (cmc[0], cmc[9], cmc[19], np.mean(precisions), np.mean(penalties))]


def test_lists_and_folders_are_read(make_llcm: MakeLLCM, tmp_path: Path) -> None:
    root = make_llcm(tmp_path, counts=ODD)
    # A copy that renamed an image, an empty folder that is gone, and one that should hold nothing.
    listed = root / "idx" / "train_vis.txt"
    (root / "vis/0001/0001_c01_s000000_f0_vis.jpg").rename(root / "vis/0001/plain.jpg")
    listed.write_text(listed.read_text().replace("0001_c01_s000000_f0_vis.jpg", "plain.jpg"))
    (root / "test_nir" / "cam3").rmdir()
    data = read_llcm(root)
    assert data.train_identities == (1, 2, 5, 8)
    assert data.test_identities == TEST
    assert data.train[0].camera == 0
    assert all(item.camera == int(item.path.name.split("_c")[1][:2]) for item in list(data.train)[1:])
    assert all(item.camera == int(item.path.parent.parent.name[3:]) for item in data.test)
    assert all(
        (item.modality == INFRARED) == ("nir" in item.path.parts[-4] + item.path.parts[-3]) for item in data.test
    )
    assert len(data.train) == 4 * (9 + 8) * 2
    assert len(data.test) == 3 * (9 + 8) * 2 - 2 - 1 + 1 - 14
    (root / "test_nir" / ".DS_Store").touch()
    (root / "test_nir" / "cam3").mkdir()
    assert len(read_llcm(root).test) == len(data.test)  # near-infrared has no camera 3
    shutil.copytree(root / "test_nir" / "cam4" / "0003", root / "test_nir" / "cam3" / "0003")
    with pytest.raises(ValueError, match=r"test_nir must be in cam1, .*; cam3/0003/\S+jpg.* would be ignored$"):
        read_llcm(root)
    shutil.rmtree(root / "test_nir" / "cam3")
    (root / "test_vis" / "cam1" / "0004" / "0.jfif").touch()
    with pytest.raises(ValueError, match=r"cam1 must be identity/image.jpg; 0004/0.jfif would be ignored$"):
        read_llcm(root)


@pytest.mark.parametrize("reading", ["paper", "swapped", "camera-strict"])
@pytest.mark.parametrize("levels", [None, 3])
def test_every_result_is_that_of_the_literal_loop(
    make_llcm: MakeLLCM, tmp_path: Path, reading: str, levels: int | None
) -> None:
    root = make_llcm(tmp_path, counts=ODD)
    data = read_llcm(root, reading=reading)  # type: ignore[arg-type]
    row_of = {str(item.path): row for row, item in enumerate(data.test)}
    generator = torch.Generator().manual_seed(0)
    people = torch.randn(7, 16, generator=generator)
    embeddings = people[torch.tensor(data.test.identity)] + 4 * torch.randn(len(data.test), 16, generator=generator)
    matrix = torch.nn.functional.cosine_similarity(embeddings[:, None], embeddings[None], dim=2)
    if levels is not None:
        matrix = (levels * matrix).round()
    results = evaluate(data, cosine(embeddings, data.test) if levels is None else lambda q, g: matrix[q][:, g])
    for name, whole, drawn_from in (("visible_to_nir", VISIBLE, "nir"), ("nir_to_visible", INFRARED, "vis")):
        every = [row for row, item in enumerate(data.test) if item.modality == whole]
        every.sort(key=lambda row: (data.test[row].identity, data.test[row].camera, data.test[row].path))
        figures = []
        for trial in range(10):
            drawn = [row_of[file] for file in _literal_draw(root, drawn_from, trial)]
            swap = reading == "swapped" and name == "visible_to_nir"
            pair = (drawn, every) if swap else (every, drawn)
            assert [rows.tolist() for rows in data.tasks[name].trial(trial)[:2]] == list(pair)
            figures.append(_literal(data, matrix.numpy(), *pair, strict=reading == "camera-strict"))
        np.testing.assert_allclose(list(results[name].values()), np.mean(figures, axis=0), rtol=0, atol=1e-9)
        np.testing.assert_allclose(list(results.std[name].values()), np.std(figures, axis=0), rtol=0, atol=1e-9)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(results))
    assert f"LLCM, {reading} reading, %: mean of 10 draws" in console.export_text()
    assert data.reading == {"reading": reading}


def test_readings_differ(make_llcm: MakeLLCM, tmp_path: Path) -> None:
    root = make_llcm(tmp_path)
    matrix = torch.randn(102, 102, generator=torch.Generator().manual_seed(0))
    readings: tuple[Reading, ...] = ("paper", "swapped", "camera-strict")
    by = {reading: evaluate(read_llcm(root, reading=reading), lambda q, g: matrix[q][:, g]) for reading in readings}
    assert by["swapped"]["nir_to_visible"] == by["paper"]["nir_to_visible"]
    assert by["swapped"]["visible_to_nir"] != by["paper"]["visible_to_nir"]
    assert by["camera-strict"]["nir_to_visible"] != by["paper"]["nir_to_visible"]


def test_bad_trees_are_named(make_llcm: MakeLLCM, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be a directory"):
        read_llcm(tmp_path / "nowhere")
    root = make_llcm(tmp_path / "a", pictures=1)
    with pytest.raises(FileNotFoundError, match="its LLCM/ has vis"):
        read_llcm(root.parent)
    shutil.rmtree(root / "nir")
    shutil.rmtree(root / "test_vis" / "cam3")
    (root / "idx" / "test_id.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"LLCM: nir/, test_vis/cam3/, idx/test_id.txt$"):
        read_llcm(root)
    root = make_llcm(tmp_path / "b", pictures=1)
    (root / "idx" / "test_id.txt").write_text("3,x")
    with pytest.raises(ValueError, match=r"test_id.txt must hold positive integers .*'x'"):
        read_llcm(root)
    (root / "idx" / "test_id.txt").write_text("2,3,77")
    with pytest.raises(ValueError, match=r"both training and test: 2; 1 identities .*: 0077"):
        read_llcm(root)
    (root / "idx" / "test_id.txt").write_text("3")
    (root / "idx" / "train_nir.txt").write_text("nir/0001/gone.jpg 0\n")
    with pytest.raises(ValueError, match=r"1 empty or missing files: nir/0001/gone.jpg"):
        read_llcm(root)
    (root / "idx" / "train_nir.txt").write_text("nir/0001/gone.jpg 1\n")
    with pytest.raises(ValueError, match=r"label 1 is of identity 2 and of identity 1"):
        read_llcm(root)
    (root / "idx" / "train_nir.txt").write_text("nir/0001/gone.jpg one\n")
    with pytest.raises(ValueError, match=r"train_nir.txt must hold lines `path label`; line 1 is"):
        read_llcm(root)


def test_counts_are_compared_with_the_published_ones(
    make_llcm: MakeLLCM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = read_llcm(make_llcm(tmp_path))
    counts = describe(data)
    assert counts["test"] == {"identities": 3, "visible": 54, "near-infrared": 48}
    assert [(row["camera"], row["modality"]) for row in counts["cameras"]][8:11] == [
        (9, "visible"),
        (1, "near-infrared"),
        (2, "near-infrared"),
    ]
    assert counts["cameras"][0]["train"] == {"identities": 4, "images": 8}
    with pytest.raises(ValueError, match="train identities: 4, not 713"):
        verify_published(data)
    monkeypatch.setattr(LLCM, "published_identities", (4, 3))
    monkeypatch.setattr(llcm, "PUBLISHED_TRAIN_IMAGES", (72, 64))
    monkeypatch.setattr(llcm, "PUBLISHED_TEST_IMAGES", (54, 48))
    verify_published(data)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(counts_table(data))
    assert "counts: as published" in console.export_text()
    data.test.paths[-1].unlink()
    with pytest.raises(ValueError, match="near-infrared test images: 47 found, 48 published"):
        read_llcm(data.root)
