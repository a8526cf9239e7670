"""What keeps softmax, statistics, norms and losses in float32 under autocast."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """A context without autocast on the tensor's device."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if kind in _AUTOCAST_DEVICES else nullcontext()


SMALLEST_NORM = 1e-12
"""Norms below it count as it, so that zero vectors stay zeros: what torch's `normalize` does."""


def unit(features: Tensor) -> Tensor:
    """Features divided by their norm over the last dimension, in float32 or wider; zeros stay zeros."""
    features = upcast(features)
    if torch.compiler.is_compiling() or not (features.requires_grad and torch.is_grad_enabled()):
        return features / _norm(features)
    quotient: Tensor = _Unit.apply(features)
    return quotient


def _norm(features: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
    return norm.clamp_min(SMALLEST_NORM)


class _Unit(Function):
    """x ↦ y = x / ‖x‖, whose gradient is `(g − y ⟨y, g⟩) / ‖x‖`: a third of the passes of the quotient's own."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        norm = _norm(features)
        quotient = features / norm
        ctx.save_for_backward(quotient, norm)
        return quotient

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        quotient, norm = ctx.saved_tensors
        along = (quotient * gradient).sum(dim=-1, keepdim=True)
        along = along.where(norm > SMALLEST_NORM, 0.0)  # a norm that counts as the smallest is a constant
        return torch.addcmul(gradient, quotient, along, value=-1).div_(norm)


def upcast(tensor: Tensor) -> Tensor:
    """Half-precision tensors in float32; others as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
