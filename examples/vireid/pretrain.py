"""Pretraining of the demo's backbone on rendered attributes: the loop, what was learnt, and the model card."""

from __future__ import annotations

import hashlib
import shlex
import sys
from pathlib import Path

import timm
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from vireid.config import AugmentSettings
from vireid.datasets.augment import Augment, crop_and_flip, normalise
from vireid.people import ATTRIBUTES
from vireid.people.pretraining import (
    AttributeReader,
    AttributeSet,
    accuracies,
    attribute_loss,
    part_cover,
    visible_targets,
)

MODALITIES = ("visible", "infrared")
Scores = dict[str, dict[str, float]]


def train(
    model: nn.Module,
    reader: AttributeReader,
    data: AttributeSet,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    weight_decay: float,
    compile: bool,
    seed: int,
) -> None:
    """Train a timm model and the readings of its feature map."""
    parameters = [*model.parameters(), *reader.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    steps = len(data.images) // batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=epochs * steps, pct_start=0.15, div_factor=10, final_div_factor=1000
    )
    features = torch.compile(model.forward_features) if compile else model.forward_features
    settings = AugmentSettings(pad=4, exchange=0.7, erase=0.3, erase_area=(0.02, 0.15))
    augment = Augment(settings)
    generator = torch.Generator().manual_seed(seed)
    modality, targets = (torch.from_numpy(array.copy()) for array in (data.modality, data.targets))
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("loss {task.fields[loss]:.3f} (2 is blind)")) as progress:
        for epoch in range(epochs):
            task = progress.add_task(f"Epoch {epoch + 1}/{epochs}", total=steps, loss=float("nan"))
            order = torch.randperm(len(data.images), generator=generator)
            mean = 0.0
            for step in range(steps):
                rows = order[step * batch_size : (step + 1) * batch_size]
                images, parts = (torch.from_numpy(array[rows.numpy()]) for array in (data.images, data.parts))
                draws = augment.draw(len(rows), generator)
                images = augment(images, modality[rows], draws=draws)
                # Parts move with the pixels.
                parts = crop_and_flip(parts[..., None], draws, pad=settings.pad, flip=settings.flip)[..., 0]
                feature_map = features(images)
                cover = part_cover(parts, images.shape[-1] // feature_map.shape[-1])
                whole, local = reader(feature_map, cover)
                shown = visible_targets(targets[rows], parts)
                loss = attribute_loss(whole, shown) + attribute_loss(local, shown)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                schedule.step()
                mean += (loss.item() - mean) / min(step + 1, 50)
                progress.update(task, advance=1, loss=mean)
            progress.console.print(f"epoch {epoch + 1}: loss {mean:.3f}")


@torch.no_grad()
def evaluate(model: nn.Module, reader: AttributeReader, data: AttributeSet) -> Scores:
    """The accuracy of each attribute by reading and modality, where a picture shows it."""
    wholes, locals_, targets = [], [], []
    for start in range(0, len(data.images), 256):
        rows = slice(start, start + 256)
        images, parts = (torch.from_numpy(array[rows].copy()) for array in (data.images, data.parts))
        images = normalise(images).contiguous(memory_format=torch.channels_last)
        feature_map = model.forward_features(images)
        whole, local = reader(feature_map, part_cover(parts, images.shape[-1] // feature_map.shape[-1]))
        wholes.append(whole)
        locals_.append(local)
        targets.append(visible_targets(torch.from_numpy(data.targets[rows].copy()), parts))
    scores = {}
    for number, name in enumerate(MODALITIES):
        rows: Tensor = torch.from_numpy(data.modality == number)
        scores[f"{name}, whole"] = accuracies(torch.cat(wholes)[rows], torch.cat(targets)[rows])
        scores[f"{name}, local"] = accuracies(torch.cat(locals_)[rows], torch.cat(targets)[rows])
    return scores


def write_card(
    weights: Path, scores: Scores, seconds: float, *, people: int, held_out: int, epochs: int, threads: int
) -> Path:
    """Say beside the weights what they are, how they were made, and what they know."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    command = shlex.join(["python", f"examples/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    lines = [
        f"| {name} | {classes} | " + " | ".join(f"{100 * column[name]:.1f}" for column in scores.values()) + " |"
        for name, classes in ATTRIBUTES.items()
    ]
    card = weights.with_name("README.md")
    card.write_text(
        f"""\
# {weights.name}

Weights of `concordant_small` (`examples/vireid/models/backbones.py`), a plain timm state dict without classifier, in
float32 with the statistics of its batch normalisations: {weights.stat().st_size:,} bytes.

- sha256: `{digest}`
- Made by `{command}` with torch {torch.__version__.split("+")[0]} and timm {timm.__version__}, in {seconds / 60:.0f}
  minutes on {threads} threads of a CPU.
- Trained on {people:,} rendered people in two visible and two infrared pictures each, {epochs} passes,
  both modalities mixed through one stem. The labels are attributes: what hair, garments, patterns, shoes, bag and build
  a person has. There are no identity labels, and the people are in none of the rendered data sets.
- **This is in-domain supervision.** The weights stand where ImageNet weights stand for real data. They make the demo
  short; a figure that starts from them says nothing about real pictures.

Accuracy (%) on {held_out:,} other people, by a linear reading of the mean over the grid of features ("whole"),
or over those tokens in which the renderer put the attribute's own part ("local"). Both readings are trained on: the
place of an attribute is a label, too, that ImageNet weights do not have. Attributes of a pattern count only where a
person has that pattern, and all only where the picture shows the part; a bag may hide behind its bearer all the same.

| attribute | classes | {" | ".join(scores)} |
|---|---|{"---|" * len(scores)}
"""
        + "\n".join(lines)
        + "\n"
    )
    return card
