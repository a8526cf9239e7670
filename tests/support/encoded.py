"""Encoded images, by an attention, or of random numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from concordant import Encoded, PartAttention, PartQueries, functional


def encoded(attention: PartAttention, tokens: Tensor, parts: Tensor) -> Encoded:
    return Encoded(tokens, attention.encode_tokens(tokens), attention.encode_parts(parts, tokens))


def gated(n: int, seed: int, *, t: int = 7, p: int = 2, c: int = 6, dtype: torch.dtype = torch.float64) -> Encoded:
    """n images of random tokens, keys, gates and parts."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    parts = PartQueries(normal(n, p, 5), normal(n, p, c))
    keys, queries = functional.gate_attention(normal(n, t, 5), parts, normal(n, t))
    return Encoded(normal(n, t, c), keys, queries)
