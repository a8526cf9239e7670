"""Exact and approximate search in an index of any size: time, memory, and recall."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import faiss
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from vireid.datasets.dataset import DataSet
from vireid.evaluation.similarity import by_modality
from vireid.figures import draw_tradeoff
from vireid.files import write_json
from vireid.search.index import EmbeddingIndex, Found

SPREAD = 0.5
"""Distance of a generated embedding from its real one, as a share of the difference of two other real ones."""
RANKS = (1, 10, 100)
T = TypeVar("T")


def scale(
    data: DataSet,
    embeddings: Tensor,
    size: int,
    queries: int,
    probes: Sequence[int],
    folder: Path,
    origin: dict[str, Any],
    console: Console,
) -> None:
    """Measure exact and approximate search in a generated gallery; write scale.json and scale.png."""
    visible, infrared = by_modality(data.test)
    generator = torch.Generator().manual_seed(0)
    chosen = embeddings[infrared[torch.randperm(len(infrared), generator=generator)[:queries]]]
    gallery = made_up(embeddings[visible], size, generator)
    depth = min(max(RANKS), len(gallery))
    index, built = measured(lambda: EmbeddingIndex.build(gallery, progress=True))
    truth, seconds = measured(lambda: index.search(chosen, depth))
    rows = [figures_of("exact", index, built, truth, truth, seconds)]
    del index  # it holds a second copy of the gallery
    index, built = measured(lambda: EmbeddingIndex.build(gallery, kind="ivfpq", progress=True))
    del gallery
    index.save(folder / "ivfpq")
    index, loaded = measured(partial(EmbeddingIndex.load, folder / "ivfpq"))
    lists = index.settings.lists or 0
    read = [nprobe for nprobe in sorted({*probes, index.settings.nprobe or 0}) if nprobe <= lists]
    for nprobe in track(read, description="searching"):
        found, seconds = measured(partial(index.search, chosen, depth, nprobe=nprobe))
        rows.append(figures_of(f"nprobe {nprobe}", index, built, found, truth, seconds))
    out = Table("search", title=f"{size:,} generated embeddings of {chosen.shape[1]} dimensions", box=SIMPLE, padding=0)
    for heading in ("ms per query", *(f"recall@{k}" for k in RANKS), "overlap", "MB", "build, s"):
        out.add_column(heading, justify="right", no_wrap=True)
    for one in rows:
        recalls = (f"{one[f'recall{k}']:.1f}" for k in RANKS)
        cost = (f"{one['overlap']:.1f}", f"{one['megabytes']:,.0f}", f"{one['build_seconds']:.0f}")
        out.add_row(one["way"], f"{one['ms']:.3g}", *recalls, *cost)
    out.caption = (
        f"IVF-PQ with {lists} lists, of which a query reads nprobe; {len(chosen)} queries in one batch. recall@k: % of "
        f"queries whose nearest embedding is in the first k results; overlap: % of the nearest {depth} in the {depth} "
        f"results. Loading the index took {loaded:.2f} s"
    )
    draw_tradeoff(
        {
            f"recall@{k}": [(one["way"].removeprefix("nprobe "), one["ms"], one[f"recall{k}"]) for one in rows[1:]]
            for k in RANKS
        },
        folder / "scale.png",
        figure="recall",
        title=f"IVF-PQ over {size:,} embeddings; labels of points: nprobe",
        exact=rows[0]["ms"],
    )
    settings = asdict(index.settings) | {"queries": len(chosen), "spread": SPREAD, "faiss": faiss.__version__}
    write_json(folder / "scale.json", origin | {"load_seconds": loaded, "settings": settings, "ways": rows})
    console.print(out)
    console.print(f"[bold]{folder}[/bold] holds scale.json, scale.png and the index: ivfpq")


def made_up(real: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Unit vectors [size e] near the real embeddings [n e]: a real one plus a share of the difference of two others.

    They are dense where the real embeddings are dense, and spread in the directions in which these differ.
    """
    out = real.new_empty(size, real.shape[1])
    for part in track(out.split(1 << 16), description="generating embeddings"):
        one, other, another = real[torch.randint(len(real), (3, len(part)), generator=generator)]
        torch.sub(other, another, out=part).mul_(SPREAD).add_(one)
        part.div_(torch.linalg.vector_norm(part, dim=1, keepdim=True))
    return out


def processor(device: torch.device) -> dict[str, object]:
    """The processor on which times are measured."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"
    return {"threads": torch.get_num_threads(), "processor": name}


def measured(work: Callable[[], T]) -> tuple[T, float]:
    """The result of a function, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def figures_of(
    way: str, index: EmbeddingIndex, built: float, found: Found, truth: Found, seconds: float
) -> dict[str, Any]:
    """The results of one way to search: shares of `truth` in percent, times and the size of the index."""
    common = (found.rows[:, :, None] == truth.rows[:, None, :]).any(dim=1)
    nearest = found.rows == truth.rows[:, :1]
    return {
        "way": way,
        "ms": 1e3 * seconds / len(found.rows),
        **{f"recall{k}": 100 * nearest[:, :k].any(dim=1).float().mean().item() for k in RANKS},
        "overlap": 100 * common.float().mean().item(),
        "megabytes": index.megabytes,
        "build_seconds": built,
    }
