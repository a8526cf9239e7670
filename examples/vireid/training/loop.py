"""One training run from start to end: all `train_*.py` call `train`; one step is `train_step`."""

from __future__ import annotations

import math
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
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
from vireid.models.shared import share_frozen
from vireid.models.weights import WEIGHTS, save_weights
from vireid.runs import RECORD
from vireid.training.checkpoint import Stateful, load_checkpoint, save_checkpoint, tidy
from vireid.training.directory import begin, check_start
from vireid.training.processes import make_accelerator, mean, together
from vireid.training.progress import print_note, progress_bar
from vireid.training.record import RunLog, describe_run
from vireid.training.schedule import learning_rate, parameter_groups


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
    schedule: LambdaLR
    average: AveragedModel | None
    """Moving average of the weights, if `optim.ema` is on."""

    @property
    def kept(self) -> dict[str, Stateful]:
        """The state in a checkpoint beside the model."""
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
    shared: Path | None = None,
) -> tuple[Built, Accelerator, float]:
    """Train on `items`, whose decoded images [n h w 3] are `images`; `data` describes them for the run's record.

    `split` is stored with the weights: the data sets that they were trained on, and the split of each. `shared` is
    where runs keep what their frozen stages compute: see `share_frozen`.

    A step depends only on the settings, its number and the weights before it: an interrupted and resumed run gives the
    same result as one without interruption. With several processes, each process trains on complete identities of a
    batch. Losses, gradients and M̂ are those of one process on the complete batch, with two exceptions:
    - batch norms: on GPUs, their statistics are those of the complete batch. On CPUs, where torch cannot do this, each
      process uses its rows, and the running statistics are those of the main process.
    - partners: each process samples them among its rows, with its own random numbers.

    Returns the model in evaluation mode, its accelerator, and the seconds of the loop.
    """
    accelerator = make_accelerator(settings)
    config = settings.model_config(len(items.identities))
    record = describe_run(settings, config, data=data, accelerator=accelerator)
    together(lambda: check_start(settings, data))
    state = setup(settings, config, items, images, accelerator)
    if shared is not None:
        share_frozen(state.model.backbone, shared)
    together(lambda: begin(settings, record, console))  # last: --overwrite deletes nothing for a model that cannot be
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
    if settings.compile:  # not the stems: a compiled graph would give each stem, and its batch norm, all rows
        getattr(model.backbone, "trunk", model.backbone).compile()
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), weight_decay=optim.weight_decay)
    schedule = LambdaLR(optimizer, lambda step: learning_rate(step, settings))
    average = AveragedModel(model, device, multi_avg_fn=get_ema_multi_avg_fn(optim.ema)) if optim.ema else None
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    objective, batches = model.objective(settings.loss), Batches(settings, items, images, accelerator)
    return State(settings, accelerator, items, batches, model, wrapped, objective, optimizer, schedule, average)


def fit(state: State, record: dict[str, Any], console: Console, split: dict[str, str] | None) -> float:
    """Train the remaining steps, with a log and checkpoints. Returns the seconds since the first step of the run."""
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
    """One step of the optimiser. Returns the terms of the loss, the norm of the gradient and the learning rate.

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
                output = state.wrapped(
                    batch.images, batch.labels, batch.modality, views=batch.views, generator=state.batches.generator
                )
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
    """Reject an output, a loss or a gradient that is not finite, naming the step, the terms and the files of the batch.

    The values are means over all processes, so that either all processes stop here, or none.
    """
    looked_at = {"output": "output", "loss": "total", "gradient": "gradient"}
    if state.accelerator.scaler is not None:  # the scaler checks the gradient itself, and skips the step
        del looked_at["gradient"]
    for what, name in looked_at.items():
        if not math.isfinite(figures[name]):
            values = ", ".join(f"{term} = {value:.4g}" for term, value in figures.items())
            every = gather(torch.from_numpy(rows).to(PartialState().device))
            files = "\n  ".join(str(state.items[row].path) for row in every.tolist())
            raise FloatingPointError(f"train: the {what} of step {step} is not finite: {values}. Its batch:\n  {files}")
