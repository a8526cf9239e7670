"""One step of the optimiser, of which no line reads a value off the device: `compute` can be captured as a graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vireid.config import Settings
from vireid.datasets.batches import Batch, Batches
from vireid.datasets.items import Items
from vireid.models.build import Built
from vireid.training.average import Average
from vireid.training.checkpoint import Stateful


@dataclass
class State:
    """The data that a step reads and changes."""

    settings: Settings
    accelerator: Accelerator
    items: Items
    batches: Batches
    model: Built
    wrapped: nn.Module
    """The model, wrapped for several processes."""
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None
    """Moving average of the weights, if `optim.ema` is on."""

    @property
    def kept(self) -> dict[str, Stateful]:
        """The state in a checkpoint beside the model."""
        every = {"optimizer": self.optimizer, "scaler": self.accelerator.scaler, "average": self.average}
        return {name: one for name, one in every.items() if one is not None}


class Figures(NamedTuple):
    """The terms of the loss, the norm of the gradient, and the output's largest logit: means over a step's batches."""

    names: tuple[str, ...]
    values: Tensor
    """In the order of their names; on the device."""


def compute(state: State, batches: Iterable[Batch]) -> Figures:
    """Forward, losses, backward, clipping, the optimiser and the average of weights, for the batches of a step.

    Each batch is drawn when the one before it has been used: drawing seeds the random numbers of a batch.
    """
    accelerator, found = state.accelerator, []
    for batch in batches:
        with accelerator.accumulate(state.wrapped):
            with accelerator.autocast():
                output = state.wrapped(
                    batch.images, batch.labels, batch.split, views=batch.views, generator=state.batches.generator
                )
            terms = state.objective(output, batch.labels, batch.modality)
            accelerator.backward(terms.total)
        state.model.observe(output, terms, batch.modality)
        found.append(terms.named() | state.model.statistics(output) | {"output": output.logits.detach().abs().max()})
    gradient = accelerator.clip_grad_norm_(state.wrapped.parameters(), state.settings.optim.clip)
    state.optimizer.step()
    state.optimizer.zero_grad()
    if state.average is not None:
        state.average.update_parameters(state.model)
    rows = [torch.stack([value.detach().float() for value in one.values()]) for one in found]
    return Figures((*found[0], "gradient"), torch.cat([torch.stack(rows).mean(dim=0), gradient.detach().float()[None]]))
