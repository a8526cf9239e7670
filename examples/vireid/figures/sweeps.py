"""Dependence of a metric on settings: one panel per setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from vireid.figures.style import colour, save

Sweep = Mapping[float, Sequence[float]]
"""The values of a metric over seeds, by the value of the setting."""


def draw_sweeps(
    sweeps: Mapping[str, Mapping[str, Sweep]], path: Path | str, *, label: str, kept: Mapping[str, float], title: str
) -> Path:
    """Plot `sweeps`, by the name of the setting and the name of the metric: runs as points, and their means as a line.

    `kept` has the value of each setting in the other panels.
    """
    columns = 2  # a page shows the figure 7 inches wide: type keeps its size
    lines = -(-len(sweeps) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(3.5 * columns, 2 * lines), squeeze=False, sharey=True)
    for axis, (setting, figures) in zip(axes.flat, sweeps.items(), strict=False):
        values = sorted({value for sweep in figures.values() for value in sweep})
        places = range(len(values))  # equal distances: values differ by orders of magnitude, and may be 0
        for number, (name, sweep) in enumerate(figures.items()):
            for place, value in zip(places, values, strict=True):
                axis.plot([place] * len(sweep[value]), sweep[value], "o", color=colour(number), markersize=3)
            means = [sum(sweep[value]) / len(sweep[value]) for value in values]
            axis.plot(places, means, "-", color=colour(number), linewidth=1.4, label=name)
        if kept.get(setting) in values:
            axis.axvline(values.index(kept[setting]), color="#777777", linewidth=0.8, linestyle=":")
        axis.set_xticks(places, [f"{value:g}" for value in values])
        axis.set_title(setting, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
    for axis in axes.flat[len(sweeps) :]:
        axis.axis("off")
    for row in axes:
        row[0].set_ylabel(label, fontsize=9)
    axes[0, 0].legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    return save(figure, path)
