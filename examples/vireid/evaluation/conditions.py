"""Retrieval by how the query's picture was taken: how much of the person is hidden, and how its window lies on it."""

from __future__ import annotations

import csv
import math

import numpy as np
from numpy.typing import NDArray

from vireid.datasets.dataset import DataSet
from vireid.evaluation.protocol import evaluate
from vireid.evaluation.similarity import Similarity
from vireid.people.dataset import CONDITIONS

BINS: dict[str, dict[str, float]] = {
    "hidden": {"none": 0.0, "up to 15 %": 0.15, "more": math.inf},
    "shift": {"small": 0.08, "large": math.inf},
    "scale": {"cut": 1.0, "fit": 1.2, "too large": math.inf},
}
"""Of each condition, the bins with their upper bounds, which belong to them. Chosen before any result was seen.

The benchmark's 594 test queries: hidden 485, 53, 56; shift 521, 73; scale 44, 509, 41. A shift of 0.08 is about a row
of tokens, where a picture has twelve.
"""


def read_conditions(data: DataSet) -> dict[str, NDArray[np.float64]]:
    """How each test image [n] was taken; nothing if the data set does not say it.

    hidden  the share of the person, within the window, that something else covers.
    shift   how far the window's centre is from that of the person's box, across in widths of the window or down in
            heights, whichever is more: in the picture, the person is off its centre by so much.
    scale   height of the window divided by that of the box.

    Raises:
        ValueError: an image is missing in the file.
    """
    file = data.root / CONDITIONS
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as lines:
        rows = {row["picture"]: row for row in csv.DictReader(lines)}
    names = [path.relative_to(data.root).as_posix() for path in data.test.paths]
    if missing := [name for name in names if name not in rows]:
        raise ValueError(f"read_conditions: {file} must have a line for each test image; it has none for {missing[0]}")

    def column(field: str) -> NDArray[np.float64]:
        return np.array([float(rows[name][field]) for name in names])

    shift = np.maximum(np.abs(column("across")), np.abs(column("down")))
    return {"hidden": column("hidden"), "shift": shift, "scale": column("scale")}


def score_conditions(data: DataSet, similarity: Similarity, task: str) -> dict[str, dict[str, dict[str, float]]]:
    """By condition and bin, the mAP in percent of the queries of a task that fall into it, and their number.

    They search in the task's own galleries, whose images are not selected. Bins without queries are left out. Nothing
    if the data set does not say how its images were taken.
    """
    queries = data.tasks[task].trial(0).query
    found: dict[str, dict[str, dict[str, float]]] = {}
    for condition, values in read_conditions(data).items():
        bins = BINS[condition]
        place = np.searchsorted(list(bins.values()), values)
        found[condition] = {}
        for number, name in enumerate(bins):
            if count := int((place[queries] == number).sum()):
                results = evaluate(data, similarity, tasks=[task], searching=place == number)
                found[condition][name] = {"mAP": results[task]["mAP"], "queries": count}
    return found
