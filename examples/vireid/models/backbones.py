"""Backbones: any timm model that returns a spatial feature map; ResNets have a first stage for each modality."""

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
from vireid.models.packaged import NAME, packaged_weights
from vireid.models.weights import BACKBONE

STEM = ("conv1", "bn1", "act1", "maxpool")
TRUNK = ("layer1", "layer2", "layer3", "layer4")


def remove_stride(stage: nn.Module) -> None:
    """Remove the stride of a residual stage, without dilation: parts need a fine grid."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d | nn.AvgPool2d) and to_2tuple(module.stride) == (2, 2):
            if isinstance(module, nn.AvgPool2d):
                module.kernel_size = 1
            module.stride = (1, 1)


@register_model
def concordant_small(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """The network of the demo: 0.5 M parameters, 128 channels, a feature map of an eighth of the image's size."""
    if pretrained:
        raise ValueError("concordant_small: `pretrained` must be False; its weights are a file, given as `weights`")
    for key in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(key, None)
    block: Any = BasicBlock  # a class; timm's annotation has an instance
    model = ResNet(block, (1, 1, 1, 1), channels=(32, 64, 96, 128), stem_type="deep", stem_width=16, **kwargs)
    for stage in ("layer3", "layer4"):
        remove_stride(model.get_submodule(stage))
    return model


class StemmedBackbone(nn.Module):
    """A ResNet with a stem for each modality; the later stages are shared.

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
    """The output of a timm model's `forward_features` as a feature map: [n 3 H W] -> [n c h w].

    Convolutional networks give a feature map. Networks with windows have its channels last. The tokens of vision
    transformers are put back on the grid of their patches.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model  # timm's models have no common type with the members used below

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

    ResNets get a last stage of stride 1 and, with `specific_stems`, a stem for each modality; other models are not
    changed. `pretrained` are ImageNet weights: of a package for tf_efficientnet_lite0, and timm's download otherwise.
    `weights` is a safetensors file of the plain timm model, whose stem is copied, or of a complete model with this
    backbone.

    Raises:
        FileNotFoundError: the file of weights is missing.
        OSError: there are no pretrained weights, their package is not installed, or they cannot be downloaded.
        ValueError: timm has no such model, it returns no feature map or does not accept images of this size, or the
            weights belong to another model.
    """
    if not is_model(name):
        raise ValueError(f"create_backbone: `name` must be a model of timm; got {name!r}")
    height, width = image_size
    # Models with position embeddings are built for a size of images; others accept any size.
    sized: dict[str, Any] = {"img_size": (height, width)} if "img_size" in options_of(name) else {}
    try:
        with torch.device("meta"), torch.no_grad():  # tried without allocating memory
            trial = as_grid(timm.create_model(name, num_classes=0, **sized), specific_stems).eval()
            images = torch.zeros(1, 3, height, width)
            channels = trial(*(images, 0) if isinstance(trial, StemmedBackbone) else (images,)).shape[1]
    except (RuntimeError, AssertionError, AttributeError) as error:
        raise ValueError(
            f"create_backbone: {name} must return a spatial feature map for images of {height} × {width}; "
            f"{reason_of(error)}"
        ) from None
    packaged = pretrained and name == NAME
    try:
        model = timm.create_model(name, pretrained=pretrained and not packaged, num_classes=0, **sized)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise OSError(
            f"create_backbone: timm must have or download the pretrained weights of {name}; {reason_of(error)} "
            f"(`weights` reads them from a file)"
        ) from None
    if packaged:
        tensors = packaged_weights()
        model.load_state_dict({key: tensors[key] for key in model.state_dict()})  # all but the classifier's
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
    """A timm model as a backbone; a ResNet loses its last stride."""
    if not isinstance(model, ResNet):
        return FeatureGrid(model)
    remove_stride(model.get_submodule("layer4"))
    stages = (getattr(model, part) for part in STEM + TRUNK)
    return StemmedBackbone(model) if specific_stems else nn.Sequential(*stages)


def options_of(name: str) -> Collection[str]:
    """The options of timm's model of a name, found without allocating its weights."""
    with torch.device("meta"):
        kind = type(timm.create_model(name, num_classes=0))
    inits = [vars(one)["__init__"] for one in kind.__mro__ if "__init__" in vars(one)]
    return {option for init in inits for option in inspect.signature(init).parameters}
