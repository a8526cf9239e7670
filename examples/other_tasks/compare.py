"""Common code of both examples: the training loop, the comparison over seeds, and its table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from concordant import Encoded, rank_metrics
from other_tasks.options import Options
from vireid.interval import interval

BATCH = 32
"""Pairs per step: an identity in both modalities."""
FIGURES = ("rank-1", "mAP", "mINP")


class Views(NamedTuple):
    """`v` views of each of `k` identities in both modalities; row i is identity i in both."""

    first: Tensor
    """[k v …] of modality 0: the gallery."""
    second: Tensor
    """[k v …] of modality 1: the queries."""


class Method(Protocol):
    """A method to compare: a module with a loss and embeddings."""

    def loss(self, first: Tensor, second: Tensor, labels: Tensor, /) -> Tensor: ...

    def embed(self, inputs: Tensor, modality: int, /) -> Tensor: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def eval(self) -> object: ...


@runtime_checkable
class ByParts(Method, Protocol):
    """A method that also has encodings for target-aware retrieval."""

    def encode(self, inputs: Tensor, modality: int, /) -> Encoded: ...

    def similarity(self, query: Encoded, gallery: Encoded, /) -> Tensor: ...


def fit(model: Method, views: Views, steps: int, generator: torch.Generator, console: Console, name: str) -> float:
    """Train with AdamW on a one-cycle schedule; returns the seconds."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps, pct_start=0.15)
    identities, started = len(views.first), time.perf_counter()
    for _ in track(range(steps), name, console=console, transient=True):
        labels = torch.randint(identities, (BATCH,), generator=generator)
        first, second = torch.randint(views.first.shape[1], (2, BATCH), generator=generator)
        loss = model.loss(views.first[labels, first], views.second[labels, second], labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
    model.eval()
    return time.perf_counter() - started


@torch.no_grad()
def evaluate(model: Method, views: Views) -> dict[str, list[float]]:
    """Rank-1, mAP and mINP in %: by embeddings with the key "", and target-aware if the model has encodings."""
    identities = torch.arange(len(views.first)).repeat_interleave(views.first.shape[1])
    first, second = (x.flatten(0, 1) for x in views)
    similarity = {"": model.embed(second, 1) @ model.embed(first, 0).T}
    if isinstance(model, ByParts):
        similarity[", target-aware"] = model.similarity(model.encode(second, 1), model.encode(first, 0))
    scores = {name: rank_metrics(table, identities, identities) for name, table in similarity.items()}
    return {name: [100 * float(x) for x in (found.cmc[0], found.map, found.minp)] for name, found in scores.items()}


def compare(
    options: Options,
    make_views: Callable[[torch.Generator], tuple[Views, Views]],
    make_pooling: Callable[[], Method],
    make_parts: Callable[[], ByParts],
    draw: Callable[[ByParts, Views, dict[str, Tensor]], object],
) -> None:
    """Train both methods on the same views, seed by seed; plot and print the results.

    `draw` receives the parts model and the test views of the last seed, and the results of each method [seeds 3].
    """
    console = Console()
    seconds: dict[str, list[float]] = {}
    figures: dict[str, list[list[float]]] = {}
    for seed in range(options.seeds):
        train, test = make_views(torch.Generator().manual_seed(seed))
        for name, make, steps in (("pooling", make_pooling, 2 * options.steps), ("parts", make_parts, options.steps)):
            torch.manual_seed(seed)
            model, generator = make(), torch.Generator().manual_seed(seed)
            seconds.setdefault(name, []).append(
                fit(model, train, steps, generator, console, f"{name}, seed {seed + 1} of {options.seeds}")
            )
            for way, found in evaluate(model, test).items():
                figures.setdefault(name + way, []).append(found)
    results = {name: torch.tensor(rows) for name, rows in figures.items()}
    assert isinstance(model, ByParts)
    draw(model, test, results)
    title = f"%, mean of {options.seeds} seeds ± 95 % interval" if options.seeds > 1 else "%, one seed"
    table = Table("method", *FIGURES, "training, s", title=title)
    for name, rows in (results | {"parts − pooling": results["parts"] - results["pooling"]}).items():
        cells = [str(interval(column)) for column in rows.T.tolist()]
        table.add_row(name, *cells, f"{sum(seconds[name]) / options.seeds:.0f}" if name in seconds else "")
    console.print(table)
