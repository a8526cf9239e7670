"""One training run from start to end: all `train_*.py` call `train`; one step is `compute` in step.py."""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.console import Console
from timm.layers.norm_act import convert_sync_batchnorm

from vireid.config import ModelConfig, Settings
from vireid.datasets.batches import Batches
from vireid.datasets.cache import Images
from vireid.datasets.items import Items
from vireid.files import write_json
from vireid.models.build import Built, build_model
from vireid.models.shared import share_frozen
from vireid.models.weights import WEIGHTS, save_weights
from vireid.runs import RECORD
from vireid.training.average import Average
from vireid.training.checkpoint import load_checkpoint, save_checkpoint, tidy
from vireid.training.directory import begin, check_start
from vireid.training.graphs import captured, captures
from vireid.training.processes import make_accelerator, together
from vireid.training.progress import print_note, progress_bar
from vireid.training.record import RunLog, describe_run
from vireid.training.schedule import make_optimizer, set_learning_rates
from vireid.training.step import State
from vireid.training.watch import Watch


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
    device = accelerator.device
    model = build_model(config).to(memory_format=torch.channels_last)
    if accelerator.num_processes > 1 and device.type == "cuda":
        model = convert_sync_batchnorm(model)
    model = model.to(device)
    objective, batches = model.objective(settings.loss), Batches(settings, items, images, accelerator)
    average = Average(model, settings.optim.ema) if settings.optim.ema else None
    if settings.compile == "default":
        model.compile()
        objective.compile()
    graph = captures(settings, accelerator)
    wrapped, optimizer = accelerator.prepare(model, make_optimizer(model, settings, device, graph))
    return State(settings, accelerator, items, batches, model, wrapped, objective, optimizer, average)


def looks_of(device: torch.device) -> int:
    """Steps from one look at their values to the next: a look waits for all that is queued on a GPU."""
    return 20 if device.type == "cuda" else 1


def fit(state: State, record: dict[str, Any], console: Console, split: dict[str, str] | None) -> float:
    """Train the remaining steps, with a log and checkpoints. Returns the seconds since the first step of the run."""
    settings, main = state.settings, state.accelerator.is_main_process
    steps, accumulate = settings.optim.steps, settings.optim.accumulate
    rows, watch = state.batches.size * accumulate, Watch(state)
    looks = looks_of(state.accelerator.device)
    note = partial(print_note, console)
    first = load_checkpoint(settings.out, state.model, state.kept, note) if settings.resume else 0
    state.accelerator.wait_for_everyone()  # the main process deletes what the others may still read
    if main:
        tidy(settings.out, first)
        if first == 0:
            write_json(settings.out / RECORD, record)
    state.wrapped.train()
    written = closing(RunLog(settings.out, step=first)) if main else nullcontext()
    with written as log, progress_bar(console, steps, first, enabled=main) as advance, captured(state, note) as run:
        seconds, clock = log.rows[-1].get("seconds", 0.0) if log and log.rows else 0.0, time.perf_counter()
        for step in range(first + 1, steps + 1):
            rate = set_learning_rates(state.optimizer, step, settings)
            watch.add(run(map(state.batches.draw, range((step - 1) * accumulate, step * accumulate))), rate)
            saves = step % settings.save_every == 0 or step == steps
            if not saves and step % looks:
                continue
            found = watch.look(step)
            each, clock = (time.perf_counter() - clock) / len(found), time.perf_counter()
            for number, figures in enumerate(found, start=step - len(found) + 1):
                seconds += each
                if log:
                    log.write(number, figures | {"seconds": seconds})
                    advance(number, figures, seconds, rows)
            if log and saves:
                log.sync()
                save_checkpoint(settings.out, step, state.model, state.kept, metadata=split)
    return seconds
