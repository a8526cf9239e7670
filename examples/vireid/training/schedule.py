"""The optimiser: groups of parameters, and their learning rates over the steps."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vireid.config import Settings

KEPT = ("lr", "fused", "foreach", "capturable")
"""Options of an optimiser that are the device's: a checkpoint of another device does not change them."""


def make_optimizer(
    model: nn.Module, settings: Settings, device: torch.device, graph: bool = False
) -> torch.optim.AdamW:
    """AdamW, on a GPU in few kernels; for a graph, with learning rates and steps on the device."""
    groups = parameter_groups(model, settings)
    for group in groups:
        group["initial_lr"] = group["lr"]
        if graph:
            group["lr"] = torch.tensor(group["lr"], device=device)
    fused = device.type == "cuda"
    optimizer = torch.optim.AdamW(
        groups, weight_decay=settings.optim.weight_decay, fused=fused or None, capturable=graph
    )
    optimizer._warned_capturable_if_run_uncaptured = True  # the first steps are not
    optimizer.register_load_state_dict_pre_hook(_keep_options)
    return optimizer


def _keep_options(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    groups = [
        saved | {name: group[name] for name in KEPT}
        for saved, group in zip(state["param_groups"], optimizer.param_groups, strict=False)
    ]
    return state | {"param_groups": groups + state["param_groups"][len(groups) :]}


def parameter_groups(model: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """Backbone and head, each with and without weight decay (biases and normalisation layers have none).

    Frozen parameters are in no group.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        groups.setdefault((name.startswith("backbone."), parameter.dim() > 1), []).append(parameter)
    optim = settings.optim
    return [
        {"params": parameters, "lr": optim.lr * (optim.backbone_lr if backbone else 1.0)}
        | ({} if decay else {"weight_decay": 0.0})
        for (backbone, decay), parameters in groups.items()
    ]


def set_learning_rates(optimizer: Optimizer, step: int, settings: Settings) -> float:
    """Those of a step, from 1; returns that of the first group."""
    share = learning_rate(step - 1, settings)
    for group in optimizer.param_groups:
        rate = group["initial_lr"] * share
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
    return float(optimizer.param_groups[0]["initial_lr"] * share)


def learning_rate(step: int, settings: Settings) -> float:
    """The learning rate at a step (from 0), as a share of the highest: a linear warm-up, then half a cosine."""
    steps, warmup = settings.optim.steps, max(round(settings.optim.steps * settings.optim.warmup), 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
