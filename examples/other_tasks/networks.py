"""Networks of the examples: encoders, and plain pooling, the baseline."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from other_tasks.icons_data import NONE, UNKNOWN, WORDS


def convolution(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """3×3, batch norm, ReLU."""
    layer = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside), nn.ReLU())


class Pooling(nn.Module):
    """The baseline of digits: the mean of all tokens, batch norm, and an identity classifier."""

    def __init__(self, backbone: nn.Module, channels: int, identities: int) -> None:
        super().__init__()
        self.backbone, self.norm = backbone, nn.BatchNorm1d(channels)
        self.classifier = nn.Linear(channels, identities, bias=False)

    def loss(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        features = torch.cat([self.pool(first, 0), self.pool(second, 1)])
        return cross_entropy(self.classifier(self.norm(features)), labels.repeat(2))

    def similarities(self, gallery: Tensor, queries: Tensor) -> dict[str, Tensor]:
        one, other = (normalize(self.norm(self.pool(x, m)), dim=1) for x, m in ((queries, 1), (gallery, 0)))
        return {"": one @ other.T}

    def pool(self, inputs: Tensor, modality: int) -> Tensor:
        pooled: Tensor = self.backbone(inputs, modality).flatten(2).mean(dim=2)
        return pooled


class Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.body = nn.Sequential(convolution(channels, channels), last, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class Pictures(nn.Module):
    """Pictures [n 1 32 32] → feature map [n c 8 8]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(1, 24, 2), convolution(24, channels, 2), Residual(channels))
        self.to(memory_format=torch.channels_last)  # twice as fast on a CPU

    def forward(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.body(pictures.contiguous(memory_format=torch.channels_last))
        return features


class Names(nn.Module):
    """Words [n 5] → tokens [n 5 c]; with `context`, each knows of the others in its name.

    In training, a word in twenty is hidden.
    """

    def __init__(self, vocabulary: int, channels: int, *, context: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, channels, padding_idx=NONE)
        self.place = nn.Parameter(0.02 * torch.randn(WORDS, channels))
        layer = nn.TransformerEncoderLayer(channels, 4, 2 * channels, 0.1, batch_first=True, norm_first=True)
        self.layer = layer if context else None
        self.norm = nn.LayerNorm(channels)

    def forward(self, words: Tensor) -> Tensor:
        padding = words == NONE
        if self.training:
            words = words.masked_fill((torch.rand(words.shape) < 0.05) & ~padding, UNKNOWN)
        tokens = self.embed(words) + self.place
        if self.layer is not None:
            tokens = self.layer(tokens, src_key_padding_mask=padding)
        normed: Tensor = self.norm(tokens)
        return normed
