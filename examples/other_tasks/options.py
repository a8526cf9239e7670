"""Options of both examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vireid.checks import check_counts


@dataclass(frozen=True)
class Options:
    out: Path = Path("runs")
    """Directory for the figure, in a folder with the name of the example."""
    steps: int = 200
    """Training steps of the model with parts. Plain pooling gets twice as many, as its steps are faster."""
    seeds: int = 3
    """Number of repetitions, each with other held-out numbers, pictures and initial weights."""

    def __post_init__(self) -> None:
        check_counts(self, "steps", "seeds")
