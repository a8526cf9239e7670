"""Differences with their intervals: one line a configuration, and where zero is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from vireid.figures.style import save


def draw_intervals(
    rows: Mapping[str, tuple[float, float, tuple[float, ...]]], path: Path, *, label: str, title: str
) -> Path:
    """Draw named means, half widths of their intervals, and the values behind them, from the top down.

    An interval that does not reach zero is drawn in colour: blue above, orange below.
    """
    figure, axis = plt.subplots(figsize=(7.2, 0.9 + 0.27 * len(rows)))
    for place, (mean, half, values) in enumerate(rows.values()):
        clear = abs(mean) > half
        shade = ("#0072B2" if mean > 0 else "#D55E00") if clear else "#777777"
        axis.plot(values, np.full(len(values), place), "|", color=shade, markersize=7, alpha=0.6)
        width = 0.0 if np.isnan(half) else half
        axis.errorbar(mean, place, xerr=width, fmt="o", color=shade, markersize=4.5, capsize=2.5, linewidth=1.4)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(label, fontsize=9)
    axis.tick_params(axis="x", labelsize=8)
    axis.set_title(title, fontsize=10)
    axis.grid(axis="x", alpha=0.25)
    return save(figure, path)
