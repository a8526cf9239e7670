"""One training run from start to end: the loop that every `train_*.py` shares."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from concordant import CAL, CALLoss
from concordant.distributed import gather
from vireid.backbones import create_backbone
from vireid.baseline import GlobalBaseline
from vireid.checkpoint import load_checkpoint, save_checkpoint, save_weights
from vireid.config import Settings
from vireid.data import CrossModalSampler, Items
from vireid.diagnostics import attention_health
from vireid.record import RunLog, describe_run, plain, read_json, write_json
from vireid.triplet import weighted_triplet_loss


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
    return CAL(
        backbone,
        channels,
        num_classes,
        model.parts,
        dim=model.dim,
        alpha=model.alpha,
        shared_miner=model.shared_miner,
        statistics=model.statistics,
        protect_attention=model.protect_attention,
    )


class Objective(nn.Module):
    """The loss of either method: every term by name, the total among them, and CAL's matching."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings.loss
        names = ("part_id", "pcl", "kd1", "kd2", "dis", "div", "attention_div", "margin", "label_smoothing")
        self.cal = CALLoss(**{name: getattr(settings.loss, name) for name in names})

    def forward(self, output: Any, labels: Tensor, modality: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        matching = None
        if hasattr(output, "mined"):
            found = self.cal(output, labels, modality)
            terms, matching = found.named(), found.matching
        else:
            loss = cross_entropy(output.logits.float(), labels, label_smoothing=self.settings.label_smoothing)
            terms = {"total": loss, "id": loss}
        if self.settings.triplet:
            terms["triplet"] = weighted_triplet_loss(gather(output.features), gather(labels))
            terms["total"] = terms["total"] + self.settings.triplet * terms["triplet"]
        if self.settings.part_triplet and matching is not None:
            terms["part_triplet"] = weighted_triplet_loss(gather(output.own.features.flatten(1)), gather(labels))
            terms["total"] = terms["total"] + self.settings.part_triplet * terms["part_triplet"]
        return terms, matching


def prepare_out(settings: Settings) -> None:
    """Make the run's directory; never write over another run unasked."""
    out = settings.out
    record = out / "run.json"
    if settings.resume:
        if not record.exists():
            raise FileNotFoundError(f"train: nothing to resume in {out}: there is no {record.name}")
        free = {"resume", "overwrite", "save_every", "verify", "evaluate", "test"}
        former, now = (
            {k: v for k, v in s.items() if k not in free} for s in (read_json(record)["settings"], plain(settings))
        )
        if changed := sorted(key for key in now if now[key] != former.get(key)):
            raise ValueError(
                f"train: --resume goes on with the settings of {record}; these differ: {', '.join(changed)}"
            )
    elif out.exists() and any(out.iterdir()):
        if not settings.overwrite:
            raise ValueError(f"train: {out} holds a run already: --resume goes on with it, --overwrite deletes it")
        if not record.exists():
            raise ValueError(f"train: --overwrite deletes runs only; {out} holds files but no {record.name}")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)


