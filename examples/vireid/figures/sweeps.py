"""How a figure depends on each setting: one panel a setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from vireid.figures.style import save

Sweep = Mapping[float, Sequence[float]]
"""The values of a figure over seeds, by the setting's value."""


def draw_sweeps(sweeps: Mapping[str, Sweep], path: Path, *, label: str, kept: Mapping[str, float], title: str) -> Path:
    """Draw every run as a point and joined means; `kept` is where each setting stands in the other panels."""
    columns = 3
    lines = -(-len(sweeps) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(3.1 * columns, 2.2 * lines), squeeze=False, sharey=True)
    for axis, (name, sweep) in zip(axes.flat, sweeps.items(), strict=False):
        values = sorted(sweep)
        places = range(len(values))  # evenly: values are spread over magnitudes, and some are 0
        for place, value in zip(places, values, strict=True):
            axis.plot([place] * len(sweep[value]), sweep[value], "o", color="#777777", markersize=3, alpha=0.6)
        means = [sum(sweep[value]) / len(sweep[value]) for value in values]
        axis.plot(places, means, "-", color="#0072B2", linewidth=1.4)
        if kept.get(name) in values:
            axis.axvline(values.index(kept[name]), color="#D55E00", linewidth=0.8, linestyle=":")
        axis.set_xticks(places, [f"{value:g}" for value in values])
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
    for axis in axes.flat[len(sweeps) :]:
        axis.axis("off")
    for row in axes:
        row[0].set_ylabel(label, fontsize=9)
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    return save(figure, path)
