"""One training run from start to end: `train` is what every `train_*.py` shares; a step is `train_step`."""

from __future__ import annotations

import math
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import set_seed
from numpy.typing import NDArray
from rich.console import Console
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from concordant.distributed import gather
from vireid.config import ModelConfig, Settings
from vireid.datasets.batches import Batches
from vireid.datasets.cache import Images
from vireid.datasets.items import Items
from vireid.files import write_json
from vireid.models.build import Built, build_model
from vireid.models.weights import WEIGHTS, save_weights
from vireid.runs import RECORD
from vireid.training.checkpoint import Stateful, load_checkpoint, save_checkpoint, tidy
from vireid.training.directory import begin
from vireid.training.processes import make_accelerator, mean, together
from vireid.training.progress import print_note, progress_bar
from vireid.training.record import RunLog, describe_run
from vireid.training.schedule import learning_rate, parameter_groups


@dataclass
class State:
    """Everything that a step reads and changes."""

    settings: Settings
    accelerator: Accelerator
    items: Items
    batches: Batches
    model: Built
    wrapped: nn.Module
    """The model as several processes call it."""
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    average: AveragedModel | None
    """Of the weights over the steps, if that is what comes out."""

    @property
    def kept(self) -> dict[str, Stateful]:
        """What a checkpoint has beside the model."""
        every = {
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "scaler": self.accelerator.scaler,
            "average": self.average,
        }
        return {name: one for name, one in every.items() if one is not None}


def train(
    settings: Settings,
    items: Items,
    images: Images,
    *,
    data: dict[str, Any],
    console: Console,
    split: dict[str, str] | None = None,
) -> tuple[Built, Accelerator, float]:
    """Train on `items`, whose decoded images [n h w 3] are `images`; `data` describes them for the run's record.

    `split` is kept with the weights: the data sets that they were trained on, and which split of each.

    A step is a function of the settings, its number and the weights before it: a run that was ended at any moment
    and resumed goes on as if nothing had been. Of several processes each takes whole identities of every batch; losses,
    gradients and M̂ are those of one process on the whole batch, as far as
    - batch norms go: on GPUs their statistics are those of the whole batch; on CPUs, where torch cannot do that, each
      process uses its own rows', and the running ones are the main process';
    - partners go: each process draws them among its own rows, by numbers of its own.

    Returns the model in evaluation mode, the accelerator it is on, and the seconds that the loop took.
    """
    accelerator = make_accelerator(settings)
    config = settings.model_config(len(items.identities))
    record = describe_run(settings, config, data=data, accelerator=accelerator)
    together(lambda: begin(settings, record, console))
    state = setup(settings, config, items, images, accelerator)
    seconds = fit(state, record, console, split)
    final = state.model if state.average is None else cast(Built, state.average.module)
    if accelerator.is_main_process:
        save_weights(final, settings.out / WEIGHTS, metadata=split)
    accelerator.wait_for_everyone()
    return final.eval(), accelerator, seconds


def setup(settings: Settings, config: ModelConfig, items: Items, images: Images, accelerator: Accelerator) -> State:
    """The state before the first step."""
    set_seed(settings.seed)
    device, optim = accelerator.device, settings.optim
    model = build_model(config).to(memory_format=torch.channels_last)
    if accelerator.num_processes > 1 and device.type == "cuda":
        model = convert_sync_batchnorm(model)
    if settings.compile:  # not the stems: a compiled graph would show each all rows, and its batch norm with them
        getattr(model.backbone, "trunk", model.backbone).compile()
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), weight_decay=optim.weight_decay)
    schedule = LambdaLR(optimizer, lambda step: learning_rate(step, settings))
    average = AveragedModel(model, device, multi_avg_fn=get_ema_multi_avg_fn(optim.ema)) if optim.ema else None
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    objective, batches = model.objective(settings.loss), Batches(settings, items, images, accelerator)
    return State(settings, accelerator, items, batches, model, wrapped, objective, optimizer, schedule, average)


