"""Frozen stages are computed once for all runs of a seed, and no run can tell."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from support.trained import images_of
from vireid.models.backbones import create_backbone
from vireid.models.shared import share_frozen

SIZE = (96, 48)


def build(*, name: str = "test_efficientnet", frozen: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return create_backbone(name, image_size=SIZE, stage=3, frozen=frozen, specific_stems=False)[0].train()


def result(backbone: nn.Module, images: Tensor) -> list[Tensor]:
    """The feature map and the gradients of the stages that are trained."""
    features = backbone(images)
    features.square().sum().backward()
    found = [parameter.grad for parameter in backbone.parameters() if parameter.grad is not None]
    return [features.detach(), *found]


def test_no_run_can_tell(tmp_path: Path) -> None:
    images, plain = images_of(4).to(memory_format=torch.channels_last), build()
    expected = result(plain, images)
    for _ in range(2):  # kept by the first, found by the second
        backbone = build()
        share_frozen(backbone, tmp_path / "shared")
        for one, other in zip(expected, result(backbone, images), strict=True):
            assert torch.equal(one, other)
        assert backbone.state_dict().keys() == plain.state_dict().keys()
        with torch.inference_mode():
            backbone.eval()(images[:1])
    assert len(list((tmp_path / "shared").iterdir())) == 2


def test_what_is_kept_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = build(), build()
    images = images_of(4)
    share_frozen(first, tmp_path)
    expected = first(images)
    monkeypatch.setattr(second.get_submodule("model.blocks.0"), "forward", lambda x: pytest.fail("computed again"))
    share_frozen(second, tmp_path)
    assert torch.equal(second(images), expected)


@pytest.mark.parametrize("change", ["images", "weights", "stages", "damage"])
def test_another_result_is_never_taken(tmp_path: Path, change: str) -> None:
    images = images_of(4)
    share_frozen(first := build(), tmp_path)
    first(images)
    plain, other = (build(frozen=1 if change == "stages" else 2) for _ in range(2))
    with torch.no_grad():
        for one in (plain, other) if change == "weights" else ():
            one.get_parameter("model.conv_stem.weight").mul_(1.01)
    if change == "images":
        images[0, 0, 0, 0] += 1
    if change == "damage":
        next(tmp_path.iterdir()).write_bytes(b"PK")
    share_frozen(other, tmp_path)
    assert torch.equal(other(images), plain(images))


@pytest.mark.parametrize(("name", "frozen"), [("test_vit", 2), ("test_resnet", 2), ("test_efficientnet", 0)])
def test_other_backbones_are_left_as_they_are(tmp_path: Path, name: str, frozen: int) -> None:
    backbone = build(name=name, frozen=frozen)
    share_frozen(backbone, tmp_path / "shared")
    backbone(images_of(2))
    assert not (tmp_path / "shared").exists()
