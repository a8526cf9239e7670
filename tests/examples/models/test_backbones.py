"""Backbones: the grid they keep, their stems, and what timm's families need."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from vireid.config import Method, ModelConfig, ModelSettings
from vireid.models.backbones import STEM, TRUNK, FeatureGrid, concordant_small, create_backbone
from vireid.models.build import build_model
from vireid.models.weights import save_weights

SIZE = (96, 48)


def test_the_small_network_has_the_grid_of_an_eighth() -> None:
    backbone, channels = create_backbone("concordant_small", image_size=SIZE)
    assert backbone(torch.randn(2, 3, *SIZE), 0).shape == (2, channels, 12, 6)


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("resnet18", (6, 3)),
        ("resnet50", (6, 3)),
        ("vit_tiny_patch16_224", (6, 3)),
        ("deit_tiny_distilled_patch16_224", (6, 3)),
        ("convnext_atto", (3, 1)),
        ("efficientnet_b0", (3, 2)),
        ("swin_tiny_patch4_window7_224", (3, 2)),
    ],
)
def test_families_of_timm_keep_their_grid(name: str, grid: tuple[int, int]) -> None:
    backbone, channels = create_backbone(name, image_size=SIZE, specific_stems=False)
    with torch.no_grad():
        assert backbone.eval()(torch.randn(1, 3, *SIZE)).shape == (1, channels, *grid)


def test_the_last_stage_keeps_its_resolution_whatever_the_block() -> None:
    plain: Any = timm.create_model("resnet50", num_classes=0).eval()
    ours, _ = create_backbone("resnet50", image_size=SIZE, specific_stems=False)
    assert plain.forward_features(torch.randn(1, 3, *SIZE)).shape[-2:] == (3, 2)
    assert ours.eval()(torch.randn(1, 3, *SIZE)).shape[-2:] == (6, 3)


def test_each_modality_has_its_stem_and_all_share_the_trunk() -> None:
    backbone, _ = create_backbone("concordant_small", image_size=SIZE)
    backbone.eval()
    images, modality = torch.randn(4, 3, *SIZE), torch.tensor([0, 1, 1, 0])
    torch.testing.assert_close(backbone(images, 0), backbone(images, 1))  # the stems start equal
    with torch.no_grad():
        for parameter in backbone.get_submodule("stems.1").parameters():
            parameter.mul_(0.5)
    mixed = backbone(images, modality)
    torch.testing.assert_close(mixed[modality == 0], backbone(images[modality == 0], 0))
    torch.testing.assert_close(mixed[modality == 1], backbone(images[modality == 1], 1))
    assert not torch.allclose(backbone(images, 0), backbone(images, 1))


def test_weights_of_the_plain_model_go_into_every_stem(tmp_path: Path) -> None:
    plain = concordant_small(num_classes=0)
    save_file({name: tensor.contiguous() for name, tensor in plain.state_dict().items()}, tmp_path / "w.safetensors")
    backbone, _ = create_backbone("concordant_small", image_size=SIZE, weights=tmp_path / "w.safetensors")
    images = torch.randn(2, 3, *SIZE)
    backbone.eval()
    for modality in (0, 1):
        torch.testing.assert_close(backbone(images, modality), plain.eval().forward_features(images))
    assert len(STEM) + len(TRUNK) == 8


@pytest.mark.parametrize("name", ["concordant_small", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("method", ["cal", "global"])
def test_the_backbone_of_a_complete_model_is_taken(tmp_path: Path, name: str, method: Method) -> None:
    whole = build_model(ModelConfig(ModelSettings(name, weights=None), *SIZE, 2, method))
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.add_(torch.rand_like(parameter))  # stems of their own
    save_weights(whole, tmp_path / "w.safetensors")
    backbone, _ = create_backbone(name, image_size=SIZE, weights=tmp_path / "w.safetensors")
    state = whole.backbone.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in backbone.state_dict().items())
    with pytest.raises(ValueError, match=r"w\.safetensors must hold the weights of resnet18; .*Missing key") as caught:
        create_backbone("resnet18", image_size=SIZE, weights=tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


def test_a_feature_map_is_not_turned_about() -> None:
    """Rows stay rows, whatever the layout: what differs in the lower half only, shows in the lower half only."""
    for name in ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto"):
        sized: dict[str, Any] = {} if name == "convnext_atto" else {"img_size": (128, 64)}
        model = timm.create_model(name, num_classes=0, **sized)
        backbone = FeatureGrid(model.eval())
        one, other = torch.zeros(2, 1, 3, 128, 64)
        other[:, :, 96:] = 3.0
        with torch.no_grad():
            change = (backbone(one) - backbone(other)).norm(dim=1)[0]
        assert change[-1].min() > change[0].max(), name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resnet5000", "must be a model of timm; got 'resnet5000'"),
        ("mixer_s32_224", "mixer_s32_224 must return a spatial feature map for images of 96 × 48"),
        ("inception_v3", "inception_v3 must return a spatial feature map for images of 96 × 48; .*size"),
    ],
)
def test_models_without_a_grid_are_rejected_by_name(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        create_backbone(name, image_size=SIZE)
    assert "\n" not in str(caught.value)


def test_weights_of_another_model_are_rejected(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors must hold the weights of resnet18; .*Missing key"):
        create_backbone("resnet18", image_size=SIZE, weights=tmp_path / "w.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights at all")
    with pytest.raises(ValueError, match=r"text\.safetensors must hold the weights of resnet18; .*header"):
        create_backbone("resnet18", image_size=SIZE, weights=tmp_path / "text.safetensors")


def test_pretrained_weights_that_cannot_be_had_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, *, pretrained: bool = False, **options: Any) -> nn.Module:
        if pretrained:
            raise ConnectionError("no network\nat all")
        return create_model(name, **options)

    create_model = timm.create_model
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(OSError, match=r"must have or download the pretrained weights of resnet18; no network at all"):
        create_backbone("resnet18", image_size=SIZE, pretrained=True)


def test_missing_weights_are_an_error_not_a_warning(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no weights at .*none\.safetensors"):
        create_backbone("concordant_small", image_size=SIZE, weights=tmp_path / "none.safetensors")


def test_the_builder_knows_which_backbone_takes_a_modality() -> None:
    images, labels, modality = torch.randn(4, 3, *SIZE), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    for specific in (True, False):
        for method in ("cal", "global"):
            settings = ModelSettings(weights=None, specific_stems=specific)
            model = build_model(ModelConfig(settings, *SIZE, 2, method))
            assert model.backbone_takes_modality == specific
            assert model(images, labels, modality).logits.shape == (4, 2)
