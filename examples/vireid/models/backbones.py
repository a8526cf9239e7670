"""Backbones: any timm model that returns a spatial feature map; ResNets have a first stage for each modality."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar, cast

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers.helpers import to_2tuple
from timm.models import is_model
from timm.models.resnet import ResNet
from torch import Tensor, nn

from concordant import ModalitySplit, per_modality
from vireid.datasets.augment import MEAN, STD
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


AnyBackbone = TypeVar("AnyBackbone", bound="Backbone")


class Rescale(nn.Module):
    """Images of ImageNet's mean and deviation, as the trainers have them -> of those that a model is trained with.

    forward(images [n 3 H W]) -> [n 3 H W]
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        given_mean, given_std, mean_, std_ = (torch.tensor(x).view(3, 1, 1) for x in (MEAN, STD, mean, std))
        self.register_buffer("scale", given_std / std_, persistent=False)
        self.register_buffer("shift", (given_mean - mean_) / std_, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.scale + self.shift


class Backbone(nn.Module):
    """A backbone of a timm model, for images of ImageNet's mean and deviation whatever the model is trained with.

    Its first stages may be frozen: their weights and the statistics of their batch norms stay.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        config: dict[str, Any] = getattr(model, "pretrained_cfg", {})  # a model that timm did not build has none
        mean, std = tuple(config.get("mean", MEAN)), tuple(config.get("std", STD))
        self.rescale = nn.Identity() if (mean, std) == (MEAN, STD) else Rescale(mean, std)
        self.frozen: tuple[str, ...] = ()

    def freeze(self, names: Collection[str]) -> None:
        """Freeze the parameters and buffers of these names, and the modules that hold no others."""
        for name, parameter in self.named_parameters():
            if name in names:
                parameter.requires_grad_(False)
        held = {name: module.state_dict(prefix=f"{name}.").keys() for name, module in self.named_modules()}
        self.frozen = tuple(name for name, own in held.items() if own and own <= set(names))

    def train(self: AnyBackbone, mode: bool = True) -> AnyBackbone:
        """Frozen modules stay in evaluation mode."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self


class StemmedBackbone(Backbone):
    """A ResNet with a stem for each modality; the later stages are shared.

    forward(images [n 3 H W], modality int, [n] or its split) -> feature map [n c h w]
    """

    def __init__(self, model: nn.Module, *, modalities: int = 2, stage: int | None = None, frozen: int = 0) -> None:
        super().__init__(model)
        stem = nn.Sequential(*(getattr(model, name) for name in STEM))
        self.stems = nn.ModuleList(deepcopy(stem) for _ in range(modalities))
        end = [] if stage is None else [norm_after(model, stage)]
        self.trunk = nn.Sequential(*(getattr(model, name) for name in TRUNK[:stage]), *end)
        if frozen:
            parts = ("stems.", *(f"trunk.{number}." for number in range(frozen)))
            self.freeze({name for name in self.state_dict() if name.startswith(parts)})

    def forward(self, images: Tensor, modality: int | Tensor | ModalitySplit) -> Tensor:
        features: Tensor = self.trunk(per_modality(self.stems, self.rescale(images), modality))
        return features


class FeatureGrid(Backbone):
    """The feature map of a timm model, of all of it or after a stage: [n 3 H W] -> [n c h w].

    Convolutional networks give a feature map. Networks with windows have its channels last. The tokens of vision
    transformers are put back on the grid of their patches.
    """

    def __init__(self, model: nn.Module, *, stage: int | None = None, frozen: int = 0) -> None:
        super().__init__(model)
        self.model: Any = model  # timm's models have no common type with the members used below
        kept = {f"model.{name}" for name in cut(deepcopy(model), frozen).state_dict()} if frozen else set()
        self.level = None if stage is None else levels_of(model)[stage - 1]
        if stage is not None:
            cut(model, stage)
            self.norm = norm_after(model, stage)
        self.freeze(kept)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor
        images = self.rescale(images)
        if self.level is not None:
            (features,) = self.model.forward_intermediates(images, [self.level], intermediates_only=True)
            features = self.norm(features)
            return features
        features = self.model.forward_features(images)
        if features.dim() == 4:
            return features.permute(0, 3, 1, 2) if getattr(self.model, "output_fmt", "NCHW") == "NHWC" else features
        h, w = self.model.patch_embed.dynamic_feat_size(images.shape[-2:])
        grid: Tensor = features[:, self.model.num_prefix_tokens :].transpose(1, 2).unflatten(2, (h, w))
        return grid


def levels_of(model: Any) -> range:
    """The rows of a model's stages in timm's `feature_info`, without a ResNet's stem; none if timm cannot cut it."""
    rows = len(model.feature_info) if hasattr(model, "prune_intermediate_layers") else 0
    return range(isinstance(model, ResNet), rows)


def cut(model: Any, stage: int) -> nn.Module:
    """Remove all that follows a stage, from 1, of a timm model."""
    model.prune_intermediate_layers([levels_of(model)[stage - 1]], prune_norm=True, prune_head=True)
    return cast(nn.Module, model)


def norm_after(model: Any, stage: int) -> nn.BatchNorm2d:
    """The normalisation after a cut: stages end without one, or at any scale, and distances need a known scale."""
    return nn.BatchNorm2d(model.feature_info[levels_of(model)[stage - 1]]["num_chs"])


def create_backbone(
    name: str,
    *,
    image_size: Sequence[int],
    pretrained: bool = False,
    weights: Path | str | None = None,
    specific_stems: bool = True,
    stage: int | None = None,
    stride: int | None = None,
    frozen: int = 0,
) -> tuple[nn.Module, int]:
    """A timm model as a map from images to feature maps, and its number of channels.

    Images have ImageNet's mean and deviation; the backbone rescales them to those of timm's configuration of the model.
    ResNets get a last stage of stride 1 and, with `specific_stems`, a stem for each modality; other models are not
    changed. `pretrained` are ImageNet weights: of a package for tf_efficientnet_lite0, and timm's download otherwise.
    `weights` is a safetensors file of the plain timm model, whose stem is copied, or of a complete model with this
    backbone.

    With `stride`, later stages dilate their convolutions where they would give coarser tokens. timm can do so for
    convolutional networks: ResNets, EfficientNets, …

    With `stage`, the backbone ends after this stage, and a batch norm follows. The stem and the first `frozen` stages
    keep their weights and statistics. Stages are numbered from 1, as timm lists them in `feature_info`: where the
    resolution changes, or each block of a transformer. Those of ResNets are layer1 … layer4, and only layer4 loses its
    stride.

    Raises:
        FileNotFoundError: the file of weights is missing.
        OSError: there are no pretrained weights, their package is not installed, or they cannot be downloaded.
        ValueError: timm has no such model, it returns no feature map or does not accept images of this size, it has no
            such stages, or the weights belong to another model.
    """
    if not is_model(name):
        raise ValueError(f"create_backbone: `name` must be a model of timm; got {name!r}")
    height, width = image_size
    # Models with position embeddings are built for a size of images; others accept any size.
    sized: dict[str, Any] = {"img_size": (height, width)} if "img_size" in options_of(name) else {}
    if stride is not None:
        sized["output_stride"] = stride
    try:
        with torch.device("meta"), torch.no_grad():  # tried without allocating memory
            plain = timm.create_model(name, num_classes=0, **sized)
            check_stages(name, len(levels_of(plain)), stage, frozen)
            trial = as_grid(plain, specific_stems, stage, frozen).eval()
            images = torch.zeros(1, 3, height, width)
            channels = trial(*(images, 0) if isinstance(trial, StemmedBackbone) else (images,)).shape[1]
    except (RuntimeError, AssertionError, AttributeError, TypeError) as error:  # the last: it takes no stride
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
        return as_grid(model, specific_stems, stage, frozen).train(), channels
    if not Path(weights).is_file():
        raise FileNotFoundError(f"create_backbone: no weights at {weights}")
    try:
        tensors = load_file(weights)
        own = {key.removeprefix(BACKBONE): value for key, value in tensors.items() if key.startswith(BACKBONE)}
        if not own:
            model.load_state_dict(tensors)
        backbone = as_grid(model, specific_stems, stage, frozen)
        if own:
            backbone.load_state_dict(own)
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"create_backbone: {weights} must hold the weights of {name}; {reason_of(error)}") from None
    return backbone.train(), channels


