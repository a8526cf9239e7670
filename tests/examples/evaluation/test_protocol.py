"""SYSU-MM01's evaluation against loops over the queries, written as the protocol says."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.io import loadmat, savemat

from vireid.config import Draw
from vireid.datasets.gallery import Search, gallery_draw
from vireid.datasets.items import Item, Items
from vireid.datasets.sysu import Sysu, exclusion, read_sysu
from vireid.evaluation.protocol import Results, check_tasks, evaluate, table
from vireid.evaluation.rerank import reranked
from vireid.evaluation.similarity import cosine

MakeTree = Callable[..., Path]
# Nobody in camera 1 for 6, few pictures in others, one query identity that only cameras 2 and 3 saw.
ODD = {(1, 6): 0, (2, 3): 12, (4, 12): 1, (5, 40): 11, (1, 12): 0, (4, 6): 0, (5, 6): 0, (6, 6): 0, (1, 40): 0}


def _literal(sysu: Sysu, similarity: np.ndarray, gallery: list[int]) -> list[float]:
    """Rank-1, -10, -20, mAP and mINP in percent of one gallery, straight from the protocol's words."""
    hits, precisions, penalties = np.zeros(20), [], []
    for q, query in enumerate(sysu.test):
        if query.camera not in (3, 6):
            continue
        shown = [g for g in gallery if not (query.camera == 3 and sysu.test[g].camera == 2)]
        ranking = [sysu.test[g].identity for g in sorted(shown, key=lambda g: -similarity[q, g])]
        if query.identity not in ranking:
            continue  # no true match: dropped
        people: list[int] = []
        for identity in ranking:  # each identity counts once, where its best image stands
            if identity not in people:
                people.append(identity)
        hits[people.index(query.identity) :] += 1
        found = [rank for rank, identity in enumerate(ranking, start=1) if identity == query.identity]
        precisions.append(sum(n / rank for n, rank in enumerate(found, start=1)) / len(found))
        penalties.append(len(found) / found[-1])
    cmc = hits / len(precisions)
    return [100 * float(x) for x in (cmc[0], cmc[9], cmc[19], np.mean(precisions), np.mean(penalties))]


def _files_of(root: Path, camera: int, identity: int) -> list[str]:
    folder = f"{root}/cam{camera}/{identity:04d}"
    return sorted(f"{folder}/{name}" for name in os.listdir(folder)) if os.path.isdir(folder) else []


def _literal_gallery(root: Path, trial: int, cameras: list[int], shots: int, draw: str) -> list[str]:
    files: list[str] = []
    if draw == "seeded":
        random.seed(trial)
        for identity in (3, 6, 12, 40):
            for camera in cameras:
                if found := _files_of(root, camera, identity):
                    files += [random.choice(found)] if shots == 1 else random.sample(found, min(shots, len(found)))
        return files
    permutations = loadmat(root / "exp" / "rand_perm_cam.mat")["rand_perm_cam"]
    for camera in cameras:
        lists = permutations[camera - 1][0].squeeze()
        for identity in (3, 6, 12, 40):
            if lists[identity - 1].size:
                numbers = lists[identity - 1][trial][:shots]
                files += [f"{root}/cam{camera}/{identity:04d}/{number:04d}.jpg" for number in numbers]
    return files


@pytest.mark.parametrize("draw", ["official", "seeded"])
@pytest.mark.parametrize(("search", "cameras"), [("all", [1, 2, 4, 5]), ("indoor", [1, 2])])
@pytest.mark.parametrize("shots", [1, 10])
def test_galleries_are_those_of_the_literal_draw(
    make_tree: MakeTree, draw: Draw, search: Search, cameras: list[int], shots: int
) -> None:
    root = make_tree(pictures=4, counts=ODD)
    sysu = read_sysu(root)
    draws = set()
    for trial in range(10):
        rows = gallery_draw(sysu, trial, search=search, shots=shots, draw=draw)
        files = [str(sysu.test[row].path) for row in rows.tolist()]
        expected = _literal_gallery(root, trial, cameras, shots, draw)
        assert files == expected
        assert len(set(files)) == len(files)
        draws.add(tuple(files))
        for camera in cameras:
            for identity in (3, 6, 12, 40):
                drawn = sum(f"/cam{camera}/{identity:04d}/" in file for file in files)
                assert drawn == min(shots, len(_files_of(root, camera, identity)))
    assert len(draws) > 5


