"""Features of any model: every result is that of the field's code, written as loops; and what warnings say."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.io import savemat

from support import oracles_protocol as field
from support.oracles_protocol import Row
from vireid.config import Draw
from vireid.datasets.sysu import read_sysu
from vireid.evaluation.features import read_arrays, read_features
from vireid.evaluation.protocol import evaluate
from vireid.evaluation.rerank import reranked
from vireid.evaluation.score import data_of, score
from vireid.evaluation.similarity import cosine
from vireid.options import FeatureFiles
from vireid.trials import score_all

CAMERAS = {
    "sysu": ((1, 2, 4, 5), (3, 6)),
    "regdb": ((1,), (2,)),
    "llcm": ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 4, 5, 6, 7, 8, 9)),
}


def rows_of(cameras: tuple[int, ...], seed: int, people: int, most: int = 3) -> list[Row]:
    """Images of identities 1 … in some cameras, none to `most` of each in each."""
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(people, 6))
    found = [
        ((centers[who] + 1.2 * random.normal(size=6)).round(3).tolist(), who + 1, camera)
        for camera in cameras
        for who in range(people)
        for _ in range(random.integers(0, most + 1))
    ]
    return [found[i] for i in random.permutation(len(found))]


def save(path: Path, rows: list[Row], **other: Any) -> Path:
    features, ids, cameras = ([row[i] for row in rows] for i in range(3))
    columns: dict[str, Any] = {"features": np.array(features), "ids": ids, "cameras": cameras}
    np.savez(path, **(columns | other))
    return path


def files(
    folder: Path, protocol: Any, seed: int = 0, people: int = 12, **settings: Any
) -> tuple[FeatureFiles, list[Row], list[Row]]:
    visible, infrared = (rows_of(cameras, 2 * seed + m, people) for m, cameras in enumerate(CAMERAS[protocol]))
    paths = save(folder / "v.npz", visible), save(folder / "i.npz", infrared)
    return FeatureFiles(protocol, *paths, out=folder / "out", **settings), visible, infrared


def scored(options: FeatureFiles) -> tuple[dict[str, Any], str]:
    """metrics.json, and what was printed."""
    console = Console(file=io.StringIO(), width=80)
    score(options, console)
    metrics: dict[str, Any] = json.loads((options.out / "metrics.json").read_text())
    assert isinstance(console.file, io.StringIO)
    return metrics, console.file.getvalue()


def same(found: dict[str, float], expected: list[float]) -> None:
    np.testing.assert_allclose(list(found.values()), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(2))
def test_sysu_is_as_the_field_scores_it(seed: int, tmp_path: Path) -> None:
    options, visible, infrared = files(tmp_path, "sysu", seed)
    metrics, printed = scored(options)
    for name, cameras, shots in (
        ("all_single", (1, 2, 4, 5), 1),
        ("all_multi", (1, 2, 4, 5), 10),
        ("indoor_single", (1, 2), 1),
        ("indoor_multi", (1, 2), 10),
    ):
        expected = field.sysu(visible, infrared, cameras, shots)
        same(metrics["seeded"][name], expected)
        assert expected[0] < 100
    assert "official" not in metrics
    assert "no official draws" in " ".join(metrics["warnings"])
    assert "mean of 10 seeded draws" in printed


@pytest.mark.parametrize("seed", range(2))
def test_regdb_is_as_the_field_scores_it(seed: int, tmp_path: Path) -> None:
    options, visible, infrared = files(tmp_path, "regdb", seed, trial=4)
    metrics, _ = scored(options)
    same(metrics["trial 4"]["visible_to_thermal"], field.regdb(visible, infrared))
    same(metrics["trial 4"]["thermal_to_visible"], field.regdb(infrared, visible))


def test_the_mean_of_all_trials_is_that_of_their_files(tmp_path: Path) -> None:
    expected = []
    for trial in range(1, 11):
        (tmp_path / str(trial)).mkdir()
        _, visible, infrared = files(tmp_path / str(trial), "regdb", trial)
        expected.append(field.regdb(visible, infrared))
    places = tmp_path / "{trial}" / "v.npz", tmp_path / "{trial}" / "i.npz"
    options, console = FeatureFiles("regdb", *places, trial="all", out=tmp_path / "out"), Console(quiet=True)
    score_all(options, console)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    same(metrics["visible_to_thermal"], np.mean(expected, axis=0).tolist())
    same(metrics["std"]["visible_to_thermal"], np.std(expected, axis=0).tolist())
    same(metrics["trials"]["10"]["visible_to_thermal"], expected[9])
    again = replace(options, overwrite=True)
    for wrong, message in (
        (options, "out holds results already: --overwrite replaces them"),
        (replace(options, protocol="sysu"), "`--trial all` must be of RegDB, which has trials; got sysu"),
        (
            replace(again, visible=Path("v.npz")),
            "`--visible` must have {trial} where the number of the trial is; got v",
        ),
        (replace(again, similarity=Path("{trial}.npy")), "1.npy must be a file of trial 1; there is none"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            score_all(wrong, console)


def test_llcm_is_as_the_field_scores_it(tmp_path: Path) -> None:
    options, visible, infrared = files(tmp_path, "llcm", people=5)
    metrics, _ = scored(options)
    for reading, hidden in (("paper", field.same_shot), ("camera-strict", field.same_camera)):
        same(metrics[reading]["visible_to_nir"], field.llcm(visible, infrared, hidden, "gallery"))
        same(metrics[reading]["nir_to_visible"], field.llcm(infrared, visible, hidden, "gallery"))
    swapped = field.llcm(infrared, visible, field.same_shot, "query")
    same(metrics["swapped"]["visible_to_nir"], swapped)
    assert metrics["swapped"]["nir_to_visible"] == metrics["paper"]["nir_to_visible"]


def test_features_of_a_tree_score_as_the_tree_does(make_tree: Callable[..., Path], tmp_path: Path) -> None:
    data = read_sysu(make_tree(pictures=4, counts={(1, 6): 0, (2, 3): 12, (4, 12): 1}))
    embeddings = torch.randn(len(data.test), 8, generator=torch.Generator().manual_seed(0))
    paths = []
    for name, modality in (("v.mat", 0), ("i.npy", 1)):
        own = data.test.modality == modality
        columns = {
            "features": embeddings[own].numpy(),
            "ids": data.test.identity[own],
            "cameras": data.test.camera[own],
        }
        paths.append(tmp_path / name)
        if name == "v.mat":
            savemat(paths[-1], columns)  # columns become rows, as in MATLAB
        else:
            np.save(paths[-1], columns.pop("features"))
            for other, column in columns.items():
                np.save(tmp_path / f"i_{other}.npy", column.astype(float))
    visible, infrared = paths
    metrics, _ = scored(FeatureFiles("sysu", visible, infrared, root=data.root, out=tmp_path / "out"))
    draws: tuple[Draw, ...] = ("official", "seeded")
    for draw in draws:
        expected = evaluate(replace(data, draw=draw), cosine(embeddings, data.test))
        for task in expected:
            same(metrics[draw][task], list(expected[task].values()))
        assert metrics[draw]["gallery_draw"] == draw


def test_results_after_reranking_are_beside_the_others(tmp_path: Path) -> None:
    options, *_ = files(tmp_path, "regdb", rerank=True)
    metrics, printed = scored(options)
    given = read_features(options)
    assert given.features is not None
    expected = evaluate(data_of(options, given.test), reranked(given.features, given.test))
    assert metrics["trial 1"]["rerank"] == {**expected, "std": expected.std}
    assert metrics["trial 1"]["visible_to_thermal"] != expected["visible_to_thermal"]
    assert "with rerank" in printed


def test_ties_are_counted(tmp_path: Path) -> None:
    people = [([1.0, 0.0], 1, 1), ([1.0, 0.0], 2, 1), ([0.0, 1.0], 3, 1)]
    queries = [([1.0, 0.0], 1, 2), ([0.0, 1.0], 3, 2), ([0.0, 1.0], 2, 2), ([1.0, 0.1], 7, 2)]
    paths = save(tmp_path / "v.npz", people), save(tmp_path / "i.npz", queries)
    options = FeatureFiles("regdb", *paths, out=tmp_path / "out")
    metrics, printed = scored(options)
    # Query 1 ties with 2, and 2 with 1 (both far away); 3 is alone, and 7 has no true match.
    assert metrics["trial 1"]["ties"]["thermal_to_visible"] == pytest.approx(100 * 2 / 3)
    assert "thermal_to_visible 66.67 %" in printed
    with pytest.raises(ValueError, match="out holds results already: --overwrite"):
        score(options, Console(quiet=True))
    # An image of camera 2 is hidden from a query of camera 3, and from none of camera 6.
    save(paths[0], [([1.0, 0.0], 1, 1), ([1.0, 0.0], 2, 2)])
    save(paths[1], [([1.0, 0.0], 1, 3), ([1.0, 0.0], 1, 6)])
    metrics, _ = scored(replace(options, protocol="sysu", overwrite=True))
    assert metrics["seeded"]["ties"] == dict.fromkeys(metrics["seeded"]["std"], 50)


def test_float64_is_kept(tmp_path: Path) -> None:
    """Two images that are equally near in float32 are not so in float64."""
    rows = [([1.0, 1e-4], 1, 1), ([1.0, 1.001e-4], 2, 1)]
    queries = [([1.0, 0.0], 1, 2), ([1.0, 0.0], 2, 2)]
    for kind, share in ((np.float64, 0), (np.float32, 100)):
        visible, infrared = (
            save(tmp_path / name, some, features=np.array([row[0] for row in some], kind))
            for name, some in (("v.npz", rows), ("i.npz", queries))
        )
        metrics, _ = scored(FeatureFiles("regdb", visible, infrared, out=tmp_path / np.dtype(kind).name))
        assert metrics["trial 1"]["ties"]["thermal_to_visible"] == share


def test_a_similarity_may_replace_features(tmp_path: Path) -> None:
    options, visible, infrared = files(tmp_path, "regdb")
    table = np.array([[field.cosine(v[0], i[0]) for i in infrared] for v in visible])
    np.save(tmp_path / "s.npy", table)
    bare = {"features": np.zeros(0)}  # it is not read
    save(options.visible, visible, **bare)
    other = replace(options, similarity=tmp_path / "s.npy")
    metrics, _ = scored(other)
    same(metrics["trial 1"]["visible_to_thermal"], field.regdb(visible, infrared))
    assert not any("less similar" in note for note in metrics["warnings"])
    np.save(tmp_path / "s.npy", 1 - table)
    metrics, printed = scored(replace(other, overwrite=True))
    assert "is it a distance" in " ".join(metrics["warnings"])
    assert "WARNING: images of one identity are less similar" in printed
    np.save(tmp_path / "s.npy", table.T)
    with pytest.raises(ValueError, match=r"`similarity` must be \(visible, infrared\) = \(\d+, \d+\)"):
        read_features(other)
    with pytest.raises(ValueError, match="`--rerank` must have features"):
        scored(replace(other, rerank=True, overwrite=True))


def test_rows_that_are_not_finite_count_as_zeros(tmp_path: Path) -> None:
    options, visible, infrared = files(tmp_path, "regdb")
    visible[3] = ([float("nan")] * 6, *visible[3][1:])
    save(options.visible, visible)
    metrics, _ = scored(options)
    assert f"v.npz: 1 of {len(visible)} features are not finite, the first is row 3" in metrics["warnings"][0]
    visible[3] = ([0.0] * 6, *visible[3][1:])
    same(metrics["trial 1"]["visible_to_thermal"], field.regdb(visible, infrared))


def test_identities_that_a_trial_trains_on_are_named(make_regdb: Callable[..., Path], tmp_path: Path) -> None:
    root = make_regdb(tmp_path, people=8, pictures=1)

    def notes(ids: set[int]) -> str:
        rows = [([float(who), 1.0], who, 1) for who in ids]
        paths = save(tmp_path / "v.npz", rows), save(tmp_path / "i.npz", [(x, who, 2) for x, who, _ in rows])
        options = FeatureFiles("regdb", *paths, root=root, trial=2, out=tmp_path / "out", overwrite=True)
        return " ".join(scored(options)[0]["warnings"])

    test = {int(line.split("/")[1]) for line in (root / "idx/test_visible_2.txt").read_text().splitlines()}
    train = set(range(1, 9)) - test
    assert notes(test) == ""
    assert f"1 of 5 identities are trained on in trial 2: {min(train)}" in notes(test | {min(train)})
    assert "ids are labels" in notes({0, 1, 2, 3})


def test_one_image_in_each_group_leaves_nothing_to_draw(tmp_path: Path) -> None:
    rows = [([float(who), float(camera)], who, camera) for camera in (1, 2, 4) for who in (1, 2, 3)]
    paths = save(tmp_path / "v.npz", rows), save(tmp_path / "i.npz", [(x, who, 3) for x, who, _ in rows])
    assert "all draws are the same" in " ".join(scored(FeatureFiles("sysu", *paths, out=tmp_path / "o"))[0]["warnings"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"ids": np.zeros(3, int)}, "one row per image"),
        ({"ids": np.array(["a"] * 20)}, "`ids` must be one column of integers"),
        ({"ids": np.full(20, 0.5)}, "`ids` must be integers from 0"),
        ({"ids": np.full(20, np.nan)}, "`ids` must be integers from 0"),
        ({"cameras": np.full(20, 3)}, r"`cameras` must be in \(1, 2, 4, 5\).*got \[3\]"),
        ({"features": np.zeros(20)}, "`features` must be two-dimensional"),
        ({"features": np.zeros((20, 7))}, "`features` must have e = 7 columns"),
        ({"features": np.array([None] * 20)}, "must be a .npy, .npz or .mat file of numbers"),
    ],
)
def test_files_that_do_not_fit_are_rejected(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    rows: list[Row] = [([1.0, 2.0], 1, 1)] * 20
    paths = save(tmp_path / "v.npz", rows, **content), save(tmp_path / "i.npz", [([1.0, 2.0], 1, 3)])
    with pytest.raises(ValueError, match=message) as caught:
        read_features(FeatureFiles("sysu", *paths))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*v\.npz"):
        read_arrays(tmp_path / "v.npz", ("features",))
    np.save(tmp_path / "v.npy", np.zeros((2, 2)))
    with pytest.raises(FileNotFoundError, match=r"no file .*v_ids\.npy"):
        read_arrays(tmp_path / "v.npy", ("features", "ids"))
    for name in ("v.npz", "v.mat", "v.csv"):
        (tmp_path / name).write_text("features,ids\n")
        with pytest.raises(ValueError, match=r"must be a \.npy, \.npz or \.mat file"):
            read_arrays(tmp_path / name, ("features",))
    np.savez(tmp_path / "w.npz", feat=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"the file must have `features`, `ids`.*got only feat"):
        read_arrays(tmp_path / "w.npz", ("features", "ids"))


def test_features_without_a_true_match_are_named(tmp_path: Path) -> None:
    paths = save(tmp_path / "v.npz", [([1.0], 1, 1)]), save(tmp_path / "i.npz", [([1.0], 2, 2)])
    with pytest.raises(ValueError, match=r"v\.npz must have a true match for a query of visible_to_thermal"):
        scored(FeatureFiles("regdb", *paths, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_variants_are_those_of_the_protocol(tmp_path: Path) -> None:
    options, *_ = files(tmp_path, "llcm")
    assert list(data_of(options, read_features(options).test).readings) == ["paper", "swapped", "camera-strict"]
