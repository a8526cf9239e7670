"""Pooling of names and of icons to a feature each, the baselines of the icons."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from concordant import to_tokens
from other_tasks.icons_data import NONE
from other_tasks.networks import Names, Pictures

CHANNELS, WIDTH = 64, 128
"""Of tokens, and of pooled features."""


class Pooling(nn.Module):
    """The mean of all tokens of either side, a linear map each, and InfoNCE in both directions, as CLIP.

    Methods with parts add their loss to it after so many steps of pooling `alone`: parts learn faster on tokens that
    tell icons apart, and a step of pooling is cheap.
    """

    def __init__(self, vocabulary: int, *, context: bool, alone: int = 0) -> None:
        super().__init__()
        self.alone = alone
        self.pictures, self.names = Pictures(CHANNELS), Names(vocabulary, CHANNELS, context=context)
        self.heads = nn.ModuleList(nn.Linear(CHANNELS, WIDTH) for _ in range(2))
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def tokens(self, pictures: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens of pictures [n t c] and of names [n 5 c], and which of the latter are real [n 5]."""
        return to_tokens(self.pictures(pictures)), self.names(words), words != NONE

    def pool(self, seen: Tensor, read: Tensor, real: Tensor) -> Tensor:
        """The similarities of names and pictures by a feature each."""
        return self.pool_names(read, real) @ self.pool_pictures(seen).T

    def pool_pictures(self, seen: Tensor) -> Tensor:
        return normalize(self.heads[0](seen.mean(dim=1)), dim=1)

    def pool_names(self, read: Tensor, real: Tensor) -> Tensor:
        weights = real.to(read.dtype)[..., None]
        return normalize(self.heads[1]((read * weights).sum(dim=1) / weights.sum(dim=1)), dim=1)

    @property
    def scale(self) -> Tensor:
        """1 over the temperature."""
        return self.log_scale.exp().clamp_max(100)

    def contrast(self, similarity: Tensor) -> Tensor:
        """InfoNCE, row i and column i belonging together."""
        logits, own = similarity * self.scale, torch.arange(len(similarity))
        return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2

    def loss(self, pictures: Tensor, words: Tensor) -> Tensor:
        tokens = self.tokens(pictures, words)
        loss = self.contrast(self.pool(*tokens))
        self.alone -= 1
        return loss if self.alone >= 0 else loss + self.loss_of_parts(*tokens)

    def loss_of_parts(self, seen: Tensor, read: Tensor, real: Tensor) -> Tensor:
        return seen.new_zeros(())

    def similarities(self, gallery: Tensor, queries: Tensor) -> dict[str, Tensor]:
        return {"": self.pool(*self.tokens(gallery, queries))}


class AttentionPooling(Pooling):
    """Pictures are pooled by attention, whose query is their mean, as in CLIP's ResNets."""

    def __init__(self, vocabulary: int, *, context: bool, alone: int = 0) -> None:
        super().__init__(vocabulary, context=context, alone=alone)
        self.place = nn.Parameter(torch.randn(65, CHANNELS) / CHANNELS**0.5)
        self.attention = nn.MultiheadAttention(CHANNELS, 4, batch_first=True)

    def pool_pictures(self, seen: Tensor) -> Tensor:
        every = torch.cat([seen.mean(dim=1, keepdim=True), seen], dim=1) + self.place
        pooled = self.attention(every[:, :1], every, every, need_weights=False)[0]
        return normalize(self.heads[0](pooled[:, 0]), dim=1)
