"""What keeps softmax, statistics, norms and losses in float32 under autocast."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from concordant._checks import require

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """A context without autocast on the tensor's device."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if kind in _AUTOCAST_DEVICES else nullcontext()


SMALLEST_NORM = 1e-12
"""Lower bound for norms that divide, so that zero vectors stay zeros: as in torch's `normalize`."""


def lengths(features: Tensor) -> Tensor:
    """Euclidean norms over the last dimension; their gradient at zero is zero, to any order."""
    squared: Tensor = torch.linalg.vecdot(features, features)
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)


def unit(features: Tensor) -> Tensor:
    """Features divided by their norm over the last dimension, in float32 or wider; zeros stay zeros."""
    features = upcast(features)
    return features / lengths(features).clamp_min(SMALLEST_NORM)[..., None]


def upcast(tensor: Tensor) -> Tensor:
    """Half-precision tensors in float32; others as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def check_types(who: str, **named: Tensor) -> None:
    """Check that tensors are of one type, but under autocast, which brings them together itself."""
    (first, reference), *others = named.items()
    kind = reference.device.type
    if kind in _AUTOCAST_DEVICES and torch.is_autocast_enabled(kind):
        return
    for name, tensor in others:
        rule = f"`{name}` must be of the type of `{first}`, {reference.dtype}"
        require(tensor.dtype == reference.dtype, who, rule, tensor.dtype)
