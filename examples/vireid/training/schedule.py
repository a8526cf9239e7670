"""Learning rates: groups of parameters, and the schedule over the steps."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from vireid.config import Settings


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


def learning_rate(step: int, settings: Settings) -> float:
    """The learning rate at a step (from 0), as a share of the highest: a linear warm-up, then half a cosine."""
    steps, warmup = settings.optim.steps, max(round(settings.optim.steps * settings.optim.warmup), 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
