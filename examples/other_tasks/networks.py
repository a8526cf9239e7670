"""What both examples are built of: a convolution, and plain pooling, the baseline."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize


def convolution(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """3×3, batch norm, ReLU."""
    layer = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside), nn.ReLU())


class Pooling(nn.Module):
    """The baseline: the mean of all tokens, batch norm, and an identity classifier."""

    def __init__(self, backbone: nn.Module, channels: int, identities: int) -> None:
        super().__init__()
        self.backbone, self.norm = backbone, nn.BatchNorm1d(channels)
        self.classifier = nn.Linear(channels, identities, bias=False)

    def loss(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        return self.identity_loss([self.tokens(first, 0), self.tokens(second, 1)], labels)

    def identity_loss(self, tokens: list[Tensor], labels: Tensor) -> Tensor:
        """Of both modalities' tokens [n t c], each row with its label."""
        features = torch.cat([x.mean(dim=1) for x in tokens])
        return cross_entropy(self.classifier(self.norm(features)), labels.repeat(2))

    def embed(self, inputs: Tensor, modality: int) -> Tensor:
        return normalize(self.norm(self.tokens(inputs, modality).mean(dim=1)), dim=1)

    def tokens(self, inputs: Tensor, modality: int) -> Tensor:
        """What the backbone makes of the inputs, a map [n c …], as tokens [n t c]."""
        tokens: Tensor = self.backbone(inputs, modality).flatten(2).transpose(1, 2)
        return tokens
