"""The loop: accumulation, the average of weights, errors during training, and errors before it starts."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor, nn

from concordant import CAL, CALOutput, LossTerms
from support.trained import SMALL_MODEL
from vireid.config import (
    AugmentSettings,
    DataSettings,
    LossSettings,
    ModelSettings,
    OptimSettings,
    Settings,
)
from vireid.datasets.items import Item, Items
from vireid.evaluation.inference import extract
from vireid.models import build
from vireid.models.build import Built, BuiltCAL
from vireid.models.objective import CALObjective
from vireid.models.weights import load_model
from vireid.runs import read_log
from vireid.training import loop as engine
from vireid.training.checkpoint import save_checkpoint
from vireid.training.directory import check_start
from vireid.training.loop import train
from vireid.training.schedule import parameter_groups

SIZE = (32, 16)
SMALL = Settings(
    data=DataSettings(*SIZE, identities=2, images=2),
    model=replace(SMALL_MODEL, parts=2),
    optim=OptimSettings(steps=2),
    save_every=1,
)
ITEMS = Items(Item(Path(f"{i}.jpg"), i % 3, 1, i // 6) for i in range(12))


def run(out: Path, optim: OptimSettings = SMALL.optim, **changes: Any) -> Built:
    images = np.random.default_rng(0).integers(0, 256, (len(ITEMS), *SIZE, 3), dtype=np.uint8)
    settings = replace(SMALL, out=out, optim=optim, **changes)
    return train(settings, ITEMS, images, data={}, console=Console(quiet=True))[0]


def test_accumulated_gradients_are_the_mean_of_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[list[Tensor]] = []
    clip = Accelerator.clip_grad_norm_

    def keep(self: Accelerator, parameters: Any, *arguments: Any) -> Any:
        parameters = list(parameters)
        steps.append([p.grad.clone() for p in parameters if p.grad is not None])
        return clip(self, parameters, *arguments)

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", keep)
    run(tmp_path / "apart", OptimSettings(steps=2, lr=0.0))  # weights stay, so that both see the same
    model = run(tmp_path / "together", OptimSettings(steps=1, accumulate=2, lr=0.0))
    first, second, both = steps
    for a, b, mean in zip(first, second, both, strict=True):
        torch.testing.assert_close(mean, (a + b) / 2)
    apart, (together,) = read_log(tmp_path / "apart"), read_log(tmp_path / "together")
    assert together["total"] == pytest.approx((apart[0]["total"] + apart[1]["total"]) / 2, rel=1e-5)
    assert isinstance(model, CAL)
    assert int(model.correspondence.seen) == 16


def test_the_average_of_weights_is_what_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[dict[str, Tensor]] = []
    save = save_checkpoint

    def keep(out: Path, step: int, model: nn.Module, others: Any, **words: Any) -> None:
        weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        save(out, step, model, others, **words)

    monkeypatch.setattr(engine, "save_checkpoint", keep)
    model = run(tmp_path, OptimSettings(steps=2, ema=0.75))
    first, second = weights
    assert not model.training
    parameters = {name for name, _ in model.named_parameters()}
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        average = 0.75 * first[name] + 0.25 * second[name] if name in parameters else second[name]
        torch.testing.assert_close(tensor, average, msg=partial("{}: {}".format, name))
        assert torch.equal(model.state_dict()[name], tensor)
    assert not torch.equal(first["classifier.weight"], second["classifier.weight"])


def test_model_and_losses_are_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[type[nn.Module]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(type(module)))  # it takes half a minute
    run(tmp_path, OptimSettings(steps=1), compile="default")
    assert compiled == [BuiltCAL, CALObjective]


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_frozen_stages_are_not_trained(ema: float, tmp_path: Path) -> None:
    chosen = ModelSettings("test_efficientnet", False, None, stage=3, frozen=2, parts=2)
    settings = replace(SMALL, model=chosen)
    set_seed(settings.seed)
    start = build.build_model(settings.model_config(len(ITEMS.identities)))
    grouped = {id(p) for group in parameter_groups(start, settings) for p in group["params"]}
    assert grouped == {id(p) for p in start.parameters() if p.requires_grad}
    trained = run(tmp_path, OptimSettings(steps=2, ema=ema), model=chosen)
    first = ("backbone.model.conv_stem", "backbone.model.bn1", "backbone.model.blocks.0", "backbone.model.blocks.1")
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        assert torch.equal(trained.state_dict()[name], tensor)
        assert torch.equal(start.state_dict()[name], tensor) or not name.startswith(first), name
    changed = {
        name for name, tensor in start.state_dict().items() if not torch.equal(trained.state_dict()[name], tensor)
    }
    assert {"backbone.norm.weight", "backbone.norm.running_mean"} <= changed
    assert any(name.startswith("backbone.model.blocks.2.") for name in changed)
    assert trained.config.model.frozen == 2
    loaded = load_model(tmp_path / "model.safetensors", build.build_model)
    assert (loaded.config.model.stage, loaded.config.model.frozen) == (3, 0)


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cusp(CALObjective):
        def forward(self, output: CALOutput, labels: Tensor, modality: Tensor) -> LossTerms:
            terms = super().forward(output, labels, modality)
            return terms._replace(total=terms.total + (0 * output.features).sum().sqrt())

    monkeypatch.setattr(build, "CALObjective", Cusp)
    with pytest.raises(FloatingPointError, match=r"the gradient of step 1 is not finite: total = \d.*gradient = nan"):
        run(tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_out_must_be_a_place_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(engine, "build_model", lambda *_: pytest.fail("built a model first"))
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OSError, match=r"`out` must be a directory that can be written; got .*file"):
            run(out)


def test_what_an_unfinished_write_or_a_system_left_is_no_run(tmp_path: Path) -> None:
    (tmp_path / ".run.json.tmp").write_text('{"sett')
    (tmp_path / "Thumbs.db").touch()
    check_start(replace(SMALL, out=tmp_path), {})


def test_bad_settings_are_rejected() -> None:
    with pytest.raises(ValueError, match="`accumulate` must be at least 1; got 0"):
        OptimSettings(accumulate=0)
    for name in ("steps", "lr", "backbone_lr", "weight_decay"):
        for value in (-1, float("nan")):
            with pytest.raises(ValueError, match=rf"`{name}` must be a number of at least 0; got {value}"):
                OptimSettings(**cast(Any, {name: value}))
    weights = {field.name for field in fields(LossSettings) if type(field.default) is float} - {
        "margin",
        "label_smoothing",
    }
    assert len(weights) == 12
    for name in weights:
        for value in (-3.0, float("nan"), float("inf")):
            with pytest.raises(
                ValueError, match=rf"LossSettings: `{name}` must be a number of at least 0; got {value}"
            ):
                LossSettings(**cast(Any, {name: value}))
    for value in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match=rf"`label_smoothing` must be in \[0, 1\); got {value}"):
            LossSettings(label_smoothing=value)
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=rf"`margin` must be a number above 0; got {value}"):
            LossSettings(margin=value)
    for name in ("height", "width", "identities", "images"):
        with pytest.raises(ValueError, match=rf"DataSettings: `{name}` must be at least 1; got 0"):
            DataSettings(**cast(Any, {name: 0}))
    with pytest.raises(ValueError, match=r"`erase_ratio` must be \(least, greatest\), above 0; got \(1.0, inf\)"):
        AugmentSettings(erase_ratio=(1.0, float("inf")))
    with pytest.raises(ValueError, match=r"`clip` must be above 0; got 0"):
        OptimSettings(clip=0.0)
    with pytest.raises(ValueError, match=r"`warmup` must be in \[0, 1\]; got 2"):
        OptimSettings(warmup=2.0)
    with pytest.raises(ValueError, match=r"`seed` must be in \[0, 2³²\); got -1"):
        Settings(seed=-1)
    with pytest.raises(ValueError, match=r"`ema` must be in \[0, 1\); got 1.0"):
        OptimSettings(ema=1.0)
    with pytest.raises(ValueError, match="`save_every` must be at least 1; got 0"):
        Settings(save_every=0)


@pytest.mark.long
@pytest.mark.parametrize(
    "backbone",
    ["resnet50", "vit_tiny_patch16_224", "convnext_atto", "test_efficientnet", "swinv2_cr_tiny_224"],
)
def test_families_of_timm_are_trained_and_embed(backbone: str, tmp_path: Path) -> None:
    settings = replace(
        SMALL, data=replace(SMALL.data, height=64, width=32), model=replace(SMALL.model, backbone=backbone, stage=None)
    )
    images = np.random.default_rng(0).integers(0, 256, (len(ITEMS), 64, 32, 3), dtype=np.uint8)
    settings = replace(settings, out=tmp_path, optim=OptimSettings(steps=1))
    model, _, _ = train(settings, ITEMS, images, data={}, console=Console(quiet=True))
    (row,) = read_log(tmp_path)
    assert np.isfinite(row["total"])
    assert row["gradient"] > 0
    embeddings = extract(model, images, ITEMS.modality, device=torch.device("cpu"), progress=False)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(len(ITEMS)))
    assert embeddings.std(dim=0).max() > 1e-4  # images differ


def test_an_output_that_is_not_finite_names_the_batch(tmp_path: Path) -> None:
    """Weights that are not finite after a step show in the output of the next step, before the losses."""
    with pytest.raises(
        FloatingPointError,
        match=r"the output of step 2 is not finite: total = .*, output = (nan|inf).*\. Its batch:\n  \d+\.jpg",
    ):
        run(tmp_path, OptimSettings(steps=3, lr=1e30, warmup=0.0, clip=1e30))
