"""Differences with confidence intervals: one line per configuration, and a line at zero."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from vireid.figures.style import save
from vireid.interval import Interval


def draw_intervals(panels: Mapping[str, Mapping[str, Interval]], path: Path | str, *, title: str) -> Path:
    """Plot named intervals and their values, from the top down: one panel per metric, by its label.

    All panels have the lines of the first. An interval that does not include zero is coloured: blue above, orange
    below.
    """
    names = list(next(iter(panels.values())))
    size = (2.2 + 2.4 * len(panels), 0.9 + 0.24 * len(names))  # 7 inches wide, as pages show it, with two panels
    figure, axes = plt.subplots(1, len(panels), figsize=size, squeeze=False, sharey=True)
    for axis, (label, rows) in zip(axes[0], panels.items(), strict=True):
        for name, (mean, half, values) in rows.items():
            place = names.index(name)
            shade = ("#0072B2" if mean > 0 else "#D55E00") if abs(mean) > half else "#777777"
            axis.plot(values, np.full(len(values), place), "|", color=shade, markersize=7, alpha=0.6)
            width = 0.0 if np.isnan(half) else half
            axis.errorbar(mean, place, xerr=width, fmt="o", color=shade, markersize=4.5, capsize=2.5, linewidth=1.4)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_xlabel(label, fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
        axis.grid(axis="x", alpha=0.25)
    axes[0, 0].set_yticks(range(len(names)), names, fontsize=8.5)
    axes[0, 0].invert_yaxis()
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    return save(figure, path)