def test_the_seeded_draw_leaves_the_global_generator_alone(make_tree: MakeTree) -> None:
    sysu = read_sysu(make_tree(pictures=2))
    random.seed(5)
    expected = random.random()
    random.seed(5)
    gallery_draw(sysu, 3, draw="seeded")
    assert random.random() == expected


@pytest.mark.parametrize("draw", ["official", "seeded"])
@pytest.mark.parametrize("levels", [None, 3])
def test_every_result_is_that_of_the_literal_loop(make_tree: MakeTree, draw: Draw, levels: int | None) -> None:
    root = make_tree(pictures=4, counts=ODD)
    sysu = read_sysu(root, draw=draw)
    row_of = {str(item.path): row for row, item in enumerate(sysu.test)}
    generator = torch.Generator().manual_seed(0)
    people = torch.randn(41, 16, generator=generator)
    embeddings = people[torch.tensor(sysu.test.identity)] + 2 * torch.randn(len(sysu.test), 16, generator=generator)
    matrix = torch.nn.functional.cosine_similarity(embeddings[:, None], embeddings[None], dim=2)
    if levels is not None:  # few values, many ties: among equals, the gallery's order decides
        matrix = (matrix * levels).round()
    scores = cosine(embeddings, sysu.test) if levels is None else lambda q, g: matrix[q][:, g]
    results = evaluate(sysu, scores)
    assert list(results) == ["all_single", "all_multi", "indoor_single", "indoor_multi"]
    for name, cameras, shots in (
        ("all_single", [1, 2, 4, 5], 1),
        ("all_multi", [1, 2, 4, 5], 10),
        ("indoor_single", [1, 2], 1),
        ("indoor_multi", [1, 2], 10),
    ):
        galleries = [[row_of[f] for f in _literal_gallery(root, t, cameras, shots, draw)] for t in range(10)]
        figures = np.array([_literal(sysu, matrix.numpy(), rows) for rows in galleries])
        assert list(results[name]) == ["rank1", "rank10", "rank20", "mAP", "mINP"]
        np.testing.assert_allclose(list(results[name].values()), figures.mean(axis=0), rtol=0, atol=1e-9)
        np.testing.assert_allclose(list(results.std[name].values()), figures.std(axis=0), rtol=0, atol=1e-9)
    assert results["all_single"]["rank1"] < 100  # else the comparison says little
    assert results.trials == 10
    assert json.loads(json.dumps(results)) == {name: dict(figures) for name, figures in results.items()}


def _forty_people(draw: str = "seeded") -> Sysu:
    """Forty people, so that ranks 1, 10 and 20 tell more than that everybody has been found; no files are needed."""
    people = tuple(range(1, 41))
    items = Items(
        Item(Path(f"cam{camera}/{who:04d}/{picture:04d}.jpg"), who, camera, int(camera in (3, 6)))
        for camera in (1, 2, 3, 4, 5, 6)
        for who in people
        for picture in range(1, 2 if camera in (3, 6) else 3)
    )
    return Sysu(Path(), Items([]), items, (), people, draw)  # type: ignore[arg-type]


def test_late_ranks_count_identities() -> None:
    sysu = _forty_people()
    matrix = torch.randn(len(sysu.test), len(sysu.test), generator=torch.Generator().manual_seed(0))
    results = evaluate(sysu, lambda q, g: matrix[q][:, g], trials=3)
    for name, search, shots in (("all_single", "all", 1), ("indoor_multi", "indoor", 10)):
        galleries = [gallery_draw(sysu, t, search=search, shots=shots, draw="seeded") for t in range(3)]  # type: ignore[arg-type]
        figures = np.mean([_literal(sysu, matrix.numpy(), rows.tolist()) for rows in galleries], axis=0)
        np.testing.assert_allclose(list(results[name].values()), figures, rtol=0, atol=1e-9)
        assert figures[0] < figures[1] < figures[2] < 100


def test_reranked_figures_keep_the_camera_rule() -> None:
    sysu = _forty_people()
    generator = torch.Generator().manual_seed(0)
    people = torch.randn(41, 8, generator=generator)
    embeddings = people[torch.tensor(sysu.test.identity)] + torch.randn(len(sysu.test), 8, generator=generator)
    similarity = reranked(embeddings, sysu.test, k1=5, k2=3)
    results = evaluate(sysu, similarity, tasks=["all_single"], trials=2)
    figures = []
    for trial in range(2):
        query, gallery, _ = sysu.tasks["all_single"].trial(trial)
        matrix = np.full((len(sysu.test), len(sysu.test)), np.nan)
        matrix[np.ix_(query, gallery)] = similarity(query, gallery).numpy()
        figures.append(_literal(sysu, matrix, gallery.tolist()))
    np.testing.assert_allclose(list(results["all_single"].values()), np.mean(figures, axis=0), rtol=0, atol=1e-9)
    assert results["all_single"] != evaluate(sysu, cosine(embeddings, sysu.test), trials=2)["all_single"]


