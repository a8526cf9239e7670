"""Similarities of test images for evaluations: functions of rows of queries and rows of the gallery."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vireid.datasets.dataset import Rows
from vireid.datasets.items import INFRARED, VISIBLE, Items

Similarity = Callable[[Rows, Rows], Tensor]
"""(rows of queries [q], rows of the gallery [g]) -> [q g], higher is nearer. Rows are of `DataSet.test`."""


def cosine(embeddings: Tensor, test: Items) -> Similarity:
    """The cosine of embeddings [n e], one row per image of `test`, between images of different modalities.

    The product of all visible with all infrared images is computed once, for all tasks, directions and trials: in
    float64 for embeddings of it, else in float32.

    Raises:
        ValueError: for embeddings that are not one row per image.
    """
    check_embeddings("cosine", embeddings, test)
    unit = normalize(embeddings if embeddings.dtype == torch.float64 else embeddings.float(), dim=1)
    visible, infrared = by_modality(test)
    return looked_up(unit[visible] @ unit[infrared].T, test)


def looked_up(table: Tensor, test: Items) -> Similarity:
    """A similarity with values from `table` [v i]: those of all visible with all infrared images of `test`.

    Rows and columns are in the order of `by_modality`.
    """
    place = torch.empty(len(test), dtype=torch.long)
    for own in by_modality(test):
        place[own] = torch.arange(len(own))

    def similarity(query: Rows, gallery: Rows) -> Tensor:
        values = table if test.modality[query[0]] == VISIBLE else table.T
        return values[:, place[gallery]][place[query]]

    return similarity


def by_modality(test: Items) -> tuple[Tensor, Tensor]:
    """The rows of the visible images, and those of the infrared ones."""
    visible, infrared = (torch.from_numpy(np.flatnonzero(test.modality == m)) for m in (VISIBLE, INFRARED))
    return visible, infrared


def check_embeddings(who: str, embeddings: Tensor, test: Items) -> None:
    if embeddings.ndim != 2 or len(embeddings) != len(test):
        raise ValueError(
            f"{who}: `embeddings` must be (n, e) = ({len(test)}, e), one row per image; got {tuple(embeddings.shape)}"
        )
