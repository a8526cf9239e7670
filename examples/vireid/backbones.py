"""Backbones: any timm model that keeps a grid, with a first stage for each modality."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.layers import to_2tuple
from timm.models import register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

from concordant import per_modality

STEM = ("conv1", "bn1", "act1", "maxpool")
TRUNK = ("layer1", "layer2", "layer3", "layer4")


def remove_stride(stage: nn.Module) -> None:
    """Let a residual stage keep its resolution, without dilation: parts want a fine grid."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d | nn.AvgPool2d) and to_2tuple(module.stride) == (2, 2):
            if isinstance(module, nn.AvgPool2d):
                module.kernel_size = 1
            module.stride = (1, 1)


@register_model
def concordant_small(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """The demo's network: 0.5 M parameters, 128 channels on a grid of an eighth of the image."""
    if pretrained:
        raise ValueError("concordant_small: its weights are a file of this repository: pass it as `weights`")
    for key in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(key, None)
    model = ResNet(BasicBlock, (1, 1, 1, 1), channels=(32, 64, 96, 128), stem_type="deep", stem_width=16, **kwargs)
    remove_stride(model.layer3)
    remove_stride(model.layer4)
    return model


class StemmedBackbone(nn.Module):
    """A residual network whose stem exists once a modality; the stages after it are shared.

    forward(images [n 3 H W], modality int or [n]) -> feature map [n c h w]
    """

    def __init__(self, model: nn.Module, *, modalities: int = 2) -> None:
        super().__init__()
        stem = nn.Sequential(*(getattr(model, name) for name in STEM))
        self.stems = nn.ModuleList(deepcopy(stem) for _ in range(modalities))
        self.trunk = nn.Sequential(*(getattr(model, name) for name in TRUNK))

    def forward(self, images: Tensor, modality: int | Tensor) -> Tensor:
        return self.trunk(per_modality(self.stems, images, modality))


class TokenGrid(nn.Module):
    """A vision transformer's patch tokens, back on their grid: [n 3 H W] -> [n c h w]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        h, w = self.model.patch_embed.dynamic_feat_size(images.shape[-2:])
        tokens = self.model.forward_features(images)[:, self.model.num_prefix_tokens :]
        return tokens.transpose(1, 2).unflatten(2, (h, w))


def create_backbone(
    name: str,
    *,
    image_size: Sequence[int],
    pretrained: bool = False,
    weights: Path | None = None,
    specific_stems: bool = True,
) -> tuple[nn.Module, int]:
    """A timm model as a map from images to feature maps, and its number of channels.

    Residual networks get a last stage of stride 1 and, with `specific_stems`, a stem for each modality.
    `weights` is a safetensors file of the plain timm model, loaded before the stems are copied.
    """
    options: dict[str, Any] = {"num_classes": 0}
    residual = name == "concordant_small" or issubclass(type_of(name), ResNet)
    if not residual:
        options["img_size"] = tuple(image_size)
    model = timm.create_model(name, pretrained=pretrained, **options)
    if weights is not None:
        if not Path(weights).is_file():
            raise FileNotFoundError(f"create_backbone: no weights at {weights}")
        model.load_state_dict(load_file(weights))
    if not residual:
        return TokenGrid(model), model.num_features
    remove_stride(model.layer4)
    if specific_stems:
        return StemmedBackbone(model), model.num_features
    return nn.Sequential(*(getattr(model, part) for part in STEM + TRUNK)), model.num_features


def type_of(name: str) -> type:
    """The class that timm builds under a name, found without allocating its weights."""
    with torch.device("meta"):
        return type(timm.create_model(name, num_classes=0))
