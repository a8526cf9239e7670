"""Ranking lists: a query and its nearest gallery images, true matches in green and others in red."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from vireid.figures.style import save

RIGHT, WRONG, QUERY, FOUND = "#1a9850", "#d73027", "#444444", "#0072B2"


def draw_rankings(
    queries: NDArray[np.uint8],
    query_ids: NDArray[np.int64],
    gallery: NDArray[np.uint8],
    gallery_ids: NDArray[np.int64],
    similarity: Tensor,
    path: Path | str,
    *,
    exclude: Tensor | None = None,
    top: int = 10,
) -> Path:
    """Plot one row per query: its image, then the `top` gallery images with their similarity.

    Args:
        queries: images [q h w 3] with identities [q]. gallery: images [g h w 3] with identities [g].
        similarity: [q g], higher is nearer.
        exclude: [q g], true where a gallery image is hidden from a query.
    """
    if exclude is not None:
        similarity = similarity.masked_fill(exclude, float("-inf"))
    order = similarity.argsort(dim=1, descending=True, stable=True)[:, :top].numpy()
    height, width = queries.shape[1:3]
    cell = 0.95
    shape = (cell * (top + 1.4), (cell * height / width + 0.22) * len(queries))
    ratios = [1, 0.4] + [1] * top
    figure, axes = plt.subplots(len(queries), top + 2, figsize=shape, squeeze=False, width_ratios=ratios)
    for row, line in enumerate(axes):
        line[1].axis("off")
        _show(line[0], queries[row], QUERY, f"query {query_ids[row]}")
        for rank, column in enumerate(order[row]):
            right = gallery_ids[column] == query_ids[row]
            label = f"{gallery_ids[column]}  {similarity[row, column]:.2f}"
            _show(line[2 + rank], gallery[column], RIGHT if right else WRONG, label)
            if row == 0:
                line[2 + rank].set_title(f"rank {rank + 1}", fontsize=8)
        for axis in line[2 + len(order[row]) :]:
            axis.axis("off")
    figure.subplots_adjust(wspace=0.08, hspace=0.16)
    return save(figure, path)


def draw_hits(
    queries: Sequence[NDArray[np.uint8]],
    titles: Sequence[str],
    hits: Sequence[Sequence[tuple[NDArray[np.uint8] | None, str]]],
    path: Path | str,
) -> Path:
    """Plot one row per query: its image, then what was found, nearest first, where nothing is known of identities.

    Args:
        queries: images [h w 3] with titles. hits: of each query, images [h w 3] with labels; None for a lost file.
    """
    columns, (height, width) = max(map(len, hits)), queries[0].shape[:2]
    cell = 1.15
    shape = (cell * (columns + 1.4), (cell * height / width + 0.3) * len(queries))
    ratios = [1, 0.4] + [1] * columns
    figure, axes = plt.subplots(len(queries), columns + 2, figsize=shape, squeeze=False, width_ratios=ratios)
    for line, query, title, found in zip(axes, queries, titles, hits, strict=True):
        for axis in line[1:]:
            axis.axis("off")
        _show(line[0], query, QUERY, title)
        for axis, (image, label) in zip(line[2:], found, strict=False):
            if image is not None:
                axis.axis("on")
                _show(axis, image, FOUND, label)
    figure.subplots_adjust(wspace=0.08, hspace=0.2)
    return save(figure, path)


def _show(axis: Axes, image: NDArray[np.uint8], frame: str, label: str) -> None:
    axis.imshow(image)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(label, fontsize=7, labelpad=2)
    for spine in axis.spines.values():
        spine.set_color(frame)
        spine.set_linewidth(3)
