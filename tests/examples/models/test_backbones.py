"""Backbones: the grid they keep, their stems, and what timm's families need."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn

from support.trained import SMALL_MODEL
from vireid.config import Method, ModelConfig, ModelSettings
from vireid.datasets.augment import MEAN, STD, normalise
from vireid.models.backbones import STEM, TRUNK, FeatureGrid, StemmedBackbone, create_backbone, remove_stride
from vireid.models.build import build_model
from vireid.models.weights import save_weights

SIZE = (96, 48)
FROZEN = {
    "test_efficientnet": ("conv_stem", "bn1", "blocks.0", "blocks.1"),
    "test_resnet": ("conv1", "bn1", "layer1", "layer2"),
    "test_convnext": ("stem", "stages.0", "stages.1"),
    "test_vit": ("patch_embed", "pos_embed", "cls_token", "blocks.0", "blocks.1"),
}
"""What the stem and the first two stages of each model consist of."""
HEAD = "model.head."
"""Of a ConvNeXt, older versions of timm keep the normalisation of the head, which no feature map uses."""


def as_trained(model: Any, images: Tensor) -> Tensor:
    """Images of ImageNet's mean and deviation, normalised as timm's configuration of a model has it."""
    given_mean, given_std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    mean, std = (torch.tensor(model.pretrained_cfg[name]).view(3, 1, 1) for name in ("mean", "std"))
    return (images * given_std + given_mean - mean) / std


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("stems", [True, False])
def test_images_are_normalised_as_the_model_is_trained(name: str, stems: bool) -> None:
    torch.manual_seed(0)
    backbone, _ = create_backbone(name, image_size=SIZE, stage=2, specific_stems=stems)
    torch.manual_seed(0)
    sized: dict[str, Any] = {"img_size": SIZE} if name == "test_vit" else {}
    plain: Any = timm.create_model(name, num_classes=0, **sized).eval()
    assert plain.pretrained_cfg["mean"] == (MEAN if name == "test_efficientnet" else (0.5, 0.5, 0.5))
    pixels = torch.randint(256, (2, 3, *SIZE), dtype=torch.uint8)
    mean, std = (torch.tensor(plain.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    level = 2 if name == "test_resnet" else 1
    with torch.no_grad():
        (expected,) = plain.forward_intermediates((pixels / 255 - mean) / std, [level], intermediates_only=True)
        found = backbone.eval()(normalise(pixels), *((0,) if isinstance(backbone, StemmedBackbone) else ()))
    torch.testing.assert_close(found, expected / (1 + 1e-5) ** 0.5, rtol=1e-4, atol=1e-4)
    assert not any("rescale" in key for key in backbone.state_dict())


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
    backbone, _ = create_backbone("test_resnet", image_size=SIZE)
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
    plain: Any = timm.create_model("resnet18", num_classes=0)
    remove_stride(plain.layer4)
    save_file({name: tensor.contiguous() for name, tensor in plain.state_dict().items()}, tmp_path / "w.safetensors")
    backbone, _ = create_backbone("resnet18", image_size=SIZE, weights=tmp_path / "w.safetensors")
    images = torch.randn(2, 3, *SIZE)
    backbone.eval()
    for modality in (0, 1):
        torch.testing.assert_close(backbone(images, modality), plain.eval().forward_features(images))
    assert len(STEM) + len(TRUNK) == 8


@pytest.mark.parametrize("name", ["test_resnet", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("method", ["cal", "global"])
def test_the_backbone_of_a_complete_model_is_taken(tmp_path: Path, name: str, method: Method) -> None:
    whole = build_model(ModelConfig(ModelSettings(name, pretrained=False), *SIZE, 2, method))
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


def test_a_stride_is_refused_where_timm_cannot_dilate() -> None:
    with pytest.raises(ValueError, match=r"create_backbone: vit_tiny_patch16_224 must return .*'output_stride'"):
        create_backbone("vit_tiny_patch16_224", image_size=(64, 32), stride=8)


def test_a_stride_makes_a_finer_grid() -> None:
    for stride, grid in ((16, (6, 3)), (8, (12, 6))):
        backbone, _ = create_backbone("tf_efficientnet_lite0", image_size=(96, 48), stage=4, stride=stride)
        assert backbone(torch.zeros(2, 3, 96, 48)).shape[2:] == grid


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


@pytest.mark.parametrize(
    ("name", "stage", "channels", "grid"),
    [
        ("tf_efficientnet_lite0", 4, 112, (12, 6)),
        ("tf_efficientnet_lite0", 3, 40, (24, 12)),
        ("test_resnet", 3, 192, (12, 6)),
        ("test_convnext", 2, 32, (24, 12)),
        ("test_vit", 2, 64, (12, 6)),
    ],
)
@pytest.mark.parametrize("stems", [True, False])
def test_a_cut_backbone_gives_what_the_whole_has_after_the_stage(
    name: str, stage: int, channels: int, grid: tuple[int, int], stems: bool
) -> None:
    size = (192, 96)
    torch.manual_seed(0)
    backbone, found = create_backbone(name, image_size=size, stage=stage, specific_stems=stems)
    torch.manual_seed(0)
    sized: dict[str, Any] = {"img_size": size} if name == "test_vit" else {}
    whole: Any = timm.create_model(name, num_classes=0, **sized).eval()
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        features = backbone.eval()(images, 0) if isinstance(backbone, StemmedBackbone) else backbone.eval()(images)
        level = stage if name == "test_resnet" else stage - 1  # a ResNet's first level is its stem
        (expected,) = whole.forward_intermediates(as_trained(whole, images), [level], intermediates_only=True)
    assert found == channels
    assert features.shape == (2, channels, *grid)
    expected = expected / (1 + 1e-5) ** 0.5  # a new batch norm: of unit variance, and its ε
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
    output = backbone.train()(images, 0) if isinstance(backbone, StemmedBackbone) else backbone.train()(images)
    (output * torch.randn_like(output)).sum().backward()
    torch.testing.assert_close(output.std(dim=(0, 2, 3), correction=0), torch.ones(channels), rtol=0, atol=0.01)
    unused = {key for key, parameter in backbone.named_parameters() if parameter.grad is None}
    assert all(key.startswith(("stems.1.", HEAD)) for key in unused)  # the stem of the other modality


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_convnext", "test_vit"])
@pytest.mark.parametrize("stems", [True, False])
@pytest.mark.parametrize("stage", [None, 3])
def test_frozen_stages_keep_their_weights_and_statistics(name: str, stems: bool, stage: int | None) -> None:
    backbone, _ = create_backbone(name, image_size=SIZE, stage=stage, frozen=2, specific_stems=stems)
    images, modality = torch.randn(4, 3, *SIZE), torch.tensor([0, 1, 0, 1])
    stemmed = isinstance(backbone, StemmedBackbone)
    first = ("stems", "trunk.0", "trunk.1") if stemmed else FROZEN[name]

    def frozen(key: str) -> bool:
        return f"{key}.".removeprefix("model.").startswith(tuple(f"{part}." for part in first))

    for one in (backbone.train(), deepcopy(backbone).train()):  # a copy has its own frozen stages
        before = {key: tensor.clone() for key, tensor in one.state_dict().items()}
        output = one(images, modality) if stemmed else one(images)
        (output * torch.randn_like(output)).sum().backward()
        optimizer = torch.optim.SGD((p for p in one.parameters() if p.requires_grad), lr=0.1)
        optimizer.step()
        for key, parameter in one.named_parameters():
            assert parameter.requires_grad == (not frozen(key)) or key.startswith(HEAD), key
            assert parameter.grad is None or parameter.requires_grad, key
        changed = {key for key, tensor in one.state_dict().items() if not torch.equal(tensor, before[key])}
        assert changed
        assert not any(frozen(key) for key in changed)
        modes = {key: module.training for key, module in one.named_modules() if module.state_dict()}
        assert not any(training for key, training in modes.items() if frozen(key))
        assert modes[""]


def test_stages_that_are_not_there_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in (0, 6):
        with pytest.raises(ValueError, match=rf"`stage` must be 1 … 5 for tf_efficientnet_lite0; got {stage}"):
            create_backbone("tf_efficientnet_lite0", image_size=SIZE, stage=stage)
    with pytest.raises(ValueError, match=r"`stage` must be 1 … 4 for test_resnet; got 5"):
        create_backbone("test_resnet", image_size=SIZE, stage=5)
    with pytest.raises(ValueError, match=r"`frozen` must be 0 … 2, the stages of test_resnet that are used; got 3"):
        create_backbone("test_resnet", image_size=SIZE, stage=2, frozen=3)
    with pytest.raises(ValueError, match=r"`frozen` must be 0 … 4, the stages of test_convnext that are .*; got 5"):
        create_backbone("test_convnext", image_size=SIZE, frozen=5)
    monkeypatch.delattr(ConvNeXt, "prune_intermediate_layers")
    with pytest.raises(ValueError, match=r"test_convnext, whose stages timm cannot take apart; got 2 and 0"):
        create_backbone("test_convnext", image_size=SIZE, stage=2)
    with pytest.raises(ValueError, match=r"test_convnext, whose stages timm cannot take apart; got None and 1"):
        create_backbone("test_convnext", image_size=SIZE, frozen=1)
    assert create_backbone("test_convnext", image_size=SIZE)[1] == 64


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
        create_backbone("test_resnet", image_size=SIZE, weights=tmp_path / "none.safetensors")


def test_the_builder_knows_which_backbone_takes_a_modality() -> None:
    images, labels, modality = torch.randn(4, 3, *SIZE), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    for specific in (True, False):
        for method in ("cal", "global"):
            settings = replace(SMALL_MODEL, specific_stems=specific)
            model = build_model(ModelConfig(settings, *SIZE, 2, method))
            assert model.backbone_takes_modality == specific
            assert model(images, labels, modality).logits.shape == (4, 2)
