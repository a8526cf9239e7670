"""What every `train_*.py` does with its data set: check it, train or load a model, evaluate and draw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors import SafetensorError

from concordant import CAL
from vireid.config import Settings
from vireid.datasets.cache import Images, cache_images
from vireid.datasets.counts import counts_table, describe, verify_published
from vireid.datasets.dataset import DataSet
from vireid.datasets.items import Items
from vireid.evaluation.protocol import check_tasks
from vireid.evaluation.report import report
from vireid.files import reason_of
from vireid.models.baseline import GlobalBaseline
from vireid.models.weights import load_weights, read_metadata
from vireid.training.loop import build_model, train
from vireid.training.processes import join_processes
from vireid.training.record import fingerprint
from vireid.training.rehearsal import few, rehearsal


def run(settings: Settings, data: DataSet, console: Console) -> None:
    """Train on a data set and evaluate; or, as the settings say, only compare its counts, or only evaluate.

    Raises:
        ValueError, OSError, FloatingPointError: whatever is wrong with the data, the settings or the run.
    """
    console.quiet = not join_processes().is_main_process
    console.print(counts_table(data))
    check_tasks(data)
    if settings.verify:
        verify_published(data)
    elif settings.evaluate is not None:
        out, weights = settings.out, settings.evaluate
        if (out / "metrics.json").exists() and not settings.overwrite:
            raise ValueError(f"evaluate: {out} holds figures already: --overwrite replaces them")
        model = load_model(settings, data, weights)
        out.mkdir(parents=True, exist_ok=True)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        report(
            settings,
            data,
            model.to(device),
            decode(settings, data, data.test, "test"),
            origin={"weights": str(weights)},
            device=device,
            console=console,
        )
    else:
        whole = identify(data)
        if settings.fast_dev_run:
            settings, data = rehearsal(settings), few(data, settings.data.identities)
        # The test images too: one that is broken is better found now than after training.
        images, test = (decode(settings, data, *some) for some in ((data.train, "train"), (data.test, "test")))
        model, accelerator, seconds = train(settings, data.train, images, data=whole, console=console, split=data.split)
        if accelerator.is_main_process:
            report(
                settings,
                data,
                model,
                test,
                origin={"train_seconds": round(seconds, 1)},
                device=accelerator.device,
                console=console,
            )


def identify(data: DataSet) -> dict[str, Any]:
    """What a run's record says of its data: the counts, and a fingerprint by which other data are told apart."""
    return describe(data) | {"fingerprint": fingerprint(data.root, [*data.train.paths, *data.test.paths])}


def decode(settings: Settings, data: DataSet, items: Items, name: str) -> Images:
    """The decoded images of some of a data set's items."""
    size = (settings.data.height, settings.data.width)
    return cache_images(items.paths, size, root=data.root, cache_dir=settings.data.cache, name=name)


def load_model(settings: Settings, data: DataSet, weights: Path) -> CAL | GlobalBaseline:
    """The model of the settings with weights that were trained on this data set, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: they are of another model or of another split.
    """
    if not weights.is_file():
        raise FileNotFoundError(f"evaluate: no weights at {weights.absolute()}")
    plain = replace(settings, model=replace(settings.model, pretrained=False, weights=None))
    model = build_model(plain, len(data.train.identities))
    try:
        words = read_metadata(weights)
        load_weights(model, weights)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"evaluate: {weights} must hold the weights of the settings' model (--method {settings.method}, "
            f"{len(data.train.identities)} identities); {reason_of(error)}"
        ) from None
    for name, value in data.split.items():
        if words.get(name) != value:
            raise ValueError(
                f"evaluate: {weights} must be trained on {name} {value} to be tested on it, or it may know the people; "
                f"it was trained on {name} {words.get(name, 'unknown')}"
            )
    return model.eval()
