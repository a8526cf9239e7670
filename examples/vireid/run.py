"""A run from its settings: read and check the data set, train or load a model, evaluate, plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vireid.config import (
    DataSettings,
    FolderSource,
    LlcmSource,
    ModelSettings,
    RegdbSource,
    Settings,
    Source,
    SysuSource,
)
from vireid.datasets.cache import Images, cache_images
from vireid.datasets.counts import counts_table, describe, verify_published
from vireid.datasets.dataset import DataSet
from vireid.datasets.folder import read_folder
from vireid.datasets.items import Items
from vireid.datasets.llcm import read_llcm
from vireid.datasets.regdb import read_regdb
from vireid.datasets.sysu import read_sysu
from vireid.evaluation.inference import default_device
from vireid.evaluation.protocol import check_tasks
from vireid.evaluation.report import report
from vireid.models.build import build_model
from vireid.models.weights import is_whole, load_model, read_metadata
from vireid.options import Evaluation
from vireid.people.config import LARGE, RenderConfig
from vireid.people.dataset import render_dataset
from vireid.runs import RESULTS
from vireid.training.directory import alone, check_start
from vireid.training.loop import train
from vireid.training.processes import join_processes
from vireid.training.record import fingerprint
from vireid.training.rehearsal import few, rehearsal

NO_RESULTS = (
    "[bold]These are no results:[/bold] --fast-dev-run trains a few steps on few identities, to find errors. "
    "All stages work; without this flag, the run itself starts."
)
RENDERED, RENDERED_LARGE = Path("data/rendered"), Path("data/rendered-large")


def read(source: Source) -> DataSet:
    """The data set of the settings; for SYSU-MM01 without a root, the rendered one (the larger one on a GPU), which is
    rendered first.

    Raises:
        ValueError, OSError: the data set cannot be used; the message has one line.
    """
    if isinstance(source, SysuSource):
        large = torch.cuda.is_available()
        rendered = (RENDERED_LARGE, LARGE) if large else (RENDERED, RenderConfig())
        root = source.root or render_dataset(*rendered)
        return read_sysu(root, draw=source.gallery, scored=source.scored)
    if source.root is None:
        raise ValueError("`--root` must name the data directory; got none")
    if isinstance(source, RegdbSource):
        assert source.trial != "all"
        return read_regdb(source.root, source.trial)
    if isinstance(source, FolderSource):
        return read_folder(source.root, source.modalities)
    assert isinstance(source, LlcmSource)
    return read_llcm(source.root, reading=source.reading)


def run(settings: Settings, data: DataSet, console: Console) -> None:
    """Train on a data set, and evaluate.

    Raises:
        ValueError, OSError, FloatingPointError: an error in the data, the settings or the run.
    """
    console.quiet = not join_processes().is_main_process
    console.print(counts_table(data))
    check_tasks(data)
    described = identify(data)
    if settings.fast_dev_run:
        settings, data = rehearsal(settings), few(data, settings.data.identities)
    known = start_of(settings.model, data, console)
    check_start(settings, described)
    # The test images, too: a broken image must be found before training.
    images, test = (decode(settings.data, data, *some) for some in ((data.train, "train"), (data.test, "test")))
    out, split = settings.out, known | {data.name: data.split}
    with alone(out):
        model, at, seconds = train(settings, data.train, images, data=described, console=console, split=split)
        if at.is_main_process:
            origin: dict[str, Any] = {"train_seconds": round(seconds, 1)}
            if settings.fast_dev_run:
                origin["fast_dev_run"] = True
            report(model, data, test, settings.test, out, origin=origin, device=at.device, console=console)
            if settings.fast_dev_run:
                console.print(NO_RESULTS, soft_wrap=True)


def evaluate(options: Evaluation[Any], data: DataSet, console: Console) -> None:
    """Evaluate a trained model on a data set; or, with `verify`, only compare its counts with the published ones.

    Raises:
        ValueError, OSError: an error in the data, the options or the weights.
    """
    console.print(counts_table(data))
    check_tasks(data)
    if options.verify:
        verify_published(data)
        return
    out, weights = options.out, options.weights
    if weights is None:
        raise ValueError("`--weights` must name the weights of a trained model; got none")
    if any((out / name).exists() for name in RESULTS) and not options.overwrite:
        raise ValueError(f"evaluate: {out} holds results already: --overwrite replaces them")
    model, known = load_model(weights, build_model), check_split(weights, data)
    if known and data.name not in known:
        names = " and ".join(known)
        console.print(f"{weights}: trained on {names}; its identity classifiers are not used", soft_wrap=True)
    out.mkdir(parents=True, exist_ok=True)
    device = default_device()
    size = DataSettings(height=model.config.height, width=model.config.width, cache=options.cache)
    images = decode(size, data, data.test, "test")
    for name in RESULTS:  # results of another model
        (out / name).unlink(missing_ok=True)
    origin = {"weights": str(weights)}
    report(
        model.to(device),
        data,
        images,
        options.test,
        out,
        origin=origin,
        device=device,
        console=console,
        every_reading=True,
    )


def start_of(settings: ModelSettings, data: DataSet, console: Console) -> dict[str, str]:
    """The data sets of the initial weights, if these are of a complete trained model and not of timm's model."""
    weights = settings.weights
    if weights is None or not is_whole(weights):
        return {}
    note = f"{weights}: training starts from its backbone; its parts and classifiers are not used"
    console.print(note, soft_wrap=True)
    return check_split(weights, data)


def check_split(weights: Path, data: DataSet) -> dict[str, str]:
    """The data sets that weights were trained on, with the split of each.

    Raises:
        ValueError: the weights may have been trained on the test identities of `data`.
    """
    known = read_metadata(weights)
    if data.split and (not known or known.get(data.name, data.split) != data.split):
        raise ValueError(
            f"check_split: {weights} must be trained on {data.split} to be tested on it, as it may have seen the test "
            f"identities; it was trained on {known.get(data.name) or 'identities that it does not name'}"
        )
    return known


def identify(data: DataSet) -> dict[str, Any]:
    """The data set in the record of a run: its counts, and a fingerprint that tells it from other data."""
    return describe(data) | {"fingerprint": fingerprint(data.root, [*data.train.paths, *data.test.paths])}


def decode(settings: DataSettings, data: DataSet, items: Items, name: str) -> Images:
    """The decoded images of `items` of a data set."""
    size = (settings.height, settings.width)
    return cache_images(items.paths, size, root=data.root, cache_dir=settings.cache, name=name)
