"""A trained model elsewhere: exported as a graph of its own, with and without PyTorch."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import export
from concordant.functional import select_top_k
from support.models import small_cal
from support.trained import ORDER, SMALL_MODEL, images_of, looks_trained
from vireid.config import ModelConfig, ModelSettings
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.models import export as deploy
from vireid.models.export import BATCHES, TOLERANCE, TRANSLATIONS, Embedder, export_onnx, export_program
from vireid.models.hub import HubCAL
from vireid.models.weights import as_json

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("settings", "modality"),
    [
        (SMALL_MODEL, INFRARED),
        (ModelSettings("tf_efficientnet_lite0", pretrained=False, stage=4), VISIBLE),
        (ModelSettings("vit_tiny_patch16_224", pretrained=False), VISIBLE),
    ],
    ids=lambda value: getattr(value, "backbone", None),
)
def test_the_exported_program_embeds_batches_of_any_size(settings: ModelSettings, modality: int) -> None:
    model = HubCAL(ModelConfig(settings, height=64, width=32, num_classes=2))
    looks_trained(model)
    program = export_program(model, modality, height=64, width=32)
    assert not any("concordant" in str(node.target) for node in program.graph.nodes)  # no operator of this library
    embed = program.module()
    for n in BATCHES:
        images = images_of(n, 64, 32)
        torch.testing.assert_close(embed(images), model.embed(images, modality), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_another_precision_is_exported_in_float32(dtype: torch.dtype) -> None:
    model = small_cal(num_parts=4).eval()
    embed = export_program(deepcopy(model).to(dtype), VISIBLE, height=16, width=8).module()
    images = images_of(2, 16, 8)
    torch.testing.assert_close(embed(images), model.embed(images, VISIBLE), rtol=0, atol=2e-2)


def test_exporting_leaves_the_model_as_it_was() -> None:
    model = small_cal(num_parts=4)
    model.correspondence.update(torch.tensor([ORDER]))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    embedder = Embedder(model, INFRARED)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    model.correspondence.update(torch.tensor([[3, 2, 1, 0]]).repeat(3, 1))
    assert embedder.model.correspondence.permutation().tolist() == ORDER
    embedder(torch.randn(2, 3, 16, 8))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items() if "corr" not in name)


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    for name in deploy.PACKAGES:
        pytest.importorskip(name, reason=f"ONNX needs {name}: `pip install concordant[examples]`")
    export.main(export.Options(run))
    return run / "onnx"


@pytest.mark.parametrize(("name", "modality"), [("visible", VISIBLE), ("infrared", INFRARED)])
def test_onnx_gives_the_embeddings_of_the_model(model: HubCAL, exported: Path, name: str, modality: int) -> None:
    from onnxruntime import InferenceSession

    session = InferenceSession(exported / f"{name}.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[1:] == [3, 96, 48]
    others = 0
    for n in (1, 2, 5):
        images = images_of(n)
        (embeddings,) = session.run(None, {"images": images.numpy()})
        torch.testing.assert_close(torch.from_numpy(embeddings), model.embed(images, modality), rtol=0, atol=1e-4)
        others += torch.allclose(torch.from_numpy(embeddings), model.embed(images, 1 - modality), atol=1e-2)
    assert others == 0


def test_the_files_say_how_to_use_them(model: HubCAL, exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {"visible.onnx", "infrared.onnx", "embedding.json"}
    words = json.loads((exported / "embedding.json").read_text())
    assert words["files"] == {"visible": "visible.onnx", "infrared": "infrared.onnx"}
    assert words["input"]["shape"] == ["n", 3, 96, 48]
    assert words["output"]["shape"] == ["n", model.embed(images_of(1), VISIBLE).shape[1]]
    assert words["config"] == as_json(model.config)
    assert max(words["largest_difference"].values()) <= TOLERANCE


class Select(nn.Module):
    def forward(self, scores: Tensor) -> Tensor:
        return select_top_k(scores)


def test_of_equal_scores_the_earlier_is_taken_in_onnx_too(tmp_path: Path, exported: Path) -> None:
    from onnxruntime import InferenceSession

    scores = torch.randint(1, 4, (3, 72, 4)).float()
    converted = torch.onnx.export(
        torch.export.export(Select(), (scores,)),
        input_names=["scores"],
        dynamo=True,
        verbose=False,
        custom_translation_table=TRANSLATIONS,
    )
    assert converted is not None
    converted.save(tmp_path / "select.onnx")
    session = InferenceSession(tmp_path / "select.onnx", providers=["CPUExecutionProvider"])
    (selection,) = session.run(None, {"scores": scores.numpy()})
    assert torch.equal(torch.from_numpy(selection), select_top_k(scores))


def test_a_file_that_differs_gets_no_name(
    model: HubCAL, tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "export_program", lambda *_, **__: None)
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: Untrained())
    for wrong in (1.1e-4, float("nan")):
        monkeypatch.setattr(deploy, "largest_difference", lambda *_, wrong=wrong: wrong)
        with pytest.raises(ValueError, match=r"visible.onnx must be within 0.0001 of PyTorch; got"):
            export_onnx(model, tmp_path)
    assert not list(tmp_path.iterdir())


class Untrained:
    """Stands for what torch.onnx.export returns."""

    def save(self, path: Path) -> None:
        path.write_bytes(b"")


def test_missing_packages_are_named_in_one_line(model: HubCAL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(ValueError, match=r"extra `examples`.*; missing: onnxscript") as caught:
        export_onnx(model, tmp_path / "onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "onnx").exists()