def check_stages(name: str, stages: int, stage: int | None, frozen: int) -> None:
    """Reject a cut or frozen stages that a model does not have."""
    if not stages and (stage is not None or frozen):
        rule = f"`stage` must be None and `frozen` 0 for {name}, whose stages timm cannot take apart"
        raise ValueError(f"create_backbone: {rule}; got {stage} and {frozen}")
    if stage is not None and not 1 <= stage <= stages:
        raise ValueError(f"create_backbone: `stage` must be 1 … {stages} for {name}; got {stage}")
    if not 0 <= frozen <= (stages if stage is None else stage):
        rule = f"`frozen` must be 0 … {stages if stage is None else stage}, the stages of {name} that are used"
        raise ValueError(f"create_backbone: {rule}; got {frozen}")


def as_grid(model: nn.Module, specific_stems: bool, stage: int | None, frozen: int) -> Backbone:
    """A timm model as a backbone; a ResNet loses its last stride."""
    if not isinstance(model, ResNet):
        return FeatureGrid(model, stage=stage, frozen=frozen)
    remove_stride(model.get_submodule("layer4"))
    kind = StemmedBackbone if specific_stems else FeatureGrid
    return kind(model, stage=stage, frozen=frozen)


def options_of(name: str) -> Collection[str]:
    """The options of timm's model of a name, found without allocating its weights."""
    with torch.device("meta"):
        kind = type(timm.create_model(name, num_classes=0))
    inits = [vars(one)["__init__"] for one in kind.__mro__ if "__init__" in vars(one)]
    return {option for init in inits for option in inspect.signature(init).parameters}
