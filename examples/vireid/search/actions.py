"""The commands of `examples/search.py`: each reads its run and its store, and calls one function."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import singledispatch
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import Tensor

from vireid.config import SysuSettings
from vireid.datasets.cache import Images
from vireid.datasets.dataset import DataSet
from vireid.datasets.items import MODALITIES, VISIBLE
from vireid.evaluation.inference import default_device, encode, extract
from vireid.models.hub import HubCAL
from vireid.models.weights import WEIGHTS, weights_digest
from vireid.run import decode, read
from vireid.runs import RECORD, read_settings
from vireid.search.beside import compact, open_parts
from vireid.search.directory import add_directory
from vireid.search.engines import compare_engines
from vireid.search.finding import find
from vireid.search.options import (
    Add,
    Build,
    Delete,
    Engines,
    Find,
    Measured,
    Parts,
    Scale,
    Ways,
    Wide,
)
from vireid.search.parts_code import PartSettings
from vireid.search.parts_study import parts_study
from vireid.search.parts_wide import wide
from vireid.search.scale import measured, processor, scale
from vireid.search.store import Identity, open_store
from vireid.search.ways import compare

SHOWN = 10
"""Broken images that are named."""


@singledispatch
def act(options: object) -> None:
    """Do what a command line asks for.

    Raises:
        ValueError, OSError: an error in the run, the images or the store; the message has one line.
    """
    raise TypeError(f"act: no command has options of {type(options).__name__}")


@act.register
def _(options: Add) -> None:
    if options.images is None:
        raise ValueError("add: `images` must name a directory of images; got none")
    console, (model, identity) = Console(), _model(options.run)
    done = add_directory(
        options.store,
        identity,
        model,
        options.images,
        modality=MODALITIES[options.modality],
        camera=re.compile(options.camera),
        parts=PartSettings(clusters=options.clusters) if options.parts else None,
        console=console,
    )
    for error in done.broken[:SHOWN]:
        console.print(f"not added: {error}", soft_wrap=True, highlight=False, markup=False)
    lost = f"; {len(done.broken):,} cannot be decoded" if done.broken else ""
    console.print(f"{options.store}: {done.added:,} images added, {done.before:,} were there{lost}", soft_wrap=True)


@act.register
def _(options: Find) -> None:
    model, identity = _model(options.run)
    if not options.queries:
        raise ValueError("find: `queries` must name image files; got none")
    with open_store(options.store, identity) as store:
        parts = None if options.rerank is None else open_parts(options.store, identity)
        find(store, parts, model.to(default_device()), options, Console())


@act.register
def _(options: Delete) -> None:
    wanted = {os.path.abspath(path) for path in options.names}
    with open_store(options.store, write=True) as store:
        gone = [
            one
            for records in store.listing()
            for one, name in zip(records.ids, records.names, strict=True)
            if name in wanted or wanted.intersection(map(str, Path(name).parents))
        ]
        if not gone:
            raise ValueError(f"delete: `names` must be images of {options.store}; got {sorted(wanted)}")
        parts = open_parts(options.store, store.identity)
        store.delete(torch.tensor(gone).numpy())
        if parts is not None:
            parts.delete(torch.tensor(gone))
        Console().print(f"{options.store}: {len(gone):,} images deleted, {len(store):,} are left", soft_wrap=True)


@act.register
def _(options: Build) -> None:
    with open_store(options.store, write=True) as store:
        _, seconds = measured(lambda: store.build(options.kind))
        if (parts := open_parts(options.store, store.identity)) is not None:
            compact(parts, store)
        console = Console()
        console.print(
            f"{options.store}: {options.kind} index of {len(store):,} images, {seconds:.1f} s", soft_wrap=True
        )


@act.register
def _(options: Ways) -> None:
    run = _embedded(options)
    args = (run.model, run.images, run.data.test.modality)
    encoded, seconds = measured(lambda: encode(*args, device=default_device()))
    origin = run.origin | {"encode_ms": 1e3 * seconds / len(run.images)}
    compare(run.data, run.model, run.embeddings, encoded, options.lists, options.out, origin, Console())


@act.register
def _(options: Scale) -> None:
    run = _embedded(options)
    settings = (options.size, options.queries, options.probes)
    scale(run.data, run.embeddings, *settings, options.out, run.origin, Console())


@act.register
def _(options: Engines) -> None:
    run = _embedded(options)
    compare_engines(run.data, run.embeddings, options, run.origin, Console())


@act.register
def _(options: Parts) -> None:
    parts_study(options, Console())


@act.register
def _(options: Wide) -> None:
    wide(options, Console())


class _Run(NamedTuple):
    """A run's model, and the test images of its data set with their embeddings."""

    model: HubCAL
    data: DataSet
    images: Images
    embeddings: Tensor
    origin: dict[str, Any]


def _embedded(options: Measured) -> _Run:
    settings = read_settings(options.run / RECORD, SysuSettings)
    model, device = HubCAL.from_run(options.run).to(default_device()), default_device()
    data = read(replace(settings, root=options.root or settings.root))
    images = decode(replace(settings.data, cache=options.cache or settings.data.cache), data, data.test, "test")
    embeddings, seconds = measured(lambda: extract(model, images, data.test.modality, device=device))
    origin = {"run": str(options.run), **processor(device), "embed_ms": 1e3 * seconds / len(images)}
    options.out.mkdir(parents=True, exist_ok=True)
    return _Run(model, data, images, embeddings, origin)


def _model(run: Path) -> tuple[HubCAL, Identity]:
    """The model of a run, and the identity of the stores that it fills."""
    model = HubCAL.from_run(run)
    size = (1, 3, model.config.height, model.config.width)
    with torch.inference_mode():
        dimension = model.embed(torch.zeros(size), VISIBLE).shape[1]
    return model, Identity(weights_digest(run / WEIGHTS), dimension)