def test_a_multi_shot_gallery_takes_all_of_fewer_than_ten(make_tree: MakeTree) -> None:
    for draw in ("official", "seeded"):
        sysu = read_sysu(make_tree(draw, pictures=12, counts={(1, 3): 4, (2, 3): 0}))
        rows = gallery_draw(sysu, 0, shots=10, draw=draw)
        taken = {c: sum((sysu.test[r].camera, sysu.test[r].identity) == (c, 3) for r in rows) for c in (1, 2, 4, 5)}
        assert taken == {1: 4, 2: 0, 4: 10, 5: 10}


def test_a_query_of_camera_3_skips_all_of_camera_2() -> None:
    skipped = exclusion([3, 6, 3, 2], [1, 2, 4, 5, 2, 3])
    assert skipped.dtype == torch.bool
    assert skipped.int().tolist() == [[0, 1, 0, 0, 1, 0], [0] * 6, [0, 1, 0, 0, 1, 0], [0] * 6]


def test_perfect_features_score_100(make_tree: MakeTree) -> None:
    sysu = read_sysu(make_tree(pictures=2))
    results = evaluate(sysu, cosine(torch.eye(41)[sysu.test.identity], sysu.test))
    assert all(value == pytest.approx(100) for figures in results.values() for value in figures.values())
    console = Console(width=80, record=True, file=io.StringIO())
    results["visible_to_thermal"], results.std["visible_to_thermal"] = results["all_single"], results.std["all_single"]
    console.print(table(results, {"flip+rerank": results}))
    text = console.export_text()
    assert "10 official draws" in text
    assert "with flip+rerank" in text
    assert text.count("indoor, multi") == text.count("visible → thermal") == 2  # the longest name, on one line
    assert text.count("100.00±0.00") == 50
    assert "mean ± standard deviation over 10 draws or trials" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_some_tasks_and_fewer_draws(make_tree: MakeTree) -> None:
    sysu = read_sysu(make_tree(pictures=2, mat=False), draw="seeded")
    similarity = cosine(torch.eye(41)[sysu.test.identity], sysu.test)
    results = evaluate(sysu, similarity, tasks=["all_single"], trials=2)
    assert isinstance(results, Results)
    assert list(results) == ["all_single"]
    assert results.trials == 2


def test_a_missing_or_unfit_permutation_file_is_named(make_tree: MakeTree) -> None:
    root = make_tree("none", pictures=2, mat=False)
    sysu = read_sysu(root)
    mat = root / "exp" / "rand_perm_cam.mat"
    with pytest.raises(FileNotFoundError, match="draw='seeded'") as caught:
        gallery_draw(sysu, 0)
    assert str(mat) in str(caught.value)
    assert len(gallery_draw(sysu, 0, draw="seeded")) == 16
    mat.write_bytes(b"MATLAB, but cut short")
    with pytest.raises(ValueError, match="must be a MATLAB file"):
        gallery_draw(sysu, 0)
    savemat(mat, {"other": np.zeros(3)})
    os.utime(mat, ns=(1, 1))
    with pytest.raises(ValueError, match="rand_perm_cam"):
        gallery_draw(sysu, 0)
    whole = make_tree("whole", pictures=2)
    (whole / "cam4" / "0012" / "0001.jpg").unlink()
    sysu = read_sysu(whole)
    with pytest.raises(ValueError, match="image 0001 of identity 0012 and camera 4"):
        gallery_draw(sysu, 0, shots=10)


