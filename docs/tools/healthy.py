"""The curves of a healthy run, with notes: `PYTHONPATH=examples python docs/tools/healthy.py` writes
docs/images/healthy.png, from the log of `make demo`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from vireid.figures.style import save, smooth
from vireid.runs import read_log

ROOT = Path(__file__).resolve().parents[2]


class Panel(NamedTuple):
    """Values of the log in one panel, and a note with an arrow to the first of them."""

    names: tuple[str, ...]
    note: str
    at: float
    """Where the arrow points, as a share of the steps."""
    place: tuple[float, float]
    """The left edge and the middle of the note, as shares of the panel."""
    legend: str = "lower left"


PANELS = (
    Panel(("id", "part_id"), "fall from ln(identities);\nthe parts' stay higher", 0.4, (0.42, 0.78)),
    Panel(
        ("pcl", "triplet", "part_triplet"),
        "fall in the first third,\nand slowly from there",
        0.2,
        (0.4, 0.52),
        "upper right",
    ),
    Panel(("entropy",), "down from 1: parts choose\ntokens. At 1: none does", 0.25, (0.42, 0.8)),
    Panel(("overlap",), "up at first, then below 0.2.\nNear 1: equal parts", 0.12, (0.42, 0.78)),
    Panel(("coverage", "equivariance"), "rise as maps\nleave uniform", 0.2, (0.24, 0.84), "upper right"),
    Panel(("kd1",), "near −1 early: own and\ncross maps agree", 0.3, (0.42, 0.65)),
)


def main() -> None:
    print(draw(read_log(ROOT / "runs" / "demo"), ROOT / "docs" / "images" / "healthy.png"))


def draw(rows: list[dict[str, float]], path: Path) -> Path:
    """Plot the running means of a log's rows."""
    steps = [row["step"] for row in rows]
    figure, axes = plt.subplots(3, 2, figsize=(7, 6.3), sharex=True)
    for axis, panel in zip(axes.flat, PANELS, strict=True):
        curves = {name: smooth(np.array([row[name] for row in rows])) for name in panel.names}
        for name, values in curves.items():
            axis.plot(steps, values, linewidth=1.5, label=name)
        row = round(panel.at * (len(rows) - 1))
        axis.annotate(
            panel.note,
            xy=(steps[row], curves[panel.names[0]][row]),
            xytext=panel.place,
            textcoords="axes fraction",
            fontsize=8.5,
            va="center",
            arrowprops={"arrowstyle": "->", "color": "#555555"},
        )
        axis.set_title(", ".join(panel.names), fontsize=9.5)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
        if len(curves) > 1:
            axis.legend(fontsize=8, loc=panel.legend)
    for axis in axes[-1]:
        axis.set_xlabel("step", fontsize=9)
    figure.tight_layout()
    return save(figure, path)


if __name__ == "__main__":
    main()
