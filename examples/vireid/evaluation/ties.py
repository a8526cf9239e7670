"""Equal scores: where the order of the gallery, and not the similarity, decides the rank of a true match."""

from __future__ import annotations

import numpy as np

from vireid.datasets.dataset import DataSet, Trial
from vireid.evaluation.similarity import Similarity


def count_ties(data: DataSet, similarity: Similarity) -> dict[str, float]:
    """The share of queries, in percent, with a true match exactly as near as another identity's image, by task.

    Of such images the order of the gallery decides, and another program's results may differ.
    """
    return {
        name: float(np.mean([_ties(data, task.trial(number), similarity) for number in range(task.trials)]))
        for name, task in data.tasks.items()
    }


def _ties(data: DataSet, trial: Trial, similarity: Similarity) -> float:
    query, gallery, exclude = trial
    match = data.test.identity[query][:, None] == data.test.identity[gallery]
    shown = np.ones_like(match) if exclude is None else ~exclude.numpy()
    values = similarity(query, gallery).cpu().numpy()
    # Few rows have equal values at all, which one sort tells.
    ordered = np.sort(values, axis=1)
    repeated = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
    tied = sum(
        np.isin(values[row, match[row] & shown[row]], values[row, ~match[row] & shown[row]]).any() for row in repeated
    )
    return 100 * int(tied) / int((match & shown).any(axis=1).sum())


def tie_sentence(ties: dict[str, float]) -> str:
    """What the counts of ties say, for the console."""
    if not any(ties.values()):
        return "no true match is exactly as near as another identity's image"
    some = ", ".join(f"{name} {share:.2f} %" for name, share in ties.items())
    return f"queries with a true match exactly as near as another identity's image: {some}"
