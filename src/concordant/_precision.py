"""What keeps softmax, statistics, norms and losses in float32 under autocast."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """A context without autocast on the tensor's device."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if kind in _AUTOCAST_DEVICES else nullcontext()


SMALLEST_NORM = 1e-12
"""Norms below it count as it, so that zero vectors stay zeros: what torch's `normalize` does."""


def norm(features: Tensor) -> Tensor:
    """The norm over the last dimension, which stays with size 1; at least `SMALLEST_NORM`."""
    length: Tensor = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
    return length.clamp_min(SMALLEST_NORM)


def unit(features: Tensor) -> Tensor:
    """Features divided by their norm over the last dimension, in float32 or wider; zeros stay zeros."""
    features = upcast(features)
    return features / norm(features)


def upcast(tensor: Tensor) -> Tensor:
    """Half-precision tensors in float32; others as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
