"""Networks of the examples: encoders, and plain pooling, the baseline."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot


def convolution(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """3×3, batch norm, ReLU."""
    layer = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside), nn.ReLU())


class Encoders(nn.Module):
    """Pictures [n 1 16 32] → [n c 8 16], letters [n 24] → [n c 24], without shared weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        picture = nn.Sequential(convolution(1, 16), convolution(16, c, 2), convolution(c, c), convolution(c, c))
        letter = [nn.Sequential(nn.Conv1d(i, c, 5, padding=2), nn.BatchNorm1d(c), nn.ReLU()) for i in (27, c)]
        self.pictures, self.letters = picture, nn.Sequential(*letter)

    def forward(self, inputs: Tensor, modality: int) -> Tensor:
        features: Tensor
        features = self.letters(one_hot(inputs, 27).float().transpose(1, 2)) if modality else self.pictures(inputs)
        return features


class Pooling(nn.Module):
    """The baseline: the mean of all tokens, batch norm, and an identity classifier."""

    def __init__(self, backbone: nn.Module, channels: int, identities: int) -> None:
        super().__init__()
        self.backbone, self.norm = backbone, nn.BatchNorm1d(channels)
        self.classifier = nn.Linear(channels, identities, bias=False)

    def loss(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        return self.identity_loss([self.tokens(first, 0), self.tokens(second, 1)], labels)

    def identity_loss(self, tokens: list[Tensor], labels: Tensor) -> Tensor:
        """Identity loss of the tokens [n t c] of both modalities; row i has label i in both."""
        features = torch.cat([x.mean(dim=1) for x in tokens])
        return cross_entropy(self.classifier(self.norm(features)), labels.repeat(2))

    def embed(self, inputs: Tensor, modality: int) -> Tensor:
        return normalize(self.norm(self.tokens(inputs, modality).mean(dim=1)), dim=1)

    def tokens(self, inputs: Tensor, modality: int) -> Tensor:
        """The output of the backbone, a map [n c …], as tokens [n t c]."""
        tokens: Tensor = self.backbone(inputs, modality).flatten(2).transpose(1, 2)
        return tokens
