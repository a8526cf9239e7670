"""Accuracy and time of ways to search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from vireid.figures.style import colour, save

Point = tuple[str, float, float]
"""A label, a time in ms and an accuracy in percent."""


def draw_tradeoff(
    series: Mapping[str, Sequence[Point]], path: Path | str, *, figure: str, title: str, exact: float | None = None
) -> Path:
    """Plot series of points over a logarithmic axis of ms per query; the points of a series are connected.

    Args:
        series: points by the name in the legend. Only the points of the first series have labels.
        figure: name of the accuracy.
        exact: the ms of exact search, plotted as a vertical line.
    """
    canvas, axis = plt.subplots(figsize=(6.4, 4.2))
    for number, (name, points) in enumerate(series.items()):
        axis.plot([x for _, x, _ in points], [y for *_, y in points], "o-", color=colour(number), label=name)
    for label, x, y in next(iter(series.values())):
        axis.annotate(label, (x, y), xytext=(4, -11), textcoords="offset points", fontsize=8)
    if exact is not None:
        axis.axvline(exact, color="black", linewidth=0.8, linestyle=":", label="exact search")
    axis.set_xscale("log")
    axis.set_xlabel("ms per query")
    axis.set_ylabel(f"{figure}, %")
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.25)
    axis.margins(0.12)
    axis.legend(fontsize=8)
    return save(canvas, path)
