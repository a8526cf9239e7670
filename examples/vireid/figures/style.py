"""Common functions of the figures: colours of parts, running means, and writing a file completely or not at all."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vireid.files import replace_file

# Okabe and Ito's colours, which can be told apart with any colour vision. They repeat after eight parts.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2", "#999999")


def colour(part: int) -> str:
    return COLOURS[part % len(COLOURS)]


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The running mean over a fiftieth of a curve; at the ends, over fewer values."""
    kernel = np.ones(max(len(values) // 50, 1))
    return np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")


def save(figure: Figure, path: Path | str, *, dpi: int = 130) -> Path:
    path = Path(path)
    draw = partial(figure.savefig, dpi=dpi, bbox_inches="tight", format="png", facecolor="white")
    replace_file(path, draw)
    plt.close(figure)
    return path
