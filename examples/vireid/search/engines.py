"""FAISS and Milvus Lite over galleries of several sizes: time, recall and room on the disk, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from vireid.datasets.dataset import DataSet
from vireid.evaluation.similarity import by_modality
from vireid.files import write_json
from vireid.search.options import Engines, Kind
from vireid.search.scale import SPREAD, made_up, measured
from vireid.search.store import Hits, Identity, Keep, Records, Store, open_store

STORES = {"FAISS": "faiss", "Milvus Lite": "milvus.db"}
KINDS: tuple[Kind, ...] = ("exact", "approximate")
DEPTH = 10
ADDED = 1 << 12
"""Embeddings that are added at a time, as by several rounds of `search.py add`."""
CAMERAS = 6
KEPT = Keep(not_camera=0, since=0.25, until=0.75)
"""A filter that leaves five of six cameras and half of the time."""
ALONE = 50
"""Queries that are searched one by one: what a user waits."""


def compare_engines(
    data: DataSet, embeddings: Tensor, options: Engines, origin: dict[str, Any], console: Console
) -> None:
    """Measure both engines over generated galleries; write engines.json.

    Recall is the share of the ten nearest images that are among the ten found. The nearest ones are FAISS's exact
    results, with the same filter.
    """
    sizes, folder = options.sizes, options.out
    visible, infrared = by_modality(data.test)
    generator = torch.Generator().manual_seed(0)
    chosen = embeddings[infrared[torch.randperm(len(infrared), generator=generator)[: options.queries]]]
    gallery = made_up(embeddings[visible], max(sizes), generator)
    rows: list[dict[str, Any]] = []
    for size in sorted(sizes):
        truth: dict[Keep, Hits] = {}
        for engine, name in STORES.items():
            if engine != "FAISS" and size > options.lite:
                continue
            with TemporaryDirectory(dir=folder) as place:
                rows += _measure(engine, Path(place) / name, gallery[:size], chosen, truth)
                settings = {"queries": len(chosen), "spread": SPREAD, "dimension": gallery.shape[1], "depth": DEPTH}
                versions = {package: version(package) for package in ("faiss-cpu", "pymilvus", "milvus-lite")}
                content = origin | {"settings": settings, "versions": versions, "engines": rows}
                write_json(folder / "engines.json", content)  # after each engine: the next one takes minutes
    console.print(_table(rows, gallery.shape[1], len(chosen)))
    console.print(f"[bold]{folder}[/bold] holds engines.json", soft_wrap=True)


def _measure(
    engine: str, place: Path, gallery: Tensor, queries: Tensor, truth: dict[Keep, Hits]
) -> list[dict[str, Any]]:
    rows = []
    with open_store(str(place), Identity("measured", gallery.shape[1]), write=True) as store:
        _, added = measured(partial(_add, store, gallery, engine))
        for kind in KINDS:
            _, built = measured(partial(store.build, kind))
            store.save()
            row: dict[str, Any] = {"engine": engine, "index": kind, "size": len(gallery)}
            row |= {"add_seconds": added, "build_seconds": built, "disk_megabytes": _megabytes(place)}
            store.search(queries[:1], DEPTH)  # not the first search, which reads what the others find in memory
            _, alone = measured(partial(_one_by_one, store, queries[:ALONE]))
            row["ms_alone"] = 1e3 * alone / len(queries[:ALONE])
            for name, keep in (("", Keep()), ("_filtered", KEPT)):
                hits, seconds = measured(partial(store.search, queries, DEPTH, keep))
                right = truth.setdefault(keep, hits)
                row |= {f"ms{name}": 1e3 * seconds / len(queries), f"recall{name}": _recall(hits, right)}
            rows.append(row)
    return rows


def _add(store: Store, gallery: Tensor, engine: str) -> None:
    for start in track(range(0, len(gallery), ADDED), description=f"adding {len(gallery):,} embeddings: {engine}"):
        rows = gallery[start : start + ADDED]
        ids = np.arange(start, start + len(rows))
        store.add(rows, Records(ids, [f"{one:09d}.jpg" for one in ids], ids % CAMERAS, ids / len(gallery), 0 * ids))


def _one_by_one(store: Store, queries: Tensor) -> None:
    for query in queries:
        store.search(query[None], DEPTH)


def _recall(hits: Hits, right: Hits) -> float:
    """The share in percent of `right` that is in `hits`."""
    return 100 * (right.ids[:, :, None] == hits.ids[:, None, :]).any(dim=2).float().mean().item()


def _megabytes(place: Path) -> float:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 1e6


def _table(rows: Sequence[dict[str, Any]], dimension: int, queries: int) -> Table:
    title = f"generated embeddings of {dimension} dimensions; {queries} queries"
    out = Table("engine", title=title, box=SIMPLE, padding=0)
    headings = ("images", "alone", "batch", "recall", "filtered", "recall", "MB", "add", "build")
    for heading in headings:
        out.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        out.add_row(
            f"{row['engine']}, {row['index']}".replace("approximate", "approx."),
            f"{row['size']:,}",
            *(f"{row[name]:.3g}" for name in ("ms_alone", "ms")),
            f"{row['recall']:.1f}",
            f"{row['ms_filtered']:.3g}",
            f"{row['recall_filtered']:.1f}",
            *(f"{row[name]:,.0f}" for name in ("disk_megabytes", "add_seconds")),
            f"{row['build_seconds']:.1f}",
        )
    out.caption = (
        f"alone, batch, filtered: ms per query, one by one, together, and together with a filter (five of six cameras, "
        f"half of the time); recall: % of the {DEPTH} nearest among the {DEPTH} found; add, build: seconds"
    )
    return out
