"""Search with a trained model: exactly, target-aware, in two stages, and in a million embeddings.

    python examples/search.py                               # of make demo's run: the three ways to rank a gallery
    python examples/search.py --run runs/sysu               # of another run on SYSU-MM01
    python examples/search.py --scale 1000000               # FAISS over a million embeddings: exact, and approximate

A distilled embedding needs no other image: a gallery of any size is searched in an index. Target-aware similarity
reads both images of every pair by their own parts, which takes as long as queries times gallery. Two stages lie
between: the index gives a short list, and only the pairs of that list are compared target-aware. The list comes first
in the ranking, in its new order, then the rest as the index has it.

Without --scale, each way is scored on all-search, single-shot, over ten gallery draws: rank-1, mAP, mINP, and the time
that comparing takes (each image is embedded and encoded once, which is timed by itself). "+ mean" orders the longest
list by the mean of both similarities. Which is best depends on the model: measure before you choose. A pair of a
short list takes several times as long as one of an exhaustive comparison, which reads an image once for many pairs:
lists pay for galleries that are ten times longer than they are. Takes about four minutes on two cores for make demo's.

With --scale, a gallery of so many embeddings is made up from the test images' own, and what is measured is time, size,
and how much of the exact result approximate search finds.

Either leaves a table as JSON and a figure in --out: compare.json and compare.png, or scale.json and scale.png. With
--scale the approximate index is saved there too, and searched after it is loaded again.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import faiss
import torch
import tyro
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table
from torch import Tensor

from concordant import CAL, TSAA, Encoded
from train_sysu import RENDERED
from vireid.command import one_line
from vireid.config import SysuSettings
from vireid.datasets.dataset import DataSet, Rows
from vireid.datasets.sysu import read_sysu
from vireid.evaluation.index import EmbeddingIndex, Found
from vireid.evaluation.inference import encode, extract
from vireid.evaluation.protocol import evaluate
from vireid.evaluation.search import target_aware, two_staged
from vireid.evaluation.similarity import Similarity, by_modality, cosine
from vireid.figures import draw_tradeoff
from vireid.files import write_json
from vireid.people.dataset import RenderConfig, render_dataset
from vireid.run import decode, load_model
from vireid.runs import RECORD, read_settings

TASK = "all_single"
SPREAD = 0.5
"""How far made-up embeddings lie from the real one they are made from, as a share of the difference of two others."""
RANKS = (1, 10, 100)
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    run: Path = Path("runs/demo")
    """A run of train_sysu.py with --method cal: run.json and model.safetensors."""
    root: Path | None = None
    """The data directory, if not the run's."""
    out: Path = Path("runs/search")
    """Where the table and the figure go."""
    lists: tuple[int, ...] = (20, 50, 100)
    """Lengths of the short list."""
    scale: int | None = None
    """Measure the index instead, over so many embeddings. A million of 640 numbers take 6 GB of memory."""
    queries: int = 300
    """With --scale: queries, which are embeddings of infrared test images."""
    probes: tuple[int, ...] = (1, 4, 16, 32, 64, 128)
    """With --scale: how many lists of the approximate index a query reads."""
    cache: Path | None = None
    """Where decoded images are kept, if not where the run has them."""


