"""The progress of a run on a terminal of 80 columns, and without a terminal."""

from __future__ import annotations

import io
import re

from rich.console import Console

from vireid.training.progress import progress_bar

TERMS = (
    *("total", "id", "triplet", "part_id", "part_triplet", "pcl", "kd1", "kd2", "dis", "div"),
    *("attention_div", "equivariance", "coverage"),
)
FIGURES = dict.fromkeys(TERMS, 12.345) | {"lr": 0.1, "gradient": 1.0}


def shown(*, terminal: bool) -> list[str]:
    """The last lines that a run of 1000 steps shows after step 200."""
    console = Console(file=io.StringIO(), width=80, force_terminal=terminal, legacy_windows=False)
    with progress_bar(console, 1000, 0, enabled=True) as advance:
        advance(100, FIGURES, 10.0, 64)
        advance(200, FIGURES, 20.0, 64)
    assert isinstance(console.file, io.StringIO)
    text = re.sub(r"\x1b\[[\d;?]*\w", "", console.file.getvalue())
    return text.replace("\r", "\n").split("\n")


def test_the_bar_keeps_its_place_beside_many_terms() -> None:
    lines = shown(terminal=True)
    last = max(place for place, line in enumerate(lines) if line.startswith("training"))
    bar = lines[last]
    assert len(bar) <= 80
    assert bar.count("━") >= 20
    assert re.search(r" 200/1000 \d:\d\d:\d\d 640 images/s", bar)
    below = lines[last + 1 :]
    assert all(len(line) <= 80 for line in below)
    assert all(any(f"{name} 12.3" in line for line in below) for name in TERMS)
    assert not any("lr" in line.split() for line in below)


def test_without_a_terminal_ten_lines_are_printed() -> None:
    lines = [line for line in shown(terminal=False) if line]
    assert [line.split("  ")[0] for line in lines] == ["step 100/1000", "step 200/1000"]
    assert lines[1].endswith("640 images/s")
