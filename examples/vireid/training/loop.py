"""One training run from start to end: the loop that every `train_*.py` shares."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from numpy.typing import NDArray
from rich.console import Console
from timm.layers import convert_sync_batchnorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from concordant import CAL, TSAA, DotProductAttention, HorizontalParts, LearnableParts, PartMiner
from concordant.distributed import gather
from vireid.config import Settings
from vireid.datasets.batches import Batches
from vireid.datasets.cache import Images
from vireid.datasets.items import Items
from vireid.diagnostics import attention_health
from vireid.files import is_unfinished, write_json
from vireid.models.backbones import create_backbone
from vireid.models.baseline import GlobalBaseline
from vireid.models.weights import save_weights
from vireid.runs import RECORD, checkpoints, read_settings
from vireid.training.checkpoint import Stateful, load_checkpoint, save_checkpoint, tidy
from vireid.training.objective import Objective
from vireid.training.processes import join_processes, mean, together
from vireid.training.progress import progress_bar
from vireid.training.record import FREE, RunLog, compare_records, describe_run
from vireid.training.schedule import learning_rate, parameter_groups


def build_model(settings: Settings, num_classes: int) -> CAL | GlobalBaseline:
    """The model that the settings describe, on the CPU."""
    model, data = settings.model, settings.data
    backbone, channels = create_backbone(
        model.backbone,
        image_size=(data.height, data.width),
        pretrained=model.pretrained,
        weights=model.weights,
        specific_stems=model.specific_stems,
    )
    if settings.method == "global":
        return GlobalBaseline(backbone, channels, num_classes)
    sources = {
        "mined": lambda: PartMiner(channels, model.parts, alpha=model.alpha),
        "learnable": lambda: LearnableParts(channels, model.parts),
        "stripes": lambda: HorizontalParts(model.parts),
    }
    attentions = {
        "tsaa": lambda: TSAA(channels, model.dim, channel_gate=model.channel_gate, normalize=model.instance_norm),
        "dot-product": DotProductAttention,
    }
    cal = CAL(
        backbone,
        channels,
        num_classes,
        model.parts,
        miner=sources[model.queries](),
        attention=attentions[model.attention](),
        shared_miner=model.shared_miner,
        statistics=model.statistics,
        protect_attention=model.protect_attention,
    )
    if not model.equal_scorers:
        for miner in cal.miners[1:]:
            miner.reset_parameters()
    return cal


def prepare_out(settings: Settings) -> None:
    """Make the run's directory and see that it can be written; never write over another run unasked."""
    out = settings.out
    record, weights = out / RECORD, out / "model.safetensors"
    if settings.resume:
        if not record.exists():
            raise FileNotFoundError(f"train: nothing to resume in {out}: there is no {record.name}")
        if settings.optim.steps and weights.exists() and not checkpoints(out):
            raise FileNotFoundError(f"train: {out} holds a finished run; its checkpoint, to resume from, was deleted")
        former = read_settings(record, type(settings))
        names = [field.name for field in fields(settings) if field.name not in FREE]
        if changed := sorted(name for name in names if getattr(former, name) != getattr(settings, name)):
            raise ValueError(
                f"train: --resume goes on with the settings of {record}; these differ: {', '.join(changed)}"
            )
        tidy(out)
    elif out.is_dir() and (held := [path for path in out.iterdir() if not is_unfinished(path)]):
        if not settings.overwrite:
            raise ValueError(f"train: {out} holds a run already: --resume goes on with it, --overwrite deletes it")
        if not record.exists():
            raise ValueError(f"train: --overwrite deletes runs only; {out} holds files but no {record.name}")
        for path in sorted(held, key=lambda path: path == record):  # last, as it is what makes this a run
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise OSError(f"train: `out` must be a directory that can be written; got {out} ({error})") from None


def begin(settings: Settings, record: dict[str, Any], console: Console) -> None:
    """Make the run's directory, and say how this run's surroundings differ from its record's or its model's."""
    # Before --overwrite may delete the record; for --resume, after it is known that there is one.
    notes = compare_records(settings.from_, record) if settings.from_ and not settings.resume else []
    prepare_out(settings)
    if settings.resume:
        notes = compare_records(settings.out / RECORD, record)
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True, highlight=False)


