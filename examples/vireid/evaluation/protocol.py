"""Evaluation: every task of a data set, each the mean of its trials' results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from rich.box import SIMPLE
from rich.table import Table

from concordant import rank_metrics
from vireid.datasets.dataset import DataSet, Task
from vireid.evaluation.similarity import Similarity

FIGURES = ("rank1", "rank10", "rank20", "mAP", "mINP")
OPTIONS = ("flip", "rerank", "flip+rerank")
"""The names of results with test-time options in metrics.json."""


class Results(dict[str, dict[str, float]]):
    """`{"all_single": {"rank1": …, "rank10": …, "rank20": …, "mAP": …, "mINP": …}, …}` in percent, the trials' mean.

    `std` has the same keys: the standard deviation over the trials; `title` says what the results are of.
    """

    def __init__(self, scores: Mapping[str, Sequence[Sequence[float]]], title: str) -> None:
        """From each task's scores [trials, figures]."""
        super().__init__({name: _named(np.mean(rows, axis=0)) for name, rows in scores.items()})
        self.std = {name: _named(np.std(rows, axis=0)) for name, rows in scores.items()}
        self.trials = max(len(rows) for rows in scores.values())
        self.title = title


def evaluate(
    data: DataSet, similarity: Similarity, *, tasks: Sequence[str] | None = None, trials: int | None = None
) -> Results:
    """Score the tasks of a data set.

    Args:
        similarity: of given queries with a given gallery: `cosine(embeddings, data.test)`, `reranked(…)`, or any
            function (rows [q], rows [g]) -> [q g], higher is nearer: target-aware retrieval, say.
        tasks: some of the data set's, by name; all unless given.
        trials: how many trials of each task; results to publish take all.

    Raises:
        ValueError: for bad settings or similarities, or where no query has a true match.
        FileNotFoundError: see `gallery_draw`.
    """
    known = data.tasks
    names = tuple(known) if tasks is None else tuple(tasks)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"evaluate: `tasks` must be some of {tuple(known)}; got {unknown}")
    most = min(known[name].trials for name in names)
    if trials is not None and not 1 <= trials <= most:
        raise ValueError(f"evaluate: `trials` must be 1 .. {most}; got {trials}")
    scores = {
        name: [_score(data, known[name], number, similarity) for number in range(trials or known[name].trials)]
        for name in names
    }
    return Results(scores, data.title(trials or most))


def check_tasks(data: DataSet) -> None:
    """Draw every trial of every task: what an evaluation would stumble over must show before training, not after.

    Raises:
        ValueError: in a trial, no query has a true match; or see `gallery_draw`.
        FileNotFoundError: see `gallery_draw`.
    """
    for name, task in data.tasks.items():
        for number in range(task.trials):
            query, gallery, exclude = task.trial(number)
            matches = data.test.identity[query][:, None] == data.test.identity[gallery]
            if exclude is not None:
                matches &= ~exclude.numpy()
            if not matches.any():
                raise ValueError(
                    f"check_tasks: {data.root.absolute()} must have a true match for a query of {name}; trial {number} "
                    f"of {len(query)} queries and {len(gallery)} gallery images has none"
                )


def table(results: Results, options: Mapping[str, Results] | None = None) -> Table:
    """The results for people: one line a task, each figure as mean ± standard deviation over the trials.

    Below them the same with test-time options, by the options' names.
    """
    out = Table("", title=results.title, box=SIMPLE, padding=0)  # fits 80 characters
    for heading in ("rank-1", "rank-10", "rank-20", "mAP", "mINP"):
        out.add_column(heading, justify="right", no_wrap=True)
    for option, some in {"": results, **(options or {})}.items():
        if option:
            out.add_section()
            out.add_row(f"with {option}")
        for name, means in some.items():
            std = some.std[name]
            figures = (f"{means[f]:.2f}" + (f"±{std[f]:.2f}" if some.trials > 1 else "") for f in FIGURES)
            out.add_row(name.replace("_to_", " → ").replace("_", ", "), *figures)
    return out


def as_metrics(results: Results, options: dict[str, Results]) -> dict[str, Any]:
    """The results as metrics.json has them: plain ones by task, those of options by the options' names."""
    return dict(results) | {"std": results.std} | {name: {**some, "std": some.std} for name, some in options.items()}


def _named(figures: ArrayLike) -> dict[str, float]:
    return dict(zip(FIGURES, np.asarray(figures).tolist(), strict=True))


def _score(data: DataSet, task: Task, number: int, similarity: Similarity) -> list[float]:
    query, gallery, exclude = task.trial(number)
    values = similarity(query, gallery)
    if tuple(values.shape) != (len(query), len(gallery)):
        raise ValueError(
            f"evaluate: `similarity` must give (q, g) = {(len(query), len(gallery))}; got {tuple(values.shape)}"
        )
    identity = torch.tensor(data.test.identity, device=values.device)
    metrics = rank_metrics(
        values,
        identity[query],
        identity[gallery],
        exclude=None if exclude is None else exclude.to(values.device),
        cmc_over=task.cmc_over,
        ranks=20,
    )
    figures = (metrics.cmc[0], metrics.cmc[9], metrics.cmc[19], metrics.map, metrics.minp)
    return [100 * float(figure) for figure in figures]
