"""Effect of a change during training: one panel per value of the log, one line per run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from vireid.figures.style import save, smooth

Rows = Sequence[Mapping[str, float]]
"""The rows of a run's log."""


def draw_contrasts(panels: Mapping[str, Mapping[str, Sequence[Rows]]], path: Path | str, *, title: str) -> Path:
    """Plot `panels`: by the name of a value of the log, and by the name of a way to train, the logs of its seeds."""
    columns = 2  # a page shows the figure 7 inches wide: type keeps its size
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(3.5 * columns, 2.4 * lines), squeeze=False)
    for axis, (name, ways) in zip(axes.flat, panels.items(), strict=False):
        for place, (way, runs) in enumerate(ways.items()):
            for seed, rows in enumerate(runs):
                steps, values = (np.array([row[key] for row in rows]) for key in ("step", name))
                axis.plot(steps, smooth(values), color=f"C{place}", linewidth=1.1, label=None if seed else way)
        axis.set_title(name, fontsize=10)
        axis.legend(fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis in axes[-1]:
        axis.set_xlabel("step", fontsize=9)
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    return save(figure, path)
