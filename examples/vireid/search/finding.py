"""Search a store with image files: a table, a picture, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vireid.datasets.cache import Images, decode_image
from vireid.figures import draw_hits
from vireid.files import write_json
from vireid.models.hub import HubCAL
from vireid.search.directory import embed
from vireid.search.store import UNKNOWN, Keep, Store

DRAWN, COLUMNS = 20, 20
"""Queries in the picture, and images of each; all are in the table and in found.json."""


def find(
    store: Store,
    model: HubCAL,
    queries: Sequence[Path],
    *,
    modality: int,
    k: int,
    keep: Keep,
    out: Path,
    console: Console,
) -> None:
    """Find the k images of a store that are nearest to each query; write found.json and found.png.

    Raises:
        ValueError: a query cannot be decoded.
    """
    size = (model.config.height, model.config.width)
    pixels = [_decoded(path, size) for path in queries]
    hits = store.search(embed(model, pixels, modality), k, keep)
    results: list[dict[str, Any]] = []
    for path, similarity, ids in zip(queries, hits.similarity.tolist(), hits.ids.numpy(), strict=True):
        records = store.records(ids[ids >= 0])
        columns = (similarity, records.names, records.cameras.tolist(), map(when, records.times))
        # The similarities of missing hits come last.
        rows = [dict(zip(("similarity", "image", "camera", "time"), row, strict=True)) for row in zip(*columns)]  # noqa: B905
        results.append({"query": str(path), "found": rows})
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "found.json", {"store": store.where, "keep": vars(keep), "results": results})
    drawn = results[:DRAWN]
    draw_hits(
        pixels[:DRAWN],
        [_short(one["query"]) for one in drawn],
        [[(_shown(row["image"], size), f"{row['similarity']:.2f}") for row in one["found"][:COLUMNS]] for one in drawn],
        out / "found.png",
    )
    for one in results:
        title = f"{escape(_short(one['query']))} in {len(store):,} images"
        table = Table("", "similarity", "camera", "time", title=title, box=SIMPLE)
        table.add_column("image", overflow="fold")
        for rank, row in enumerate(one["found"], 1):
            camera = "" if row["camera"] == UNKNOWN else str(row["camera"])
            table.add_row(str(rank), f"{row['similarity']:.3f}", camera, row["time"], escape(row["image"]))
        console.print(table)
    console.print(f"[bold]{out}[/bold] holds found.json and found.png", soft_wrap=True)


def when(seconds: float) -> str:
    """A time as one reads it, in this computer's time zone."""
    return datetime.fromtimestamp(seconds).isoformat(sep=" ", timespec="seconds")


def _short(name: str) -> str:
    """The end of a path, as data sets have many images of one name."""
    return "/".join(Path(name).parts[-2:])


def _decoded(path: Path, size: tuple[int, int]) -> Images:
    pixels = decode_image(path, size, [])
    if isinstance(pixels, str):
        raise ValueError(f"find: `queries` must be images that can be decoded; got {pixels}")
    return pixels


def _shown(name: str, size: tuple[int, int]) -> Images | None:
    """The pixels of an image that was found; None if its file is gone since."""
    pixels = decode_image(Path(name), size, [])
    return None if isinstance(pixels, str) else np.asarray(pixels)
