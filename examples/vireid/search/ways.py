"""Comparison of the ways to rank a gallery: distilled, in two stages, and target-aware for all pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from concordant import CAL, Encoded
from vireid.datasets.dataset import DataSet, Rows
from vireid.evaluation.protocol import evaluate
from vireid.evaluation.similarity import Similarity, cosine
from vireid.figures import draw_tradeoff
from vireid.files import write_json
from vireid.search.two_stage import target_aware, two_staged

TASK = "all_single"


def compare(
    data: DataSet,
    model: CAL,
    embeddings: Tensor,
    encoded: Encoded,
    lists: Sequence[int],
    folder: Path,
    origin: dict[str, Any],
    console: Console,
) -> None:
    """Measure accuracy and time of each way, for short lists of lengths `lists`; write compare.json and compare.png."""
    test = data.test
    staged = partial(two_staged, embeddings, encoded, test, model.similarity)
    ways: dict[str, Callable[[], Similarity]] = {"distilled": lambda: cosine(embeddings, test)}
    for k in sorted(lists):
        ways[f"{k} target-aware"] = partial(staged, k)
    longest = max(lists)
    ways[f"{longest} target-aware + mean"] = partial(staged, longest, score="mean")
    ways["all target-aware"] = lambda: target_aware(encoded, test, model.similarity)
    rows = {name: score(name, data, way) for name, way in ways.items()}
    out = Table("way to rank", title=f"{data.title(data.tasks[TASK].trials)}, all-search, single-shot", box=SIMPLE)
    for heading in ("rank-1", "mAP", "mINP", "seconds", "ms per query"):
        out.add_column(heading, justify="right", no_wrap=True)
    for name, row in rows.items():
        figures = (f"{row[figure]:.2f}" for figure in ("rank1", "mAP", "mINP"))
        out.add_row(name, *figures, f"{row['seconds']:.1f}", f"{row['ms']:.3g}")
    out.caption = (
        f"times of the comparisons; before, an image takes {origin['embed_ms']:.2f} ms to embed and "
        f"{origin['encode_ms']:.2f} ms to encode"
    )
    draw_tradeoff(
        {name: [("", row["ms"], row["mAP"])] for name, row in rows.items()},
        folder / "compare.png",
        figure="mAP",
        title="All-search, single-shot",
    )
    write_json(folder / "compare.json", origin | {"task": TASK, **data.reading, "ways": rows})
    console.print(out)
    console.print(f"[bold]{folder}[/bold] holds compare.json and compare.png")


def score(name: str, data: DataSet, way: Callable[[], Similarity]) -> dict[str, float]:
    """The results of one way, the seconds of its comparisons, and the ms per query and gallery."""
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
