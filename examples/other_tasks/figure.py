"""The figure of both examples: attention of a query's parts on the query and on its match, and the comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from torch import Tensor

from concordant import TSAA
from other_tasks.compare import FIGURES, ByParts, Views
from vireid.figures.style import colour, save
from vireid.interval import interval

ROWS = 4
"""Number of identities in the figure."""
Paint = Callable[[Axes, Tensor, Tensor], None]
"""Plots an input with the attention [p t] of its parts."""


@torch.no_grad()
def draw(
    model: ByParts, test: Views, results: dict[str, Tensor], out: Path, paint_first: Paint, paint_second: Paint
) -> Path:
    """Plot attention.png into `out`. All maps of a row belong to the parts of the *query*."""
    first, second = (views[:: len(views) // ROWS, 0][:ROWS] for views in (test.first, test.second))
    gallery, query = model.encode(first, 0), model.encode(second, 1)
    own = TSAA.attend(query.tokens, query.keys, query.part_queries).attention
    cross = TSAA.attend(gallery.tokens, gallery.keys, query.part_queries).attention
    figure = plt.figure(figsize=(11, 1.25 * ROWS))
    grid = figure.add_gridspec(ROWS, 3, width_ratios=(2, 2, 1.7), wspace=0.12, hspace=0.15)
    for row in range(ROWS):
        for column, (paint, inputs, maps) in enumerate(((paint_second, second, own), (paint_first, first, cross))):
            axis = figure.add_subplot(grid[row, column])
            paint(axis, inputs[row], maps[row])
            axis.set(xticks=[], yticks=[])
            if row == 0:
                axis.set_title(("query, with its own parts", "true match, with the query's parts")[column], fontsize=10)
    _bars(figure.add_subplot(grid[:, 2]), results)
    out.mkdir(parents=True, exist_ok=True)
    return save(figure, out / "attention.png")


def paint_picture(axis: Axes, picture: Tensor, maps: Tensor) -> None:
    """Plot a picture [1 h w] in grey, with the colour of each part where its attention is. Tokens are squares."""
    _, height, width = picture.shape
    grey = (picture[0] - picture.min()) / (picture.max() - picture.min())
    side = round((height * width / maps.shape[1]) ** 0.5)
    grid = maps.unflatten(1, (height // side, width // side))
    grid = grid.repeat_interleave(side, dim=1).repeat_interleave(side, dim=2)
    strength = grid / maps.amax(dim=1)[:, None, None]
    axis.imshow(_mix(0.6 * grey[..., None].expand(-1, -1, 3), strength), interpolation="nearest")


def paint_letters(axis: Axes, letters: Tensor, maps: Tensor) -> None:
    """Plot letters [t] (1: a, 0: none) in a line, and below them a line with the attention of each part."""
    strength = maps / maps.amax(dim=1, keepdim=True)
    lines = [0.12 + (np.array(to_rgb(colour(part))) - 0.12) * row.numpy()[:, None] for part, row in enumerate(strength)]
    axis.imshow(np.stack(lines), aspect="auto", extent=(-0.5, len(letters) - 0.5, len(maps), 0))
    for place, letter in enumerate(letters.tolist()):
        axis.text(place, -0.2, chr(96 + letter) if letter else "·", ha="center", va="bottom", family="monospace")
    axis.set_ylim(len(maps), -1.6)
    axis.set_frame_on(False)


def _mix(base: Tensor, strength: Tensor) -> np.ndarray:
    """The base [h w 3] under the colours of the parts, with weights `strength` [p h w]."""
    colours = torch.tensor([to_rgb(colour(part)) for part in range(len(strength))])
    for weight, tint in zip(0.8 * strength[..., None], colours, strict=True):
        base = (1 - weight) * base + weight * tint
    return base.clamp(0, 1).numpy()


def _bars(axis: Axes, results: dict[str, Tensor]) -> None:
    width = 0.8 / len(results)
    for place, (name, rows) in enumerate(results.items()):
        mean, half, _ = zip(*map(interval, rows.T.tolist()), strict=True)
        at = np.arange(len(FIGURES)) + (place - (len(results) - 1) / 2) * width
        axis.bar(at, mean, width, yerr=half, label=name, color=colour(place), capsize=3)
    axis.set_xticks(range(len(FIGURES)), FIGURES)
    axis.set_ylabel("%")
    axis.set_ylim(0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08))
    axis.set_title("results on held-out data", fontsize=10)
