"""The size of files: one concept each, none longer than people read at a time."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST = 350
LONGER = {"tests/test_cal.py", "tests/support/oracles.py"}
"""Still to be split."""


def test_no_file_is_too_long() -> None:
    files = (
        path for folder in ("src", "examples", "tests", "docs", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    )
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files}
    assert {name for name, length in lengths.items() if length > LONGEST} <= LONGER