def train(
    settings: Settings,
    items: Items,
    images: NDArray[np.uint8],
    *,
    data: dict[str, Any],
    console: Console,
    split: dict[str, str] | None = None,
) -> tuple[CAL | GlobalBaseline, Accelerator, float]:
    """Train on `items`, whose decoded images [n h w 3] are `images`; `data` describes them for the run's record.

    `split` is kept with the weights: what they were trained on and must be tested on.

    Returns the model in evaluation mode, the accelerator it is on, and the seconds that the loop took.
    """
    started = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    precision = ("bf16" if started else "no") if settings.precision == "auto" else settings.precision
    accelerator = Accelerator(
        mixed_precision=precision, kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)]
    )
    main = accelerator.is_main_process
    set_seed(settings.seed)
    if main:
        prepare_out(settings)
    accelerator.wait_for_everyone()
    device, optim = accelerator.device, settings.optim
    model = build_model(settings, len(items.identities)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), weight_decay=optim.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, settings))
    first, state = (0, None) if not settings.resume else load_checkpoint(settings.out, model)
    sampler = CrossModalSampler(
        items,
        settings.data.identities,
        settings.data.images,
        batches=optim.steps,
        seed=settings.seed,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    if state is not None:
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
    objective = Objective(settings)
    generator = torch.Generator(device)
    labels_of, modality_of = torch.from_numpy(items.labels.copy()), torch.from_numpy(items.modality.copy())
    if main and not settings.resume:
        write_json(settings.out / "run.json", describe_run(settings, data=data, device=device))
    log = RunLog(settings.out, step=first) if main else None
    seconds = log.rows[-1]["seconds"] if log and log.rows else 0.0
    wrapped.train()
    with progress_bar(console, optim.steps, first, enabled=main) as advance:
        clock = time.perf_counter()
        for step, rows in enumerate(sampler.start_at(first), start=first + 1):
            # Every draw of a step is a function of the seed and the step: a resumed run repeats it.
            generator.manual_seed(settings.seed + 1_000_003 * step + accelerator.process_index)
            labels, modality = labels_of[rows].to(device), modality_of[rows].to(device)
            pixels = torch.from_numpy(images[rows]).to(device)
            batch = settings.data.augment(pixels, modality, generator)
            with accelerator.autocast():
                output = wrapped(batch, labels, modality, generator=generator)
            terms, matching = objective(output, labels, modality)
            check_finite(terms, step, items, rows)
            accelerator.backward(terms["total"])
            norm = accelerator.clip_grad_norm_(wrapped.parameters(), optim.clip)
            optimizer.step()
            optimizer.zero_grad()
            if matching is not None:
                model.observe(gather(matching), gather(modality), gather(output.paired))
            figures = {name: term.item() for name, term in terms.items()}
            figures |= {"lr": schedule.get_last_lr()[0], "gradient": float(norm)}
            schedule.step()
            if matching is not None:
                figures |= attention_health(output.own.attention)
            seconds, clock = seconds + time.perf_counter() - clock, time.perf_counter()
            if log:
                log.write(step, figures | {"seconds": seconds})
                advance(step, figures, seconds * 1.0, len(rows) * accelerator.num_processes)
                if step % settings.save_every == 0 or step == optim.steps:
                    state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
                    save_checkpoint(settings.out, step, model, state)
    if log:
        log.close()
        save_weights(model, settings.out / "model.safetensors", metadata=split)
    accelerator.wait_for_everyone()
    return model.eval(), accelerator, seconds


def parameter_groups(model: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """Backbone and head, each with and without weight decay (none for biases and norms)."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault((name.startswith("backbone."), parameter.dim() > 1), []).append(parameter)
    optim = settings.optim
    return [
        {"params": parameters, "lr": optim.lr * (optim.backbone_lr if backbone else 1.0)}
        | ({} if decay else {"weight_decay": 0.0})
        for (backbone, decay), parameters in groups.items()
    ]


def learning_rate(step: int, settings: Settings) -> float:
    """The share of the highest learning rate at a step, from 0: a linear warm-up, then half a cosine."""
    steps, warmup = settings.optim.steps, max(round(settings.optim.steps * settings.optim.warmup), 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def check_finite(terms: dict[str, Tensor], step: int, items: Items, rows: NDArray[np.int64]) -> None:
    """Stop at a loss that is not finite, naming the step, the terms and the batch's files."""
    if not torch.isfinite(terms["total"]):
        values = ", ".join(f"{name} = {term.item():.4g}" for name, term in terms.items())
        files = "\n  ".join(str(items[int(row)].path) for row in rows)
        raise FloatingPointError(f"train: the loss of step {step} is not finite: {values}. Its batch:\n  {files}")


@contextmanager
def progress_bar(console: Console, steps: int, first: int, *, enabled: bool) -> Iterator[Any]:
    """A bar with the loss terms by name; where no terminal is, ten lines in all."""
    columns = (
        TextColumn("training"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[terms]}"),
    )
    live = console.is_terminal
    with Progress(*columns, console=console, disable=not (enabled and live)) as bar:
        task = bar.add_task("training", total=steps, completed=first, terms="")

        def advance(step: int, figures: dict[str, float], seconds: float, rows: int) -> None:
            hidden = ("lr", "gradient")
            terms = "  ".join(f"{name} {value:.2f}" for name, value in figures.items() if name not in hidden)
            terms += f"  {rows * step / max(seconds, 1e-9):.0f} images/s"
            bar.update(task, completed=step, terms=terms)
            if not live and (step % max(steps // 10, 1) == 0 or step == steps):
                console.print(f"step {step}/{steps}  {terms}", soft_wrap=True, highlight=False)

        yield advance
