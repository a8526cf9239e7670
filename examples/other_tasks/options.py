"""The options of both examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vireid.checks import check_counts


@dataclass(frozen=True)
class Options:
    out: Path = Path("runs")
    """The figure goes into a directory of the example's name in it."""
    steps: int = 200
    """Training steps of the parts. Plain pooling has twice as many, for a step costs less than half as much."""
    seeds: int = 3
    """How often all is repeated: other numbers held out, other pictures, other weights."""

    def __post_init__(self) -> None:
        check_counts(self, "steps", "seeds")
