"""One builder: whatever a model was built with, it comes back as it was."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import pytest
import timm
import torch
from torch import nn

from support.trained import SMALL_MODEL, images_of, looks_trained
from vireid.config import DataSettings, ModelConfig, ModelSettings, Settings
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.files import plain, write_json
from vireid.models.build import Built, BuiltBaseline, build_model
from vireid.models.export import export_program
from vireid.models.hub import HubCAL
from vireid.models.weights import START, as_json, load_model, save_weights

SIZE: dict[str, Any] = {"height": 64, "width": 32}
OTHERS: dict[str, tuple[Any, ...]] = {
    "backbone": ("resnet18",),
    "pretrained": (True,),
    "weights": (Path("plain.safetensors"),),
    "specific_stems": (False,),
    "stage": (None, 3),
    "stride": (16,),
    "frozen": (1,),
    "parts": (3,),
    "alpha": (0.5,),
    "dim": (8,),
    "queries": ("learnable", "stripes"),
    "shared_miner": (True,),
    "equal_scorers": (False,),
    "attention": ("dot-product",),
    "channel_gate": (False,),
    "instance_norm": (False,),
    "norm_source": ("parts",),
    "gate": (False,),
    "protect_attention": (False,),
}
"""Of each setting, values that are not its default."""
EXPORTED = {"backbone", "queries", "attention", "gate", "norm_source"}
"""Settings that decide which code a graph has; an export takes seconds."""
VARIED = [(name, value) for name, values in OTHERS.items() for value in values]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """timm's pretrained weights stay at timm's."""
    create = timm.create_model

    def create_model(name: str, *, pretrained: bool = False, **options: Any) -> nn.Module:
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", create_model)


def save_run(model: nn.Module, settings: Settings, out: Path) -> Path:
    """What a run leaves that a model is loaded from."""
    out.mkdir()
    save_weights(model, out / "model.safetensors")
    write_json(out / "run.json", {"settings": plain(settings), "model": as_json(settings.model_config(5))})
    return out


def test_every_setting_is_varied() -> None:
    assert OTHERS.keys() == {field.name for field in fields(ModelSettings)}
    for name, value in VARIED:
        assert value != getattr(SMALL_MODEL, name), name


@pytest.mark.parametrize(("name", "value"), VARIED)
def test_a_model_comes_back_as_it_was_built(
    name: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_weights(timm.create_model(SMALL_MODEL.backbone, num_classes=0), "plain.safetensors")
    settings = Settings(data=DataSettings(**SIZE), model=replace(SMALL_MODEL, **{name: value}))
    config = settings.model_config(5)
    model = HubCAL(config)
    looks_trained(model)
    model.save_pretrained(tmp_path / "saved")
    run = save_run(model, settings, tmp_path / "run")
    saved = HubCAL.from_pretrained(tmp_path / "saved")
    loaded: list[Built] = [
        saved,
        HubCAL.from_run(run),
        load_model(run / "model.safetensors", build_model),
    ]
    for one in loaded:
        assert one.config == replace(config, model=replace(config.model, **START))
        assert str(one).split("(", 1)[1] == str(model).split("(", 1)[1]
        for modality in (VISIBLE, INFRARED):
            images = images_of(2, **SIZE)
            assert torch.equal(one.embed(images, modality), model.embed(images, modality))
    if name not in EXPORTED:
        return
    program = export_program(saved, INFRARED, **SIZE)
    images = images_of(3, **SIZE)
    torch.testing.assert_close(program.module()(images), model.embed(images, INFRARED), rtol=0, atol=1e-5)


def test_the_baseline_comes_back_too(tmp_path: Path) -> None:
    settings = Settings(data=DataSettings(**SIZE), model=SMALL_MODEL, method="global")
    model = build_model(settings.model_config(5))
    looks_trained(model)
    run = save_run(model, settings, tmp_path / "run")
    loaded = load_model(run / "model.safetensors", build_model)
    assert isinstance(loaded, BuiltBaseline)
    assert torch.equal(loaded.embed(images_of(2, **SIZE), VISIBLE), model.embed(images_of(2, **SIZE), VISIBLE))
    checkpoint = run / "checkpoints" / "step-00000001"
    checkpoint.mkdir(parents=True)
    save_weights(model, checkpoint / "model.safetensors")
    assert isinstance(load_model(checkpoint / "model.safetensors", build_model), BuiltBaseline)


def test_weights_without_settings_are_rejected(tmp_path: Path) -> None:
    save_weights(build_model(ModelConfig(SMALL_MODEL, **SIZE, num_classes=5)), tmp_path / "model.safetensors")
    with pytest.raises(FileNotFoundError, match=r"must have the run.json or config.json of its model beside it"):
        load_model(tmp_path / "model.safetensors", build_model)
    with pytest.raises(FileNotFoundError, match=r"no weights at .*gone.safetensors"):
        load_model(tmp_path / "gone.safetensors", build_model)


@pytest.mark.parametrize(("name", "value"), [("parts", 0), ("alpha", 0.0), ("dim", 0)])
def test_settings_out_of_range_are_rejected(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"ModelSettings: `{name}` must be .*; got {value}"):
        replace(SMALL_MODEL, **cast(Any, {name: value}))
