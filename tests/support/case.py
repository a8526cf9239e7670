"""A case of the contract for a module, and the inputs that several cases share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from support.models import cal_output

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """One public module. `make` takes `device` and `dtype` where `factory` is set, and the settings of `variants`."""

    make: Callable[..., nn.Module]
    arguments: Callable[[torch.dtype], Arguments]
    keys: tuple[str, ...] = ()
    variants: tuple[dict[str, Any], ...] = ()
    refused: dict[str, Callable[[], object]] = field(default_factory=dict)
    factory: bool = False
    loss: bool = False
    tolerance: float = 1e-6


def floats(tree: object) -> list[Tensor]:
    """The floating-point tensors of anything made of tuples."""
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def on(tree: Any, device: str) -> Any:
    return tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, tree)


def leaves(tree: Any) -> Any:
    """Fresh copies of the tensors; those of floating point take a gradient."""

    def fresh(leaf: Any) -> Any:
        return leaf.detach().clone().requires_grad_(leaf.is_floating_point()) if isinstance(leaf, Tensor) else leaf

    return tree_map(fresh, tree)


def draw(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def weights(*shape: int, dim: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return (2 * draw(*shape, dtype=dtype, seed=seed)).softmax(dim=dim)


LABELS, MODALITY = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
F32, INT = torch.float32, torch.int64


def feature_map(dtype: torch.dtype) -> Arguments:
    return (draw(2, 8, 4, 2, dtype=dtype),)


def scored(dtype: torch.dtype) -> Arguments:
    return draw(2, 8, 6, dtype=dtype), weights(2, 3, 8, dim=2, dtype=dtype)


def attended(dtype: torch.dtype) -> Arguments:
    return draw(2, 7, 8, dtype=dtype), draw(2, 3, 8, dtype=dtype, seed=1), draw(2, 5, 8, dtype=dtype, seed=2)


def classified(dtype: torch.dtype) -> Arguments:
    return draw(4, 3, 5, dtype=dtype), torch.tensor([0, 4, 2, 2])


def refined(dtype: torch.dtype) -> Arguments:
    return draw(4, 2, 3, dtype=dtype), draw(4, 2, 3, dtype=dtype, seed=1), LABELS, MODALITY


def distilled(dtype: torch.dtype) -> Arguments:
    attention = (weights(2, 3, 6, dim=2, dtype=dtype, seed=seed) for seed in (0, 1))
    return *attention, draw(2, 3, 5, dtype=dtype, seed=2), draw(2, 3, 5, dtype=dtype, seed=3)


def output(dtype: torch.dtype) -> Arguments:
    """Every row has a crop: one that is all of an image takes part as soon as it is moved."""
    found = cal_output(LABELS, MODALITY, dtype=dtype)
    return found._replace(crops=found.crops[:1].repeat(4, 1, 1)), LABELS, MODALITY


def zeros(*shape: int, dtype: torch.dtype = F32) -> Tensor:
    return torch.zeros(*shape, dtype=dtype)


def refuses_maps(module: nn.Module) -> dict[str, Callable[[], object]]:
    """Wrong inputs of a module that reads a feature map with 8 channels."""
    return {
        "map of rank 3": lambda: module(zeros(8, 4, 2)),
        "map of rank 5": lambda: module(zeros(1, 1, 8, 4, 2)),
        "other channels": lambda: module(zeros(2, 7, 4, 2)),
        "integer map": lambda: module(zeros(2, 8, 4, 2, dtype=INT)),
        "no tensor": lambda: module([[0.0]]),
    }


def refuses_attention(module: nn.Module) -> dict[str, Callable[[], object]]:
    """Wrong inputs of both attentions; tokens and parts have 8 channels."""
    tokens, parts = zeros(2, 7, 8), zeros(2, 3, 8)
    return {
        "tokens of rank 2": lambda: module(zeros(7, 8), parts),
        "parts of rank 2": lambda: module(tokens, zeros(3, 8)),
        "other batch": lambda: module(tokens, zeros(1, 3, 8)),
        "other channels": lambda: module(tokens, zeros(2, 3, 7)),
        "integer tokens": lambda: module(zeros(2, 7, 8, dtype=INT), parts),
        "integer parts": lambda: module(tokens, zeros(2, 3, 8, dtype=INT)),
    }


def refuses_reduction(loss: Any) -> dict[str, Callable[[], object]]:
    return {"reduction": lambda: loss(reduction="median")}


LOGITS, MAPS = zeros(2, 3, 5), zeros(2, 3, 6)
OWN = zeros(4, 2, 3)
IMAGES = zeros(4, 3, 16, 8)