def fit(state: State, record: dict[str, Any], console: Console, split: dict[str, str] | None) -> float:
    """Every step that is left, each in the log, and checkpoints. Returns the seconds since the run's first step."""
    settings, main = state.settings, state.accelerator.is_main_process
    steps, rows = settings.optim.steps, state.batches.size * settings.optim.accumulate
    note = partial(print_note, console)
    first = load_checkpoint(settings.out, state.model, state.kept, note) if settings.resume else 0
    state.accelerator.wait_for_everyone()  # the main process deletes what the others may still read
    if main:
        tidy(settings.out, first)
        if first == 0:
            write_json(settings.out / RECORD, record)
    state.wrapped.train()
    written = closing(RunLog(settings.out, step=first)) if main else nullcontext()
    with written as log, progress_bar(console, steps, first, enabled=main) as advance:
        seconds, clock = log.rows[-1].get("seconds", 0.0) if log and log.rows else 0.0, time.perf_counter()
        for step in range(first + 1, steps + 1):
            figures = train_step(state, step)
            seconds, clock = seconds + time.perf_counter() - clock, time.perf_counter()
            if log:
                log.write(step, figures | {"seconds": seconds})
                advance(step, figures, seconds, rows)
                if step % settings.save_every == 0 or step == steps:
                    log.sync()
                    save_checkpoint(settings.out, step, state.model, state.kept, metadata=split)
    return seconds


def train_step(state: State, step: int) -> dict[str, float]:
    """One step of the optimiser. Returns every term of the loss, the gradient's norm and the learning rate.

    Raises:
        FloatingPointError: see `check_finite`.
    """
    accelerator, optim = state.accelerator, state.settings.optim
    rows: list[NDArray[np.int64]] = []
    found: list[dict[str, torch.Tensor | float]] = []
    for index in range((step - 1) * optim.accumulate, step * optim.accumulate):
        batch = state.batches.draw(index)
        with accelerator.accumulate(state.wrapped):
            with accelerator.autocast():
                output = state.wrapped(batch.images, batch.labels, batch.modality, generator=state.batches.generator)
            terms = state.objective(output, batch.labels, batch.modality)
            accelerator.backward(terms.total)
        state.model.observe(output, terms, batch.modality)
        found.append(terms.named() | state.model.statistics(output) | {"output": output.logits.detach().abs().max()})
        rows.append(batch.rows)
    gradient = accelerator.clip_grad_norm_(state.wrapped.parameters(), optim.clip)
    figures = mean(accelerator, [one | {"gradient": gradient} for one in found])
    check_finite(figures, step, state, np.concatenate(rows))
    state.optimizer.step()
    state.optimizer.zero_grad()
    if state.average is not None:
        state.average.update_parameters(state.model)
    figures["lr"] = float(state.schedule.get_last_lr()[0])
    state.schedule.step()
    del figures["output"]
    return figures


def check_finite(figures: dict[str, float], step: int, state: State, rows: NDArray[np.int64]) -> None:
    """Stop at an output, a loss or a gradient that is not finite, naming the step, the terms and the batch's files.

    The figures are those of all processes, so that all stop here or none.
    """
    looked_at = {"output": "output", "loss": "total", "gradient": "gradient"}
    if state.accelerator.scaler is not None:  # it looks for such gradients itself, and passes over the step
        del looked_at["gradient"]
    for what, name in looked_at.items():
        if not math.isfinite(figures[name]):
            values = ", ".join(f"{term} = {value:.4g}" for term, value in figures.items())
            every = gather(torch.from_numpy(rows).to(PartialState().device))
            files = "\n  ".join(str(state.items[row].path) for row in every.tolist())
            raise FloatingPointError(f"train: the {what} of step {step} is not finite: {values}. Its batch:\n  {files}")
