"""Training curves: the loss terms, the attention, the norm of the gradient, and the learning rate."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from vireid.figures.style import save, smooth

NOT_LOSSES = ("step", "seconds", "lr", "gradient", "entropy", "overlap", "total")


def draw_curves(rows: list[dict[str, float]], path: Path | str) -> Path:
    """Plot the rows of a run's log: one panel per loss term, one for the attention, one for the optimiser."""
    steps = np.array([row["step"] for row in rows])
    terms = ["total", *(name for name in rows[0] if name not in NOT_LOSSES)]
    panels = [*terms, *(["attention"] if "entropy" in rows[0] else []), "optimiser"]
    columns = 4
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(3.4 * columns, 2.3 * lines), squeeze=False, sharex=True)
    for axis, panel in zip(axes.flat, panels, strict=False):
        axis.set_title(panel, fontsize=10)
        if panel == "attention":
            _line(axis, steps, rows, "entropy", "entropy / ln t")
            _line(axis, steps, rows, "overlap", "overlap of parts")
            axis.axhline(0.75, color="C0", linewidth=0.8, linestyle=":")
            axis.axhline(0.4, color="C1", linewidth=0.8, linestyle=":")
            axis.set_ylim(0, 1)
            axis.legend(fontsize=8)
        elif panel == "optimiser":
            _line(axis, steps, rows, "gradient", "gradient norm")
            other = axis.twinx()
            other.plot(steps, [row["lr"] for row in rows], color="C1", linewidth=1.2)
            other.set_ylabel("learning rate", color="C1", fontsize=8)
            other.tick_params(labelsize=8)
            axis.set_ylabel("gradient norm", color="C0", fontsize=8)
        else:
            _line(axis, steps, rows, panel, panel)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis in axes.flat:
        axis.tick_params(labelsize=8, labelbottom=True)
        axis.grid(alpha=0.25)
    for axis in axes[-1]:
        axis.set_xlabel("step", fontsize=9)
    figure.tight_layout()
    return save(figure, path)


def _line(axis: Axes, steps: np.ndarray, rows: list[dict[str, float]], name: str, label: str) -> None:
    """Plot the values of all steps as a thin line, and their running mean over a fiftieth of the run."""
    values = np.array([row[name] for row in rows])
    (line,) = axis.plot(steps, smooth(values), linewidth=1.4, label=label)
    axis.plot(steps, values, linewidth=0.5, alpha=0.3, color=line.get_color())
