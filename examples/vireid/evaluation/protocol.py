"""Evaluation: the tasks of a data set; a result is the mean over the trials of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from rich.box import SIMPLE
from rich.progress import track
from rich.table import Table

from concordant import rank_metrics
from vireid.datasets.dataset import DataSet, Task
from vireid.evaluation.similarity import Similarity

FIGURES = ("rank1", "rank10", "rank20", "mAP", "mINP")
OPTIONS = ("flip", "rerank", "flip+rerank")
"""Names of results with test-time options in metrics.json."""


class Results(dict[str, dict[str, float]]):
    """`{"all_single": {"rank1": …, "rank10": …, "rank20": …, "mAP": …, "mINP": …}, …}` in percent, means over trials.

    `std` has the same keys: the standard deviation over the trials. `title` names the data set and the protocol.
    """

    def __init__(self, scores: Mapping[str, Sequence[Sequence[float]]], title: str) -> None:
        """From the scores [trials, metrics] of each task."""
        super().__init__({name: _named(np.mean(rows, axis=0)) for name, rows in scores.items()})
        self.std = {name: _named(np.std(rows, axis=0)) for name, rows in scores.items()}
        self.trials = max(len(rows) for rows in scores.values())
        self.title = title


def evaluate(
    data: DataSet,
    similarity: Similarity,
    *,
    tasks: Sequence[str] | None = None,
    trials: int | None = None,
    searching: NDArray[np.bool_] | None = None,
    progress: bool = False,
) -> Results:
    """Score the tasks of a data set.

    Args:
        similarity: of queries with a gallery: `cosine(embeddings, data.test)`, `reranked(…)`, or any function
            (rows [q], rows [g]) -> [q g] with higher values for nearer images, such as target-aware retrieval.
        tasks: names of tasks; by default all.
        trials: number of trials of each task; by default all, as for results to publish.
        searching: [n], which images of `data.test` may be queries; by default all that a task has. Galleries stay.
        progress: show a progress bar while it works.

    Raises:
        ValueError: for bad settings or similarities, or if no query has a true match.
        FileNotFoundError: see `gallery_draw`.
    """
    known = data.tasks
    names = tuple(known) if tasks is None else tuple(tasks)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"evaluate: `tasks` must be in {tuple(known)}; got {unknown}")
    most = min(known[name].trials for name in names)
    if trials is not None and not 1 <= trials <= most:
        raise ValueError(f"evaluate: `trials` must be 1 .. {most}; got {trials}")
    work = [(name, number) for name in names for number in range(trials or known[name].trials)]
    scores: dict[str, list[list[float]]] = {name: [] for name in names}
    for name, number in track(work, description="ranking", transient=True, disable=not progress):
        scores[name].append(_score(data, known[name], number, similarity, searching))
    return Results(scores, data.title(trials or most))


def check_tasks(data: DataSet) -> None:
    """Sample all trials of all tasks, so that errors of the evaluation are reported before training.

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
                    f"({len(query)} queries, {len(gallery)} gallery images) has none"
                )


def table(results: Results, options: Mapping[str, Results] | None = None) -> Table:
    """The results as a table: one line per task, with mean ± standard deviation over the trials.

    The results with test-time options are below, by the names of the options.
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
            shown = name.replace("_to_", " → ") if "_to_" in name else name.replace("_", ", ")
            out.add_row(shown, *figures)
    if results.trials > 1:
        out.caption = f"mean ± standard deviation over {results.trials} draws or trials"
    return out


def as_metrics(results: Results, options: dict[str, Results]) -> dict[str, Any]:
    """The results for metrics.json: plain results by task, and those with options by the names of the options."""
    return dict(results) | {"std": results.std} | {name: {**some, "std": some.std} for name, some in options.items()}


def _named(figures: ArrayLike) -> dict[str, float]:
    return dict(zip(FIGURES, np.asarray(figures).tolist(), strict=True))


def _score(
    data: DataSet, task: Task, number: int, similarity: Similarity, searching: NDArray[np.bool_] | None
) -> list[float]:
    query, gallery, exclude = task.trial(number)
    if searching is not None:
        kept = searching[query]
        query, exclude = query[kept], None if exclude is None else exclude[torch.from_numpy(kept)]
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
