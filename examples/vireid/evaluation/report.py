"""The end of a run: evaluate, print the table, write metrics.json and draw the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from concordant import CAL, attention_statistics
from vireid.config import RetrievalSettings
from vireid.datasets.cache import Images
from vireid.datasets.dataset import DataSet
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.evaluation.inference import attend, extract
from vireid.evaluation.protocol import as_metrics, evaluate, table
from vireid.evaluation.rerank import reranked
from vireid.evaluation.similarity import Similarity, cosine
from vireid.figures import draw_attention, draw_curves, draw_rankings
from vireid.files import is_litter, write_json
from vireid.models.build import Built
from vireid.runs import read_log

PEOPLE = 6
"""How many people the figures show."""
SAMPLE = 256
"""How many test images of each modality the attention is measured on."""


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
) -> None:
    """Evaluate by the protocol, draw the figures and write metrics.json into `out`, then print the table.

    `images` are the decoded images of `data.test`; `origin` says in metrics.json where the model is from.
    """
    similarities = compare(model, data, images, options, device)
    results, *more = (evaluate(data, similarity) for similarity in similarities.values())
    others = dict(zip(list(similarities)[1:], more, strict=True))
    metrics = as_metrics(results, others) | data.reading | origin
    if isinstance(model, CAL):
        metrics |= describe_attention(model, data, images, device)
        picture_attention(model, data, images, device, out / "attention.png")
    if rows := read_log(out):
        draw_curves(rows, out / "curves.png")
    picture_rankings(data, images, similarities[""], out / "rankings.png")
    # Last: a directory with metrics.json has all the rest.
    write_json(out / "metrics.json", metrics)
    console.print(table(results, others))
    if isinstance(model, CAL):
        print_attention(metrics, console)
    names = ", ".join(sorted(path.name for path in out.iterdir() if not is_litter(path.name)))
    console.print(f"[bold]{out}[/bold] holds {names}")


def compare(
    model: Built, data: DataSet, images: Images, options: RetrievalSettings, device: torch.device
) -> dict[str, Similarity]:
    """The plain similarity under "", and the one with all options that are on under their names."""
    embeddings = extract(model, images, data.test.modality, device=device)
    similarities = {"": cosine(embeddings, data.test)}
    if options.flip:
        embeddings = (embeddings + extract(model, images, data.test.modality, device=device, mirror=True)) / 2
    if names := [name for name in ("flip", "rerank") if getattr(options, name)]:
        similarities["+".join(names)] = (reranked if options.rerank else cosine)(embeddings, data.test)
    return similarities


def describe_attention(model: CAL, data: DataSet, images: Images, device: torch.device) -> dict[str, dict[str, Any]]:
    """Entropy and overlap of the attention on test images, and M̂."""
    rng = np.random.default_rng(0)
    maps = []
    for modality in (VISIBLE, INFRARED):
        rows = np.flatnonzero(data.test.modality == modality)
        sample = images[np.sort(rng.permutation(rows)[:SAMPLE])]
        maps.append(attend(model, sample, modality, device=device))
    statistics, order = attention_statistics(torch.cat(maps).flatten(2)), model.correspondence.permutation().tolist()
    health = {name: float(value) for name, value in statistics._asdict().items()}
    return {"attention": health, "correspondence": {"permutation": order, "share": model.correspondence.stability()}}


def print_attention(metrics: dict[str, Any], console: Console) -> None:
    health, correspondence = metrics["attention"], metrics["correspondence"]
    console.print(
        f"attention on test images: entropy {health['entropy']:.2f} of ln t, overlap of parts {health['overlap']:.2f}; "
        f"M̂ = {correspondence['permutation']}, {100 * correspondence['share']:.0f} % of the last matchings",
        highlight=False,
    )


def picture_attention(model: CAL, data: DataSet, images: Images, device: torch.device, path: Path) -> None:
    """A visible and an infrared image of each of a few people, with the parts' attention on both."""
    rows = [np.flatnonzero(data.test.modality == modality) for modality in (VISIBLE, INFRARED)]
    people = [data.test.identity[own] for own in rows]
    shown = np.random.default_rng(0).permutation(np.intersect1d(people[0], people[1]))[:PEOPLE]
    chosen = [
        images[own[[np.flatnonzero(identities == person)[0] for person in shown]]]
        for own, identities in zip(rows, people, strict=True)
    ]
    visible, infrared = (attend(model, x, m, device=device) for m, x in zip((VISIBLE, INFRARED), chosen, strict=True))
    infrared = infrared[:, model.correspondence.permutation().cpu()]
    draw_attention(
        list(zip(*chosen, strict=True)),
        list(zip(visible, infrared, strict=True)),
        [f"identity {person}" for person in shown],
        path,
    )


def picture_rankings(data: DataSet, images: Images, similarity: Similarity, path: Path) -> None:
    """A few queries and their ten nearest in the first gallery of the first task."""
    query, gallery, exclude = next(iter(data.tasks.values())).trial(0)
    some = np.sort(np.random.default_rng(0).permutation(len(query))[:PEOPLE])
    rows = query[some]
    draw_rankings(
        images[rows],
        data.test.identity[rows],
        images[gallery],
        data.test.identity[gallery],
        similarity(rows, gallery),
        path,
        exclude=None if exclude is None else exclude[some],
    )
