"""A small model for the tests, and models that look trained: no test may pass because of an initial weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from concordant import CAL
from vireid.config import ModelSettings
from vireid.models.baseline import GlobalBaseline

SMALL_MODEL = ModelSettings("test_resnet", pretrained=False, stage=2)
"""A ResNet with a stem for each modality, 48 channels and a feature map of an eighth of the image's size."""
ORDER = [1, 2, 3, 0]
"""M̂ of a model of four parts that looks trained: not its own inverse."""


def looks_trained(model: CAL | GlobalBaseline) -> nn.Module:
    """Random statistics and stems, scorers that differ, and an M̂ that is not the identity; in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * parameter.std(correction=0) * torch.randn(parameter.shape, generator=generator))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1, generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2, generator=generator)
    if isinstance(model, CAL):
        model.correspondence.update(torch.arange(model.num_parts).roll(-1)[None])
    return model.eval()


def images_of(n: int, height: int = 96, width: int = 48) -> Tensor:
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(n))
