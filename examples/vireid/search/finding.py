"""Search a store with image files: a table, a picture, and JSON."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from vireid.datasets.cache import Images, decode_image
from vireid.datasets.items import MODALITIES
from vireid.figures import draw_hits
from vireid.files import plain, write_json
from vireid.models.hub import HubCAL
from vireid.search.beside import rerank
from vireid.search.directory import camera_of, embed, encoded
from vireid.search.options import Find, seconds_of
from vireid.search.parts import PartStore
from vireid.search.store import UNKNOWN, Hits, Keep, Store

NAMES = {number: name for name, number in MODALITIES.items()}
FIELDS = ("similarity", "image", "camera", "time", "modality")
DRAWN, COLUMNS = 20, 20
"""Queries in the picture, and images of each; all are in the table and in found.json."""


def find(store: Store, parts: PartStore | None, model: HubCAL, options: Find, console: Console) -> None:
    """Find the images of a store that are nearest to each query; write found.json and found.png.

    Args:
        parts: the part store beside the store, if it has one.

    Raises:
        ValueError: a query cannot be decoded, its camera is wanted and not known, or parts are wanted and missing.
    """
    if options.rerank is not None and parts is None:
        raise ValueError(f"find: `--rerank` needs parts beside {store.where}: add its images again with --parts")
    queries, out, modality = options.queries, options.out, MODALITIES[options.modality]
    size = (model.config.height, model.config.width)
    pixels = [_decoded(path, size) for path in queries]
    hits = search(store, embed(model, pixels, modality), options)
    if options.rerank is not None and parts is not None:
        hits = rerank(parts, model, encoded(model, pixels, modality), hits, options.k)
    results: list[dict[str, Any]] = []
    for path, similarity, ids in zip(queries, hits.similarity.tolist(), hits.ids.numpy(), strict=True):
        records = store.records(ids[ids >= 0])
        kinds = [NAMES[one] for one in records.modalities.tolist()]
        columns = (similarity, records.names, records.cameras.tolist(), map(when, records.times), kinds)
        # The similarities of missing hits come last.
        rows = [dict(zip(FIELDS, row, strict=True)) for row in zip(*columns)]  # noqa: B905
        results.append({"query": str(path), "found": rows})
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "found.json", {"options": plain(options), "results": results})
    drawn = results[:DRAWN]
    draw_hits(
        pixels[:DRAWN],
        [_short(one["query"]) for one in drawn],
        [[(_shown(row["image"], size), f"{row['similarity']:.2f}") for row in one["found"][:COLUMNS]] for one in drawn],
        out / "found.png",
    )
    for one in results:
        title = f"{escape(_short(one['query']))} in {len(store):,} images"
        table = Table("", "similarity", "camera", "time", "modality", title=title, box=SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("image", overflow="fold")
        for rank, row in enumerate(one["found"], 1):
            camera = "" if row["camera"] == UNKNOWN else str(row["camera"])
            about = (f"{row['similarity']:.3f}", camera, row["time"], row["modality"])
            table.add_row(str(rank), *about, escape(row["image"]))
        console.print(table)
    console.print(f"[bold]{out}[/bold] holds found.json and found.png", soft_wrap=True)


def search(store: Store, embeddings: Tensor, options: Find) -> Hits:
    """The first stage: the nearest images that the options leave. Queries of one camera are searched together."""
    among = None if options.among is None else MODALITIES[options.among]
    keep = Keep(None, seconds_of(options.since), seconds_of(options.until, end=True), among)
    k = options.rerank or options.k
    if not options.other_cameras:
        return store.search(embeddings, k, keep, nprobe=options.nprobe)
    cameras = torch.tensor([_own_camera(path, options.camera) for path in options.queries])
    similarity, ids = torch.empty(len(embeddings), k), torch.empty(len(embeddings), k, dtype=torch.int64)
    for camera in cameras.unique():
        rows = cameras == camera
        kept = replace(keep, not_camera=int(camera))
        similarity[rows], ids[rows] = store.search(embeddings[rows], k, kept, nprobe=options.nprobe)
    return Hits(similarity, ids)


def _own_camera(path: Path, pattern: str) -> int:
    if (camera := camera_of(str(path), re.compile(pattern))) == UNKNOWN:
        rule = f"`--other-cameras` needs a camera that `--camera` {pattern!r} finds in each path"
        raise ValueError(f"find: {rule}; got {path}")
    return camera


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
