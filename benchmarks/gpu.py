"""All that `docs/benchmarks-gpu.md` has of a GPU, in one call; written as JSON after each row, and printed.

    python benchmarks/gpu.py runs/gpu.json
    python docs/tools/benchmark_table.py runs/gpu.json docs

An H100 or H200 should take about five minutes. The rows come in the order of their importance: a run that is cut off
keeps those that it has. A row that fails has its error. On a CPU all runs at tiny sizes, to show that it runs:
operators are counted in place of launches, and there is no graph.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import gpu_similarity, gpu_step
from benchmarks.rows import GPU, Row, command

WAYS = ("none", "graph")
SMALL, LARGE = (64, 256) if GPU else (16, 24)
SMALLER = (32, 16) if GPU else (8,)
"""Batches for smaller cards."""
similarity = partial(gpu_similarity.similarity, *((256, 2048) if GPU else (2, 3)))


def rows() -> Iterator[Row]:
    for way in WAYS:
        yield f"step, {way}", partial(gpu_step.speed, way, SMALL)
    yield "similarity", partial(similarity, kinds=["bfloat16"])
    yield "ranking", partial(gpu_similarity.ranking, 20_000 if GPU else 50)
    yield "augmentation", partial(gpu_step.augmentation, 256 if GPU else 16)
    for way in WAYS:
        yield f"large step, {way}", partial(gpu_step.speed, way, LARGE)
    for name, batch in (("step without views", SMALL), ("large step without views", LARGE)):
        yield f"{name}, graph", partial(gpu_step.speed, "graph", batch, loss=gpu_step.WITHOUT_VIEWS)
    for name, batch in (*((name, SMALL) for name in gpu_step.RECIPES), *(("SYSU-MM01", batch) for batch in SMALLER)):
        yield f"{name}, graph, {batch}", partial(gpu_step.hours, name, "graph", batch)
    for way in reversed(WAYS):
        yield f"head, {way}", partial(gpu_step.head, way, SMALL)
    yield "graph as one by one, float32", partial(gpu_step.equality, "graph", 50 if GPU else 3)
    yield "a capture that fails", gpu_step.failure
    yield "similarity, other types", partial(similarity, kinds=["float16", "tf32", "float32"])
    if GPU:  # last, as it takes longest; a CPU needs a compiler
        yield "step, default", partial(gpu_step.speed, "default", SMALL)


if __name__ == "__main__":
    command(__doc__, "runs/gpu.json", rows())
