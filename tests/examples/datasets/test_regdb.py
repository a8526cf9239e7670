"""Reading, checking and scoring RegDB."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from vireid.datasets import regdb
from vireid.datasets.counts import counts_table, describe, verify, verify_published
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.datasets.regdb import RegDB, read_regdb
from vireid.evaluation.protocol import evaluate, table
from vireid.evaluation.similarity import cosine

MakeRegDB = Callable[..., Path]


def _literal(similarity: np.ndarray, query: list[int], gallery: list[int]) -> list[float]:
    """eval_regdb of the AGW family of code, query by query: CMC over images, and nothing is removed."""
    cmc, precisions, penalties = np.zeros(20), [], []
    for q, person in enumerate(query):
        order = sorted(range(len(gallery)), key=lambda g: (-similarity[q, g], g))
        matches = np.array([gallery[g] == person for g in order], dtype=float)
        if not matches.any():
            continue
        places = np.flatnonzero(matches)
        cmc += np.minimum(np.cumsum(np.pad(matches, (0, 20))), 1)[:20]
        precisions.append(np.mean(np.cumsum(matches)[places] / (places + 1)))
        penalties.append(len(places) / (places[-1] + 1))
    cmc /= len(precisions)
    return [100 * float(x) for x in (cmc[0], cmc[9], cmc[19], np.mean(precisions), np.mean(penalties))]


def test_lists_of_one_trial_are_read(make_regdb: MakeRegDB, tmp_path: Path) -> None:
    root = make_regdb(tmp_path)
    data = read_regdb(root, 2)
    lines = (root / "idx" / "train_thermal_2.txt").read_text().splitlines()
    thermal = data.train.select(data.train.modality == INFRARED)
    assert [str(path.relative_to(root)) for path in thermal.paths] == [line.split()[0] for line in lines]
    assert thermal.identity.tolist() == [int(line.split("/")[1]) for line in lines]
    assert set(thermal.camera.tolist()) == {2}
    assert len(data.train) == len(data.test) == 24
    assert not set(data.train_identities) & set(data.test_identities)
    assert data.train_identities != read_regdb(root, 1).train_identities
    assert (data.reading, data.split) == ({"trial": "2"}, "trial 2")


@pytest.mark.parametrize("levels", [None, 3])
def test_both_directions_are_those_of_the_literal_loop(
    make_regdb: MakeRegDB, tmp_path: Path, levels: int | None
) -> None:
    data = read_regdb(make_regdb(tmp_path, people=12, pictures=4), 1)
    generator = torch.Generator().manual_seed(0)
    people = torch.randn(13, 8, generator=generator)
    embeddings = people[torch.tensor(data.test.identity)] + 2 * torch.randn(len(data.test), 8, generator=generator)
    matrix = torch.nn.functional.cosine_similarity(embeddings[:, None], embeddings[None], dim=2)
    if levels is not None:
        matrix = (levels * matrix).round()  # ties: among equals, the list's order decides
    results = evaluate(data, cosine(embeddings, data.test) if levels is None else lambda q, g: matrix[q][:, g])
    visible, thermal = (np.flatnonzero(data.test.modality == m) for m in (VISIBLE, INFRARED))
    for name, query, gallery in (
        ("visible_to_thermal", visible, thermal),
        ("thermal_to_visible", thermal, visible),
    ):
        ids = (data.test.identity[rows].tolist() for rows in (query, gallery))
        expected = _literal(matrix[query][:, gallery].numpy(), *ids)
        np.testing.assert_allclose(list(results[name].values()), expected, rtol=0, atol=1e-9)
    assert results["visible_to_thermal"] != results["thermal_to_visible"]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(results))
    text = console.export_text()
    assert "trial 1 of 10" in text
    assert "visible → thermal" in text
    assert "±" not in text  # one trial has no deviation


def test_bad_lists_are_named(make_regdb: MakeRegDB, tmp_path: Path) -> None:
    def changed(name: str, file: str, change: Callable[[str], str]) -> Path:
        root = make_regdb(tmp_path / name)
        path = root / "idx" / file
        path.write_text(change(path.read_text()))
        return root

    for number in (0, 11):
        with pytest.raises(ValueError, match=rf"`trial` must be 1 .. 10; got {number}"):
            read_regdb(tmp_path, number)
    with pytest.raises(FileNotFoundError, match="must be a directory"):
        read_regdb(tmp_path / "nowhere", 1)
    with pytest.raises(FileNotFoundError, match=r"idx/train_visible_3.txt, .*, idx/test_thermal_3.txt$"):
        read_regdb(make_regdb(tmp_path / "a"), 3)
    with pytest.raises(FileNotFoundError, match=r"its RegDB/ has idx/train_visible_1.txt"):
        read_regdb(tmp_path / "a", 1)
    with pytest.raises(ValueError, match=r"test_visible_1.txt must hold lines `path label`; line 13 is 'nothing'"):
        read_regdb(changed("b", "test_visible_1.txt", lambda text: text + "nothing\n"), 1)
    with pytest.raises(ValueError, match=r"train_visible_1.txt must list at least one image; it is blank"):
        read_regdb(changed("c", "train_visible_1.txt", lambda _: "\n"), 1)
    shared = changed("d", "train_thermal_1.txt", lambda text: text.replace(" 1\n", " 0\n"))
    with pytest.raises(ValueError, match=r"train_visible_1.txt and .*train_thermal_1.txt; label 0 is of identity"):
        read_regdb(shared, 1)
    with pytest.raises(ValueError, match=r"identity \d has label 0 and label 9"):
        read_regdb(changed("e", "train_thermal_1.txt", lambda text: text.replace(" 0\n", " 9\n")), 1)
    with pytest.raises(ValueError, match=r"folders named by the number of an identity; got 'Visible/x.bmp'"):
        read_regdb(changed("f", "train_visible_1.txt", lambda _: "Visible/x.bmp 0\n"), 1)
    root = make_regdb(tmp_path / "g")
    read_regdb(root, 1).test.paths[0].unlink()
    with pytest.raises(ValueError, match="1 empty or missing files: Visible/"):
        read_regdb(root, 1)
    with pytest.raises(ValueError, match="1 files listed more than once: Visible/"):
        read_regdb(changed("h", "test_visible_1.txt", lambda text: text + text.splitlines()[0] + "\n"), 1)
    for name, before in (("k", "/etc"), ("l", "..")):
        root = changed(name, "test_visible_1.txt", f"{before}/1/x.bmp 0\n".__add__)
        with pytest.raises(ValueError, match=rf"by their paths below the root; line 1 is '{before}/1/x.bmp 0'"):
            read_regdb(root, 1)
    with pytest.raises(ValueError, match=r"line 2 is 'Visible/1/x.bmp 1{64}…'$"):  # shortened, and no number
        read_regdb(changed("m", "test_visible_1.txt", lambda text: f"\nVisible/1/x.bmp {5000 * '1'}\n{text}"), 1)
    read_regdb(changed("n", "test_visible_1.txt", lambda text: text.replace(".bmp ", ".bmp\t")), 1)
    root = make_regdb(tmp_path / "i")
    for modality in ("visible", "thermal"):
        shutil.copy(root / "idx" / f"train_{modality}_1.txt", root / "idx" / f"test_{modality}_1.txt")
    with pytest.raises(ValueError, match="identities in both training and test"):
        read_regdb(root, 1)
    root = make_regdb(tmp_path / "j")
    (root / "idx" / "test_thermal_1.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"test_thermal_1.txt must be text"):
        read_regdb(root, 1)


def test_counts_are_compared_with_the_published_ones(
    make_regdb: MakeRegDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = read_regdb(make_regdb(tmp_path), 1)
    assert describe(data)["train"] == {"identities": 4, "visible": 12, "thermal": 12}
    assert describe(data)["published"] is None
    with pytest.raises(ValueError, match="train identities: 4, not 206, test identities: 4, not 206"):
        verify_published(data)
    monkeypatch.setattr(RegDB, "published_identities", (4, 4))
    monkeypatch.setattr(regdb, "IDENTITIES", 4)
    monkeypatch.setattr(regdb, "PICTURES", 3)
    verify_published(data)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(counts_table(data))
    text = console.export_text()
    assert "RegDB in RegDB: 4 train + 4 test identities" in text
    assert "counts: as published" in text
    # A person with a picture too many and another with one too few have the published total.
    lines = (data.root / "idx" / "test_visible_1.txt").read_text().splitlines()
    extra = Path(lines[-1].split()[0]).with_name("extra.bmp")
    shutil.copy(data.root / lines[-1].split()[0], data.root / extra)
    (data.root / "idx" / "test_visible_1.txt").write_text("\n".join([*lines[1:], f"{extra} 3"]))
    with pytest.raises(ValueError, match="test identities with 3 visible images: 2 found, 4 published"):
        read_regdb(data.root, 1)
    verify(read_regdb(data.root, 1, complete=False), complete=False)
