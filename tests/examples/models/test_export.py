"""A trained model elsewhere: exported as a graph, and saved and loaded whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import export
from concordant import CAL
from concordant.functional import select_top_k
from support.models import small_cal
from vireid.config import DataSettings, ModelSettings, Settings
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.models import export as deploy
from vireid.models import hub
from vireid.models.export import BATCHES, TOLERANCE, TRANSLATIONS, Embedder, export_onnx, export_program
from vireid.models.hub import HubCAL
from vireid.training.checkpoint import save_weights
from vireid.training.loop import build_model
from vireid.training.record import plain, write_json

ORDER = [1, 2, 3, 0]  # not its own inverse


def looks_trained(model: CAL) -> CAL:
    """Random statistics and stems, scorers that differ, and an M̂ that is not the identity; in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * parameter.std().nan_to_num() * torch.randn(parameter.shape, generator=generator))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1, generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2, generator=generator)
    model.correspondence.update(torch.tensor([ORDER[: model.num_parts]]))
    return model.eval()


@pytest.fixture(scope="module")
def model() -> HubCAL:
    torch.manual_seed(0)
    model = HubCAL(ModelSettings(weights=None), height=96, width=48, num_classes=5)
    looks_trained(model)
    return model


@pytest.fixture(scope="module")
def run(model: HubCAL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves that a model is loaded from."""
    out = tmp_path_factory.mktemp("runs") / "demo"
    out.mkdir()
    save_weights(model, out / "model.safetensors")
    write_json(out / "run.json", {"settings": plain(Settings()), "data": {"train": {"identities": 5}}})
    return out


@pytest.fixture
def saved(model: HubCAL, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def images_of(n: int, height: int = 96, width: int = 48) -> Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(n))


def rewrite(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# exporting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backbone", "modality"),
    [("concordant_small", INFRARED), ("resnet18", VISIBLE), ("vit_tiny_patch16_224", VISIBLE)],
)
def test_the_exported_program_embeds_batches_of_any_size(backbone: str, modality: int) -> None:
    settings = ModelSettings(backbone=backbone, weights=None)
    model = HubCAL(settings, height=64, width=32, num_classes=2)
    looks_trained(model)
    program = export_program(model, modality, height=64, width=32)
    assert not any("concordant" in str(node.target) for node in program.graph.nodes)  # no operator of this library
    embed = program.module()
    for n in BATCHES:
        images = images_of(n, 64, 32)
        torch.testing.assert_close(embed(images), model.embed(images, modality), rtol=0, atol=1e-5)


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
    assert session.get_inputs()[0].shape == ["n", 3, 96, 48]
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
    assert words["config"] == model.config
    assert max(words["largest_difference"].values()) <= TOLERANCE


class Select(nn.Module):
    def forward(self, scores: Tensor) -> Tensor:
        return select_top_k(scores)


def test_of_equal_scores_the_earlier_is_taken_in_onnx_too(tmp_path: Path, exported: Path) -> None:
    from onnxruntime import InferenceSession

    scores = torch.randint(1, 4, (3, 72, 4)).float()
    torch.onnx.export(
        torch.export.export(Select(), (scores,)),
        input_names=["scores"],
        dynamo=True,
        verbose=False,
        custom_translation_table=TRANSLATIONS,
    ).save(tmp_path / "select.onnx")
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
    with pytest.raises(ValueError, match=r"the extra `examples`.*; missing: onnxscript") as caught:
        export_onnx(model, tmp_path / "onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "onnx").exists()


# saving and loading --------------------------------------------------------------------------------------------------


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
