"""What the ways to keep encoded images cost in bytes, mAP and time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from concordant import CAL, Encoded
from vireid.config import SysuSettings
from vireid.datasets.dataset import DataSet, Rows
from vireid.evaluation.inference import default_device, encode, extract
from vireid.evaluation.protocol import evaluate
from vireid.evaluation.similarity import Similarity, by_modality, cosine, looked_up
from vireid.figures import Kept, draw_storage
from vireid.files import write_json
from vireid.models.hub import HubCAL
from vireid.run import decode, read
from vireid.runs import RECORD, read_settings
from vireid.search.index import Found
from vireid.search.options import Parts
from vireid.search.parts import Compare, PartStore
from vireid.search.parts_code import PartSettings, sizes_of
from vireid.search.parts_ways import ways
from vireid.search.scale import processor
from vireid.search.two_stage import short_list_first

TASK = "all_single"
MOST = 0.5
"""mAP that may be lost."""
TIMED = 40
"""Queries of which the median time is taken."""
WIDE = {"t": 162, "c": 2048, "d": 257}
"""A ResNet-50 at 288 × 144, with a token gate."""


def parts_study(options: Parts, console: Console) -> None:
    """Measure all ways on all runs; write parts.json and parts.png."""
    for name, numbers in {"length": (options.length,), "clusters": options.clusters}.items():
        if min(numbers, default=1) < 1:
            raise ValueError(f"search parts: `--{name}` must be numbers of at least 1; got {numbers}")
    if not options.run:
        raise ValueError("search parts: `--run` must name a run; got none")
    results: dict[tuple[str, str], dict[str, Any]] = {}
    reading: dict[str, str] = {}
    for run in options.run:
        settings = read_settings(run / RECORD, SysuSettings)
        device = default_device()
        model = HubCAL.from_run(run).eval()
        data = read(replace(settings, root=options.root or settings.root))
        images = decode(settings.data, data, data.test, "test")
        embeddings = extract(model.to(device), images, data.test.modality, device=device)
        encoded = encode(model, images, data.test.modality, device=device).to("cpu")
        reading = data.reading
        for row in measure(model.cpu(), data, embeddings, encoded, options.length, options.clusters, run.name):
            found = results.setdefault((row["family"], row["label"]), row | {"mAP": [], "ms": [], "read_ms": []})
            for name in ("mAP", "ms", "read_ms"):
                found[name].append(row[name])
    rows = list(results.values())
    for row in rows:
        row["lost"] = [exact - mean for exact, mean in zip(rows[0]["mAP"], row["mAP"], strict=True)]
        for name in ("ms", "read_ms"):
            row[name] = None if None in row[name] else median(row[name])
    options.out.mkdir(parents=True, exist_ok=True)
    families: dict[str, list[Kept]] = {}
    for row in rows:
        families.setdefault(row["family"], []).append(Kept(row["label"], row["bytes"], row["ms"], row["lost"]))
    title = f"A short list of {options.length}, target-aware; means over {len(options.run)} runs"
    draw_storage(families, options.out / "parts.png", title=title, most=MOST)
    origin = {"runs": [str(run) for run in options.run], **processor(torch.device("cpu")), "task": TASK, **reading}
    write_json(options.out / "parts.json", origin | {"length": options.length, "wide": WIDE, "ways": rows})
    console.print(_table(rows, title))
    console.print(f"[bold]{options.out}[/bold] holds parts.json and parts.png")


def measure(
    model: CAL, data: DataSet, embeddings: Tensor, encoded: Encoded, length: int, clusters: Sequence[int], name: str
) -> list[dict[str, Any]]:
    """A row for each way: of the visible images the store keeps, the infrared ones are queries. The first is exact."""
    visible, infrared = by_modality(data.test)
    queries, gallery, sizes = encoded[infrared], encoded[visible], sizes_of(encoded)
    distilled = cosine(embeddings, data.test)
    rows = []
    with torch.inference_mode():
        every = list(ways(model, clusters))
        for way in track(every, description=f"{name}: keeping images"):
            if isinstance(way.keep, PartSettings):
                kept, ms, read_ms = stored(model.similarity, queries, gallery, way.keep, length)
            else:
                kept, ms, read_ms = way.keep(gallery), None, None
            table = model.similarity(kept, queries)
            results = evaluate(data, _staged(distilled, looked_up(table, data.test), length), tasks=[TASK])
            wide = sizes._replace(**WIDE)
            figures = {"bytes": way.size(sizes), "wide_bytes": way.size(wide), "mAP": results[TASK]["mAP"]}
            rows.append({"family": way.family, "label": way.label, **figures, "ms": ms, "read_ms": read_ms})
    return rows


def _staged(first: Similarity, second: Similarity, length: int) -> Similarity:
    """Two stages, of similarities that are known for all pairs."""

    def similarity(query: Rows, gallery: Rows) -> Tensor:
        distilled = first(query, gallery)
        places = distilled.topk(min(length, len(gallery)), dim=1).indices
        return short_list_first(distilled, Found(second(query, gallery).gather(1, places), places))

    return similarity


def stored(
    similarity: Compare, queries: Encoded, gallery: Encoded, settings: PartSettings, length: int
) -> tuple[Encoded, float, float]:
    """What a store gives back of a gallery; the median ms to read and compare a short list, and those to read it alone.

    The ms are of the processor, over all threads: other processes do not count.
    """
    generator, times, reads = torch.Generator().manual_seed(0), [], []
    with TemporaryDirectory() as folder:
        store = PartStore.create(Path(folder) / "store", "model", settings)
        store.add(gallery, torch.arange(len(gallery)))
        for i in torch.randint(len(queries), (TIMED,), generator=generator).tolist():
            listed = torch.randperm(len(gallery), generator=generator)[:length]
            start = time.process_time()
            store.read(listed)
            reads.append(time.process_time() - start)
            start = time.process_time()
            store.compare(queries[i], listed[None], similarity)
            times.append(time.process_time() - start)
        return store.read(torch.arange(len(gallery))), 1e3 * median(times), 1e3 * median(reads)


def _table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    out = Table("kept", "", title=title, box=SIMPLE, padding=0)
    for heading in ("kB", "kB, ResNet-50", "mAP lost", "worst run", "ms a query", "of them to read"):
        out.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        sizes = (f"{row[name] / 1e3:.1f}" for name in ("bytes", "wide_bytes"))
        lost = (f"{fmean(row['lost']):.2f}", f"{max(row['lost']):.2f}")
        times = ("" if row[name] is None else f"{row[name]:.1f}" for name in ("ms", "read_ms"))
        out.add_row(row["family"], row["label"], *sizes, *lost, *times)
    return out
