"""The moving average of a model's weights, which reads no value off the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Average(AveragedModel):
    """Equation: `ā = d·ā + (1 − d)·w` after each step; the first step sets `ā = w`. Buffers are the latest.

    torch's own reads its count off the device at each step, and copies buffers one by one.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, device=next(model.parameters()).device)  # of its count, which a graph would not see
        self.decay, self.begun = decay, False

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        if self.begun:
            torch._foreach_lerp_(list(self.module.parameters()), list(model.parameters()), 1 - self.decay)
        else:
            torch._foreach_copy_(list(self.module.parameters()), list(model.parameters()))
        torch._foreach_copy_(list(self.module.buffers()), list(model.buffers()))
        self.n_averaged += 1
        self.begun = True

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *arguments: Any, **words: Any) -> Any:
        loaded = super().load_state_dict(state_dict, *arguments, **words)
        self.begun = bool(self.n_averaged > 0)
        return loaded
