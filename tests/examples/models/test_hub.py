"""A trained model saved and loaded whole: in a directory, on the hub, from a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from huggingface_hub import HfApi
from PIL import Image
from safetensors.torch import load_file, save_file

from support.trained import ORDER, SMALL_MODEL, images_of
from vireid.config import ModelConfig, Settings
from vireid.datasets.cache import cache_images
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.figures.curves import draw_curves
from vireid.files import write_json
from vireid.models import hub
from vireid.models.backbones import create_backbone
from vireid.models.build import build_model
from vireid.models.hub import HubCAL
from vireid.models.weights import START, WEIGHTS, as_json, load_model, load_weights, read_metadata, save_weights
from vireid.pictures import open_picture
from vireid.recipes import DEMO
from vireid.runs import checkpoints, read_log, read_settings


def rewrite(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_model_comes_back_to_the_bit(model: HubCAL, saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    other = HubCAL.from_pretrained(saved)
    assert not other.training
    state, again = model.state_dict(), other.state_dict()
    assert state.keys() == again.keys()
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert other.correspondence.permutation().tolist() == ORDER
    assert other.config == model.config
    assert torch.equal(other.embed(images_of(2), INFRARED), model.embed(images_of(2), INFRARED))


def test_the_config_says_nothing_of_the_start(saved: Path) -> None:
    config = ModelConfig(DEMO.model, height=96, width=48, num_classes=5)
    HubCAL(config).save_pretrained(saved)
    assert (
        json.loads((saved / "config.json").read_text())["model"].keys().isdisjoint({"weights", "pretrained", "frozen"})
    )
    assert HubCAL.from_pretrained(saved).config.model == replace(DEMO.model, **START)


def test_a_run_is_loaded_with_its_settings(model: HubCAL, run: Path) -> None:
    """The state is that of the model that training builds."""
    trained = build_model(Settings(model=SMALL_MODEL).model_config(5))
    trained.load_state_dict(HubCAL.from_run(run).state_dict())
    assert torch.equal(trained.eval().embed(images_of(2), INFRARED), model.embed(images_of(2), INFRARED))


def test_paths_may_be_text(model: HubCAL, run: Path, saved: Path, tmp_path: Path) -> None:
    weights = str(tmp_path / "w.safetensors")
    save_weights(model, weights, metadata={"RegDB": "trial 1"})
    load_weights(model, weights)
    assert read_metadata(weights) == {"RegDB": "trial 1"}
    for other in (
        HubCAL.from_run(str(run)),
        HubCAL.from_pretrained(str(saved)),
        load_model(str(run / WEIGHTS), HubCAL),
    ):
        assert other.config == model.config
    assert create_backbone("test_resnet", image_size=(96, 48), stage=2, weights=weights)[1] == model.channels
    assert read_settings(str(run / "run.json"), Settings) == Settings()
    assert (read_log(str(run)), checkpoints(str(run))) == ([], [])
    assert draw_curves([{"step": 1, "total": 1.0, "gradient": 1.0, "lr": 1.0}], str(tmp_path / "curves.png")).is_file()
    picture = str(tmp_path / "a.png")
    Image.new("RGB", (3, 2)).save(picture)
    assert open_picture(picture).size == (3, 2)
    assert cache_images([picture], (2, 3), root=str(tmp_path), progress=False).shape == (1, 2, 3, 3)


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "pytorch_model.bin"])
def test_a_pickle_is_rejected(model: HubCAL, saved: Path, name: str) -> None:
    torch.save(model.state_dict(), saved / name)
    with pytest.raises(ValueError, match=f"never a pickle; got the file .*{name}") as caught:
        HubCAL.from_pretrained(saved / name)
    assert "\n" not in str(caught.value)
    (saved / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"no model.safetensors in .* \(pickles are not read\)"):
        HubCAL.from_pretrained(saved)
    (saved / name).rename(saved / "model.safetensors")
    with pytest.raises(ValueError, match=r"config.json must describe the model of model.safetensors"):
        HubCAL.from_pretrained(saved)


def test_a_name_that_is_no_directory_is_a_repository_of_the_hub(
    model: HubCAL, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, object]]] = []

    def download(name: str, **options: object) -> str:
        asked.append((name, options))
        return str(saved)

    monkeypatch.setattr(hub, "snapshot_download", download)
    other = HubCAL.from_pretrained("somebody/cal", revision="v1")
    ((name, options),) = asked
    assert name == "somebody/cal"
    assert options["allow_patterns"] == ["config.json", "model.safetensors"]
    assert options["revision"] == "v1"
    assert torch.equal(other.embed(images_of(1), VISIBLE), model.embed(images_of(1), VISIBLE))


def test_what_is_pushed_is_what_is_saved(model: HubCAL, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: dict[str, bytes] = {}

    def upload(_: HfApi, *, folder_path: Path, **__: object) -> None:
        pushed.update({path.name: path.read_bytes() for path in folder_path.iterdir()})

    monkeypatch.setattr(HfApi, "create_repo", lambda _, *, repo_id, **__: SimpleNamespace(repo_id=repo_id))
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    model.push_to_hub("somebody/cal")
    assert pushed == {path.name: path.read_bytes() for path in saved.iterdir()}


def test_missing_files_are_named(saved: Path, tmp_path: Path) -> None:
    (saved / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no config.json in .*saved"):
        HubCAL.from_pretrained(saved)
    for nowhere in (str(tmp_path / "gone"), "nobody/nothing"):
        with pytest.raises(FileNotFoundError, match=f"no directory and no repository {nowhere}") as caught:
            HubCAL.from_pretrained(nowhere, local_files_only=True, cache_dir=tmp_path / "cache")
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"gone must be the directory of a finished run: no run.json"):
        HubCAL.from_run(tmp_path / "gone")


def truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def drop_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["correspondence.history"]
    save_file(tensors, folder / "model.safetensors")


def changed(**values: object) -> Callable[[Path], None]:
    return lambda folder: rewrite(folder / "config.json", lambda config: config.update(values))


def changed_model(**values: object) -> Callable[[Path], None]:
    return lambda folder: rewrite(folder / "config.json", lambda config: config["model"].update(values))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncate, ""),
        (drop_a_tensor, "correspondence.history"),
        (changed(num_classes=6), r"classifier.weight must be \(6, 48\); got \(5, 48\)"),
        (changed(num_classes=0), "`num_classes` must be 1 … 1048576; got 0"),
        (changed(num_classes=10**6), r"classifier.weight must be \(1000000, 48\); got \(5, 48\)"),
        (changed(num_classes=10**9), "`num_classes` must be 1 … 1048576; got 1000000000"),
        (changed(height=10**7), "`height` must be 1 … 16384; got 10000000"),
        (changed(width=96.0), "`width`: 96.0 is no int"),
        (changed(height=True), "`height`: True is no int"),
        (changed_model(dim=10**6), r"attention\S+ must be \(1000000\S*.*\); got \(48\S*.*\)"),
        (changed_model(dim=10**19), "`dim` must be 1 … 1048576; got 1"),
        (changed_model(parts=10**6), r"must be .*1000000.*; got .*4"),
        (changed_model(parts=10**9), "`parts` must be 1 … 1048576; got 1000000000"),
        (changed_model(specific_stems="no"), "`specific_stems`: 'no' is no bool"),
        (changed_model(specific_stems=0), "`specific_stems`: 0 is no bool"),
        (changed_model(backbone=18), "`backbone`: 18 is no str"),
        (changed_model(queries=["mined"]), r"`queries`: \['mined'\] is no"),
        (changed(num_classes="5"), "`num_classes`: '5' is no int"),
        (changed(method="global"), "`method` must be 'cal'; got 'global'"),
        (changed(depth=3), "ModelConfig has no depth"),
        (changed(model=[]), r"`model`: \[\] is no ModelSettings"),
        (
            lambda folder: rewrite(folder / "config.json", lambda config: config.pop("height")),
            "ModelConfig needs height",
        ),
        (changed_model(parts=3), r"must be \(\d.*\); got \("),
        (changed_model(parts="four"), "`model`: `parts`: 'four' is no int"),
        (changed_model(parts=0), "`parts` must be 1 … 1048576; got 0"),
        (changed_model(alpha=float("nan")), "`alpha` must be a number above 0; got nan"),
        (changed_model(queries="mine"), "`queries`: 'mine' is no"),
        (changed_model(backbone="resnet18"), r"must be \(32,\); got \(12,\)"),
        (changed_model(backbone="resnet0"), "must be a model of timm"),
        (changed_model(weights="elsewhere.safetensors"), "a trained model has no weights"),
        (lambda folder: (folder / "config.json").write_text('{"model": '), "Expecting value"),
    ],
)
def test_files_that_do_not_fit_end_in_one_line(saved: Path, spoil: Callable[[Path], None], reason: str) -> None:
    spoil(saved)
    rule = "load_model: .*config.json must describe the model of model.safetensors; .*"
    with pytest.raises(ValueError, match=f"{rule}({reason})") as caught:
        HubCAL.from_pretrained(saved)
    assert "\n" not in str(caught.value)


def test_unknown_options_are_rejected_by_name(saved: Path) -> None:
    for option in ("num_classes", "force_download", "strict", "revison"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
            HubCAL.from_pretrained(saved, **cast(Any, {option: 9}))


def test_a_model_that_is_older_than_a_setting_has_its_default(saved: Path) -> None:
    rewrite(saved / "config.json", lambda config: config["model"].pop("queries"))  # type: ignore[attr-defined]
    assert HubCAL.from_pretrained(saved).config.model.queries == "mined"


def test_a_run_of_another_method_is_rejected(run: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    config = Settings(method="global").model_config(5)
    write_json(tmp_path / "run.json", {"model": as_json(config)})
    with pytest.raises(ValueError, match=r"run.json must .*; BuiltCAL: `method` must be 'cal'; got 'global'"):
        HubCAL.from_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=r"it has no 'model'"):
        HubCAL.from_run(tmp_path)