@pytest.mark.parametrize("row", [[1.0, 1.0], [0.0, 1.0], [1.5, 2.0], [np.nan, 1.0]])
def test_a_row_that_is_no_permutation_is_named(make_tree: MakeTree, row: list[float]) -> None:
    root = make_tree(pictures=2)
    mat = root / "exp" / "rand_perm_cam.mat"
    cells = loadmat(mat)["rand_perm_cam"]
    cells[3, 0][0, 2] = np.array([[1.0, 2.0]] * 4 + [row] * 6)
    savemat(mat, {"rand_perm_cam": cells})
    os.utime(mat, ns=(1, 1))
    sysu = read_sysu(root)
    assert len(gallery_draw(sysu, 3)) == 16
    with pytest.raises(ValueError, match=r"must have permutations of 1 .. n; for identity 0003, camera 4 and trial 4"):
        gallery_draw(sysu, 4)


def test_two_pictures_of_one_number_are_rejected(make_tree: MakeTree) -> None:
    root = make_tree(pictures=2)
    shutil.copy(root / "cam1" / "0003" / "0001.jpg", root / "cam1" / "0003" / "1.jpg")
    with pytest.raises(ValueError, match=r"one image per number; two in .*cam1/0003 have the same"):
        gallery_draw(read_sysu(root), 0)


def test_tasks_are_checked_before_training(make_tree: MakeTree) -> None:
    """All trials are sampled: an error in the last one is found, too."""
    check_tasks(read_sysu(make_tree("whole", pictures=2)))
    with pytest.raises(FileNotFoundError, match=r"`--gallery seeded`\) needs no such file"):
        check_tasks(read_sysu(make_tree("none", pictures=2, mat=False)))
    nobody = {(camera, who): 0 for camera in (1, 2) for who in (3, 6, 12, 40)}
    with pytest.raises(ValueError, match=r"true match for a query of indoor_single; trial 0 \(16 queries, 0 "):
        check_tasks(read_sysu(make_tree("outdoor", pictures=2, counts=nobody)))
    # The only visible images of camera 3's identities are of camera 2, and hidden from it.
    unseen = {(c, who): 0 for c in (1, 4, 5, 6) for who in (3, 6)} | {(c, who): 0 for c in (3, 6) for who in (12, 40)}
    with pytest.raises(ValueError, match=r"true match for a query of all_single"):
        check_tasks(read_sysu(make_tree("apart", pictures=2, counts=unseen)))


def test_a_permutation_file_that_was_replaced_is_read_again(make_tree: MakeTree) -> None:
    root = make_tree(pictures=4)
    sysu, mat = read_sysu(root), root / "exp" / "rand_perm_cam.mat"
    before = gallery_draw(sysu, 0)
    cells = loadmat(mat)["rand_perm_cam"]
    for camera in cells[:, 0]:
        for permutations in camera.reshape(-1):
            permutations[:] = permutations[:, ::-1].copy()
    savemat(mat, {"rand_perm_cam": cells})
    os.utime(mat, ns=(1, 1))
    after = gallery_draw(sysu, 0)
    assert len(before) == len(after)
    assert not set(before.tolist()) & set(after.tolist())  # the first of each became the last


def test_identities_past_the_end_of_a_list_get_a_clear_error(make_tree: MakeTree) -> None:
    root = make_tree(pictures=1)
    for camera in range(1, 7):
        (root / f"cam{camera}" / "0040").rename(root / f"cam{camera}" / "0400")
    (root / "exp" / "test_id.txt").write_text("3,6,12,400")
    with pytest.raises(ValueError, match=r"identity 0400 and camera 1 .* list of 333 identities"):
        gallery_draw(read_sysu(root), 0)


def test_bad_settings(make_tree: MakeTree) -> None:
    sysu = read_sysu(make_tree(pictures=1))
    for change in ({"trial": 10}, {"trial": -1}, {"search": "outdoor"}, {"shots": 0}, {"draw": "lucky"}):
        with pytest.raises(ValueError, match=f"gallery_draw: `{next(iter(change))}`"):
            gallery_draw(sysu, **{"trial": 0, **change})  # type: ignore[arg-type]
    similarity = cosine(torch.ones(len(sysu.test), 4), sysu.test)
    for score in (cosine, reranked):
        with pytest.raises(ValueError, match=r"`embeddings` must be \(n, e\) = \(24, e\)"):
            score(torch.zeros(23, 4), sysu.test)
    with pytest.raises(ValueError, match=r"must give \(q, g\) = \(8, 16\); got \(2, 3\)"):
        evaluate(sysu, lambda *_: torch.zeros(2, 3))
    with pytest.raises(ValueError, match="`tasks`"):
        evaluate(sysu, similarity, tasks=["outdoor"])
    with pytest.raises(ValueError, match="`trials`"):
        evaluate(sysu, similarity, trials=11)
