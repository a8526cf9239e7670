"""The trainers and the evaluation: short runs on small data sets, and their errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

import evaluate
import train_folder
import train_llcm
import train_regdb
import train_sysu
from support.trained import SMALL_MODEL
from vireid import trials
from vireid.command import cli
from vireid.config import (
    DataSettings,
    FolderSettings,
    FolderSource,
    LlcmSettings,
    LlcmSource,
    OptimSettings,
    RegdbSettings,
    RegdbSource,
    RetrievalSettings,
    SysuSettings,
    SysuSource,
)
from vireid.datasets.regdb import TRIALS
from vireid.models.weights import read_metadata
from vireid.options import Command, Evaluation
from vireid.run import run as run_one
from vireid.training.directory import alone

pytestmark = pytest.mark.long

SMALL: dict[str, Any] = {
    "data": DataSettings(height=32, width=16, identities=2, images=2),
    "model": replace(SMALL_MODEL, parts=2),
    "optim": OptimSettings(steps=2),
    "method": "global",
}
FIGURES = {"rank1", "rank10", "rank20", "mAP", "mINP"}


def metrics_of(out: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


@pytest.fixture(scope="module")
def regdb(make_regdb: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_regdb(tmp_path_factory.mktemp("regdb"), people=4, pictures=2, trials=tuple(range(1, 11)))


@pytest.fixture(scope="module")
def llcm(make_llcm: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llcm(tmp_path_factory.mktemp("llcm"), train=(1, 2), test=(3, 4), pictures=1)


@pytest.fixture(scope="module")
def third(regdb: Path, tmp_path_factory: pytest.TempPathFactory) -> RegdbSettings:
    """The settings of a run that was trained on trial 3."""
    settings = RegdbSettings(root=regdb, out=tmp_path_factory.mktemp("runs") / "third", trial=3, **SMALL)
    train_regdb.main(settings)
    return settings


def test_a_regdb_run_evaluates_both_directions_and_remembers_its_trial(third: RegdbSettings) -> None:
    metrics = metrics_of(third.out)
    assert set(metrics["visible_to_thermal"]) == set(metrics["thermal_to_visible"]) == FIGURES
    assert metrics["trial"] == "3"
    assert read_metadata(third.out / "model.safetensors") == {"RegDB": "trial 3"}
    record = json.loads((third.out / "run.json").read_text())
    assert (record["settings"]["trial"], record["data"]["trial"]) == (3, "3")
    assert (third.out / "rankings.png").exists()


def evaluated(settings: Evaluation[Any], **changes: Any) -> dict[str, Any]:
    """The metrics of an evaluation."""
    options = replace(settings, **changes)
    evaluate.main(Command(options))
    return metrics_of(options.out)


def of_run(trained: RegdbSettings, out: Path) -> Evaluation[Any]:
    """The evaluation of a run's model."""
    return Evaluation(RegdbSource(trained.root, trained.trial), weights=trained.out / "model.safetensors", out=out)


def test_evaluation_alone_repeats_the_results(third: RegdbSettings, tmp_path: Path) -> None:
    again = of_run(third, tmp_path / "again")
    first, second = metrics_of(third.out), evaluated(again)
    assert second["visible_to_thermal"] == first["visible_to_thermal"]
    assert second["weights"] == str(again.weights)
    assert "train_seconds" not in second
    assert not (again.out / "run.json").exists()
    with pytest.raises(ValueError, match="again holds results already: --overwrite"):
        evaluated(again)
    both = evaluated(again, overwrite=True, test=RetrievalSettings(flip=True, rerank=True))
    assert both["visible_to_thermal"] == first["visible_to_thermal"]
    assert set(both["flip+rerank"]) == {"visible_to_thermal", "thermal_to_visible", "std"}
    assert "flip" not in both
    assert "rerank" not in both


