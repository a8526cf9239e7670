"""Backbones: any timm model that keeps a grid; of residual networks, a first stage for each modality."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers.helpers import to_2tuple
from timm.models import is_model, register_model
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

from concordant import per_modality
from vireid.files import reason_of
from vireid.models.weights import BACKBONE

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
    block: Any = BasicBlock  # the class, where timm's annotation has an instance
    model = ResNet(block, (1, 1, 1, 1), channels=(32, 64, 96, 128), stem_type="deep", stem_width=16, **kwargs)
    for stage in ("layer3", "layer4"):
        remove_stride(model.get_submodule(stage))
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
        features: Tensor = self.trunk(per_modality(self.stems, images, modality))
        return features


class FeatureGrid(nn.Module):
    """What a timm model's `forward_features` gives, as a feature map: [n 3 H W] -> [n c h w].

    Convolutional networks give one; networks with windows have its channels last; vision transformers give tokens,
    which go back on the grid of their patches.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model  # timm's models share no type that has what is used below

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.model.forward_features(images)
        if features.dim() == 4:
            return features.permute(0, 3, 1, 2) if getattr(self.model, "output_fmt", "NCHW") == "NHWC" else features
        h, w = self.model.patch_embed.dynamic_feat_size(images.shape[-2:])
        grid: Tensor = features[:, self.model.num_prefix_tokens :].transpose(1, 2).unflatten(2, (h, w))
        return grid


def create_backbone(
    name: str,
    *,
    image_size: Sequence[int],
    pretrained: bool = False,
    weights: Path | str | None = None,
    specific_stems: bool = True,
) -> tuple[nn.Module, int]:
    """A timm model as a map from images to feature maps, and its number of channels.

    Residual networks get a last stage of stride 1 and, with `specific_stems`, a stem for each modality; every other
    model stays as it is. `weights` is a safetensors file of the plain timm model, whose stem is copied, or of a whole
    model with this backbone.

    Raises:
        FileNotFoundError: there is no file of weights.
        OSError: there are no pretrained weights, or they cannot be fetched.
        ValueError: timm has no such model, it keeps no grid of features or cannot take images of this size, or the
            weights are another model's.
    """
    if not is_model(name):
        raise ValueError(f"create_backbone: `name` must be a model of timm; got {name!r}")
    height, width = image_size
    # Models with embeddings of positions are made for the size of the images; others take any.
    sized: dict[str, Any] = {"img_size": (height, width)} if "img_size" in options_of(name) else {}
    try:
        with torch.device("meta"), torch.no_grad():  # tried before anything of its size is allocated
            trial = as_grid(timm.create_model(name, num_classes=0, **sized), specific_stems).eval()
            images = torch.zeros(1, 3, height, width)
            channels = trial(*(images, 0) if isinstance(trial, StemmedBackbone) else (images,)).shape[1]
    except (RuntimeError, AssertionError, AttributeError) as error:
        raise ValueError(
            f"create_backbone: {name} must turn images of {height} × {width} into a grid of features; "
            f"{reason_of(error)}"
        ) from None
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0, **sized)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise OSError(
            f"create_backbone: timm must have the pretrained weights of {name}, or fetch them; {reason_of(error)} "
            f"(`weights` reads them from a file)"
        ) from None
    if weights is None:
        return as_grid(model, specific_stems).train(), channels
    if not Path(weights).is_file():
        raise FileNotFoundError(f"create_backbone: no weights at {weights}")
    try:
        tensors = load_file(weights)
        own = {key.removeprefix(BACKBONE): value for key, value in tensors.items() if key.startswith(BACKBONE)}
        if not own:
            model.load_state_dict(tensors)
        backbone = as_grid(model, specific_stems)
        if own:
            backbone.load_state_dict(own)
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"create_backbone: {weights} must hold the weights of {name}; {reason_of(error)}") from None
    return backbone.train(), channels


def as_grid(model: nn.Module, specific_stems: bool) -> nn.Module:
    """A timm model as a backbone; of a residual network, without its last stride."""
    if not isinstance(model, ResNet):
        return FeatureGrid(model)
    remove_stride(model.get_submodule("layer4"))
    stages = (getattr(model, part) for part in STEM + TRUNK)
    return StemmedBackbone(model) if specific_stems else nn.Sequential(*stages)


def options_of(name: str) -> Collection[str]:
    """The options that timm's model of a name takes; found without allocating its weights."""
    with torch.device("meta"):
        kind = type(timm.create_model(name, num_classes=0))
    inits = [vars(one)["__init__"] for one in kind.__mro__ if "__init__" in vars(one)]
    return {option for init in inits for option in inspect.signature(init).parameters}