def train(
    settings: Settings,
    items: Items,
    images: Images,
    *,
    data: dict[str, Any],
    console: Console,
    split: dict[str, str] | None = None,
) -> tuple[CAL | GlobalBaseline, Accelerator, float]:
    """Train on `items`, whose decoded images [n h w 3] are `images`; `data` describes them for the run's record.

    `split` is kept with the weights: what they were trained on and must be tested on.

    A step is a function of the settings, its number and the weights before it: a run that was ended at any moment
    and resumed goes on as if nothing had been. Of several processes each takes whole identities of every batch; losses,
    gradients and M̂ are those of one process on the whole batch, as far as
    - batch norms go: on GPUs their statistics are those of the whole batch; on CPUs, where torch cannot do that, each
      process uses its own rows', and the running ones are the main process';
    - partners go: each process draws them among its own rows, by numbers of its own.

    Returns the model in evaluation mode, the accelerator it is on, and the seconds that the loop took.
    """
    join_processes()
    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    precision = ("bf16" if has_bf16 else "no") if settings.precision == "auto" else settings.precision
    optim = settings.optim
    accelerator = Accelerator(
        mixed_precision=precision,
        gradient_accumulation_steps=optim.accumulate,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    device, main = accelerator.device, accelerator.is_main_process
    record = describe_run(settings, data=data, accelerator=accelerator)
    together(lambda: begin(settings, record, console))
    set_seed(settings.seed)
    model = build_model(settings, len(items.identities)).to(memory_format=torch.channels_last)
    if accelerator.num_processes > 1 and device.type == "cuda":
        model = convert_sync_batchnorm(model)
    if settings.compile:  # not the stems: a compiled graph would show each all rows, and its batch norm with them
        getattr(model.backbone, "trunk", model.backbone).compile()
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), weight_decay=optim.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, settings))
    average = AveragedModel(model, device, multi_avg_fn=get_ema_multi_avg_fn(optim.ema)) if optim.ema else None
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    others: dict[str, Stateful | None] = {
        "optimizer": optimizer,
        "schedule": schedule,
        "scaler": accelerator.scaler,
        "average": average,
    }
    state = {name: other for name, other in others.items() if other is not None}
    first = load_checkpoint(settings.out, model, state) if settings.resume else 0
    objective = Objective(settings)
    batches = Batches(settings, items, images, accelerator)
    if main and not settings.resume:
        write_json(settings.out / RECORD, record)
    log = RunLog(settings.out, step=first) if main else None
    seconds = log.rows[-1]["seconds"] if log and log.rows else 0.0
    wrapped.train()
    with progress_bar(console, optim.steps, first, enabled=main) as advance:
        clock = time.perf_counter()
        for step in range(first + 1, optim.steps + 1):
            rows: list[NDArray[np.int64]] = []
            sums: dict[str, float] = {}
            for index in range((step - 1) * optim.accumulate, step * optim.accumulate):
                batch = batches.draw(index)
                rows.append(batch.rows)
                with accelerator.accumulate(wrapped):
                    with accelerator.autocast():
                        output = wrapped(batch.images, batch.labels, batch.modality, generator=batches.generator)
                    largest = mean(accelerator, {"output": output.logits.detach().abs().max()})
                    check_finite(largest, step, items, batch.rows)  # the losses refuse it, but name no file
                    terms, matching = objective(output, batch.labels, batch.modality)
                    health = {} if matching is None else attention_health(output.own.attention)
                    figures = mean(accelerator, terms | health)
                    check_finite(figures, step, items, batch.rows)
                    accelerator.backward(terms["total"])
                if matching is not None:
                    model.observe(*(gather(x)[batches.order] for x in (matching, batch.modality, output.paired)))
                sums = {name: sums.get(name, 0.0) + value for name, value in figures.items()}
            figures = {name: value / optim.accumulate for name, value in sums.items()}
            figures["gradient"] = float(accelerator.clip_grad_norm_(wrapped.parameters(), optim.clip))
            if accelerator.scaler is None:  # a scaler looks for such gradients itself, and passes over the step
                check_finite(figures, step, items, np.concatenate(rows))
            optimizer.step()
            optimizer.zero_grad()
            if average is not None:
                average.update_parameters(model)
            figures["lr"] = schedule.get_last_lr()[0]
            schedule.step()
            seconds, clock = seconds + time.perf_counter() - clock, time.perf_counter()
            if log:
                log.write(step, figures | {"seconds": seconds})
                advance(step, figures, seconds, len(batches.order) * optim.accumulate)
                if step % settings.save_every == 0 or step == optim.steps:
                    log.sync()
                    save_checkpoint(settings.out, step, model, state, metadata=split)
    final = model if average is None else average.module
    if log:
        log.close()
        save_weights(final, settings.out / "model.safetensors", metadata=split)
    accelerator.wait_for_everyone()
    return final.eval(), accelerator, seconds


def check_finite(figures: dict[str, float], step: int, items: Items, rows: NDArray[np.int64]) -> None:
    """Stop at an output, a loss or a gradient that is not finite, naming the step, the terms and the batch's files.

    The figures must be those of all processes, so that all stop here or none.
    """
    for what, name in (("output", "output"), ("loss", "total"), ("gradient", "gradient")):
        if not math.isfinite(figures.get(name, 0.0)):
            values = ", ".join(f"{term} = {value:.4g}" for term, value in figures.items())
            every = gather(torch.from_numpy(rows).to(PartialState().device))
            files = "\n  ".join(str(items[row].path) for row in every.tolist())
            raise FloatingPointError(f"train: the {what} of step {step} is not finite: {values}. Its batch:\n  {files}")
