"""The values of steps, looked at together: a look waits for the device, and a step does not."""

from __future__ import annotations

import math

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor

from concordant.distributed import gather
from vireid.training.step import Figures, State

LOOKED_AT = {"output": "output", "loss": "total", "gradient": "gradient"}


class Watch:
    """The values of the steps since the last look, which stay on the device until then."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.names: tuple[str, ...] = ()
        self.values: list[Tensor] = []
        self.rates: list[float] = []

    def add(self, figures: Figures, rate: float) -> None:
        """Those of the next step, and its learning rate."""
        self.names = figures.names
        self.values.append(figures.values.clone())  # a graph writes the next step's to the same place
        self.rates.append(rate)

    def look(self, step: int) -> list[dict[str, float]]:
        """The values of the steps up to `step`, by name, in order.

        They are means over all processes, so that either all processes stop here, or none.

        Raises:
            FloatingPointError: an output, a loss or a gradient was not finite. It names the step, the terms and the
                files of the batch.
        """
        rows: Tensor = self.state.accelerator.reduce(torch.stack(self.values), reduction="mean")
        every = [dict(zip(self.names, row, strict=True)) for row in rows.tolist()]
        for number, figures in enumerate(every, start=step - len(every) + 1):
            self._check_finite(figures, number)
        every = [figures | {"lr": rate} for figures, rate in zip(every, self.rates, strict=True)]
        for figures in every:
            del figures["output"]
        self.values, self.rates = [], []
        return every

    def _check_finite(self, figures: dict[str, float], step: int) -> None:
        # A scaler checks the gradient itself, and skips the step.
        unchecked = {"gradient"} if self.state.accelerator.scaler is not None else set()
        for what, name in LOOKED_AT.items():
            if name not in unchecked and not math.isfinite(figures[name]):
                values = ", ".join(f"{term} = {value:.4g}" for term, value in figures.items())
                accumulate = self.state.settings.optim.accumulate
                batches = range((step - 1) * accumulate, step * accumulate)
                rows = np.concatenate([self.state.batches.sampler.batch(index) for index in batches])
                gathered = gather(torch.from_numpy(rows).to(PartialState().device))
                files = "\n  ".join(str(self.state.items[row].path) for row in gathered.tolist())
                raise FloatingPointError(
                    f"train: the {what} of step {step} is not finite: {values}. Its batch:\n  {files}"
                )