def main(options: Options) -> None:
    console = Console()
    for name, numbers in {
        "lists": options.lists,
        "probes": options.probes,
        "queries": (options.queries,),
        "scale": (1 if options.scale is None else options.scale,),
    }.items():
        if min(numbers, default=0) < 1:
            raise ValueError(f"search: `--{name}` must be one number or more, each at least 1; got {numbers}")
    settings = read_settings(options.run / RECORD, SysuSettings)
    if settings.method != "cal":
        raise ValueError(f"search: `--run` must be a run with --method cal; {options.run} is of {settings.method!r}")
    root = options.root or settings.root or render_dataset(RENDERED, RenderConfig())
    settings = replace(settings, data=replace(settings.data, cache=options.cache or settings.data.cache))
    data = read_sysu(root, draw=settings.gallery)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = cast(CAL, load_model(settings, data, options.run / "model.safetensors").to(device))
    images = decode(settings, data, data.test, "test")
    start = time.perf_counter()
    embeddings = extract(model, images, data.test.modality, device=device)
    origin = {
        "run": str(options.run),
        "threads": torch.get_num_threads(),
        "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "embed_ms": 1e3 * (time.perf_counter() - start) / len(images),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    if options.scale is not None:
        scale(options, data, embeddings, origin, console)
    else:
        start = time.perf_counter()
        encoded = encode(model, images, data.test.modality, device=device)
        origin["encode_ms"] = 1e3 * (time.perf_counter() - start) / len(images)
        compare(options, data, model, embeddings, encoded, origin, console)


def compare(
    options: Options,
    data: DataSet,
    model: CAL,
    embeddings: Tensor,
    encoded: Encoded,
    origin: dict[str, Any],
    console: Console,
) -> None:
    """Score every way of ranking a gallery, and what it takes."""
    test, attention = data.test, cast(TSAA, model.attention)
    staged = partial(two_staged, embeddings, encoded, test, attention, norm=model.part_norm)
    ways: dict[str, Callable[[], Similarity]] = {"distilled": lambda: cosine(embeddings, test)}
    for k in sorted(options.lists):
        ways[f"{k} target-aware"] = partial(staged, k)
    longest = max(options.lists)
    ways[f"{longest} target-aware + mean"] = partial(staged, longest, score="mean")
    ways["all target-aware"] = lambda: target_aware(encoded, test, attention, norm=model.part_norm)
    rows = {name: score(name, data, way) for name, way in ways.items()}
    out = Table("", title=f"{data.title(data.tasks[TASK].trials)}, all-search, single-shot", box=SIMPLE)
    for heading in ("rank-1", "mAP", "mINP", "seconds", "ms per query"):
        out.add_column(heading, justify="right", no_wrap=True)
    for name, row in rows.items():
        figures = (f"{row[figure]:.2f}" for figure in ("rank1", "mAP", "mINP"))
        out.add_row(name, *figures, f"{row['seconds']:.1f}", f"{row['ms']:.3g}")
    out.caption = (
        f"comparing only; an image takes {origin['embed_ms']:.2f} ms to embed, {origin['encode_ms']:.2f} ms to encode"
    )
    console.print(out)
    draw_tradeoff(
        {name: [("", row["ms"], row["mAP"])] for name, row in rows.items()},
        options.out / "compare.png",
        figure="mAP",
        title="All-search, single-shot",
    )
    write_json(options.out / "compare.json", origin | {"task": TASK, **data.reading, "ways": rows})
    console.print(f"[bold]{options.out}[/bold] holds compare.json and compare.png")


def score(name: str, data: DataSet, way: Callable[[], Similarity]) -> dict[str, float]:
    """The figures of one way, the seconds that its comparisons took, and the ms of each query in each gallery."""
    start = time.perf_counter()
    similarity = way()
    seconds, queries = time.perf_counter() - start, 0
    with Progress() as bar:
        task = bar.add_task(name, total=data.tasks[TASK].trials)

        def timed(query: Rows, gallery: Rows) -> Tensor:
            nonlocal seconds, queries
            start = time.perf_counter()
            values = similarity(query, gallery)
            seconds, queries = seconds + time.perf_counter() - start, queries + len(query)
            bar.advance(task)
            return values

        results = evaluate(data, timed, tasks=[TASK])
    return results[TASK] | {"seconds": seconds, "ms": 1e3 * seconds / queries}


def scale(options: Options, data: DataSet, embeddings: Tensor, origin: dict[str, Any], console: Console) -> None:
    """Measure exact and approximate search over a made-up gallery."""
    visible, infrared = by_modality(data.test)
    generator = torch.Generator().manual_seed(0)
    queries = embeddings[infrared[torch.randperm(len(infrared), generator=generator)[: options.queries]]]
    gallery = made_up(embeddings[visible], options.scale or 0, generator)
    depth = min(max(RANKS), len(gallery))
    index, built = measured(lambda: EmbeddingIndex.build(gallery, progress=True))
    truth, seconds = measured(lambda: index.search(queries, depth))
    rows = [figures_of("exact", index, built, truth, truth, seconds)]
    del index  # it holds the gallery once more
    index, built = measured(lambda: EmbeddingIndex.build(gallery, kind="ivfpq", progress=True))
    del gallery
    index.save(options.out / "ivfpq")
    index, loaded = measured(partial(EmbeddingIndex.load, options.out / "ivfpq"))
    lists = index.settings.lists or 0
    probes = [nprobe for nprobe in sorted({*options.probes, index.settings.nprobe or 0}) if nprobe <= lists]
    for nprobe in track(probes, description="searching"):
        found, seconds = measured(partial(index.search, queries, depth, nprobe=nprobe))
        rows.append(figures_of(f"nprobe {nprobe}", index, built, found, truth, seconds))
    out = Table("", title=f"{options.scale:,} made-up embeddings of {queries.shape[1]} numbers", box=SIMPLE, padding=0)
    for heading in ("ms per query", *(f"recall@{k}" for k in RANKS), "overlap", "MB", "build, s"):
        out.add_column(heading, justify="right", no_wrap=True)
    for one in rows:
        recalls = (f"{one[f'recall{k}']:.1f}" for k in RANKS)
        size = (f"{one['overlap']:.1f}", f"{one['megabytes']:,.0f}", f"{one['build_seconds']:.0f}")
        out.add_row(one["way"], f"{one['ms']:.3g}", *recalls, *size)
    out.caption = (
        f"IVF-PQ of {lists} lists, of which a query reads nprobe; {len(queries)} queries in one batch. recall@k: % of "
        f"queries whose nearest is among the first k found; overlap: % of the nearest {depth} among the {depth} found. "
        f"The index was read from its file in {loaded:.2f} s"
    )
    console.print(out)
    draw_tradeoff(
        {
            f"recall@{k}": [(one["way"].removeprefix("nprobe "), one["ms"], one[f"recall{k}"]) for one in rows[1:]]
            for k in RANKS
        },
        options.out / "scale.png",
        figure="recall",
        title=f"IVF-PQ over {options.scale:,} embeddings; at the points: nprobe",
        exact=rows[0]["ms"],
    )
    settings = asdict(index.settings) | {"queries": len(queries), "spread": SPREAD, "faiss": faiss.__version__}
    write_json(options.out / "scale.json", origin | {"load_seconds": loaded, "settings": settings, "ways": rows})
    console.print(f"[bold]{options.out}[/bold] holds scale.json, scale.png and the index: ivfpq")


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


def measured(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def figures_of(
    way: str, index: EmbeddingIndex, built: float, found: Found, truth: Found, seconds: float
) -> dict[str, Any]:
    """The figures of one way to search: shares of `truth` in percent, times and the index's size."""
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


if __name__ == "__main__":
    with one_line("search"):
        main(tyro.cli(Options, description=__doc__))
