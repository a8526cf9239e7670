"""Options of both examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vireid.checks import check_counts


@dataclass(frozen=True)
class Options:
    out: Path = Path("runs")
    """Directory for the figure, in a folder with the name of the example."""
    steps: int = 200
    """Training steps of the model with parts. Plain pooling gets more, as its steps are faster."""
    seeds: int = 3
    """Number of repetitions, each with other pictures and initial weights."""

    def __post_init__(self) -> None:
        check_counts(self, "steps", "seeds")


@dataclass(frozen=True)
class IconOptions:
    out: Path = Path("runs")
    """Directory for the figure and the results, in the folder icons."""
    steps: int = 800
    """Training steps of the target-aware method; at equal CPU time, a cheaper one has more."""
    seeds: int = 1
    """Number of repetitions, each with other held-out icons and initial weights."""
    everything: bool = False
    """Compare all methods, at equal steps, too: seven and a half minutes a seed."""
    context: bool = False
    """Words know of the others in their name, by a transformer layer."""
    scored: Literal["test", "validation"] = "test"
    """Icons that are scored. Settings were chosen on those of validation."""

    def __post_init__(self) -> None:
        check_counts(self, "steps", "seeds")
