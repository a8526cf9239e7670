"""Common code of both examples: a task, the training loop, the comparison over seeds, and its table."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import Tensor, nn

from concordant import RankMetrics, rank_metrics
from vireid.files import write_json
from vireid.interval import Interval, interval
from vireid.memory import keep_memory
from vireid.workers import ending_workers


class Task(NamedTuple):
    """Training batches, and pairs for the test: each query is compared with the whole gallery."""

    draw: Callable[[torch.Generator], tuple[Tensor, ...]]
    """The arguments of a method's loss, for one step."""
    gallery: Tensor
    queries: Tensor
    gallery_labels: Tensor
    query_labels: Tensor


class Method(Protocol):
    """A method to compare: a module with a loss and similarities."""

    @property
    def loss(self) -> Callable[..., Tensor]:
        """Of a batch, as a task draws it."""

    def similarities(self, gallery: Tensor, queries: Tensor, /) -> dict[str, Tensor]:
        """Tables [queries gallery] by the way of comparing; the first is the method's own, with the name ""."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def eval(self) -> object: ...


class Plan(NamedTuple):
    """How a method is trained."""

    make: Callable[[Task], Method]
    steps: int
    lr: float = 0.01
    decay: float = 0.02


class Run(NamedTuple):
    """A method that was trained with one seed."""

    model: Method
    figures: dict[str, list[float]]
    """Of each way of comparing."""
    seconds: float
    """CPU seconds of training."""


RANKING: dict[str, Callable[[RankMetrics], Tensor]] = {
    "rank-1": lambda found: found.cmc[0],
    "mAP": lambda found: found.map,
}


TABLES = 3.0
"""The learning rate of word vectors, times that of the other weights: most words are in few names."""


def fit(model: Method, plan: Plan, task: Task, generator: torch.Generator) -> float:
    """Train with AdamW on a one-cycle schedule; returns the CPU seconds. Only matrices of layers decay."""
    weights, tables = list(model.parameters()), [x.weight for x in model.modules() if isinstance(x, nn.Embedding)]
    others = [weight for weight in weights if all(weight is not table for table in tables)]
    groups = [
        ([weight for weight in others if weight.ndim > 1], plan.lr, plan.decay),
        ([weight for weight in others if weight.ndim < 2], plan.lr, 0.0),
        (tables, TABLES * plan.lr, 0.0),
    ]
    groups = [group for group in groups if group[0]]
    optimizer = torch.optim.AdamW([{"params": some, "weight_decay": decay} for some, _, decay in groups])
    rates = [lr for _, lr, _ in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=plan.steps, pct_start=0.15)
    started = time.process_time()
    for _ in range(plan.steps):
        loss = model.loss(*task.draw(generator))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 10.0)
        optimizer.step()
        schedule.step()
    model.eval()
    return time.process_time() - started


@torch.no_grad()
def evaluate(model: Method, task: Task) -> dict[str, list[float]]:
    """`RANKING` in %, by the way of comparing."""
    tables = model.similarities(task.gallery, task.queries)
    found = {way: rank_metrics(table, task.query_labels, task.gallery_labels) for way, table in tables.items()}
    return {way: [100 * float(figure(one)) for figure in RANKING.values()] for way, one in found.items()}


def perform(plan: Plan, make_task: Callable[[int], Task], seed: int) -> Run:
    """Train and test one method with one seed, on one thread, so that the number of cores changes nothing."""
    keep_memory()
    torch.set_num_threads(1)
    task = make_task(seed)
    torch.manual_seed(seed)
    model = plan.make(task)
    seconds = fit(model, plan, task, torch.Generator().manual_seed(seed))
    return Run(model, evaluate(model, task), seconds)


def compare(
    plans: Mapping[str, Plan], make_task: Callable[[int], Task], *, seeds: int, out: Path, console: Console
) -> dict[str, list[Run]]:
    """All methods with all seeds, as many at a time as there are cores; saves their figures, and prints their table."""
    jobs = [(seed, name) for seed in range(seeds) for name in plans]
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool,
        Progress(*columns, console=console, transient=True) as bar,
        ending_workers(),
    ):
        shown = bar.add_task("training", total=len(jobs))
        futures: dict[Future[Run], tuple[int, str]] = {
            pool.submit(perform, plans[name], make_task, seed): (seed, name) for seed, name in jobs
        }
        try:
            for future in as_completed(futures):
                future.result()
                bar.advance(shown)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an error ends the comparison, not the last of its runs
            raise
    done = {job: future.result() for future, job in futures.items()}
    runs = {name: [done[seed, name] for seed in range(seeds)] for name in plans}
    out.mkdir(parents=True, exist_ok=True)
    seconds = {name: [run.seconds for run in some] for name, some in runs.items()}
    write_json(out / "results.json", {"figures": list(RANKING), "runs": results_of(runs), "seconds": seconds})
    console.print(table(runs, seeds))
    return runs


def results_of(runs: Mapping[str, Sequence[Run]]) -> dict[str, list[list[float]]]:
    """The figures of each method and way of comparing, seed by seed: [seeds figures]."""
    return {
        f"{name}, {way}" if way else name: [run.figures[way] for run in some]
        for name, some in runs.items()
        for way in some[0].figures
    }


def table(runs: Mapping[str, Sequence[Run]], seeds: int) -> Table:
    """Means over seeds, and the differences to the first method in the last figure, seed by seed."""
    results = results_of(runs)
    first, *_ = results.values()
    title = f"%, mean of {seeds} seeds ± 95 % interval (Student's t)" if seeds > 1 else "%, one seed"
    lines = Table("", title=title, box=SIMPLE, padding=0)
    *_, last = RANKING
    for heading in (*RANKING, f"Δ {last}", "CPU s"):
        lines.add_column(heading, justify="right", no_wrap=True)
    seconds = {name: sum(run.seconds for run in some) / len(some) for name, some in runs.items()}
    for name, rows in results.items():
        gain = interval(one[-1] - other[-1] for one, other in zip(rows, first, strict=True))
        difference = "–" if rows is first else gain.text(sign=True)
        lines.add_row(name, *map(str, by_figure(rows)), difference, f"{seconds[name]:.0f}" if name in seconds else "")
    return lines


def by_figure(rows: Iterable[Sequence[float]]) -> list[Interval]:
    """The mean of each figure of [seeds figures]."""
    columns: Any = zip(*rows, strict=True)
    return [interval(column) for column in columns]
