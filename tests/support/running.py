"""Running a module for the contract: its outputs, and the gradients of its inputs and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from support.case import floats, leaves


def loss_of(result: Any) -> Tensor:
    """A weighted sum of all floating-point outputs, with different weights."""
    terms = [
        (x.float() * torch.linspace(0.5, 1.5, max(x.numel(), 1), device=x.device)[: x.numel()].view_as(x)).sum()
        for x in floats(result)
        if x.requires_grad
    ]
    return torch.stack(terms).sum()


def run(module: Callable[..., Any], arguments: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs, and gradients of the inputs and the parameters."""
    torch.manual_seed(1)
    arguments = leaves(arguments)
    result = module(*arguments)
    parameters = list(module.parameters()) if isinstance(module, nn.Module) else []
    wanted = floats(arguments) + parameters
    gradients = torch.autograd.grad(loss_of(result), wanted, allow_unused=True)
    outputs = [leaf.detach() for leaf in tree_flatten(result)[0] if isinstance(leaf, Tensor)]
    return outputs, [g for g in gradients if g is not None]


def same(a: tuple[list[Tensor], list[Tensor]], b: tuple[list[Tensor], list[Tensor]], tolerance: float) -> None:
    for left, right in zip(a, b, strict=True):
        assert len(left) == len(right)
        for x, y in zip(left, right, strict=True):
            torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance, check_device=False)
