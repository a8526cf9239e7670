"""Accuracy lost by ways to keep images, against their bytes and against the time to read and compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.ticker import FixedLocator, FormatStrFormatter, LogLocator, NullFormatter

from vireid.figures.style import colour, save


class Kept(NamedTuple):
    """A way to keep images."""

    label: str
    bytes: float
    """Of an image."""
    ms: float | None
    """Of a query; None where it is not measured."""
    lost: Sequence[float]
    """Of mAP, in each run."""


def draw_storage(families: Mapping[str, Sequence[Kept]], path: Path | str, *, title: str, most: float) -> Path:
    """Plot mAP lost over bytes an image, and over ms a query: means over runs as lines, and runs as points.

    Args:
        families: ways to keep images that differ in one number, which is their label.
        most: mAP that may be lost, drawn as a line.
    """
    canvas, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2), sharey=True, width_ratios=(3, 2))
    for number, (name, ways) in enumerate(families.items()):
        means = [sum(way.lost) / len(way.lost) for way in ways]
        left.plot([way.bytes / 1e3 for way in ways], means, "o-", color=colour(number), label=name, markersize=5)
        for way, mean in zip(ways, means, strict=True):
            left.annotate(way.label, (way.bytes / 1e3, mean), xytext=(4, 4), textcoords="offset points", fontsize=7)
            left.plot([way.bytes / 1e3] * len(way.lost), way.lost, ".", color=colour(number), markersize=2)
        timed = [(way.ms, mean, way.label) for way, mean in zip(ways, means, strict=True) if way.ms is not None]
        if timed:
            right.plot([ms for ms, *_ in timed], [mean for _, mean, _ in timed], "o-", color=colour(number))
        for ms, mean, label in timed:
            right.annotate(label, (ms, mean), xytext=(4, 4), textcoords="offset points", fontsize=7)
    for axis in (left, right):
        axis.axhline(most, color="black", linewidth=0.8, linestyle=":")
        axis.grid(alpha=0.25)
        axis.margins(0.1)
    left.set_xscale("log")
    left.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    left.xaxis.set_minor_formatter(NullFormatter())
    left.set_xlabel("kB an image")
    left.set_yscale("symlog", linthresh=2 * most)
    left.yaxis.set_major_locator(FixedLocator([0, most, 2 * most, 4 * most, 10 * most, 20 * most]))
    left.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    left.set_ylabel("mAP lost, %")
    left.legend(fontsize=8)
    right.set_xlabel("ms of the processor a query")
    canvas.suptitle(title, fontsize=10)
    canvas.tight_layout()
    return save(canvas, path)