def test_results_are_saved_before_they_are_printed(
    third: RegdbSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError("nobody reads the console")

    monkeypatch.setattr("vireid.evaluation.report.table", gone)
    with pytest.raises(BrokenPipeError):
        evaluated(of_run(third, tmp_path / "out"))
    assert {"metrics.json", "rankings.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr("vireid.trials.table", gone)
    for trial in TRIALS:
        shutil.copytree(tmp_path / "out", tmp_path / "all" / trials.folder(trial))
    with pytest.raises(BrokenPipeError):
        trials.summarise(tmp_path / "all", Console(quiet=True))
    assert metrics_of(tmp_path / "all")["trial"] == "all"


def test_another_trial_is_rejected(third: RegdbSettings, tmp_path: Path) -> None:
    options = of_run(third, tmp_path / "out")
    (checkpoint,) = third.out.glob("checkpoints/*/model.safetensors")
    for weights in (options.weights, checkpoint):
        with pytest.raises(ValueError, match=r"must be trained on trial 4 .* it was trained on trial 3"):
            evaluated(options, data=RegdbSource(third.root, 4), weights=weights)
        assert not options.out.exists()
    save_file(load_file(checkpoint), tmp_path / "nameless.safetensors")
    shutil.copy(third.out / "run.json", tmp_path)
    with pytest.raises(ValueError, match="it was trained on identities that it does not name"):
        evaluated(options, weights=tmp_path / "nameless.safetensors")
    with pytest.raises(ValueError, match=r"these differ: --trial \(3 there, 4 here\)"):
        train_regdb.main(replace(third, trial=4, resume=True))


def test_a_model_of_another_data_set_is_evaluated(
    third: RegdbSettings, llcm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = of_run(third, tmp_path / "out")
    metrics = evaluated(options, data=LlcmSource(llcm))
    assert metrics["visible_to_nir"].keys() == FIGURES
    assert f"{options.weights}: trained on RegDB; its identity classifiers are not used\n" in capsys.readouterr().out
    assert options.weights is not None
    shutil.copy(third.out / "run.json", tmp_path)
    save_file(load_file(options.weights), tmp_path / "other.safetensors", {"LLCM": ""})
    evaluated(options, data=RegdbSource(third.root, 4), weights=tmp_path / "other.safetensors", overwrite=True)
    assert "other.safetensors: trained on LLCM; its" in capsys.readouterr().out


def test_training_starts_from_a_model_of_another_data_set(
    third: RegdbSettings, llcm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start, out = third.out / "model.safetensors", tmp_path / "run"
    model = replace(third.model, weights=start)
    steps = {"optim": OptimSettings(steps=0), "model": model}
    train_llcm.main(LlcmSettings(root=llcm, out=out, **(SMALL | steps)))
    note = f"{start}: training starts from its backbone; its parts and classifiers are not used\n"
    assert note in capsys.readouterr().out
    assert read_metadata(out / "model.safetensors") == {"RegDB": "trial 3", "LLCM": ""}
    before, after = load_file(start), load_file(out / "model.safetensors")
    assert all(torch.equal(after[name], before[name]) for name in before if name.startswith("backbone."))
    # Not on the same data set, whose test identities it may have seen, even with another training between.
    for weights in (start, out / "model.safetensors"):
        changes: dict[str, Any] = {"trial": 4, "out": tmp_path / "4", "model": replace(third.model, weights=weights)}
        with pytest.raises(ValueError, match=r"must be trained on trial 4 .* it was trained on trial 3"):
            train_regdb.main(replace(third, **changes))
        assert not (tmp_path / "4").exists()


def test_missing_or_other_weights_are_rejected_in_one_line(third: RegdbSettings, tmp_path: Path) -> None:
    options = of_run(third, tmp_path / "out")

    def rejected(error: type[Exception], rule: str, **changes: Any) -> None:
        with pytest.raises(error, match=rule) as caught:
            evaluated(options, **changes)
        assert "\n" not in str(caught.value)

    shutil.copy(third.out / "run.json", tmp_path)
    (tmp_path / "cut.safetensors").write_bytes((third.out / "model.safetensors").read_bytes()[:1000])
    rejected(FileNotFoundError, "no weights at .*/gone.safetensors", weights=tmp_path / "gone.safetensors")
    rejected(ValueError, r"run.json must describe the model of cut.safetensors", weights=tmp_path / "cut.safetensors")
    rejected(ValueError, "`--weights` must name the weights", weights=None)
    rejected(ValueError, "`--root` must name", data=RegdbSource())


def test_all_trials_are_averaged_and_finished_ones_are_kept(
    regdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    whole = run_one

    def stop_after(last: int) -> Callable[..., None]:
        def run(settings: RegdbSettings, data: Any, console: Any) -> None:
            if len(trained) == last:
                raise KeyboardInterrupt
            trained.append(data.trial)
            whole(settings, data, console)

        return run

    monkeypatch.setattr(trials, "TRIALS", range(1, 4))  # three do as well as ten
    settings = RegdbSettings(root=regdb, out=tmp_path / "all", trial="all", **SMALL)
    monkeypatch.setattr(trials, "run", stop_after(2))
    with pytest.raises(KeyboardInterrupt):
        train_regdb.main(settings)
    assert not (settings.out / "metrics.json").exists()
    (settings.out / "trial-02" / "metrics.json").unlink()  # as if it had been killed after training
    monkeypatch.setattr(trials, "run", stop_after(99))
    with pytest.raises(ValueError, match="trial-01 holds a run already"):
        train_regdb.main(settings)
    trained.clear()
    train_regdb.main(replace(settings, resume=True))
    assert trained == [2, 3]
    metrics = metrics_of(settings.out)
    every = [metrics_of(settings.out / f"trial-{trial:02d}") for trial in range(1, 4)]
    for task in ("visible_to_thermal", "thermal_to_visible"):
        for figure in FIGURES:
            assert metrics[task][figure] == pytest.approx(sum(one[task][figure] for one in every) / 3)
    assert metrics["trial"] == "all"
    assert metrics["trials"]["3"]["visible_to_thermal"] == every[2]["visible_to_thermal"]
    with pytest.raises(ValueError, match="all holds a run already"):
        train_regdb.main(settings)
    with alone(settings.out), pytest.raises(ValueError, match=r"all must be used by one run at a time"):
        train_regdb.main(replace(settings, overwrite=True))
    assert metrics_of(settings.out) == metrics
    (tmp_path / "all" / "trial-02" / "metrics.json").write_text('{"visible_to_thermal": 5}')
    with pytest.raises(ValueError, match=r"trial-02/metrics.json must have the results of a trial"):
        train_regdb.main(replace(settings, resume=True))
    with pytest.raises(ValueError, match=r"these differ: --seed \(0 there, 1 here\)"):
        train_regdb.main(replace(settings, resume=True, seed=1))
    again = Evaluation(RegdbSource(regdb, "all"), weights=settings.out, out=tmp_path / "again")
    assert evaluated(again)["visible_to_thermal"] == metrics["visible_to_thermal"]


def test_ten_trials_do_not_go_into_a_run_of_one(third: RegdbSettings) -> None:
    with pytest.raises(ValueError, match="holds a run of one trial"):
        train_regdb.main(replace(third, trial="all", resume=True))


def test_an_llcm_run_names_its_reading(llcm: Path, tmp_path: Path) -> None:
    settings = LlcmSettings(root=llcm, out=tmp_path / "run", **{**SMALL, "method": "cal"})
    settings = replace(settings, test=RetrievalSettings(rerank=True))
    train_llcm.main(settings)
    metrics = metrics_of(settings.out)
    assert set(metrics["visible_to_nir"]) == set(metrics["rerank"]["nir_to_visible"]) == FIGURES
    assert metrics["reading"] == "paper"
    assert (settings.out / "attention.png").exists()
    weights = settings.out / "model.safetensors"
    swapped = evaluated(Evaluation(LlcmSource(llcm, "swapped"), weights=weights, out=tmp_path / "swapped"))
    assert swapped["reading"] == "swapped"
    assert swapped["nir_to_visible"] == metrics["nir_to_visible"]
    with pytest.raises(ValueError, match="`--root` must name"):
        train_llcm.main(replace(settings, root=None))


def test_own_images_are_trained_on_and_evaluated(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = make_folder(tmp_path)
    settings = FolderSettings(root=root, out=tmp_path / "run", **SMALL)
    train_folder.main(settings)
    metrics = metrics_of(settings.out)
    assert set(metrics["photo_to_sketch"]) == set(metrics["sketch_to_photo"]) == FIGURES
    weights = settings.out / "model.safetensors"
    again = evaluated(Evaluation(FolderSource(root), weights=weights, out=tmp_path / "again"))
    assert again["sketch_to_photo"] == metrics["sketch_to_photo"]
    with pytest.raises(ValueError, match=r"Folder has no published counts"):
        evaluate.main(Command(Evaluation(FolderSource(root), verify=True)))
    with pytest.raises(ValueError, match=r"these differ: --modalities \(None there, \('sketch', 'photo'\) here\)"):
        train_folder.main(replace(settings, resume=True, modalities=("sketch", "photo")))


def test_sysu_is_evaluated_with_either_draw(make_tree: Callable[..., Path], tmp_path: Path) -> None:
    settings = SysuSettings(root=make_tree(pictures=2), out=tmp_path / "run", **SMALL)
    train_sysu.main(settings)
    assert metrics_of(settings.out)["gallery_draw"] == "official"
    weights = settings.out / "model.safetensors"
    again = evaluated(Evaluation(SysuSource(settings.root, "seeded"), weights=weights, out=tmp_path / "again"))
    assert again["gallery_draw"] == "seeded"
    assert set(again["indoor_multi"]) == FIGURES


def test_bad_data_end_the_run_before_it_trains(
    make_tree: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SysuSettings(root=make_tree(pictures=2), out=tmp_path / "run", **SMALL)
    monkeypatch.setattr("vireid.run.train", lambda *_, **__: pytest.fail("trained"))
    for person in ("0002", "0003"):  # to train on, and to test on
        image = settings.root / "cam6" / person / "0001.jpg"  # type: ignore[operator]
        whole = image.read_bytes()
        image.write_bytes(whole[:400])
        with pytest.raises(ValueError, match=rf"1 of 48 cannot be decoded: .*cam6/{person}/0001.jpg") as caught:
            train_sysu.main(settings)
        assert "\n" not in str(caught.value)
        image.write_bytes(whole)
    (settings.root / "exp" / "rand_perm_cam.mat").unlink()  # type: ignore[operator]
    with pytest.raises(FileNotFoundError, match=r"reads .*rand_perm_cam.mat, which is missing"):
        train_sysu.main(settings)


def test_verify_prints_the_counts_and_evaluates_nothing(
    regdb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["regdb", "--root", str(regdb), "--out", str(tmp_path / "out"), "--verify"]
    with pytest.raises(ValueError, match="is not RegDB as published: train identities: 2, not 206") as caught:
        evaluate.main(cli(Command, words))
    assert "\n" not in str(caught.value)
    assert "2 train + 2 test identities" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_verify_is_content_with_the_published_counts(llcm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vireid.datasets.llcm.LLCM.published_identities", (2, 2))
    monkeypatch.setattr("vireid.datasets.llcm.PUBLISHED_TRAIN_IMAGES", (18, 16))
    monkeypatch.setattr("vireid.datasets.llcm.PUBLISHED_TEST_IMAGES", (18, 16))
    options = Evaluation(LlcmSource(llcm), verify=True)
    evaluate.main(Command(options))
    monkeypatch.setattr("vireid.datasets.llcm.PUBLISHED_TEST_IMAGES", (18, 15))
    with pytest.raises(ValueError, match="near-infrared test images: 16, not 15"):
        evaluate.main(Command(options))


def test_the_command_lines_have_their_data_sets_defaults() -> None:
    regdb = train_regdb.command_line(["--root", "x", "--trial", "all", "--test.flip"])
    assert (regdb.trial, regdb.model.backbone, regdb.test.flip, regdb.test.rerank) == ("all", "resnet50", True, False)
    assert train_regdb.command_line(["--trial", "3"]).trial == 3
    assert train_llcm.command_line(["--reading", "camera-strict"]).reading == "camera-strict"
    assert train_sysu.command_line(["--gallery", "seeded"]).gallery == "seeded"
    assert train_folder.command_line(["--modalities", "b", "a"]).modalities == ("b", "a")
