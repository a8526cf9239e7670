"""The end of a run: evaluate, print the table, write metrics.json and plot the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from concordant import CAL
from vireid.config import RetrievalSettings
from vireid.datasets.cache import Images
from vireid.datasets.dataset import DataSet
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.evaluation.attention import sentences, warnings, watch
from vireid.evaluation.inference import attend, extract
from vireid.evaluation.protocol import as_metrics, evaluate, table
from vireid.evaluation.rerank import reranked
from vireid.evaluation.similarity import Similarity, cosine
from vireid.evaluation.ties import count_ties, tie_sentence
from vireid.figures import draw_attention, draw_curves, draw_found, draw_rankings
from vireid.files import is_litter, write_json
from vireid.models.build import Built
from vireid.runs import read_log

PEOPLE = 6
"""Number of identities in the figures."""
FOUND = 3
"""Number of those whose parts are searched for in the other modality."""


def report(
    model: Built,
    data: DataSet,
    images: Images,
    options: RetrievalSettings,
    out: Path,
    *,
    origin: dict[str, Any],
    device: torch.device,
    console: Console,
    every_reading: bool = False,
) -> None:
    """Evaluate by the protocol, plot the figures and write metrics.json into `out`, then print the table.

    `images` are the decoded images of `data.test`; `origin` describes the model in metrics.json. With `every_reading`
    the other variants of the protocol are scored, too.
    """
    similarities = compare(model, data, images, options, device)
    readings = data.readings if every_reading else {"": data}
    found = {
        name: {way: evaluate(one, similarity, progress=console.is_terminal) for way, similarity in similarities.items()}
        for name, one in readings.items()
    }
    ties = {name: count_ties(one, similarities[""]) for name, one in readings.items()}
    own, *others = (
        as_metrics(some[""], {way: results for way, results in some.items() if way}) | {"ties": ties[name]}
        for name, some in found.items()
    )
    metrics = own | data.reading | origin
    if others:
        metrics["readings"] = dict(zip(list(readings)[1:], others, strict=True))
    if isinstance(model, CAL):
        metrics |= watch(model, data, images, device).figures
        picture_attention(model, data, images, device, out)
    if rows := read_log(out):
        draw_curves(rows, out / "curves.png")
    picture_rankings(data, images, similarities[""], out / "rankings.png")
    # Last, so that a directory with metrics.json is complete.
    write_json(out / "metrics.json", metrics)
    for name, some in found.items():
        console.print(table(some[""], {way: results for way, results in some.items() if way}))
        if any(ties[name].values()):
            console.print(tie_sentence(ties[name]), highlight=False)
    if isinstance(model, CAL):
        print_attention(metrics, console)
    names = ", ".join(sorted(path.name for path in out.iterdir() if not is_litter(path.name)))
    console.print(f"[bold]{out}[/bold] holds {names}")


def compare(
    model: Built, data: DataSet, images: Images, options: RetrievalSettings, device: torch.device
) -> dict[str, Similarity]:
    """The plain similarity, with the key "", and the similarity with the chosen options, with their names as key."""
    embeddings = extract(model, images, data.test.modality, device=device)
    similarities = {"": cosine(embeddings.to(device), data.test)}
    if options.flip:
        embeddings = (embeddings + extract(model, images, data.test.modality, device=device, mirror=True)) / 2
    if names := [name for name in ("flip", "rerank") if getattr(options, name)]:
        similarities["+".join(names)] = (reranked if options.rerank else cosine)(embeddings, data.test)
    return similarities


def print_attention(metrics: dict[str, Any], console: Console) -> None:
    """What the parts look at, and warnings of those that look at the wrong thing."""
    for line in sentences(metrics):
        console.print(line, highlight=False)
    for line in warnings(metrics["attention"]):
        console.print(f"[yellow]WARNING:[/yellow] {line}", highlight=False)


def picture_attention(model: CAL, data: DataSet, images: Images, device: torch.device, out: Path) -> None:
    """Plot a visible and an infrared image of several identities, with the attention of the parts on both: each image's
    own parts in attention.png; the infrared image's, and where they are found in the visible one, in found.png."""
    rows = [np.flatnonzero(data.test.modality == modality) for modality in (VISIBLE, INFRARED)]
    people = [data.test.identity[own] for own in rows]
    shown = np.random.default_rng(0).permutation(np.intersect1d(people[0], people[1]))[:PEOPLE]
    chosen = [
        images[own[[np.flatnonzero(identities == person)[0] for person in shown]]]
        for own, identities in zip(rows, people, strict=True)
    ]
    visible, infrared = (attend(model, x, m, device=device) for m, x in zip((VISIBLE, INFRARED), chosen, strict=True))
    found = attend(model, chosen[0], VISIBLE, device=device, parts_of=(chosen[1], INFRARED))
    order = model.correspondence.permutation().cpu()
    infrared, found = infrared[:, order], found[:, order]
    pairs, titles = list(zip(*chosen, strict=True)), [f"identity {person}" for person in shown]
    maps, names = list(zip(visible, infrared, strict=True)), data.modalities
    draw_attention(pairs, maps, titles, out / "attention.png", names=names)
    maps = list(zip(found, infrared, strict=True))
    draw_found(pairs[:FOUND], maps[:FOUND], titles[:FOUND], out / "found.png", names=names)


def picture_rankings(data: DataSet, images: Images, similarity: Similarity, path: Path) -> None:
    """Plot several queries and their ten nearest images in the first gallery of the first task."""
    query, gallery, exclude = next(iter(data.tasks.values())).trial(0)
    some = np.sort(np.random.default_rng(0).permutation(len(query))[:PEOPLE])
    rows = query[some]
    draw_rankings(
        images[rows],
        data.test.identity[rows],
        images[gallery],
        data.test.identity[gallery],
        similarity(rows, gallery).cpu(),
        path,
        exclude=None if exclude is None else exclude[some],
    )
