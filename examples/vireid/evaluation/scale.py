"""Search in an index of any size, exactly and approximately: time, memory, and how much is found."""

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
from vireid.evaluation.index import EmbeddingIndex, Found
from vireid.evaluation.similarity import by_modality
from vireid.figures import draw_tradeoff
from vireid.files import write_json

SPREAD = 0.5
"""How far made-up embeddings lie from the real one they are made from, as a share of the difference of two others."""
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
    """Measure exact and approximate search over a made-up gallery, into scale.json and scale.png."""
    visible, infrared = by_modality(data.test)
    generator = torch.Generator().manual_seed(0)
    chosen = embeddings[infrared[torch.randperm(len(infrared), generator=generator)[:queries]]]
    gallery = made_up(embeddings[visible], size, generator)
    depth = min(max(RANKS), len(gallery))
    index, built = measured(lambda: EmbeddingIndex.build(gallery, progress=True))
    truth, seconds = measured(lambda: index.search(chosen, depth))
    rows = [figures_of("exact", index, built, truth, truth, seconds)]
    del index  # it holds the gallery once more
    index, built = measured(lambda: EmbeddingIndex.build(gallery, kind="ivfpq", progress=True))
    del gallery
    index.save(folder / "ivfpq")
    index, loaded = measured(partial(EmbeddingIndex.load, folder / "ivfpq"))
    lists = index.settings.lists or 0
    read = [nprobe for nprobe in sorted({*probes, index.settings.nprobe or 0}) if nprobe <= lists]
    for nprobe in track(read, description="searching"):
        found, seconds = measured(partial(index.search, chosen, depth, nprobe=nprobe))
        rows.append(figures_of(f"nprobe {nprobe}", index, built, found, truth, seconds))
    out = Table("", title=f"{size:,} made-up embeddings of {chosen.shape[1]} numbers", box=SIMPLE, padding=0)
    for heading in ("ms per query", *(f"recall@{k}" for k in RANKS), "overlap", "MB", "build, s"):
        out.add_column(heading, justify="right", no_wrap=True)
    for one in rows:
        recalls = (f"{one[f'recall{k}']:.1f}" for k in RANKS)
        cost = (f"{one['overlap']:.1f}", f"{one['megabytes']:,.0f}", f"{one['build_seconds']:.0f}")
        out.add_row(one["way"], f"{one['ms']:.3g}", *recalls, *cost)
    out.caption = (
        f"IVF-PQ of {lists} lists, of which a query reads nprobe; {len(chosen)} queries in one batch. recall@k: % of "
        f"queries whose nearest is among the first k found; overlap: % of the nearest {depth} among the {depth} found. "
        f"The index was read from its file in {loaded:.2f} s"
    )
    draw_tradeoff(
        {
            f"recall@{k}": [(one["way"].removeprefix("nprobe "), one["ms"], one[f"recall{k}"]) for one in rows[1:]]
            for k in RANKS
        },
        folder / "scale.png",
        figure="recall",
        title=f"IVF-PQ over {size:,} embeddings; at the points: nprobe",
        exact=rows[0]["ms"],
    )
    settings = asdict(index.settings) | {"queries": len(chosen), "spread": SPREAD, "faiss": faiss.__version__}
    write_json(folder / "scale.json", origin | {"load_seconds": loaded, "settings": settings, "ways": rows})
    console.print(out)
    console.print(f"[bold]{folder}[/bold] holds scale.json, scale.png and the index: ivfpq")


def made_up(real: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Unit vectors [size e] about the real embeddings [n e]: each is one, moved along the difference of two others.

    So they crowd where real ones do, and spread in the directions in which real ones differ.
    """
    out = real.new_empty(size, real.shape[1])
    for part in track(out.split(1 << 16), description="making up embeddings"):
        one, other, another = real[torch.randint(len(real), (3, len(part)), generator=generator)]
        torch.sub(other, another, out=part).mul_(SPREAD).add_(one)
        part.div_(torch.linalg.vector_norm(part, dim=1, keepdim=True))
    return out


def processor(device: torch.device) -> dict[str, object]:
    """Where times are measured."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"
    return {"threads": torch.get_num_threads(), "processor": name}


def measured(work: Callable[[], T]) -> tuple[T, float]:
    """What some work gives, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def figures_of(
    way: str, index: EmbeddingIndex, built: float, found: Found, truth: Found, seconds: float
) -> dict[str, Any]:
    """The results of one way to search: shares of `truth` in percent, times and the index's size."""
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
