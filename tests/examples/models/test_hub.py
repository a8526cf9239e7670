"""A trained model saved and loaded whole: in a directory, on the hub, from a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file

from support.trained import ORDER, images_of
from vireid.config import DataSettings, ModelSettings, Settings
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.files import plain, write_json
from vireid.models import hub
from vireid.models.hub import HubCAL
from vireid.training.loop import build_model


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


def test_every_setting_of_the_model_comes_back(tmp_path: Path) -> None:
    """And the model is the one that training builds of them."""
    settings = ModelSettings(
        weights=None,
        specific_stems=False,
        parts=2,
        alpha=0.5,
        dim=8,
        shared_miner=True,
        statistics="parts",
        protect_attention=False,
    )
    HubCAL(settings, height=32, width=16, num_classes=3).save_pretrained(tmp_path)
    other = HubCAL.from_pretrained(str(tmp_path))
    assert other.settings == settings
    trained = build_model(Settings(data=DataSettings(height=32, width=16), model=settings), 3)
    assert repr(other) == f"Hub{trained!r}"


def test_the_config_names_no_file_of_the_trainer(run: Path, saved: Path) -> None:
    HubCAL(ModelSettings(), height=96, width=48, num_classes=5).save_pretrained(saved)  # started from a weights file
    assert json.loads((saved / "config.json").read_text())["model"].keys().isdisjoint({"weights", "pretrained"})
    assert HubCAL.from_pretrained(saved).settings.weights is None


def test_a_run_is_loaded_with_its_settings(model: HubCAL, run: Path) -> None:
    """The state is that of the model that training builds."""
    trained = build_model(Settings(data=DataSettings(), model=ModelSettings(weights=None)), 5)
    trained.load_state_dict(HubCAL.from_run(run).state_dict())
    assert torch.equal(trained.eval().embed(images_of(2), INFRARED), model.embed(images_of(2), INFRARED))


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "pytorch_model.bin"])
def test_a_pickle_is_refused(model: HubCAL, saved: Path, name: str) -> None:
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
    asked: list[object] = []

    def download(name: str, **options: object) -> str:
        asked.append((name, options))
        return str(saved)

    monkeypatch.setattr(hub, "snapshot_download", download)
    other = HubCAL.from_pretrained("somebody/cal", revision="v1")
    assert asked == [("somebody/cal", {"allow_patterns": ["config.json", "model.safetensors"], "revision": "v1"})]
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
        (changed(num_classes=6), "size mismatch for classifier"),
        (changed(depth=3), "keys must be those of such a model; got it with depth"),
        (changed(model=[]), "it must have alpha, .*; got list"),
        (lambda folder: rewrite(folder / "config.json", lambda config: config.pop("height")), "got it without height"),
        (changed_model(parts=3), "size mismatch"),
        (changed_model(parts="four"), "`num_parts` must be an integer of at least 1"),
        (changed_model(backbone="resnet18"), "size mismatch|Missing key"),
        (changed_model(backbone="resnet0"), "must be a model of timm"),
        (changed_model(weights="elsewhere.safetensors"), "got it with weights"),
        (lambda folder: (folder / "config.json").write_text('{"model": '), "Expecting value"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line(saved: Path, spoil: Callable[[Path], None], reason: str) -> None:
    spoil(saved)
    rule = "from_pretrained: .*config.json must describe the model of model.safetensors; .*"
    with pytest.raises(ValueError, match=f"{rule}({reason})") as caught:
        HubCAL.from_pretrained(saved)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_older_than_a_setting_has_its_default(saved: Path) -> None:
    rewrite(saved / "config.json", lambda config: config["model"].pop("queries"))  # type: ignore[attr-defined]
    assert HubCAL.from_pretrained(saved).config["model"]["queries"] == "mined"


def test_a_run_of_another_method_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    record = {"settings": plain(Settings(method="global")), "data": {"train": {"identities": 5}}}
    write_json(tmp_path / "run.json", record)
    with pytest.raises(ValueError, match=r"run.json must .*; `method` must be 'cal'; got 'global'"):
        HubCAL.from_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=r"it has no 'settings'"):
        HubCAL.from_run(tmp_path)
