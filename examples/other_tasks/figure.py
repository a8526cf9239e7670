"""The figures of both examples: where parts look, and the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from torch import Tensor
from torch.nn.functional import interpolate

from concordant import CAL
from other_tasks.compare import RANKING, Run, Task, by_figure, results_of
from vireid.figures.style import colour, save

ROWS, COLUMNS = 8, 2
"""Icons in the figure."""
INK, HEAT = (0.25, 0.25, 0.25), (0.85, 0.25, 0.05)


@torch.no_grad()
def draw_digits(model: CAL, task: Task, runs: Mapping[str, Sequence[Run]], path: Path) -> Path:
    """Plot four outlines with the attention of their parts, the same parts on the same digits in ink, and the results.
    All maps of a row belong to the parts of the *query*."""
    rows = torch.arange(4) * (len(task.queries) // 4)
    first, second = task.gallery[rows], task.queries[rows]
    gallery, query = model.encode(first, 0), model.encode(second, 1)
    own, cross = (model.attention.attend(x.tokens, x.keys, query.part_queries).attention for x in (query, gallery))
    figure = plt.figure(figsize=(9, 5))
    grid = figure.add_gridspec(4, 3, width_ratios=(1, 1, 3), wspace=0.12, hspace=0.15)
    for row in range(4):
        for column, (pictures, maps) in enumerate(((second, own), (first, cross))):
            axis = figure.add_subplot(grid[row, column])
            paint_parts(axis, pictures[row], maps[row])
            if row == 0:
                axis.set_title(("query and its parts", "the same, found")[column], fontsize=10)
    draw_bars(figure.add_subplot(grid[:, 2]), runs)
    return save(figure, path)


def paint_parts(axis: Axes, picture: Tensor, maps: Tensor) -> None:
    """Plot a picture [1 h w] in grey, with the colour of each part where its attention [p t] is. Tokens are squares."""
    _, height, width = picture.shape
    grey = (picture[0] - picture.min()) / (picture.max() - picture.min())
    side = round((height * width / maps.shape[1]) ** 0.5)
    grid = maps.unflatten(1, (height // side, width // side))
    grid = grid.repeat_interleave(side, dim=1).repeat_interleave(side, dim=2)
    mixed = 0.6 * grey[..., None].expand(-1, -1, 3)
    for part, strength in enumerate(0.8 * grid / maps.amax(dim=1)[:, None, None]):
        mixed = (1 - strength[..., None]) * mixed + strength[..., None] * torch.tensor(to_rgb(colour(part)))
    axis.imshow(mixed.clamp(0, 1).numpy(), interpolation="nearest")
    axis.set(xticks=[], yticks=[])


def draw_icons(names: Sequence[str], pictures: Tensor, maps: Tensor, ranks: Sequence[int], path: Path) -> Path:
    """Plot icons, and beside each where every word of its name looks.

    Args:
        names: of the icons, at most 16, with three words at most.
        pictures: [n 1 h w], ink 1.
        maps: attention of each word, [n words t].
        ranks: the place of each icon in the ranking for its name.
    """
    figure, axes = plt.subplots(ROWS, 4 * COLUMNS, figsize=(7, 9.6), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    side = round(maps.shape[2] ** 0.5)
    for at, (name, picture, own, rank) in enumerate(zip(names, pictures, maps, ranks, strict=True)):
        row, first = at // COLUMNS, 4 * (at % COLUMNS)
        icon = axes[row, first]
        icon.imshow(1 - picture[0].numpy(), cmap="gray", vmin=0, vmax=1)
        icon.set_title(f"{name}\nrank {rank}", fontsize=8.5, loc="left", color=INK if rank == 1 else HEAT)
        for word, (axis, heat) in enumerate(zip(axes[row, first + 1 : first + 4], own, strict=False)):
            if word < len(name.split("-")):
                large = interpolate(heat.view(1, 1, side, side), size=picture.shape[1:], mode="bicubic")[0, 0]
                weight = (large / large.max()).clamp(0, 1)[..., None].numpy()
                base = 1 - 0.6 * picture[0][..., None].numpy()
                axis.imshow(((1 - 0.85 * weight) * base + 0.85 * weight * np.array(HEAT)).clip(0, 1))
                axis.set_title(name.split("-")[word], fontsize=8.5)
    figure.subplots_adjust(wspace=0.06, hspace=0.55)
    return save(figure, path)


def draw_bars(axis: Axes, runs: Mapping[str, Sequence[Run]]) -> None:
    """The results of all methods, with intervals over seeds."""
    results = results_of(runs)
    width = 0.8 / len(results)
    for place, (name, rows) in enumerate(results.items()):
        found = by_figure(rows)
        at = np.arange(len(RANKING)) + (place - (len(results) - 1) / 2) * width
        shade = str(0.25 + 0.6 * place / len(results))  # grey: the colours are those of parts
        axis.bar(at, [x.mean for x in found], width, yerr=[x.half for x in found], label=name, color=shade, capsize=3)
    axis.set_xticks(range(len(RANKING)), RANKING)
    axis.set_ylabel("%")
    axis.set_ylim(0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08))
    axis.set_title("results on held-out data", fontsize=10)
