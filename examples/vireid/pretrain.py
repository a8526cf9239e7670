"""Pretraining of the demo's backbone on rendered attributes: the loop, the accuracies, and the model card."""

from __future__ import annotations

import hashlib
import shlex
import sys
import time
from pathlib import Path

import timm
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from timm.models.resnet import ResNet

from vireid.config import AugmentSettings
from vireid.datasets.augment import Augment, crop_and_flip, normalise
from vireid.files import write_text
from vireid.models.backbones import concordant_small
from vireid.models.weights import save_weights
from vireid.people import ATTRIBUTES
from vireid.people.config import PretrainSettings
from vireid.people.pretraining import (
    AttributeReader,
    AttributeSet,
    PeopleConfig,
    accuracies,
    attribute_loss,
    part_cover,
    render_people,
    visible_targets,
)

MODALITIES = ("visible", "infrared")
Scores = dict[str, dict[str, float]]


def pretrain(options: PretrainSettings, console: Console) -> None:
    """Render the people, train, measure, and write the weights with their model card."""
    started = time.perf_counter()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    known = PeopleConfig(0, options.people, seed=options.seed)
    others = PeopleConfig(options.people, options.held_out, seed=options.seed)
    data = render_people(options.cache / "train", known, workers=options.threads)
    held_out = render_people(options.cache / "held_out", others, workers=options.threads)

    model = concordant_small(num_classes=0).to(memory_format=torch.channels_last)
    reader = AttributeReader(model.num_features)
    train(model, reader, data, options)
    model.eval()
    reader.eval()
    scores = evaluate(model, reader, held_out)

    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_weights(model, options.output)
    table = Table("attribute", "classes", *scores, title=f"Held-out accuracy (%) of {options.held_out} people")
    for name, classes in ATTRIBUTES.items():
        table.add_row(name, str(classes), *(f"{100 * column[name]:.1f}" for column in scores.values()))
    card = write_card(options, scores, time.perf_counter() - started)
    console.print(table)
    console.print(f"wrote [bold]{options.output}[/bold] and [bold]{card}[/bold]")


def train(model: ResNet, reader: AttributeReader, data: AttributeSet, options: PretrainSettings) -> None:
    """Train a timm model and linear classifiers of the attributes on its feature map."""
    parameters = [*model.parameters(), *reader.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.lr, weight_decay=options.weight_decay)
    steps = len(data.images) // options.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.lr, total_steps=options.epochs * steps, pct_start=0.15, div_factor=10, final_div_factor=1000
    )
    features = torch.compile(model.forward_features) if options.compile else model.forward_features
    settings = AugmentSettings(pad=4, exchange=0.7, erase=0.3, erase_area=(0.02, 0.15))
    augment = Augment(settings)
    generator = torch.Generator().manual_seed(options.seed)
    modality, targets = (torch.from_numpy(array.copy()) for array in (data.modality, data.targets))
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("loss {task.fields[loss]:.3f} (2: chance)")) as progress:
        for epoch in range(options.epochs):
            task = progress.add_task(f"Epoch {epoch + 1}/{options.epochs}", total=steps, loss=float("nan"))
            order = torch.randperm(len(data.images), generator=generator)
            mean = 0.0
            for step in range(steps):
                rows = order[step * options.batch_size : (step + 1) * options.batch_size]
                images, parts = (torch.from_numpy(array[rows.numpy()]) for array in (data.images, data.parts))
                draws = augment.draw(len(rows), generator)
                images = augment(images, modality[rows], draws=draws)
                # Parts are cropped and flipped with their pixels.
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
def evaluate(model: ResNet, reader: AttributeReader, data: AttributeSet) -> Scores:
    """The accuracy of each attribute by modality and classifier, over the pictures that show the attribute."""
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
        own = torch.from_numpy(data.modality == number)
        scores[f"{name}, whole"] = accuracies(torch.cat(wholes)[own], torch.cat(targets)[own])
        scores[f"{name}, local"] = accuracies(torch.cat(locals_)[own], torch.cat(targets)[own])
    return scores


def write_card(options: PretrainSettings, scores: Scores, seconds: float) -> Path:
    """Write the model card beside the weights: their origin, their training, and their accuracies."""
    digest = hashlib.sha256(options.output.read_bytes()).hexdigest()
    command = shlex.join(["python", f"examples/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    lines = [
        f"| {name} | {classes} | " + " | ".join(f"{100 * column[name]:.1f}" for column in scores.values()) + " |"
        for name, classes in ATTRIBUTES.items()
    ]
    card = options.output.with_name("README.md")
    write_text(
        card,
        f"""\
# {options.output.name}

Weights of `concordant_small` (`examples/vireid/models/backbones.py`), a plain timm state dict without classifier, in
float32 with the statistics of its batch normalisations: {options.output.stat().st_size:,} bytes.

- sha256: `{digest}`
- Made by `{command}` with torch {torch.__version__.split("+")[0]} and timm {timm.__version__}, in {seconds / 60:.0f}
  minutes on {options.threads} threads of a CPU.
- Trained on {options.people:,} rendered people in two visible and two infrared pictures each, {options.epochs} passes,
  both modalities mixed through one stem. The labels are attributes: what hair, garments, patterns, shoes, bag and build
  a person has. There are no identity labels, and the people are in none of the rendered data sets.
- **This is in-domain supervision.** The weights stand where ImageNet weights stand for real data. They make the demo
  short; a figure that starts from them says nothing about real pictures.

Accuracy (%) on {options.held_out:,} other people, by a linear reading of the mean over the grid of features ("whole"),
or over those tokens in which the renderer put the attribute's own part ("local"). Both readings are trained on: the
place of an attribute is a label, too, that ImageNet weights do not have. Attributes of a pattern count only where a
person has that pattern, and all only where the picture shows the part; a bag may hide behind its bearer all the same.

| attribute | classes | {" | ".join(scores)} |
|---|---|{"---|" * len(scores)}
"""
        + "\n".join(lines)
        + "\n",
    )
    return card
