"""The end of a run: evaluate, print the table, write metrics.json and draw the figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from concordant import CAL
from vireid.baseline import GlobalBaseline
from vireid.config import Settings
from vireid.data import INFRARED, VISIBLE, Sysu, evaluate, exclusion, gallery_draw, table
from vireid.data.gallery import Draw
from vireid.diagnostics import attention_health
from vireid.figures import draw_attention, draw_curves, draw_rankings
from vireid.inference import attend, extract
from vireid.record import read_log, write_json

Images = NDArray[np.uint8]
"""Decoded images [n h w 3]."""

PEOPLE = 6
"""How many people the figures show."""
SAMPLE = 256
"""How many test images of each modality the attention is measured on."""


def report(
    settings: Settings,
    sysu: Sysu,
    model: CAL | GlobalBaseline,
    queries: Images,
    gallery: Images,
    *,
    seconds: float,
    device: torch.device,
    console: Console,
) -> None:
    """Evaluate by the protocol, write metrics.json and draw the figures into the run's directory.

    `queries` and `gallery` are the decoded images of `sysu.query` and `sysu.gallery`.
    """
    out = settings.out
    query = extract(model, queries, sysu.query.modality, device=device)
    pool = extract(model, gallery, sysu.gallery.modality, device=device)
    results = evaluate(sysu, query, pool, draw=settings.gallery)
    console.print(table(results))
    metrics = dict(results) | {"gallery_draw": results.draw, "std": results.std, "train_seconds": round(seconds, 1)}
    if isinstance(model, CAL):
        metrics |= describe_attention(model, queries, gallery, device, console)
        picture_attention(model, sysu, queries, gallery, device, out / "attention.png")
    write_json(out / "metrics.json", metrics)
    if rows := read_log(out):
        draw_curves(rows, out / "curves.png")
    picture_rankings(sysu, queries, gallery, query @ pool.T, settings.gallery, out / "rankings.png")
    names = ", ".join(sorted(path.name for path in out.iterdir() if not path.name.startswith(".")))
    console.print(f"[bold]{out}[/bold] holds {names}")


def describe_attention(
    model: CAL, queries: Images, gallery: Images, device: torch.device, console: Console
) -> dict[str, dict[str, object]]:
    """Entropy and overlap of the attention on test images, and M̂."""
    rng = np.random.default_rng(0)
    maps = []
    for images, modality in ((gallery, VISIBLE), (queries, INFRARED)):
        sample = images[np.sort(rng.permutation(len(images))[:SAMPLE])]
        maps.append(attend(model, sample, modality, device=device))
    health, order = attention_health(torch.cat(maps)), model.correspondence.permutation().tolist()
    share = model.correspondence.stability()
    console.print(
        f"attention on test images: entropy {health['entropy']:.2f} of ln t, overlap of parts {health['overlap']:.2f}; "
        f"M̂ = {order}, {100 * share:.0f} % of the last matchings",
        highlight=False,
    )
    return {"attention": health, "correspondence": {"permutation": order, "share": share}}


def picture_attention(
    model: CAL, sysu: Sysu, queries: Images, gallery: Images, device: torch.device, path: Path
) -> None:
    """A visible and an infrared image of each of a few people, with the parts' attention on both."""
    known = np.intersect1d(sysu.query.identity, sysu.gallery.identity)
    people = np.random.default_rng(0).permutation(known)[:PEOPLE]
    chosen = [
        images[[np.flatnonzero(items.identity == person)[0] for person in people]]
        for images, items in ((gallery, sysu.gallery), (queries, sysu.query))
    ]
    visible, infrared = (attend(model, x, m, device=device) for m, x in zip((VISIBLE, INFRARED), chosen, strict=True))
    infrared = infrared[:, model.correspondence.permutation().cpu()]
    draw_attention(
        list(zip(*chosen, strict=True)),
        list(zip(visible, infrared, strict=True)),
        [f"identity {person}" for person in people],
        path,
    )


def picture_rankings(sysu: Sysu, queries: Images, gallery: Images, similarity: Tensor, draw: Draw, path: Path) -> None:
    """A few queries and their ten nearest in the first single-shot gallery."""
    rows = np.sort(np.random.default_rng(0).permutation(len(queries))[:PEOPLE])
    drawn = gallery_draw(sysu, 0, draw=draw)
    draw_rankings(
        queries[rows],
        sysu.query.identity[rows],
        gallery[drawn],
        sysu.gallery.identity[drawn],
        similarity[rows][:, drawn],
        path,
        exclude=exclusion(sysu.query.camera[rows], sysu.gallery.camera[drawn]),
    )
